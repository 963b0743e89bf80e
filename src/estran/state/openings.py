"""Records opened for care: who, whose, why, until when, and who took note of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from estran.state.schema import account
from estran.state.schema_bounds import opening
from estran.state.transactions import now, reading, writing


@dataclass(frozen=True)
class Opening:
    """A record opened for care by `login`; it is open until `until`."""

    id: int
    login: str
    patient_id: int
    reason: str
    opened: dt.datetime
    until: dt.datetime
    acknowledged: dt.datetime | None
    acknowledged_by: str


class Openings:
    """One record at a time per person."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def open(self, account_id: int, patient_id: int, reason: str, lasting: dt.timedelta) -> None:
        """Open a record from now on; the one that the person had open is closed."""
        moment = now()
        values = {"account_id": account_id, "patient_id": patient_id, "reason": reason}
        with writing(self._engine) as connection:
            _close(connection, account_id, moment)
            connection.execute(opening.insert().values(**values, opened=moment, until=moment + lasting))

    def close(self, account_id: int) -> None:
        """Close what the person has open."""
        with writing(self._engine) as connection:
            _close(connection, account_id, now())

    def current(self, account_id: int | None) -> Opening | None:
        """What the person has open now."""
        found = self._find(opening.c.account_id == account_id, opening.c.until > now())
        return found[0] if found else None

    def recent(self, limit: int = 50) -> list[Opening]:
        """The last ones, those that nobody took note of first, then the newest."""
        return self._find(limit=limit)

    def acknowledge(self, number: int, login: str) -> bool:
        """Take note of one; False when none of this number waits for it."""
        waiting = opening.update().where(opening.c.id == number, opening.c.acknowledged.is_(None))
        with writing(self._engine) as connection:
            done = connection.execute(waiting.values(acknowledged=now(), acknowledged_by=login))
        return done.rowcount == 1

    def _find(self, *conditions: sa.ColumnElement[bool], limit: int = 1) -> list[Opening]:
        columns = [account.c.login if name == "login" else opening.c[name] for name in Opening.__dataclass_fields__]
        query = sa.select(*columns).join(account, account.c.id == opening.c.account_id).where(*conditions)
        order = opening.c.acknowledged.is_not(None), opening.c.id.desc()
        with reading(self._engine) as connection:
            return [Opening(*row) for row in connection.execute(query.order_by(*order).limit(limit))]


def _close(connection: sa.Connection, account_id: int, moment: dt.datetime) -> None:
    live = opening.c.account_id == account_id, opening.c.until > moment
    connection.execute(opening.update().where(*live).values(until=moment))
