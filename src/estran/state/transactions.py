"""Two kinds of transaction: one that only reads, one that will write."""

from __future__ import annotations

import datetime as dt
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
