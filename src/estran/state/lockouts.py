"""Counters of failed sign-ins, per login and per address."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from estran.state.schema import lockout
from estran.state.transactions import now, reading, writing

WINDOW = dt.timedelta(minutes=15)
LOCK = dt.timedelta(minutes=15)


class Lockouts:
    """`allowed` failures of one subject within `WINDOW` lock it for `LOCK`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def locked_until(self, subjects: list[str]) -> dt.datetime | None:
        """When the last lock on any of these subjects ends; None when none is locked."""
        with reading(self._engine) as connection:
            query = sa.select(lockout.c.until).where(lockout.c.subject.in_(subjects), lockout.c.until > now())
            locks = [until for (until,) in connection.execute(query)]
        return max(locks, default=None)

    def fail(self, subject: str, allowed: int) -> None:
        """Count a failure; the one that reaches `allowed` locks the subject."""
        moment = now()
        with writing(self._engine) as connection:
            row = connection.execute(lockout.select().where(lockout.c.subject == subject)).one_or_none()
            fresh = row is None or moment - row.first > WINDOW
            failures = 1 if row is None or fresh else row.failures + 1
            values = {
                "failures": failures,
                "first": moment if row is None or fresh else row.first,
                "until": moment + LOCK if failures >= allowed else None,
            }
            if row is None:
                connection.execute(lockout.insert().values(subject=subject, **values))
            else:
                connection.execute(lockout.update().where(lockout.c.subject == subject).values(**values))

    def clear(self, subject: str) -> None:
        """Forget the failures of a subject, after a success."""
        with writing(self._engine) as connection:
            connection.execute(lockout.delete().where(lockout.c.subject == subject))
