"""Two kinds of transaction: one that only reads, one that will write."""

from __future__ import annotations

import datetime as dt
import hashlib
from contextlib import AbstractContextManager

import sqlalchemy as sa


def reading(engine: sa.Engine) -> AbstractContextManager[sa.Connection]:
    """A consistent view; nothing is written."""
    return engine.begin()


def writing(engine: sa.Engine) -> AbstractContextManager[sa.Connection]:
    """Commits at the end of the `with`, rolls back on an error. On SQLite the write lock is taken first."""
    return engine.execution_options(write=True).begin()


def now() -> dt.datetime:
    """The present, aware UTC."""
    return dt.datetime.now(dt.UTC)


def token_hash(token: str) -> str:
    """How a random token is kept: of 256 random bits, it needs no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
