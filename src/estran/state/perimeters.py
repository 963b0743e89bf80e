"""What bounds each account, as text; an account without a line is not bounded."""

from __future__ import annotations

import sqlalchemy as sa

from estran.model.perimeter import WHOLE, Perimeter
from estran.state.schema_bounds import perimeter
from estran.state.transactions import now, reading, writing


class Perimeters:
    """The perimeters of the accounts."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def of(self, account_id: int | None) -> Perimeter:
        """That of an account; UsageError when what is kept cannot be read, so that nothing is shown."""
        if account_id is None:
            return WHOLE
        with reading(self._engine) as connection:
            query = sa.select(perimeter.c.value).where(perimeter.c.account_id == account_id)
            found = connection.execute(query).scalar()
        return WHOLE if found is None else Perimeter.from_json(found)

    def put(self, account_id: int, wanted: Perimeter, login: str) -> None:
        """Bound an account from now on; WHOLE takes its bounds away. `login` is who says so."""
        with writing(self._engine) as connection:
            connection.execute(perimeter.delete().where(perimeter.c.account_id == account_id))
            if not wanted.whole:
                values = {"account_id": account_id, "value": wanted.to_json(), "set_by": login, "at": now()}
                connection.execute(perimeter.insert().values(**values))
