"""Of which site of a network each account of its hub is."""

from __future__ import annotations

import sqlalchemy as sa

from estran.state.schema_network import seat
from estran.state.transactions import reading, writing


class Seats:
    """One site for an account, or none."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def put(self, account_id: int, site: str) -> None:
        """Note an account's site; "" for none."""
        with writing(self._engine) as connection:
            connection.execute(seat.delete().where(seat.c.account_id == account_id))
            if site:
                connection.execute(seat.insert().values(account_id=account_id, site=site))

    def of(self, account_id: int | None) -> str:
        """The site of an account, "" for none."""
        return self.all().get(account_id, "") if account_id is not None else ""

    def all(self) -> dict[int, str]:
        """Site by account."""
        with reading(self._engine) as connection:
            return {int(row.account_id): str(row.site) for row in connection.execute(seat.select()).all()}
