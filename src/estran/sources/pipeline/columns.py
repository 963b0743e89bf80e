"""Small moves on Arrow columns that the pipeline makes all the time."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa


def put(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    """`table` with column `name` replaced, or added at the end."""
    at = table.schema.get_field_index(name)
    return table.append_column(name, column) if at < 0 else table.set_column(at, name, column)


def coded(table: pa.Table, but: tuple[str, ...] = ()) -> pa.Table:
    """The texts of `table`, but those of columns `but`, as dictionaries: what follows moves small numbers."""
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type) and field.name not in but:
            column = table.column(place).dictionary_encode()
            table = table.set_column(place, pa.field(field.name, column.type), column)
    return table


def fetch(connection: duckdb.DuckDBPyConnection, sql: str, values: Sequence[object] = ()) -> pa.Table:
    """The rows of a query as Arrow; `bucket`, the column the views add, is left out."""
    table = connection.sql(sql, params=list(values)).to_arrow_table()
    return table.drop_columns(["bucket"]) if "bucket" in table.column_names else table
