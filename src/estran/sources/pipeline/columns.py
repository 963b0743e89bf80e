"""Small moves on Arrow columns that the pipeline makes all the time."""

from __future__ import annotations

import duckdb
import pyarrow as pa


def put(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    """`table` with column `name` replaced, or added at the end."""
    at = table.schema.get_field_index(name)
    return table.append_column(name, column) if at < 0 else table.set_column(at, name, column)


def fetch(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """The rows of a query as Arrow; `bucket`, the column the views add, is left out."""
    table = connection.sql(sql).to_arrow_table()
    return table.drop_columns(["bucket"]) if "bucket" in table.column_names else table
