"""A folder that is there whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from estran.model.errors import UsageError


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A draft beside `target`, which takes its name once the block is through and everything is on disk.

    Whatever happens in the block, nothing is left behind. UsageError when `target` exists.
    """
    if target.exists():
        raise UsageError("There is something of this name already.", where=str(target), hint="name a new folder")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    draft.mkdir(mode=0o700)
    try:
        yield draft
        settle(draft)
        draft.rename(target)
        flush(target.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def settle(folder: Path) -> None:
    """Force every file and folder to the disk, readable by their owner only."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(0o700 if path.is_dir() else 0o600)
        flush(path)
    flush(folder)


def flush(path: Path) -> None:
    """Force a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def passing_folder(beside: Path) -> Iterator[Path]:
    """A folder of its own beside a path, that goes when the block ends."""
    folder = beside.with_name(f".{beside.name}.{secrets.token_hex(4)}")
    beside.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
