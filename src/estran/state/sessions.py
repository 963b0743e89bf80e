"""Sessions kept on the server: the browser holds a random token, the database its hash only."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from estran.state.schema import session
from estran.state.transactions import now, reading, token_hash, writing

LIFETIME = dt.timedelta(hours=12)
IDLE = dt.timedelta(hours=2)
_SEEN_EVERY = dt.timedelta(minutes=1)


@dataclass(frozen=True)
class Session:
    """An open session; `csrf` is the token that every form of this session carries."""

    id: int
    account_id: int
    csrf: str
    created: dt.datetime
    seen: dt.datetime
    expires: dt.datetime
    address: str
    agent: str
    method: str


@dataclass(frozen=True)
class Place:
    """Where somebody signs in from: the address of the network, and what the browser calls itself."""

    address: str = ""
    agent: str = ""


_COLUMNS = tuple(
    session.c[name]
    for name in ("id", "account_id", "csrf", "created", "seen", "expires", "address", "agent", "method")
)


class Sessions:
    """Open, find and revoke sessions."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def start(
        self, account_id: int, place: Place = Place(), method: str = "password", lifetime: dt.timedelta = LIFETIME
    ) -> str:
        """A new session; returns the token to give to the browser, which is kept nowhere else."""
        token, moment = secrets.token_urlsafe(32), now()
        values = {
            "account_id": account_id, "token_hash": token_hash(token), "csrf": secrets.token_urlsafe(32),
            "created": moment, "seen": moment, "expires": moment + lifetime, "address": place.address[:64],
            "agent": place.agent[:200], "method": method,
        }
        with writing(self._engine) as connection:
            connection.execute(session.insert().values(**values))
        return token

    def find(self, token: str, idle: dt.timedelta = IDLE) -> Session | None:
        """The live session of this token: not revoked, not expired, not idle for `idle`; else None."""
        found = next(iter(self._live(session.c.token_hash == token_hash(token), idle)), None)
        if found is not None and now() - found.seen > _SEEN_EVERY:
            self._touch(found.id, now())
        return found

    def of(self, account_id: int, idle: dt.timedelta = IDLE) -> list[Session]:
        """The live sessions of an account, last used first."""
        return self._live(session.c.account_id == account_id, idle)

    def rotate(self, session_id: int) -> str:
        """A new token and form token for a session, the old ones void: after its owner's rights changed."""
        token = secrets.token_urlsafe(32)
        values = {"token_hash": token_hash(token), "csrf": secrets.token_urlsafe(32)}
        with writing(self._engine) as connection:
            connection.execute(session.update().where(session.c.id == session_id).values(**values))
        return token

    def revoke(self, session_id: int) -> None:
        """End one session at once."""
        self._revoke(session.c.id == session_id)

    def revoke_all(self, account_id: int, but: int = 0) -> None:
        """End every session of an account at once, save the one numbered `but`."""
        self._revoke(sa.and_(session.c.account_id == account_id, session.c.id != but))

    def _live(self, which: sa.ColumnElement[bool], idle: dt.timedelta) -> list[Session]:
        moment = now()
        live = sa.and_(which, session.c.revoked.is_(None), session.c.expires > moment, session.c.seen > moment - idle)
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(*_COLUMNS).where(live).order_by(session.c.seen.desc()))
            return [Session(**row._mapping) for row in rows]

    def _touch(self, session_id: int, moment: dt.datetime) -> None:
        with writing(self._engine) as connection:
            connection.execute(session.update().where(session.c.id == session_id).values(seen=moment))

    def _revoke(self, which: sa.ColumnElement[bool]) -> None:
        with writing(self._engine) as connection:
            connection.execute(session.update().where(which, session.c.revoked.is_(None)).values(revoked=now()))

