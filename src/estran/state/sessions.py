"""Sessions kept on the server: the browser holds a random token, the database its hash only."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from estran.state.schema import session
from estran.state.transactions import now, reading, writing

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


class Sessions:
    """Open, find and revoke sessions."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def start(self, account_id: int) -> str:
        """A new session; returns the token to give to the browser, which is kept nowhere else."""
        token, moment = secrets.token_urlsafe(32), now()
        values = {
            "account_id": account_id, "token_hash": _hash(token), "csrf": secrets.token_urlsafe(32),
            "created": moment, "seen": moment, "expires": moment + LIFETIME,
        }
        with writing(self._engine) as connection:
            connection.execute(session.insert().values(**values))
        return token

    def find(self, token: str) -> Session | None:
        """The live session of this token: not revoked, not expired, not idle for `IDLE`; else None."""
        moment = now()
        live = sa.and_(
            session.c.token_hash == _hash(token), session.c.revoked.is_(None),
            session.c.expires > moment, session.c.seen > moment - IDLE,
        )
        columns = (session.c[name] for name in ("id", "account_id", "csrf", "created", "seen", "expires"))
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(*columns).where(live)).one_or_none()
        if row is None:
            return None
        found = Session(**row._mapping)
        if moment - found.seen > _SEEN_EVERY:
            self._touch(found.id, moment)
        return found

    def revoke(self, session_id: int) -> None:
        """End one session at once."""
        self._revoke(session.c.id == session_id)

    def revoke_all(self, account_id: int) -> None:
        """End every session of an account at once."""
        self._revoke(session.c.account_id == account_id)

    def _touch(self, session_id: int, moment: dt.datetime) -> None:
        with writing(self._engine) as connection:
            connection.execute(session.update().where(session.c.id == session_id).values(seen=moment))

    def _revoke(self, which: sa.ColumnElement[bool]) -> None:
        with writing(self._engine) as connection:
            connection.execute(session.update().where(which, session.c.revoked.is_(None)).values(revoked=now()))


def _hash(token: str) -> str:
    """A random 256-bit token needs no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
