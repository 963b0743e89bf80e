"""The MLLP server: every frame is kept durably, many at once, and only then acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from estran.sources.mllp.acknowledge import Header, Problem, acknowledge, read_header
from estran.sources.mllp.frames import Budget, Frames, Limits, Unacceptable
from estran.sources.mllp.spool import Spool

Judge = Callable[[bytes], Problem | None]  # why a message can never be loaded as it is

_IDLE_ENOUGH = 60.0  # seconds after which a silent connection may be closed to make room
_LARGE = 1 << 16  # bytes from which a message is judged beside the loop
_VERSION = Problem("MSH-12", "version", "Only versions 2.x of HL7 are read.")
_EMPTY = Problem("MSH", "malformed", "The message is empty.")
_FULL = Problem("MSH", "busy", "Nothing more can be kept for now: send it again later.")
_CHECKED_EVERY = 1.0  # seconds between two looks at the room that is left


@dataclass
class Counts:
    """What happened since the start, for the log: no message is ever named."""

    connections: int = 0
    turned_away: int = 0
    kept: int = 0
    refused: int = 0  # AR


@dataclass
class Listener:
    """Receives on one port into one spool. `note` takes lines for the log."""

    spool: Spool
    directory: Path  # whose disk must have room
    judge: Judge
    limits: Limits = field(default_factory=Limits)
    note: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        self.counts = Counts()
        self._budget = Budget(self.limits.held_bytes)
        self._waiting: list[tuple[bytes, asyncio.Future[bool]]] = []
        self._wake = asyncio.Event()
        self._open: dict[asyncio.Task[None], Frames] = {}
        self._room: tuple[float, bool] = (0.0, True)
        self._ending = self._done = False

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> asyncio.Server:
        """Listen; the caller closes the server, then calls `end`."""
        self._keeper = asyncio.create_task(self._keep_together())
        handshake = 10.0 if tls else None  # seconds
        return await asyncio.start_server(
            self._connected, host, port, ssl=tls, backlog=100, ssl_handshake_timeout=handshake
        )

    async def end(self) -> None:
        """Let the messages that have come in whole be kept and acknowledged, then close every connection."""
        self._ending = True
        for task, frames in list(self._open.items()):
            if frames.idle_since:
                task.cancel()
        if self._open:
            _, late = await asyncio.wait(self._open, timeout=10.0)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._done = True
        self._wake.set()
        await self._keeper

    # connections ----------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (asyncio runs this as a task)
        self.counts.connections += 1
        if self._ending or not self._make_room():
            self.counts.turned_away += 1
            writer.close()
            return
        frames = self._open[task] = Frames(reader, self.limits, self._budget)
        try:
            await self._talk(frames, writer)
        except (OSError, TimeoutError, asyncio.CancelledError, ssl.SSLError):
            pass  # the sender is gone, silent or asked to leave: what it holds no acknowledgement for, it sends again
        finally:
            frames.end()
            del self._open[task]
            writer.close()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(writer.wait_closed(), 1.0)

    def _make_room(self) -> bool:
        """Whether one more may connect; the one that has been silent longest makes room when it has to."""
        if len(self._open) < self.limits.connections:
            return True
        silent = [(f.idle_since, task) for task, f in self._open.items() if f.idle_since]
        if not silent:
            return False
        since, task = min(silent, key=lambda item: item[0])
        if time.monotonic() - since < _IDLE_ENOUGH:
            return False
        task.cancel()
        return True

    async def _talk(self, frames: Frames, writer: asyncio.StreamWriter) -> None:
        while not self._ending:
            try:
                message = await frames.next()
            except Unacceptable as refusal:
                self.note(refusal.reason + " The connection is closed.")
                if refusal.speaks_mllp:
                    await self._answer(writer, acknowledge(Header(), "R", Problem("MSH", "busy", refusal.reason)))
                return
            if message is None:
                return
            await self._answer(writer, await self._receive(message))
            frames.release()

    async def _answer(self, writer: asyncio.StreamWriter, answer: bytes | None) -> None:
        if answer is not None:
            writer.write(answer)
            await asyncio.wait_for(writer.drain(), self.limits.answer_seconds)

    # messages -------------------------------------------------------------------------------------

    async def _receive(self, message: bytes) -> bytes | None:
        """Keep one message; its acknowledgement."""
        header = read_header(message)
        if not message.strip():
            return acknowledge(header, "E", _EMPTY)
        if not header.speaks_version_2:
            return self._refuse(header, _VERSION)
        heavy = len(message) > _LARGE or b"|ED|" in message  # a document inside may take long to read
        problem = await asyncio.to_thread(self.judge, message) if heavy else self.judge(message)
        if not await self._kept(message):
            return self._refuse(header, _FULL)
        return acknowledge(header, "E" if problem else "A", problem)

    def _refuse(self, header: Header, problem: Problem) -> bytes | None:
        self.counts.refused += 1
        return acknowledge(header, "R", problem)

    async def _kept(self, message: bytes) -> bool:
        """Wait until the message is on the disk; False when there is no room for it."""
        if not self._has_room():
            return False
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((message, done))
        self._wake.set()
        return await done

    def _has_room(self) -> bool:
        now = time.monotonic()
        if now - self._room[0] > _CHECKED_EVERY:
            room = shutil.disk_usage(self.directory).free > self.limits.free_bytes
            self._room = (now, room and self.spool.size() < self.limits.waiting_bytes)
        return self._room[1]

    async def _keep_together(self) -> None:
        """Write what has come in since the last write, all at once: one wait for the disk serves every sender."""
        while not self._done or self._waiting:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            if not batch:
                continue
            try:
                await asyncio.to_thread(self.spool.keep, [message for message, _ in batch])
                kept = True
            except OSError:
                kept = False
                self.note("The spool cannot be written: messages are refused until it can.")
            self.counts.kept += len(batch) if kept else 0
            for _, done in batch:
                if not done.done():  # its connection may have gone
                    done.set_result(kept)
