"""The files that somebody means who names files and folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from estran.model.errors import InputRefused


def inside(path: Path) -> list[Path]:
    """The files in a folder and below, by name; of a file, itself. InputRefused when `path` is neither."""
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file())
    if path.is_file():
        return [path]
    raise InputRefused("There is no such file or directory.", where=str(path), hint="check the path")


def files_under(paths: Iterable[Path], wanted: Callable[[Path], bool]) -> list[Path]:
    """Each file once: those given by themselves, and of folders those that are `wanted`. Raises InputRefused."""
    return list(dict.fromkeys(file for path in paths for file in inside(path) if file == path or wanted(file)))


def folders_under(paths: Iterable[Path], wanted: Callable[[Path], object]) -> list[Path]:
    """Each folder once that is `wanted`, among `paths` and below them, and the files given by themselves. Raises
    InputRefused."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found |= dict.fromkeys(p for p in (path, *sorted(path.rglob("*"))) if p.is_dir() and wanted(p))
        else:
            found |= dict.fromkeys(inside(path))
    return list(found)
