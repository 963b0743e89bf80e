"""PDF, read by PDFium in a process of its own.

PDFium is C++ and its input comes from outside: what kills, hangs or bloats it must not touch the
load. The child has a memory ceiling, each document a time, and a child that dies costs its document.
"""

from __future__ import annotations

import atexit
import datetime as dt
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from typing import IO, Any

from estran.sources.extraction import LONGEST, Extracted, Unreadable, finished

SECONDS = 60.0  # for one document
_PIECE = 1 << 16


def extract(data: bytes, media_type: str = "") -> Extracted:
    """Text in reading order. Raises Unreadable: locked, damaged, only pictures, too slow, too large."""
    answer = _child.ask(data)
    if "refused" in answer:
        raise Unreadable(*answer["refused"])
    modified = dt.datetime.fromisoformat(answer["modified"]) if answer["modified"] else None
    return finished(
        answer["text"], answer["pages"], tuple(answer["header"]), tuple(answer["footer"]),
        warnings=tuple(answer["warnings"]), title=answer["title"], modified=modified,
    )


class _Child:
    """The process that reads PDFs, started when first needed and again when it has died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._turn = threading.Lock()

    def ask(self, data: bytes, seconds: float | None = None) -> dict[str, Any]:
        """The child's answer about one document."""
        with self._turn:
            try:
                return self._exchange(data, time.monotonic() + (seconds or SECONDS))
            except _TooSlow:
                self._end()
                return {"refused": ("malformed", "The PDF takes too long to be read.")}
            except (OSError, ValueError, EOFError):
                self._end()
                return {"refused": ("malformed", "The PDF is damaged: it cannot be read.")}

    def _exchange(self, data: bytes, deadline: float) -> dict[str, Any]:
        process = self._running()
        if process.stdin is None or process.stdout is None:
            raise EOFError
        _write(process.stdin, struct.pack("<I", len(data)) + data, deadline)
        (size,) = struct.unpack("<I", _read(process.stdout, 4, deadline))
        if size > 8 * LONGEST:
            raise EOFError
        answer: dict[str, Any] = json.loads(_read(process.stdout, size, deadline))
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and (self._owner != os.getpid() or self._process.poll() is not None):
            self._end()
        if self._process is None:
            # -P: the working directory is no place to import from
            command = [sys.executable, "-P", "-m", "estran.sources.extraction.pdf_child"]
            self._process = subprocess.Popen(  # noqa: S603  (our own module, no shell)
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
            )
            self._owner = os.getpid()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    os.set_blocking(pipe.fileno(), False)
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        if self._owner == os.getpid():  # a fork's copy of a handle is not its child
            process.kill()
            process.wait()

    def close(self) -> None:
        """End the child."""
        with self._turn:
            self._end()


class _TooSlow(Exception):
    """The time of a document is over."""


def _left(deadline: float) -> float:
    """Seconds left."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise _TooSlow
    return left


def _write(pipe: IO[bytes], data: bytes, deadline: float) -> None:
    rest = memoryview(data)
    while rest:
        if not select.select([], [pipe], [], _left(deadline))[1]:
            raise _TooSlow
        rest = rest[os.write(pipe.fileno(), rest[:_PIECE]) :]


def _read(pipe: IO[bytes], size: int, deadline: float) -> bytes:
    found = bytearray()
    while len(found) < size:
        if not select.select([pipe], [], [], _left(deadline))[0]:
            raise _TooSlow
        piece = os.read(pipe.fileno(), min(size - len(found), 1 << 20))
        if not piece:
            raise EOFError
        found += piece
    return bytes(found)


_child = _Child()
atexit.register(_child.close)
