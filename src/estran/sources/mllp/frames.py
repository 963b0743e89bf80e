"""MLLP frames from a connection: 0B, message, 1C 0D. What is too large, too slow or no frame is refused."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

_START, _END = 0x0B, b"\x1c\r"
_BLANK = b" \t\r\n\x00"
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Limits:
    """What a sender may do before it is refused."""

    message_bytes: int = 64 << 20
    connections: int = 200
    frame_seconds: float = 60.0  # from the first byte of a frame to its last
    idle_seconds: float = 3600.0  # between two frames of a connection
    answer_seconds: float = 60.0  # for a sender to take its acknowledgement
    held_bytes: int = 512 << 20  # of all frames that are being received or wait for the disk
    waiting_bytes: int = 10 << 30  # of the spool: beyond, nothing more is accepted until it is loaded
    free_bytes: int = 256 << 20  # that must stay free on the disk of the spool


class Unacceptable(Exception):
    """The connection cannot go on; `reason` is a constant sentence."""

    def __init__(self, reason: str, *, speaks_mllp: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.speaks_mllp = reason, speaks_mllp


class Budget:
    """Memory shared by all connections."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> None:
        """Unacceptable when all the memory for messages is in use."""
        if size > self._left:
            raise Unacceptable("Too many messages are being received at once.")
        self._left -= size

    def give(self, size: int) -> None:
        """The end of `take`."""
        self._left += size


class Frames:
    """The frames of one connection, one at a time."""

    def __init__(self, reader: asyncio.StreamReader, limits: Limits, budget: Budget) -> None:
        self._reader, self._limits, self._budget = reader, limits, budget
        self._buffer = bytearray()
        self._taken = 0
        self.idle_since = time.monotonic()  # 0 while a message is being received or kept

    async def next(self) -> bytes | None:
        """The next message; None when the sender has closed, in the middle of a frame or not.

        Raises Unacceptable, and TimeoutError when the sender is silent for too long.
        """
        seen, deadline = 0, None
        self.idle_since = time.monotonic()
        while True:
            self._skip_blanks()
            if self._buffer:
                self.idle_since = 0.0
                deadline = deadline or time.monotonic() + self._limits.frame_seconds
                end = self._buffer.find(_END, max(seen - 1, 0))
                if end >= 0:
                    return self._cut(end)
                seen = len(self._buffer)
                if seen > self._limits.message_bytes:
                    raise Unacceptable("The message is too large.")
            seconds = self._limits.idle_seconds if deadline is None else deadline - time.monotonic()
            chunk = await asyncio.wait_for(self._reader.read(_CHUNK), max(seconds, 0.0))
            if not chunk:
                return None
            self._budget.take(len(chunk))
            self._taken += len(chunk)
            self._buffer += chunk

    def release(self) -> None:
        """Give back the memory of everything but what has not been cut into frames yet."""
        self._budget.give(self._taken - len(self._buffer))
        self._taken = len(self._buffer)

    def end(self) -> None:
        """The connection is over."""
        self._buffer.clear()
        self.release()

    def _skip_blanks(self) -> None:
        """Drop what separates frames; anything that is neither blank nor a frame is not MLLP."""
        if not self._buffer or self._buffer[0] == _START:
            return
        left = self._buffer.lstrip(_BLANK)
        if left and left[0] != _START:
            raise Unacceptable("The sender does not speak MLLP.", speaks_mllp=False)
        del self._buffer[: len(self._buffer) - len(left)]

    def _cut(self, end: int) -> bytes:
        message = bytes(memoryview(self._buffer)[1:end])
        del self._buffer[: end + len(_END)]
        if len(message) > self._limits.message_bytes:
            raise Unacceptable("The message is too large.")
        return message
