"""What was begun at the door and must be ended within minutes: a second factor asked for, a challenge sent out."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from estran.state.schema import pending
from estran.state.transactions import now, reading, token_hash, writing

LIFETIME = dt.timedelta(minutes=5)


class Kind(StrEnum):
    """What was begun; one kind is never ended as another."""

    SECOND_FACTOR = "second-factor"
    REGISTER = "register"
    PASSKEY = "passkey"
    OIDC = "oidc"


@dataclass(frozen=True)
class Begun:
    """What was begun, and by whom; nobody when the person is not known yet."""

    account_id: int | None
    value: str


class Pending:
    """Begin, look, and end once."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def begin(self, kind: Kind, account_id: int | None = None, value: str = "") -> str:
        """Note what is begun; returns the token that ends it. What is past its time is forgotten on the way."""
        token, moment = secrets.token_urlsafe(32), now()
        values = {
            "token_hash": token_hash(token), "kind": str(kind), "account_id": account_id, "value": value,
            "expires": moment + LIFETIME,
        }
        with writing(self._engine) as connection:
            connection.execute(pending.delete().where(pending.c.expires <= moment))
            connection.execute(pending.insert().values(**values))
        return token

    def find(self, kind: Kind, token: str) -> Begun | None:
        """What the token ends, without ending it; None when it ended, is past its time, or of another kind."""
        with reading(self._engine) as connection:
            return _begun(connection, kind, token)

    def end(self, kind: Kind, token: str) -> Begun | None:
        """End it: the second who tries is told None."""
        with writing(self._engine) as connection:
            found = _begun(connection, kind, token)
            gone = connection.execute(pending.delete().where(pending.c.token_hash == token_hash(token))).rowcount
        return found if gone == 1 else None


def _begun(connection: sa.Connection, kind: Kind, token: str) -> Begun | None:
    mine = sa.and_(
        pending.c.token_hash == token_hash(token), pending.c.kind == str(kind), pending.c.expires > now()
    )
    row = connection.execute(sa.select(pending.c.account_id, pending.c.value).where(mine)).one_or_none()
    return None if row is None else Begun(row.account_id, row.value)
