"""Original documents asked for by one person: closed for the browser that asked, until they expire."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from estran.state.schema_originals import original
from estran.state.transactions import now, reading, writing


@dataclass(frozen=True)
class Original:
    """One request. `sealed` is None until it is ready, and once it expired; `problem` says why it never will be."""

    id: int
    account_id: int
    document_id: int
    patient_id: int
    reason: str
    public: bytes
    asked: dt.datetime
    expires: dt.datetime
    sealed: bytes | None
    ready: dt.datetime | None
    problem: str

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires <= now()


class OriginalShelf:
    """The requests."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def ask(self, account_id: int, document_id: int, patient_id: int, reason: str, public: bytes, lasts: dt.timedelta) -> int:
        """Leave a request for the process that holds the key; its number."""
        values = {
            "account_id": account_id, "document_id": document_id, "patient_id": patient_id, "reason": reason, "public": public,
            "asked": now(), "expires": now() + lasts, "problem": "",
        }  # fmt: skip
        with writing(self._engine) as connection:
            key = connection.execute(original.insert().values(**values)).inserted_primary_key
        return int(key[0]) if key else 0

    def find(self, number: int) -> Original | None:
        """A request by its number."""
        found = self._those(original.c.id == number)
        return found[0] if found else None

    def waiting(self) -> list[Original]:
        """Those not looked for yet, the oldest first."""
        return self._those(sa.and_(original.c.ready.is_(None), original.c.problem == "", original.c.expires > now()))

    def put(self, number: int, sealed: bytes) -> None:
        """The document was found."""
        self._change(original.c.id == number, sealed=sealed, ready=now())

    def fail(self, number: int, problem: str) -> None:
        """It will not be found: a sentence without any value of a record."""
        self._change(original.c.id == number, problem=problem)

    def expire(self) -> int:
        """Let go of the documents whose time is over; how many there were."""
        return self._change(sa.and_(original.c.expires <= now(), original.c.sealed.is_not(None)), sealed=None)

    def _those(self, condition: sa.ColumnElement[bool]) -> list[Original]:
        with reading(self._engine) as connection:
            rows = connection.execute(original.select().where(condition).order_by(original.c.id)).all()
        return [Original(**row._mapping) for row in rows]

    def _change(self, condition: sa.ColumnElement[bool], **values: object) -> int:
        with writing(self._engine) as connection:
            return int(connection.execute(original.update().where(condition).values(**values)).rowcount)
