"""A process of our own that touches what comes from outside through a C or C++ library.

What kills, hangs or bloats the library must not touch the load: the child bounds its own memory, each question has
a time, and a child that dies costs its question only.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import resource
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

_PIECE = 1 << 16
_LARGEST = 1 << 20


class TooSlow(Exception):
    """The time of a question is over."""


def bound_memory(size: int) -> None:
    """For the child: at most so many bytes of address space, libraries included; and no dump of what it read."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Child:
    """Runs `python -m module`, started when first needed and again when it has died; one question at a time."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._turn = threading.Lock()
        self._deadline = 0.0
        atexit.register(self.close)

    @contextlib.contextmanager
    def asking(self, seconds: float) -> Iterator[None]:
        """A question is asked and answered inside, by `write` and `read`, in `seconds`. A child whose question
        was not answered to its end is ended: the rest of the answer is nobody's.

        Raises TooSlow, EOFError or OSError, as `write` and `read` do.
        """
        with self._turn:
            self._deadline = time.monotonic() + seconds
            answered = False
            try:
                self._start()
                yield
                answered = True
            finally:
                if not answered:
                    self._end()

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        pipe = self._process.stdin if self._process else None
        rest = memoryview(data)
        while rest:
            if pipe is None or not select.select([], [pipe], [], self._left())[1]:
                raise TooSlow
            rest = rest[os.write(pipe.fileno(), rest[:_PIECE]) :]

    def read(self, size: int) -> bytes:
        """The next `size` bytes of the answer."""
        pipe = self._process.stdout if self._process else None
        found = bytearray()
        while len(found) < size:
            if pipe is None or not select.select([pipe], [], [], self._left())[0]:
                raise TooSlow
            piece = os.read(pipe.fileno(), min(size - len(found), _LARGEST))
            if not piece:
                raise EOFError
            found += piece
        return bytes(found)

    def close(self) -> None:
        """End the child."""
        with self._turn:
            self._end()

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TooSlow
        return left

    def _start(self) -> None:
        if self._process is not None and (self._owner != os.getpid() or self._process.poll() is not None):
            self._end()
        if self._process is None:
            # -P: the working directory is no place to import from
            command = [sys.executable, "-P", "-m", self._module]
            self._process = subprocess.Popen(  # noqa: S603  (our own module, no shell)
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
            )
            self._owner = os.getpid()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    os.set_blocking(pipe.fileno(), False)

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
