"""Work asked for on a page and done by the process that holds the key (`estran run`)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from estran.state.schema import job
from estran.state.transactions import now, reading, writing


@dataclass(frozen=True)
class Job:
    """`kind` and `argument` say what to do; `outcome` what came of it. `failed` is None until it ended."""

    id: int
    kind: str
    argument: str
    asked_by: str
    asked: dt.datetime
    started: dt.datetime | None
    ended: dt.datetime | None
    failed: bool | None
    outcome: str


class Jobs:
    """First asked, first done; the same work is not queued twice while it waits."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def ask(self, kind: str, argument: str, login: str) -> int:
        """Queue it; returns its number, that of the one already waiting when there is one."""
        waiting = sa.select(job.c.id).where(job.c.kind == kind, job.c.argument == argument, job.c.started.is_(None))
        with writing(self._engine) as connection:
            found = connection.execute(waiting).scalar()
            if found is not None:
                return int(found)
            values = {"kind": kind, "argument": argument, "asked_by": login, "asked": now(), "outcome": ""}
            key = connection.execute(job.insert().values(**values)).inserted_primary_key
        return int(key[0]) if key else 0

    def take(self) -> Job | None:
        """The next one, now started; also one whose process died while doing it."""
        with writing(self._engine) as connection:
            row = connection.execute(sa.select(job).where(job.c.ended.is_(None)).order_by(job.c.id)).first()
            if row is None:
                return None
            connection.execute(job.update().where(job.c.id == row.id).values(started=now()))
        return Job(**row._mapping)

    def end(self, number: int, outcome: str, *, failed: bool) -> None:
        """Note what came of it: a sentence or counts, never a value of a record."""
        with writing(self._engine) as connection:
            values = {"ended": now(), "outcome": outcome, "failed": failed}
            connection.execute(job.update().where(job.c.id == number).values(**values))

    def last(self, kind: str, argument: str) -> Job | None:
        """The last one of this kind and argument."""
        same = sa.and_(job.c.kind == kind, job.c.argument == argument)
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(job).where(same).order_by(job.c.id.desc())).first()
        return Job(**row._mapping) if row else None

    def recent(self, limit: int = 10) -> list[Job]:
        """The last ones, the newest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(job).order_by(job.c.id.desc()).limit(limit)).all()
        return [Job(**row._mapping) for row in rows]
