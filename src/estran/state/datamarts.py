"""Datamarts: reserved, built, destroyed. The row of a build that came to its end is never removed: the certificate of its destruction is kept in it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from estran.state.schema_datamart import datamart
from estran.state.transactions import now, reading, writing


class MartState(StrEnum):
    """Where a build stands."""

    ASKED = "asked"  # on a page; the process that holds the key will build it
    BUILDING = "building"
    LIVE = "live"
    DELETED = "deleted"


@dataclass(frozen=True)
class DatamartRow:
    """One build. `spec`, `manifest` and `certificate` are JSON; `members` the caller's bytes."""

    id: int
    project: str
    name: str
    recipient: str
    number: int
    state: str
    snapshot: int
    spec: str
    asked_by: str
    asked: dt.datetime
    expires: dt.datetime
    members: bytes
    manifest: str
    deleted: dt.datetime | None
    certificate: str

    @property
    def folder(self) -> str:
        """Where its files are, below the folder of the datamarts."""
        return f"{self.project}/{self.name}/{self.id}"


class DatamartBook:
    """The builds of all projects."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def reserve(
        self, project: str, name: str, recipient: str, snapshot: int, spec: str, asked_by: str, expires: dt.datetime,
        state: MartState = MartState.BUILDING,
    ) -> DatamartRow:  # fmt: skip
        """A row for a build that begins, or is asked for, with the next number."""
        same = sa.and_(datamart.c.project == project, datamart.c.name == name, datamart.c.recipient == recipient)
        with writing(self._engine) as connection:
            last = connection.scalar(sa.select(sa.func.max(datamart.c.number)).where(same)) or 0
            values = {
                "project": project, "name": name, "recipient": recipient, "number": last + 1, "state": state.value,
                "snapshot": snapshot, "spec": spec, "asked_by": asked_by, "asked": now(), "expires": expires, "members": b"",
                "manifest": "", "certificate": "",
            }  # fmt: skip
            key = connection.execute(datamart.insert().values(**values)).inserted_primary_key
            row = connection.execute(datamart.select().where(datamart.c.id == (key[0] if key else 0))).one()
        return DatamartRow(**row._mapping)

    def begin(self, number: int, snapshot: int) -> bool:
        """A build that was asked for begins, of this snapshot; False when it is not waiting any more."""
        waiting = datamart.c.state.in_([MartState.ASKED.value, MartState.BUILDING.value])
        return self._set(number, waiting, state=MartState.BUILDING.value, snapshot=snapshot)

    def finish(self, number: int, members: bytes, manifest: str) -> bool:
        """The build is whole; False when it was destroyed meanwhile: what was built must go too."""
        under_way = datamart.c.state == MartState.BUILDING.value
        return self._set(number, under_way, state=MartState.LIVE.value, members=members, manifest=manifest)

    def abandon(self, number: int) -> bool:
        """The build failed: nothing of it is there; False when it was destroyed meanwhile."""
        unfinished = sa.and_(datamart.c.id == number, datamart.c.state.in_([MartState.ASKED.value, MartState.BUILDING.value]))
        with writing(self._engine) as connection:
            return connection.execute(datamart.delete().where(unfinished)).rowcount == 1

    def delete(self, number: int, certificate: str) -> bool:
        """Its files are gone; False when they were already: the first certificate stays."""
        there = datamart.c.state != MartState.DELETED.value
        return self._set(number, there, state=MartState.DELETED.value, members=b"", deleted=now(), certificate=certificate)

    def _set(self, number: int, condition: sa.ColumnElement[bool], **values: object) -> bool:
        with writing(self._engine) as connection:
            one = sa.and_(datamart.c.id == number, condition)
            return connection.execute(datamart.update().where(one).values(**values)).rowcount == 1

    def find(self, number: int) -> DatamartRow | None:
        """One build; None when there is none of this number."""
        return next(iter(self._rows(datamart.c.id == number)), None)

    def all(self) -> list[DatamartRow]:
        """Every build, the newest first."""
        return self._rows(sa.true())

    def of(self, project: str) -> list[DatamartRow]:
        """The builds of a project, the newest first."""
        return self._rows(datamart.c.project == project)

    def _rows(self, condition: sa.ColumnElement[bool]) -> list[DatamartRow]:
        with reading(self._engine) as connection:
            found = connection.execute(datamart.select().where(condition).order_by(datamart.c.id.desc()))
            return [DatamartRow(**row._mapping) for row in found]
