"""Saved questions that the clock asks again, and what people are told of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from estran.state.schema import saved_cohort
from estran.state.schema_daily import followed, news
from estran.state.transactions import now, reading, writing


@dataclass(frozen=True)
class Followed:
    """A cohort asked again `every` day or week. `members` are the bytes of a bitmap of those already told of."""

    cohort_id: int
    every: str
    began: dt.datetime
    next: dt.datetime
    last: dt.datetime | None
    version_id: int
    members: bytes
    problem: str


@dataclass(frozen=True)
class NewsLine:
    """Something told to one person. `value`, `below` and `margin` are a count as the gate let it be shown."""

    id: int
    account_id: int
    cohort_id: int | None
    kind: str
    said: str
    value: int
    below: int
    margin: int
    at: dt.datetime
    seen: dt.datetime | None
    cohort: str


class Following:
    """What is asked again, and when next."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def follow(self, cohort_id: int, every: str) -> None:
        """Ask a cohort again from now on; a new rhythm keeps what was told already."""
        with writing(self._engine) as connection:
            here = followed.c.cohort_id == cohort_id
            changed = connection.execute(followed.update().where(here).values(every=every, next=now(), problem=""))
            if not changed.rowcount:
                values = {"cohort_id": cohort_id, "every": every, "began": now(), "next": now(), "version_id": 0, "members": b""}
                connection.execute(followed.insert().values(**values))

    def stop(self, cohort_id: int) -> None:
        """Ask it no more; what was kept of it goes."""
        with writing(self._engine) as connection:
            connection.execute(followed.delete().where(followed.c.cohort_id == cohort_id))

    def of(self, cohort_ids: list[int]) -> dict[int, Followed]:
        """Those of some cohorts that are followed."""
        return {one.cohort_id: one for one in self._find(followed.c.cohort_id.in_(cohort_ids))}

    def due(self, moment: dt.datetime) -> list[Followed]:
        """Those to be asked now, the longest overdue first; cohorts off their owner's list rest."""
        kept = sa.select(saved_cohort.c.id).where(saved_cohort.c.archived.is_(None))
        return self._find(sa.and_(followed.c.next <= moment, followed.c.cohort_id.in_(kept)))

    def ran(self, cohort_id: int, *, next_run: dt.datetime, **known: Any) -> None:
        """Note a run: `version_id` and `members` when it could be, `problem` when not."""
        values = {"next": next_run, "last": now(), "problem": "", **known}
        with writing(self._engine) as connection:
            connection.execute(followed.update().where(followed.c.cohort_id == cohort_id).values(**values))

    def _find(self, which: sa.ColumnElement[bool]) -> list[Followed]:
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(followed).where(which).order_by(followed.c.next)).all()
        return [Followed(**row._mapping) for row in rows]


class News:
    """What each person is told."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def tell(
        self, account_id: int, kind: str, said: str, cohort_id: int | None = None, *, value: int = 0, below: int = 0,
        margin: int = 0,
    ) -> None:  # fmt: skip
        """Add one; its kinds are in `projects.following`."""
        values = {
            "account_id": account_id, "cohort_id": cohort_id, "kind": kind, "said": said, "value": value, "below": below,
            "margin": margin, "at": now(),
        }  # fmt: skip
        with writing(self._engine) as connection:
            connection.execute(news.insert().values(**values))

    def unread(self, account_id: int) -> int:
        """How many a person has not seen."""
        mine = sa.select(sa.func.count()).select_from(news).where(news.c.account_id == account_id, news.c.seen.is_(None))
        with reading(self._engine) as connection:
            return int(connection.scalar(mine) or 0)

    def recent(self, account_id: int, limit: int = 100) -> list[NewsLine]:
        """The last ones of a person, the newest first."""
        named = sa.func.coalesce(saved_cohort.c.name, "").label("cohort")
        wanted = sa.select(news, named).outerjoin(saved_cohort, saved_cohort.c.id == news.c.cohort_id)
        wanted = wanted.where(news.c.account_id == account_id).order_by(news.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [NewsLine(**row._mapping) for row in connection.execute(wanted)]

    def see(self, account_id: int) -> None:
        """A person has seen all of theirs."""
        with writing(self._engine) as connection:
            mine = sa.and_(news.c.account_id == account_id, news.c.seen.is_(None))
            connection.execute(news.update().where(mine).values(seen=now()))
