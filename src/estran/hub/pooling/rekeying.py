"""Tables with other ids: what a site does before it sends, and the hub before it keeps. The order of the rows says nothing:
they are sorted by their new ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from estran.exchange.tables import write_parquet

BATCH = 65_536
Ids = Callable[[str, Iterable[str]], list[str]]  # a kind of id, and the old ones; their new ones
# How the ids of a table are told apart: those of stays and documents are numbers within a patient.
_OLD = {"patient": "t.patient", "stay": "t.patient || '/' || t.stay", "document": "t.patient || '/' || t.document"}


def note_ids(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Sequence[str]], ids: Ids) -> None:
    """Tables `new_patient`, `new_stay`, `new_document` (old, new) of every id that stands in the given tables' columns."""
    for kind, old in _OLD.items():
        held = [name for name, columns in tables.items() if kind in columns]
        union = " UNION ".join(f'SELECT {old} AS old FROM "{name}" t WHERE t."{kind}" IS NOT NULL' for name in held)
        connection.execute(f"CREATE TEMP TABLE new_{kind} (old VARCHAR, new VARCHAR)")
        if not held:
            continue
        found = connection.sql(f"SELECT DISTINCT old FROM ({union})").to_arrow_table().column("old")
        for start in range(0, len(found), BATCH):
            given = found.slice(start, BATCH).to_pylist()
            connection.register("some_ids", pa.table({"old": given, "new": ids(kind, given)}))
            connection.execute(f"INSERT INTO new_{kind} SELECT * FROM some_ids")
            connection.unregister("some_ids")


def rekeyed_sql(table: str, columns: Mapping[str, str]) -> str:
    """A table with its ids replaced; `columns` says what each other column is made of (SQL, of alias t)."""
    joins, shown = [], []
    for name, made in columns.items():
        if name not in _OLD:
            shown.append(f'{made} AS "{name}"')
            continue
        how = "JOIN" if name == "patient" else "LEFT JOIN"
        joins.append(f"{how} new_{name} ON new_{name}.old = {_OLD[name]}")
        shown.append(f'new_{name}.new AS "{name}"')
    return f'SELECT {", ".join(shown)} FROM "{table}" t {" ".join(joins)}'


def write_sorted(connection: duckdb.DuckDBPyConnection, query: str, target: Path) -> int:
    """The rows of a query as Parquet, sorted by all they hold; how many they are."""
    target.parent.mkdir(parents=True, exist_ok=True)
    reader = connection.sql(f"SELECT * FROM ({query}) ORDER BY ALL").to_arrow_reader(BATCH)
    return write_parquet(target, reader.schema, reader)
