"""Lists of names for a treating team: sealed with the site's key, until they expire."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from estran.state.schema import account
from estran.state.schema_daily import screening
from estran.state.transactions import now, reading, writing


@dataclass(frozen=True)
class Screening:
    """A list for the team of a ward, handed to `login`. `sealed` is None once it expired."""

    id: int
    account_id: int
    login: str
    ward: str
    sealed: bytes | None
    made: dt.datetime
    expires: dt.datetime
    handed: dt.datetime | None


class Screenings:
    """The lists made, the newest first."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, account_id: int, ward: str, sealed: bytes, lasts: dt.timedelta) -> int:
        """Keep a list; its number."""
        values = {"account_id": account_id, "ward": ward, "sealed": sealed, "made": now(), "expires": now() + lasts}
        with writing(self._engine) as connection:
            key = connection.execute(screening.insert().values(**values)).inserted_primary_key
        return int(key[0]) if key else 0

    def all(self) -> list[Screening]:
        """Every list."""
        columns = [c for c in screening.c if c.name != "id"]
        wanted = sa.select(screening.c.id, *columns, account.c.login).join(account, account.c.id == screening.c.account_id)
        with reading(self._engine) as connection:
            rows = connection.execute(wanted.order_by(screening.c.id.desc())).all()
        return [Screening(**row._mapping) for row in rows]

    def hand(self, number: int) -> None:
        """Note that a list was handed over."""
        with writing(self._engine) as connection:
            connection.execute(screening.update().where(screening.c.id == number).values(handed=now()))

    def expire(self) -> int:
        """Let go of the lists whose time is over; how many there were."""
        over = sa.and_(screening.c.expires <= now(), screening.c.sealed.is_not(None))
        with writing(self._engine) as connection:
            return int(connection.execute(screening.update().where(over).values(sealed=None)).rowcount)
