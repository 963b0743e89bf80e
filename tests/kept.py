"""What several test processes would each make anew: made by the first that asks, kept until the run ends."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

_given: list[Path] = []


def pytest_configure(config: pytest.Config) -> None:
    """A test process keeps what it makes where the one that started it says."""
    if hasattr(config, "workerinput"):
        _given.append(Path(config.workerinput["kept"]))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell a test process about to start where that is."""
    node.workerinput["kept"] = str(_root())  # type: ignore[attr-defined]


@cache
def _own() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="estran-kept-")


def _root() -> Path:
    return _given[0] if _given else Path(_own().name)


_ready: dict[str, Path] = {}


def once(name: object, make: Callable[[Path], object]) -> Path:
    """The folder that `make` filled, to be copied and not to be changed; `name` says all that it depends on."""
    key = hashlib.sha256(repr(name).encode()).hexdigest()[:16]
    if key not in _ready:
        folder, done = _root() / key, _root() / f"{key}.done"
        with (_root() / f"{key}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of one who failed
                folder.mkdir()
                make(folder)
                done.touch()
        _ready[key] = folder
    return _ready[key]
