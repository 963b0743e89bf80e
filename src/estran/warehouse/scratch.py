"""A DuckDB without data, for joins among Arrow tables and files while writing."""

from __future__ import annotations

from functools import lru_cache

import duckdb

OFFLINE = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}


@lru_cache(maxsize=1)
def _root() -> duckdb.DuckDBPyConnection:
    # Opening a database takes longer than a small commit: one per process, shared through cursors.
    return duckdb.connect(config=dict(OFFLINE))


def scratch() -> duckdb.DuckDBPyConnection:
    """A connection of your own: what is registered or made TEMP in it is seen by nobody else. Close it."""
    return _root().cursor()
