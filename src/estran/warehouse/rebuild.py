"""Rewriting a bucket's table: its files merged into one, without the rows that must go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, pairwise

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap

from estran.model.tables import BUCKETED, TABLES
from estran.warehouse.changes import KEYS
from estran.warehouse.draft import PIECE_ROWS, Draft
from estran.warehouse.encoding import ORDER, ordered
from estran.warehouse.presence import members
from estran.warehouse.scratch import scratch

_PIECE_ROWS = 2_000_000
_PIECE_TEXTS = 100_000
# Columns by which rows go: name of the set in `Gone`, and the columns that refer to it.
_REFERENCES: dict[str, tuple[tuple[str, str], ...]] = {
    "patient": (("patients", "patient_id"),),
    "relation": (("patients", "patient_id"), ("patients", "other_id")),
    "stay": (("patients", "patient_id"),),
    "stay_event": (("stays", "stay_id"), ("identities", "identity_id")),
    "stay_link": (("documents", "document_id"), ("stays", "stay_id")),
    "movement": (("patients", "patient_id"), ("identities", "identity_id")),
    "document": (("documents", "document_id"),),
    **dict.fromkeys(
        ("text", "fact", "fact_by_concept", "fact_attribute", "media", "variant"),
        (("documents", "document_id"), ("patients", "patient_id")),
    ),
}


@dataclass(frozen=True)
class Gone:
    """What must not be written again."""

    documents: BitMap = field(default_factory=BitMap)
    patients: BitMap = field(default_factory=BitMap)
    stays: BitMap = field(default_factory=BitMap)
    identities: BitMap = field(default_factory=BitMap)

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A DuckDB connection that holds the four sets as tables `gone_<set>(id)`."""
        with scratch() as connection:
            for name in ("documents", "patients", "stays", "identities"):
                connection.register("given", pa.table({"id": members(getattr(self, name)).astype(np.int32)}))
                connection.execute(f"CREATE TEMP TABLE gone_{name} AS SELECT id FROM given")
                connection.unregister("given")
            yield connection


def joins(table: str, kind: str = "ANTI") -> str:
    """SQL joins that leave out (ANTI) the gone rows of a table read as `t`."""
    return " ".join(
        f"{kind} JOIN gone_{name} g{i} ON t.{column} = g{i}.id"
        for i, (name, column) in enumerate(_REFERENCES.get(table, ()))
    )


def holds_gone(connection: duckdb.DuckDBPyConnection, table: str, paths: list[str]) -> bool:
    """Whether any row of the files must go."""
    if not paths or table not in _REFERENCES:
        return False
    total: int = sum(pq.read_metadata(path).num_rows for path in paths)
    kept = connection.execute(
        f"SELECT count(*) FROM read_parquet(?, hive_partitioning=false) t {joins(table)}", [paths]
    )
    return int(kept.fetchall()[0][0]) < total


def rebuild(draft: Draft, connection: duckdb.DuckDBPyConnection, table: str, bucket: int) -> None:
    """Replace the bucket's files of a table by one sorted file without the gone rows.

    Tables whose rows are replaced by key keep files of bounded size, or each change would rewrite all.
    """
    pieces = _pieces(connection, table, draft.paths(table, bucket))
    if table in KEYS:
        small = (piece.slice(i, PIECE_ROWS) for piece in pieces for i in range(0, len(piece), PIECE_ROWS))
        draft.replace(table, bucket, [draft.write_pieces(table, bucket, [piece]) for piece in small])
        return
    first = next(pieces, None)
    merged = [draft.write_pieces(table, bucket, chain([first], pieces))] if first else []
    draft.replace(table, bucket, merged)


def _pieces(connection: duckdb.DuckDBPyConnection, table: str, paths: list[str]) -> Iterator[pa.Table]:
    """The kept rows in order, by ranges of the first sort column, so that memory stays bounded."""
    if table == "variant":
        yield from _sorted_pieces(connection, table, paths)
        return
    key = ORDER[table][0]
    columns = ", ".join(f't."{name}"' for name in TABLES[table].names)
    limit = _PIECE_TEXTS if table == "text" else _PIECE_ROWS
    edges = _edges(paths, key, limit) if table in BUCKETED else []
    bounds = [None, *edges, None]
    for low, high in pairwise(bounds):
        conditions = [f"t.{key} >= {low}"] * (low is not None) + [f"t.{key} < {high}"] * (high is not None)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        query = f"SELECT {columns} FROM read_parquet(?, hive_partitioning=false) t {joins(table)} {where}"
        rows = connection.sql(query, params=[paths]).to_arrow_table()
        if len(rows):
            yield ordered(table, rows.cast(TABLES[table]))


def _sorted_pieces(connection: duckdb.DuckDBPyConnection, table: str, paths: list[str]) -> Iterator[pa.Table]:
    """The kept rows of a table whose first sort column is a text: DuckDB sorts them, on disk when there are many."""
    if not paths:
        return
    columns = ", ".join(f't."{name}"' for name in TABLES[table].names)
    order = ", ".join(f't."{name}"' for name in ORDER[table])
    query = f"SELECT {columns} FROM read_parquet(?, hive_partitioning=false) t {joins(table)} ORDER BY {order}"
    batches = connection.sql(query, params=[paths]).to_arrow_reader(_PIECE_ROWS)
    for batch in batches:
        if batch.num_rows:
            yield ordered(table, pa.Table.from_batches([batch]).cast(TABLES[table]))


def _edges(paths: list[str], key: str, limit: int) -> list[int]:
    """Values of the key that cut the files' rows into ranges of about `limit` rows."""
    starts: list[tuple[int, int]] = []
    for path in paths:
        meta = pq.read_metadata(path)
        place = meta.schema.names.index(key)
        groups = (meta.row_group(i) for i in range(meta.num_row_groups))
        starts += [(g.column(place).statistics.min, g.num_rows) for g in groups]
    lows, rows = (np.array(values, np.int64) for values in zip(*sorted(starts), strict=True))
    return _cuts(lows, np.cumsum(rows) // limit)


def _cuts(lows: npt.NDArray[np.int64], part: npt.NDArray[np.int64]) -> list[int]:
    cuts: list[int] = np.unique(lows[1:][np.diff(part) > 0]).tolist()
    return cuts
