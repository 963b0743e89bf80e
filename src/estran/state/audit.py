"""The audit trail: one line per decision, written before anything is read, never changed.

Lines are numbered without gap. Each carries the hash of the one before it, so that a line removed or
altered behind the database's back is found (`estran.state.verifying`). The patients that a line reads
are beside it (`patient_read`), written in the same transaction and part of its hash.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from estran.state.schema import audit, audit_checkpoint, patient_read
from estran.state.transactions import now, reading, writing

_POSTGRES_LOCK = 0x45737472  # any constant: two writers must not read the same last line
FIRST = "0" * 64  # what the first line follows
_AT_ONCE = 2_000  # lines read at a time


@dataclass(frozen=True)
class AuditLine:
    """What is to be recorded. `query` is the question's JSON, `target` a document, patient or cohort;
    `patients` are those of whom something is read, or asked for when the answer was no."""

    login: str
    role: str
    action: str
    allowed: bool
    reason: str
    target: str = ""
    query: str = ""
    snapshot: int | None = None
    patients: tuple[int, ...] = ()


@dataclass(frozen=True)
class AuditEntry(AuditLine):
    """A recorded line."""

    id: int = 0
    at: dt.datetime = dt.datetime.min
    chain: str = ""


@dataclass(frozen=True)
class AuditFilter:
    """Which lines: an empty field asks for nothing. `patients` are numbers of one person."""

    login: str = ""
    action: str = ""
    patients: tuple[int, ...] = ()
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    refused: bool = False


class AuditBook:
    """Append and read; there is no other verb."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def append(self, line: AuditLine) -> int:
        """Record a line and return its number once it is on disk."""
        moment, patients = now(), sorted(set(line.patients))
        values = {name: value for name, value in line.__dict__.items() if name != "patients"}
        with writing(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_POSTGRES_LOCK)))
            number, before = self._end(connection)
            chain = chain_of(before, values | {"at": moment}, patients)
            connection.execute(audit.insert().values(**values, id=number + 1, at=moment, chain=chain))
            if patients:
                rows = [{"line_id": number + 1, "patient_id": patient} for patient in patients]
                connection.execute(patient_read.insert(), rows)
        return number + 1

    def _end(self, connection: sa.Connection) -> tuple[int, str]:
        """Number and hash of the last line; those that a cut kept when every line is gone."""
        last = sa.select(audit.c.id, audit.c.chain).order_by(audit.c.id.desc()).limit(1)
        cut = sa.select(audit_checkpoint.c.line, audit_checkpoint.c.chain).where(audit_checkpoint.c.kind == "cut")
        row = connection.execute(last).first()
        row = row or connection.execute(cut.order_by(audit_checkpoint.c.line.desc()).limit(1)).first()
        return (int(row[0]), str(row[1])) if row else (0, FIRST)

    def last(self) -> int:
        """Number of the last line; 0 when there is none."""
        with reading(self._engine) as connection:
            return self._end(connection)[0]

    def end(self, after: int) -> tuple[int, str, int]:
        """Number and hash of the last line, and how many lines there are behind the line `after`."""
        behind = sa.select(sa.func.count()).select_from(audit).where(audit.c.id > after)
        with reading(self._engine) as connection:
            return (*self._end(connection), int(connection.scalar(behind) or 0))

    def chain_at(self, line: int) -> str:
        """The hash of a line; "" when it is not there."""
        with reading(self._engine) as connection:
            return str(connection.scalar(sa.select(audit.c.chain).where(audit.c.id == line)) or "")

    def latest(self, limit: int = 100, login: str = "") -> list[AuditEntry]:
        """The last lines, latest first; of one person when `login` is given."""
        return self.find(AuditFilter(login), limit)

    def find(self, wanted: AuditFilter, limit: int = 100, offset: int = 0) -> list[AuditEntry]:
        """The lines asked for, latest first."""
        query = audit.select().where(*_conditions(wanted)).order_by(audit.c.id.desc()).limit(limit).offset(offset)
        with reading(self._engine) as connection:
            return _entries(connection, connection.execute(query).all())

    def each(self, wanted: AuditFilter, at_once: int = _AT_ONCE) -> Iterator[AuditEntry]:
        """The lines asked for, the oldest first, `at_once` in memory at a time."""
        after = 0
        while True:
            query = audit.select().where(audit.c.id > after, *_conditions(wanted)).order_by(audit.c.id).limit(at_once)
            with reading(self._engine) as connection:
                found = _entries(connection, connection.execute(query).all())
            yield from found
            if len(found) < at_once:
                return
            after = found[-1].id

    def count(self, wanted: AuditFilter) -> int:
        """How many lines are asked for."""
        query = sa.select(sa.func.count()).select_from(audit).where(*_conditions(wanted))
        with reading(self._engine) as connection:
            return int(connection.scalar(query) or 0)

    def last_before(self, moment: dt.datetime) -> int:
        """Number of the last line with nothing but lines before `moment` up to it; 0 when there is none."""
        later = sa.select(sa.func.min(audit.c.id)).where(audit.c.at >= moment)
        with reading(self._engine) as connection:
            first = connection.scalar(later)
            return int(first) - 1 if first is not None else self._end(connection)[0]

    def forget(self, line: int) -> int:
        """Remove the lines up to `line`, which a cut must allow; returns how many went."""
        with writing(self._engine) as connection:
            connection.execute(patient_read.delete().where(patient_read.c.line_id <= line))
            return connection.execute(audit.delete().where(audit.c.id <= line)).rowcount


def _conditions(wanted: AuditFilter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if wanted.login:
        found.append(audit.c.login == wanted.login.lower())
    if wanted.action:
        found.append(audit.c.action == wanted.action)
    if wanted.patients:
        mine = sa.select(patient_read.c.line_id).where(patient_read.c.patient_id.in_(wanted.patients))
        found.append(audit.c.id.in_(mine))
    if wanted.since:
        found.append(audit.c.at >= wanted.since)
    if wanted.until:
        found.append(audit.c.at < wanted.until)
    if wanted.refused:
        found.append(audit.c.allowed.is_(False))
    return found


def _entries(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> list[AuditEntry]:
    of = patients_of(connection, [row.id for row in rows])
    return [AuditEntry(**row._mapping, patients=tuple(of.get(row.id, ()))) for row in rows]


def patients_of(connection: sa.Connection, lines: Sequence[int]) -> dict[int, list[int]]:
    """The patients of each of these lines that has any, in order."""
    found: dict[int, list[int]] = {}
    if lines:
        c = patient_read.c
        between = sa.and_(c.line_id >= min(lines), c.line_id <= max(lines))
        wanted = between if len(lines) > 500 else c.line_id.in_(lines)
        for line, patient in connection.execute(sa.select(c.line_id, c.patient_id).where(wanted).order_by(*c)):
            found.setdefault(line, []).append(patient)
    return found


def chain_of(before: str, line: Mapping[str, Any], patients: Iterable[int]) -> str:
    """The hash that a line bears: of the hash before it, of its fields and of its patients."""
    fields = [
        before, line["at"].astimezone(dt.UTC).isoformat(), *(line[name] for name in _FIELDS), *([list(patients)] if patients else [])
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(fields, ensure_ascii=True).encode()).hexdigest()


_FIELDS = ("login", "role", "action", "allowed", "reason", "target", "query", "snapshot")
