"""One process at a build: a lock that the system lets go of when the process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from estran.model.errors import UsageError


@contextmanager
def alone(folder: Path, number: int) -> Iterator[None]:
    """Hold the build of this number, of the datamarts in `folder`; UsageError when another process does."""
    path = _path(folder, number)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _locked(descriptor):
            raise UsageError("Another process works on this datamart.", hint="try again when it has ended")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def busy(folder: Path, number: int) -> bool:
    """Whether a process that is alive holds the build of this number."""
    try:
        descriptor = os.open(_path(folder, number), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _locked(descriptor)
    finally:
        os.close(descriptor)


def _path(folder: Path, number: int) -> Path:
    return folder / f".{number}.lock"


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
