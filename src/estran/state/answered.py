"""The sets of patients that were answered, what was shown of each, and to whom.

A set is kept as the caller's bytes; this room knows its size only. `secret` is what the noise is drawn from.
"""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from estran.state.schema import answered_set, answered_to, secret
from estran.state.transactions import now, reading, writing

_SECRET = "disclosure"


@dataclass(frozen=True)
class AnsweredSet:
    """One set: the bytes of its members, what was shown, and the cells shown by name of breakdown (JSON)."""

    id: int
    size: int
    members: bytes
    value: int
    below: bool
    margin: int
    cells: str


class AnsweredSets:
    """Find and add; a set answered is never changed, but for the breakdowns shown later."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def secret(self) -> bytes:
        """32 random bytes, made when first asked for."""
        with writing(self._engine) as connection:
            found = connection.scalar(sa.select(secret.c.value).where(secret.c.name == _SECRET))
            if found is None:
                found = secrets.token_bytes(32)
                connection.execute(secret.insert().values(name=_SECRET, value=found))
        return bytes(found)

    def near(self, size: int, margin: int) -> list[AnsweredSet]:
        """Sets whose size differs from `size` by less than `margin`, the oldest first."""
        close = answered_set.c.size.between(size - margin + 1, size + margin - 1)
        with reading(self._engine) as connection:
            rows = connection.execute(answered_set.select().where(close).order_by(answered_set.c.id))
            return [AnsweredSet(**row._mapping) for row in rows]

    def keep(self, size: int, members: bytes, value: int, below: bool, margin: int) -> AnsweredSet:
        """Add a set."""
        row = {"size": size, "members": members, "value": value, "below": below, "margin": margin, "cells": "{}"}
        with writing(self._engine) as connection:
            key = connection.execute(answered_set.insert().values(**row)).inserted_primary_key
        return AnsweredSet(id=int(key[0]) if key else 0, size=size, members=members, value=value, below=below,
                           margin=margin, cells="{}")  # fmt: skip

    def keep_cells(self, number: int, cells: str) -> None:
        """The breakdowns shown of a set."""
        with writing(self._engine) as connection:
            connection.execute(answered_set.update().where(answered_set.c.id == number).values(cells=cells))

    def tell(self, number: int, account_id: int) -> bool:
        """Note that an account was shown a set; whether that is the first time."""
        mine = sa.and_(answered_to.c.account_id == account_id, answered_to.c.set_id == number)
        with writing(self._engine) as connection:
            if connection.scalar(sa.select(answered_to.c.set_id).where(mine)) is not None:
                return False
            connection.execute(answered_to.insert().values(account_id=account_id, set_id=number, at=now()))
            return True

    def told(self, account_id: int, since: dt.datetime) -> int:
        """How many sets an account was shown since a moment, each counted when first shown."""
        mine = sa.and_(answered_to.c.account_id == account_id, answered_to.c.at >= since)
        with reading(self._engine) as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(answered_to).where(mine)) or 0)
