"""Lookup tables: dictionaries of a mapping, read whole into the reading's own DuckDB."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from estran.model.errors import InputRefused
from estran.sources.tabular.compiling import Slots, joined_name
from estran.sources.tabular.expressions import Column
from estran.sources.tabular.inputs import open_input
from estran.sources.tabular.language import Lookup, Mapping
from estran.sources.tabular.shelf import Shelf

_MOST_ROWS = 5_000_000


def read_lookups(con: duckdb.DuckDBPyConnection, mapping: Mapping, shelf: Shelf, name: str) -> dict[str, pa.Schema]:
    """Make the lookups of `mapping` tables of `con`, keyed by text; returns the columns of each."""
    schemas = {}
    for place, (lookup, spec) in enumerate(mapping.lookups.items()):
        table = _table(mapping, spec, shelf, name, lookup)
        key = spec.key.lower()
        if key not in table.schema.names:
            raise InputRefused(f"The lookup '{lookup}' has no column '{key}', its key in the mapping.", where=lookup)
        schemas[lookup] = table.schema
        _load(con, table, key, joined_name(place))
    return schemas


def _table(mapping: Mapping, spec: Lookup, shelf: Shelf, name: str, lookup: str) -> pa.Table:
    parts = []
    with shelf.lookup(name, lookup) as files:
        for file, path in files:
            csv = spec.csv or mapping.csv
            with open_input(path, file, csv, ignore_offsets=True) as opened:
                parts += [opened.schema.empty_table(), *(b.table for b in opened.blocks(opened.schema.names))]
    if not parts:
        raise InputRefused(
            f"The lookup table '{lookup}' was not found.", where=", ".join(spec.files),
            hint="give its folder, or the file itself, together with the data",
        )  # fmt: skip
    table = pa.concat_tables(parts, promote_options="permissive")
    if len(table) > _MOST_ROWS:
        raise InputRefused("A lookup table holds at most 5 million rows.", where=lookup)
    return table


def _load(con: duckdb.DuckDBPyConnection, table: pa.Table, key: str, target: str) -> None:
    """The first row of each key counts."""
    text = Slots(table.schema, frozenset(), {}).on_of(Column(key))
    con.register("block", table.rename_columns([f"c{n}" for n in range(table.num_columns)]))
    numbered = f"SELECT {text} AS k, *, row_number() OVER () AS n FROM block"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {target} AS SELECT * FROM ({numbered}) WHERE k IS NOT NULL "
        "QUALIFY row_number() OVER (PARTITION BY k ORDER BY n) = 1"
    )
    con.unregister("block")

