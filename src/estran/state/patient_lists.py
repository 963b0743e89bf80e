"""Lists of patient numbers that wait for the process that holds the key, and what became of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from estran.state.doors import SealedDoor
from estran.state.schema_daily import patient_list
from estran.state.transactions import now, reading, writing


@dataclass(frozen=True)
class PatientList:
    """A list asked for. `sealed` is the file until it is read, None afterwards; `outcome` its counts as JSON."""

    id: int
    account_id: int
    name: str
    kind: str
    authority: str
    sealed: bytes | None
    asked: dt.datetime
    ended: dt.datetime | None
    outcome: str
    problem: str
    cohort_id: int | None


class PatientLists:
    """First asked, first read. No number is in here but sealed for the holder of the site's key."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine, self.door = engine, SealedDoor(engine, "patient-lists")

    def ask(self, account_id: int, name: str, kind: str, authority: str, sealed: bytes) -> int:
        """Leave a list; its number."""
        values = {
            "account_id": account_id, "name": name, "kind": kind, "authority": authority, "sealed": sealed, "asked": now()
        }
        with writing(self._engine) as connection:
            key = connection.execute(patient_list.insert().values(**values)).inserted_primary_key
        return int(key[0]) if key else 0

    def waiting(self) -> list[PatientList]:
        """Those to be read."""
        return self._find(patient_list.c.ended.is_(None), patient_list.c.id)

    def of(self, account_id: int, limit: int = 30) -> list[PatientList]:
        """The last ones of a person, the newest first."""
        return self._find(patient_list.c.account_id == account_id, patient_list.c.id.desc())[:limit]

    def cohorts(self) -> list[int]:
        """The cohorts that were made of lists."""
        wanted = sa.select(patient_list.c.cohort_id).where(patient_list.c.cohort_id.is_not(None))
        with reading(self._engine) as connection:
            return [int(number) for number in connection.scalars(wanted)]

    def end(self, number: int, *, outcome: str = "", problem: str = "", cohort_id: int | None = None) -> None:
        """Note what became of it; the file goes."""
        values = {"sealed": None, "ended": now(), "outcome": outcome, "problem": problem, "cohort_id": cohort_id}
        with writing(self._engine) as connection:
            connection.execute(patient_list.update().where(patient_list.c.id == number).values(**values))

    def note(self, account_id: int, name: str, outcome: str, cohort_id: int) -> None:
        """Keep a list that the holder of the key looked up at once."""
        moment = now()
        values = {
            "account_id": account_id, "name": name, "kind": "", "authority": "", "asked": moment, "ended": moment,
            "outcome": outcome, "cohort_id": cohort_id,
        }  # fmt: skip
        with writing(self._engine) as connection:
            connection.execute(patient_list.insert().values(**values))

    def _find(self, which: sa.ColumnElement[bool], order: sa.ColumnElement[int]) -> list[PatientList]:
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(patient_list).where(which).order_by(order)).all()
        return [PatientList(**row._mapping) for row in rows]
