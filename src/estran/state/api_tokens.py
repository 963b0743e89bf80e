"""API tokens: kept as hashes, with a scope and an end."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from estran.state.schema import api_token
from estran.state.transactions import now, reading, token_hash, writing

PREFIX = "estran_"  # so that a token found in a file or a repository is known for what it is
_USED_EVERY = dt.timedelta(minutes=1)


@dataclass(frozen=True)
class ApiToken:
    """A token as it is listed: what it may do, until when, and when it was last used."""

    id: int
    account_id: int
    name: str
    scope: frozenset[str]
    created: dt.datetime
    expires: dt.datetime
    used: dt.datetime | None
    revoked: dt.datetime | None

    @property
    def live(self) -> bool:
        """Whether it still opens anything."""
        return self.revoked is None and self.expires > now()


class ApiTokens:
    """Make, find, list, revoke."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def make(self, account_id: int, name: str, scope: frozenset[str], lifetime: dt.timedelta) -> str:
        """A new token, returned this once and kept nowhere."""
        token, moment = PREFIX + secrets.token_urlsafe(32), now()
        values = {
            "account_id": account_id, "name": name, "token_hash": token_hash(token), "scope": " ".join(sorted(scope)),
            "created": moment, "expires": moment + lifetime,
        }
        with writing(self._engine) as connection:
            connection.execute(api_token.insert().values(**values))
        return token

    def find(self, token: str) -> ApiToken | None:
        """The live token of this text, noted as used; else None."""
        found = next(iter(self._which(api_token.c.token_hash == token_hash(token))), None)
        if found is None or not found.live:
            return None
        if found.used is None or now() - found.used > _USED_EVERY:
            with writing(self._engine) as connection:
                connection.execute(api_token.update().where(api_token.c.id == found.id).values(used=now()))
        return found

    def of(self, account_id: int) -> list[ApiToken]:
        """The tokens of an account, newest first, ended ones included."""
        return self._which(api_token.c.account_id == account_id)

    def revoke(self, account_id: int, number: int | None = None) -> None:
        """End one token of an account at once, or all of them."""
        mine = sa.and_(api_token.c.account_id == account_id, api_token.c.revoked.is_(None))
        which = mine if number is None else sa.and_(mine, api_token.c.id == number)
        with writing(self._engine) as connection:
            connection.execute(api_token.update().where(which).values(revoked=now()))

    def _which(self, condition: sa.ColumnElement[bool]) -> list[ApiToken]:
        columns = [column for column in api_token.c if column.name != "token_hash"]
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(*columns).where(condition).order_by(api_token.c.id.desc()))
            return [ApiToken(**{**row._mapping, "scope": frozenset(row.scope.split())}) for row in rows]
