"""Work of several at once, in one transaction: whoever comes while a transaction is being written shares the next one.

A transaction costs a wait for the disk, some milliseconds whatever is in it; thirty sites answer at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from estran.hub.database import Database

Made = TypeVar("Made")


class Turns(Generic[Made]):
    """Takes work in turns; what `do` gives is on disk."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: list[tuple[Callable[[], Made], asyncio.Future[Made]]] = []

    async def do(self, work: Callable[[], Made]) -> Made:
        """What `work` gives, once it is on disk. What it raises is raised here, and nothing of it is kept."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Made] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._turn)
        self._waiting.append((work, future))
        return await future

    def _turn(self) -> None:
        """Everything that waits; an error of the disk is everybody's."""
        some, self._waiting = self._waiting, []
        made: list[Callable[[], None]] = []
        try:
            with self._db.writing():
                for work, future in some:
                    made.append(self._part(work, future))
        except Exception as error:  # noqa: BLE001 (each is told)
            made = [_raising(future, error) for _, future in some]
        for tell in made:
            tell()

    def _part(self, work: Callable[[], Made], future: asyncio.Future[Made]) -> Callable[[], None]:
        try:
            with self._db.part():
                found = work()
        except Exception as error:  # noqa: BLE001 (it is the caller's)
            return _raising(future, error)
        return lambda: None if future.done() else future.set_result(found)


def _raising(future: asyncio.Future[Made], error: Exception) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_exception(error)
