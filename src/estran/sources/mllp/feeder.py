"""From the spool to the warehouse: every few seconds one micro-batch, tried until it is committed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from estran.model.errors import EstranError
from estran.sources.mllp.spool import Spool

if TYPE_CHECKING:
    from estran.sources.pipeline.run import Report

Load = Callable[[list[Path]], "Report"]  # loads files of MLLP frames; raises EstranError when the site is busy
_FILES, _BYTES = 200, 256 << 20  # of one micro-batch
_LONGEST_WAIT = 30.0  # seconds between two attempts


@dataclass
class Feeder:
    """Hands closed segments to `load`, oldest first, and deletes them once it has committed."""

    spool: Spool
    load: Load
    every: float  # seconds that messages are gathered
    note: Callable[[str], None] = lambda _: None
    tell: Callable[[Report], None] = lambda _: None
    failures: int = field(default=0, init=False)  # attempts since the last success

    async def run(self, ending: asyncio.Event) -> None:
        """Until `ending` is set and everything that could be loaded is; what could not waits for the next start."""
        took = await self._timed_step()  # what an earlier run left
        while not ending.is_set():
            try:
                await asyncio.wait_for(ending.wait(), self._pause(took))
            except TimeoutError:
                took = await self._timed_step()
        while await asyncio.to_thread(self.step):
            pass

    async def _timed_step(self) -> float:
        begun = time.monotonic()
        await asyncio.to_thread(self.step)
        return time.monotonic() - begun

    def _pause(self, took: float) -> float:
        """Seconds until the next attempt after one that took so long: messages were gathered meanwhile, but
        others must find the site free now and then, a fifth of the time when batches take long."""
        if self.failures:
            return min(self.every * 2.0**self.failures, _LONGEST_WAIT)
        return max(self.every - took, self.every / 8, min(took, _LONGEST_WAIT) / 4)

    def step(self) -> bool:
        """Load what waits, at most one micro-batch. False when nothing was left or it could not be loaded."""
        self.spool.turn()
        batch = _batch(self.spool.waiting())
        if not batch:
            return False
        try:
            with self.spool.restored(batch) as files:
                if files:
                    self.tell(self.load(files))
        except EstranError as error:
            self._failed(error.what)
            return False
        except Exception as error:  # noqa: BLE001 (whatever it is, the messages stay and are tried again)
            self._failed(f"A load ended on an error ({type(error).__name__}).")
            return False
        self.failures = 0
        whole = [self.spool.forget(path) for path in batch]
        if not all(whole):
            self.note("A segment of the spool was damaged: what could be read is loaded, the file is kept aside.")
        return True

    def _failed(self, why: str) -> None:
        self.failures = min(self.failures + 1, 10)
        self.note(f"{why} The messages wait in the spool and are tried again.")


def _batch(waiting: list[Path]) -> list[Path]:
    """The oldest segments, as many as one micro-batch may hold; at least one."""
    size = 0
    found: list[Path] = []
    for path in waiting[:_FILES]:
        size += path.stat().st_size
        if found and size > _BYTES:
            break
        found.append(path)
    return found
