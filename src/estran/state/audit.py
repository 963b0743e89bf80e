"""The audit trail: one line per decision, written before anything is read, never changed.

The database refuses UPDATE and DELETE. Each line carries the hash of the one before it, so that a
line removed or altered behind the database's back is found by `broken_at`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass

import sqlalchemy as sa

from estran.state.schema import audit
from estran.state.transactions import now, reading, writing

_POSTGRES_LOCK = 0x45737472  # any constant: two writers must not read the same last line
_FIRST = "0" * 64


@dataclass(frozen=True)
class AuditLine:
    """What is to be recorded. `query` is the question's JSON, `target` a document, patient or cohort."""

    login: str
    role: str
    action: str
    allowed: bool
    reason: str
    target: str = ""
    query: str = ""
    snapshot: int | None = None


@dataclass(frozen=True)
class AuditEntry(AuditLine):
    """A recorded line."""

    id: int = 0
    at: dt.datetime = dt.datetime.min
    chain: str = ""


class AuditBook:
    """Append and read; there is no other verb."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def append(self, line: AuditLine) -> int:
        """Record a line and return its number once it is on disk."""
        moment = now()
        with writing(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_POSTGRES_LOCK)))
            last = connection.scalar(sa.select(audit.c.chain).order_by(audit.c.id.desc()).limit(1))
            values = {**line.__dict__, "at": moment, "chain": _chain(last or _FIRST, line, moment)}
            key = connection.execute(audit.insert().values(**values)).inserted_primary_key
        return int(key[0]) if key else 0

    def latest(self, limit: int = 100, login: str = "") -> list[AuditEntry]:
        """The last lines, latest first; of one person when `login` is given."""
        query = audit.select().order_by(audit.c.id.desc()).limit(limit)
        if login:
            query = query.where(audit.c.login == login.lower())
        with reading(self._engine) as connection:
            return [AuditEntry(**row._mapping) for row in connection.execute(query)]

    def broken_at(self) -> int | None:
        """The number of the first line whose hash does not follow from the line before; None when all do."""
        chain = _FIRST
        with reading(self._engine) as connection:
            for row in connection.execute(audit.select().order_by(audit.c.id)):
                entry = AuditEntry(**row._mapping)
                chain = _chain(chain, entry, entry.at)
                if chain != entry.chain:
                    return entry.id
        return None


def _chain(before: str, line: AuditLine, at: dt.datetime) -> str:
    fields = [
        before, at.astimezone(dt.UTC).isoformat(), line.login, line.role, line.action, line.allowed, line.reason,
        line.target, line.query, line.snapshot,
    ]
    return hashlib.sha256(json.dumps(fields, ensure_ascii=True).encode()).hexdigest()
