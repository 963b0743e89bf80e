"""Notices that wait to be sent by e-mail. One that could not be sent waits for its next try; none is lost."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from estran.model.errors import UsageError
from estran.state.schema_life import mail_address, notice
from estran.state.transactions import now, reading, writing

LEASE = dt.timedelta(minutes=5)  # how long one process has to send what it took
FIRST, LONGEST = dt.timedelta(minutes=1), dt.timedelta(days=1)


@dataclass(frozen=True)
class Notice:
    """One notice to one person; `address` is "" as long as the person gave none."""

    id: int
    account_id: int
    address: str
    subject: str
    text: str
    created: dt.datetime
    next_try: dt.datetime
    tries: int
    sent: dt.datetime | None
    problem: str


class Notices:
    """Queue, take, and note what came of it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def queue(self, key: str, account_id: int, subject: str, text: str) -> bool:
        """Put a notice in the queue; False when one of this key was there before."""
        moment = now()
        values = {
            "key": key, "account_id": account_id, "subject": subject, "text": text, "created": moment, "next_try": moment,
        }  # fmt: skip
        try:
            with writing(self._engine) as connection:
                connection.execute(notice.insert().values(**values))
        except sa.exc.IntegrityError:
            return False
        return True

    def take(self) -> Notice | None:
        """The oldest one that is due and has an address; nobody else gets it within the lease."""
        moment = now()
        due = sa.and_(notice.c.sent.is_(None), notice.c.next_try <= moment, mail_address.c.address.is_not(None))
        with writing(self._engine) as connection:
            row = connection.execute(_notices().where(due).order_by(notice.c.id).limit(1)).one_or_none()
            if row is None:
                return None
            mine = sa.and_(notice.c.id == row.id, notice.c.next_try == row.next_try)
            if connection.execute(notice.update().where(mine).values(next_try=moment + LEASE)).rowcount != 1:
                return None
        return _made(row)

    def done(self, number: int) -> None:
        """It was handed over to the mail server."""
        with writing(self._engine) as connection:
            connection.execute(notice.update().where(notice.c.id == number).values(sent=now(), problem=""))

    def failed(self, one: Notice, problem: str) -> None:
        """It was not; the wait until the next try doubles each time, from a minute to a day."""
        wait = min(FIRST * 2 ** min(one.tries, 20), LONGEST)
        values = {"tries": one.tries + 1, "next_try": now() + wait, "problem": problem[:200]}
        with writing(self._engine) as connection:
            connection.execute(notice.update().where(notice.c.id == one.id).values(**values))

    def waiting(self) -> list[Notice]:
        """Those that were not sent yet, the oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(_notices().where(notice.c.sent.is_(None)).order_by(notice.c.id)).all()
        return [_made(row) for row in rows]

    def address(self, account_id: int) -> str:
        """Where a person gets notices; "" when nowhere."""
        with reading(self._engine) as connection:
            found = connection.scalar(sa.select(mail_address.c.address).where(mail_address.c.account_id == account_id))
        return found or ""

    def write_to(self, account_id: int, address: str) -> None:
        """Send a person's notices there; "" to send none. UsageError when it is no address."""
        address = address.strip()
        name, _, host = address.partition("@")
        wrong = (
            not name or "." not in host or any(c.isspace() or not c.isprintable() or c in '<>,;"()' for c in address)
        )
        if address and (wrong or "@" in host or len(address) > 254):
            raise UsageError("This is not an e-mail address.", hint="write it as name@hospital.fr")
        with writing(self._engine) as connection:
            connection.execute(mail_address.delete().where(mail_address.c.account_id == account_id))
            if address:
                connection.execute(mail_address.insert().values(account_id=account_id, address=address))


def _notices() -> sa.Select[tuple[object, ...]]:
    joined = notice.outerjoin(mail_address, mail_address.c.account_id == notice.c.account_id)
    columns = (
        notice.c.id,
        notice.c.account_id,
        mail_address.c.address,
        notice.c.subject,
        notice.c.text,
        notice.c.created,
        notice.c.next_try,
        notice.c.tries,
        notice.c.sent,
        notice.c.problem,
    )
    return sa.select(*columns).select_from(joined)


def _made(row: sa.Row[tuple[object, ...]]) -> Notice:
    return Notice(**dict(row._mapping) | {"address": row.address or ""})
