"""Passkeys: the public halves of keys that people's devices hold."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from estran.model.errors import UsageError
from estran.state.schema import passkey
from estran.state.transactions import now, reading, writing


@dataclass(frozen=True)
class Passkey:
    """One key of a person. `signs` is the authenticator's counter, 0 when it keeps none."""

    id: int
    account_id: int
    credential: bytes
    public_key: bytes
    signs: int
    name: str
    created: dt.datetime
    used: dt.datetime | None


class Passkeys:
    """Add, find, use, remove."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, account_id: int, credential: bytes, public_key: bytes, signs: int, name: str) -> None:
        """A new key; UsageError when it is registered already."""
        values = {
            "account_id": account_id, "credential": credential, "public_key": public_key, "signs": signs,
            "name": name[:80], "created": now(),
        }
        try:
            with writing(self._engine) as connection:
                connection.execute(passkey.insert().values(**values))
        except sa.exc.IntegrityError:
            raise UsageError("This passkey is registered already.") from None

    def find(self, credential: bytes) -> Passkey | None:
        """The key of this credential, or None."""
        return next(iter(self._which(passkey.c.credential == credential)), None)

    def of(self, account_id: int) -> list[Passkey]:
        """The keys of an account, oldest first."""
        return self._which(passkey.c.account_id == account_id)

    def take(self, key: Passkey, signs: int) -> bool:
        """Note that a key signed; False when it was used meanwhile, with the same counter."""
        same = sa.and_(passkey.c.id == key.id, passkey.c.signs == key.signs)
        with writing(self._engine) as connection:
            return connection.execute(passkey.update().where(same).values(signs=signs, used=now())).rowcount == 1

    def remove(self, account_id: int, number: int | None = None) -> None:
        """Forget one key of an account, or all of them."""
        mine = passkey.c.account_id == account_id
        which = mine if number is None else sa.and_(mine, passkey.c.id == number)
        with writing(self._engine) as connection:
            connection.execute(passkey.delete().where(which))

    def _which(self, condition: sa.ColumnElement[bool]) -> list[Passkey]:
        with reading(self._engine) as connection:
            rows = connection.execute(passkey.select().where(condition).order_by(passkey.c.id))
            return [Passkey(**row._mapping) for row in rows]
