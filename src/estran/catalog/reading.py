"""Reading a snapshot in one pass after the other: rows as dictionaries or as Arrow."""

from __future__ import annotations

from typing import Any

import duckdb

from estran.warehouse import Snapshot


def rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """The rows of a query."""
    found: list[dict[str, Any]] = connection.sql(sql).to_arrow_table().to_pylist()
    return found


def ask(snapshot: Snapshot, sql: str) -> list[dict[str, Any]]:
    """The rows of a query on a connection of its own."""
    with snapshot.connect() as connection:
        return rows(connection, sql)
