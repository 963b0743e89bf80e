"""Requests of persons about their data, with the day by which the law wants an answer; and the letters sent to them."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from estran.state.rights import acknowledgement
from estran.state.schema_rights import letter, right_request
from estran.state.sealing import Seal
from estran.state.transactions import now, reading, writing


def month_after(moment: dt.datetime) -> dt.datetime:
    """One month later, the last day of a shorter month (GDPR article 12(3); Regulation 1182/71, article 3)."""
    year, month = (moment.year + 1, 1) if moment.month == 12 else (moment.year, moment.month + 1)
    return moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1]))


@dataclass(frozen=True)
class Request:
    """`origin` is desk or public. `found` is None until somebody was looked for, `patient_id` who was found."""

    id: int
    number: str
    kind: str
    scope: str
    origin: str
    asked: dt.datetime
    due: dt.datetime
    asked_by: str
    channel: str
    proof_date: dt.date | None
    proof: str
    found: bool | None
    looking: bool
    patient_id: int | None
    login: str
    closed: dt.datetime | None
    closed_by: str
    outcome: str

    @property
    def late(self) -> bool:
        """Whether the legal month is over without an answer."""
        return self.closed is None and self.due < now()


_COLUMNS = [c for c in right_request.c if c.name not in ("sealed", "wanted")]
_QUERY = sa.select(*_COLUMNS, right_request.c.wanted.is_not(None).label("looking"))


class Requests:
    """Written once, followed, closed once. What is sealed opens with the portal's key only."""

    def __init__(self, engine: sa.Engine, seal: Seal) -> None:
        self._engine = engine
        self._seal = seal

    def add(self, origin: str, login: str, said: dict[str, Any], wanted: tuple[str, str] | None, **values: Any) -> Request:
        """Enter a request: what the person wrote (`said`) and the hospital number to be found, both sealed."""
        moment = now()
        number = acknowledgement(moment)
        row = values | {
            "number": number, "origin": origin, "login": login, "asked": moment, "due": month_after(moment),
            "sealed": self._seal.seal(orjson.dumps(said), number) if said else None,
            "wanted": self._seal.seal(orjson.dumps(wanted), f"{number} wanted") if wanted else None,
            "closed_by": "", "outcome": "",
        }  # fmt: skip
        with writing(self._engine) as connection:
            key = connection.execute(right_request.insert().values(**row)).inserted_primary_key
        found = self.one(int(key[0]) if key else 0)
        assert found is not None  # noqa: S101 - written just now
        return found

    def one(self, number: int) -> Request | None:
        """The request of this id."""
        with reading(self._engine) as connection:
            row = connection.execute(_QUERY.where(right_request.c.id == number)).first()
        return Request(**row._mapping) if row else None

    def open(self) -> list[Request]:
        """Those to be answered, the most urgent first."""
        return self._listed(_QUERY.where(right_request.c.closed.is_(None)).order_by(right_request.c.due, right_request.c.id))

    def recent(self, limit: int = 20) -> list[Request]:
        """The last ones that were closed, the newest first."""
        closed = _QUERY.where(right_request.c.closed.is_not(None))
        return self._listed(closed.order_by(right_request.c.closed.desc(), right_request.c.id.desc()).limit(limit))

    def _listed(self, query: sa.Select[Any]) -> list[Request]:
        with reading(self._engine) as connection:
            return [Request(**row._mapping) for row in connection.execute(query)]

    def said(self, number: int) -> dict[str, str]:
        """What the person wrote; empty once the request is closed. StoreError when the portal's key is gone."""
        sealed, owner = self._sealed(number, "sealed")
        return dict(orjson.loads(self._seal.open(sealed, owner))) if sealed else {}

    def wanted(self, number: int) -> tuple[str, str] | None:
        """Assigning authority and hospital number to be found; None when nobody is looked for."""
        sealed, owner = self._sealed(number, "wanted")
        return tuple(orjson.loads(self._seal.open(sealed, f"{owner} wanted"))) if sealed else None

    def _sealed(self, number: int, name: str) -> tuple[bytes | None, str]:
        query = sa.select(right_request.c[name], right_request.c.number).where(right_request.c.id == number)
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        return (row[0], row[1]) if row else (None, "")

    def look_for(self, number: int, wanted: tuple[str, str]) -> None:
        """Seal a hospital number to be found for an open request."""
        found = self.one(number)
        if found is not None and found.closed is None:
            sealed = self._seal.seal(orjson.dumps(wanted), f"{found.number} wanted")
            self._change(number, wanted=sealed, found=None, patient_id=None)

    def answered(self, number: int, patient_id: int | None) -> None:
        """Who was found; the hospital number is forgotten."""
        self._change(number, wanted=None, found=patient_id is not None, patient_id=patient_id)

    def close(self, number: int, login: str, outcome: str) -> bool:
        """Close a request and forget what the person wrote; False when none of this id is open."""
        return self._change(number, closed=now(), closed_by=login, outcome=outcome, sealed=None, wanted=None)

    def _change(self, number: int, **values: Any) -> bool:
        mine = sa.and_(right_request.c.id == number, right_request.c.closed.is_(None))
        with writing(self._engine) as connection:
            return connection.execute(right_request.update().where(mine).values(**values)).rowcount == 1


@dataclass(frozen=True)
class LetterList:
    """Letters that were listed together; `sent` is None while they wait to be sent."""

    list_no: int
    notice: str
    channel: str
    listed: dt.datetime
    sent: dt.date | None
    letters: int


_LAST = sa.select(sa.func.coalesce(sa.func.max(letter.c.list_no), 0))


class Letters:
    """Who was to be told what, by which channel, and when it was sent."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def next_number(self) -> int:
        """The number that the next list has."""
        with reading(self._engine) as connection:
            return int(connection.execute(_LAST).scalar_one()) + 1

    def keep(self, number: int, notice: str, channel: str, patients: Iterable[int]) -> bool:
        """Enter a list under its number; False when another one has it by now."""
        moment = now()
        with writing(self._engine) as connection:
            if connection.execute(_LAST).scalar_one() + 1 != number:
                return False
            common = {"list_no": number, "notice": notice, "channel": channel, "listed": moment}
            rows = [common | {"patient_id": int(patient)} for patient in patients]
            if rows:
                connection.execute(letter.insert(), rows)
        return True

    def sent(self, list_no: int, day: dt.date) -> int:
        """The letters of a list went out on this day; how many were waiting."""
        waiting = sa.and_(letter.c.list_no == list_no, letter.c.sent.is_(None))
        with writing(self._engine) as connection:
            return connection.execute(letter.update().where(waiting).values(sent=day)).rowcount

    def told(self, notice: str, since: dt.date | None = None) -> dict[int, dt.date | None]:
        """Patients who are on a list for this notice, with the last day a letter went out (None: not sent yet)."""
        query = sa.select(letter.c.patient_id, sa.func.max(letter.c.sent)).where(letter.c.notice == notice)
        if since is not None:
            query = query.where(sa.or_(letter.c.sent.is_(None), letter.c.sent >= since))
        with reading(self._engine) as connection:
            return {row[0]: row[1] for row in connection.execute(query.group_by(letter.c.patient_id))}

    def lists(self, limit: int = 50) -> list[LetterList]:
        """The last lists, the newest first."""
        columns = (letter.c.list_no, letter.c.notice, letter.c.channel, letter.c.listed)
        query = sa.select(*columns, sa.func.min(letter.c.sent).label("sent"), sa.func.count().label("letters"))
        query = query.group_by(*columns).order_by(letter.c.list_no.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [LetterList(**row._mapping) for row in connection.execute(query)]
