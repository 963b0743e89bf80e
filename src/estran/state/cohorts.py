"""Saved cohorts: a name and its versions, which are never changed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from estran.state.schema import account, saved_cohort, saved_cohort_version
from estran.state.transactions import now, reading, writing


@dataclass(frozen=True)
class CohortVersion:
    """One saved question. `total` is what was shown; 0 when only "fewer than" could be."""

    id: int
    cohort_id: int
    number: int
    author: str
    query: str
    note: str
    snapshot: int
    total: int
    created: dt.datetime


@dataclass(frozen=True)
class SavedCohort:
    """A named cohort with its versions, latest first."""

    id: int
    name: str
    owner_id: int
    owner: str
    created: dt.datetime
    versions: tuple[CohortVersion, ...]


class CohortShelf:
    """The saved cohorts of the site."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def save(self, owner_id: int, name: str, query: str, note: str, snapshot: int, total: int) -> CohortVersion:
        """The next version of the owner's cohort `name`, which is created when it is new."""
        with writing(self._engine) as connection:
            cohort_id = _cohort_id(connection, owner_id, name)
            last = connection.scalar(
                sa.select(sa.func.max(saved_cohort_version.c.number)).where(
                    saved_cohort_version.c.cohort_id == cohort_id
                )
            )
            row = {
                "cohort_id": cohort_id, "number": (last or 0) + 1, "author_id": owner_id, "query": query, "note": note,
                "snapshot": snapshot, "total": total, "created": now(),
            }
            key = connection.execute(saved_cohort_version.insert().values(**row)).inserted_primary_key
        found = self.version(key[0] if key else 0)
        if found is None:
            raise LookupError("the version just saved is gone")
        return found

    def version(self, version_id: int) -> CohortVersion | None:
        """One version, or None."""
        with reading(self._engine) as connection:
            row = connection.execute(_versions().where(saved_cohort_version.c.id == version_id)).one_or_none()
        return None if row is None else CohortVersion(**row._mapping)

    def cohort(self, cohort_id: int) -> SavedCohort | None:
        """One cohort with its versions, or None."""
        return next(iter(self._cohorts(saved_cohort.c.id == cohort_id)), None)

    def owned_by(self, owner_id: int) -> list[SavedCohort]:
        """The cohorts of one person, last changed first; archived ones are left out."""
        found = self._cohorts(sa.and_(saved_cohort.c.owner_id == owner_id, saved_cohort.c.archived.is_(None)))
        return sorted(found, key=lambda c: c.versions[0].created if c.versions else c.created, reverse=True)

    def archive(self, cohort_id: int) -> None:
        """Take a cohort off the list; its versions stay readable by number."""
        with writing(self._engine) as connection:
            connection.execute(saved_cohort.update().where(saved_cohort.c.id == cohort_id).values(archived=now()))

    def _cohorts(self, which: sa.ColumnElement[bool]) -> list[SavedCohort]:
        columns = (saved_cohort.c.id, saved_cohort.c.name, saved_cohort.c.owner_id, account.c.login.label("owner"),
                   saved_cohort.c.created)
        named = sa.select(*columns).join(account, account.c.id == saved_cohort.c.owner_id).where(which)
        with reading(self._engine) as connection:
            heads = connection.execute(named).all()
            ids = [head.id for head in heads]
            rows = connection.execute(_versions().where(saved_cohort_version.c.cohort_id.in_(ids))).all()
        versions = [CohortVersion(**row._mapping) for row in rows]
        return [
            SavedCohort(**head._mapping, versions=tuple(v for v in versions if v.cohort_id == head.id))
            for head in heads
        ]


def _versions() -> sa.Select[tuple[object, ...]]:
    version = saved_cohort_version.c
    columns = (version.id, version.cohort_id, version.number, account.c.login.label("author"), version.query,
               version.note, version.snapshot, version.total, version.created)
    joined = saved_cohort_version.join(account, account.c.id == version.author_id)
    return sa.select(*columns).select_from(joined).order_by(version.number.desc())


def _cohort_id(connection: sa.Connection, owner_id: int, name: str) -> int:
    mine = sa.and_(saved_cohort.c.owner_id == owner_id, saved_cohort.c.name == name)
    found = connection.scalar(sa.select(saved_cohort.c.id).where(mine))
    if found is not None:
        connection.execute(saved_cohort.update().where(mine).values(archived=None))
        return int(found)
    key = connection.execute(
        saved_cohort.insert().values(owner_id=owner_id, name=name, created=now())
    ).inserted_primary_key
    return int(key[0]) if key else 0
