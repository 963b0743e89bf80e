"""A scratch file for data in clear that not even a killed process leaves behind."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_DESCRIPTORS = Path("/proc/self/fd")


@contextlib.contextmanager
def unnamed() -> Iterator[tuple[IO[bytes], Path]]:
    """An open file and a path by which this process can open it; it is in no directory.

    Where the system has no such paths, a file of a private directory that goes with the block.
    """
    if _DESCRIPTORS.is_dir():
        with tempfile.TemporaryFile(prefix="estran-") as out:
            yield out, _DESCRIPTORS / str(out.fileno())
        return
    with tempfile.TemporaryDirectory(prefix="estran-") as folder, (Path(folder) / "scratch").open("w+b") as named:
        yield named, Path(named.name)
