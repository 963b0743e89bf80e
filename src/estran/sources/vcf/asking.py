"""Asking the process that reads VCF: what kills, hangs or bloats htslib costs its file, not the load."""

from __future__ import annotations

import atexit
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from estran.sources.packed import LONGEST_BODY

_HEAD = struct.Struct("<IQ")
_LONGEST_WORDS = 1 << 20
SECONDS, BYTES_PER_SECOND = 120.0, 50_000  # a file may take so long, and so much longer for its size

Answer = tuple[dict[str, Any], bytes]


class Broken(Exception):
    """The process died, hangs, or does not say what it should."""


@dataclass
class Child:
    """The process, started when first needed and again when it has died."""

    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _owner: int = field(default=0, init=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False)

    def ask(self, path: Path, seconds: float | None = None) -> Iterator[Answer]:
        """What the process says of the file at `path`: words and body, sample after sample. Raises Broken."""
        limit = SECONDS + path.stat().st_size / BYTES_PER_SECOND if seconds is None else seconds
        deadline, ended = time.monotonic() + limit, False
        with self._turn:
            try:
                process = self._running()
                name = os.fsencode(path.resolve())
                assert process.stdin is not None and process.stdout is not None  # noqa: S101  (both are pipes)
                process.stdin.write(struct.pack("<I", len(name)) + name)
                yield from _answers(process.stdout, deadline)
                ended = True
            except (OSError, ValueError, EOFError):
                raise Broken from None
            finally:
                if not ended:
                    self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and (self._owner != os.getpid() or self._process.poll() is not None):
            self._end()
        if self._process is None:
            # -P: the working directory is no place to import from
            command = [sys.executable, "-P", "-m", "estran.sources.vcf.child"]
            self._process = subprocess.Popen(  # noqa: S603  (our own module, no shell)
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
            )
            self._owner = os.getpid()
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
        """End the process."""
        with self._turn:
            self._end()


def _answers(pipe: IO[bytes], deadline: float) -> Iterator[Answer]:
    while True:
        words, size = _HEAD.unpack(_read(pipe, _HEAD.size, deadline))
        if not words:
            return
        if words > _LONGEST_WORDS or size > LONGEST_BODY:
            raise ValueError
        said: dict[str, Any] = json.loads(_read(pipe, words, deadline))
        yield said, _read(pipe, size, deadline)


def _read(pipe: IO[bytes], size: int, deadline: float) -> bytes:
    found = bytearray()
    while len(found) < size:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            raise EOFError
        piece = os.read(pipe.fileno(), min(size - len(found), 1 << 20))
        if not piece:
            raise EOFError
        found += piece
    return bytes(found)


child = Child()
atexit.register(child.close)
