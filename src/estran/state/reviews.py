"""Reviews of the audit trail: what was looked at, what was found, who took note of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from estran.state.schema import audit_review
from estran.state.transactions import now, reading, writing


@dataclass(frozen=True)
class ReviewRecord:
    """`body` is the review as it was written; `acknowledged` is None until somebody took note of it."""

    id: int
    since: dt.datetime
    until: dt.datetime
    at: dt.datetime
    body: dict[str, Any]
    acknowledged: dt.datetime | None
    acknowledged_by: str
    note: str


class Reviews:
    """Written once; acknowledged once."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def keep(self, since: dt.datetime, until: dt.datetime, body: str) -> int:
        """Keep a review, its body as JSON; returns its number."""
        values = {"since": since, "until": until, "at": now(), "body": body}
        with writing(self._engine) as connection:
            key = connection.execute(audit_review.insert().values(**values)).inserted_primary_key
        return int(key[0]) if key else 0

    def recent(self, limit: int = 12) -> list[ReviewRecord]:
        """The last ones, the newest first."""
        query = audit_review.select().order_by(audit_review.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [ReviewRecord(**dict(row._mapping) | {"body": orjson.loads(row.body)}) for row in rows]

    def acknowledge(self, number: int, login: str, note: str) -> bool:
        """Take note of a review; False when there is none of this number that waits."""
        mine = sa.and_(audit_review.c.id == number, audit_review.c.acknowledged.is_(None))
        values = {"acknowledged": now(), "acknowledged_by": login, "note": note}
        with writing(self._engine) as connection:
            return connection.execute(audit_review.update().where(mine).values(**values)).rowcount == 1
