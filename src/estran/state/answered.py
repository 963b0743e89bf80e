"""The sets of patients that were answered, what was shown of each, and to whom.

A set is kept as the caller's bytes; this room knows its size only. `secret` is what the noise is drawn from.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from estran.state.schema import answered_set, answered_to, secret
from estran.state.transactions import now, reading, writing

_NAME = "disclosure"


@dataclass(frozen=True)
class AnsweredSet:
    """One set: the bytes of its members, what was shown, and the cells shown by name of breakdown (JSON)."""

    id: int
    size: int
    members: bytes
    value: int
    below: int
    margin: int
    cells: str


class AnsweredSets:
    """Find and add; a set answered is never changed, but for the breakdowns shown later."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def secret(self) -> bytes:
        """32 random bytes, made when first asked for."""
        kept = sa.select(secret.c.value).where(secret.c.name == _NAME)
        with reading(self._engine) as connection:
            found = connection.scalar(kept)
        if found is None:
            with writing(self._engine) as connection:
                found = connection.scalar(kept)  # somebody else may have been first
                if found is None:
                    found = secrets.token_bytes(32)
                    connection.execute(secret.insert().values(name=_NAME, value=found))
        return bytes(found)

    def near(self, sizes: Iterable[int], margin: int) -> list[AnsweredSet]:
        """Sets whose size differs from one of `sizes` by less than `margin`, the oldest first."""
        close = sa.or_(sa.false(), *(answered_set.c.size.between(size - margin + 1, size + margin - 1) for size in set(sizes)))
        with reading(self._engine) as connection:
            rows = connection.execute(answered_set.select().where(close).order_by(answered_set.c.id))
            return [AnsweredSet(**row._mapping) for row in rows]

    def keep(self, rows: Sequence[tuple[int, bytes, int, int, int]]) -> list[int]:
        """Add sets: size, members, value, below and margin of each. Their numbers, in order."""
        names = ("size", "members", "value", "below", "margin")
        with writing(self._engine) as connection:
            keys = [
                connection.execute(answered_set.insert().values({**dict(zip(names, row, strict=True)), "cells": "{}"}))
                for row in rows
            ]
        return [int(key.inserted_primary_key[0]) if key.inserted_primary_key else 0 for key in keys]

    def cells(self, number: int) -> str:
        """The breakdowns shown of a set, as JSON."""
        with reading(self._engine) as connection:
            return str(connection.scalar(sa.select(answered_set.c.cells).where(answered_set.c.id == number)) or "{}")

    def keep_cells(self, number: int, cells: str) -> None:
        """The breakdowns shown of a set."""
        with writing(self._engine) as connection:
            connection.execute(answered_set.update().where(answered_set.c.id == number).values(cells=cells))

    def tell(self, numbers: Iterable[int], account_id: int) -> None:
        """Note that an account was shown sets; those it had been shown before keep their moment."""
        asked = set(numbers)
        mine = sa.and_(answered_to.c.account_id == account_id, answered_to.c.set_id.in_(asked))
        known = sa.select(answered_to.c.set_id).where(mine)
        with reading(self._engine) as connection:
            if asked <= set(connection.scalars(known)):
                return  # as nearly always: nobody waits for the right to write
        with writing(self._engine) as connection:
            for number in sorted(asked - set(connection.scalars(known))):
                connection.execute(answered_to.insert().values(account_id=account_id, set_id=number, at=now()))

    def told(self, account_id: int, since: dt.datetime) -> int:
        """How many sets an account was shown since a moment, each counted when first shown."""
        mine = sa.and_(answered_to.c.account_id == account_id, answered_to.c.at >= since)
        with reading(self._engine) as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(answered_to).where(mine)) or 0)
