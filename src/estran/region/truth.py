"""The truth of the region, which no loader sees: one Parquet file per table and shard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_S, _I, _T, _F, _D, _B = pa.string(), pa.int32(), pa.timestamp("s"), pa.float64(), pa.date32(), pa.bool_()

# Moments are wall-clock times of the hospital. `system` and `ipp` name a patient as the feeds do.
SCHEMAS: dict[str, pa.Schema] = {
    "people": pa.schema([
        ("person", _I), ("sex", _S), ("birth_date", _D), ("birth_name", _S), ("used_name", _S), ("given_name", _S),
        ("address", _S), ("postcode", _S), ("city", _S), ("insee", _S), ("phone", _S), ("nir", _S), ("death_date", _D),
    ]),
    "identities": pa.schema([
        ("hospital", _S), ("system", _S), ("ipp", _S), ("person", _I), ("birth_name", _S), ("given_name", _S),
        ("birth_date", _D), ("ins", _S), ("status", _S), ("error", _S), ("merged_into", _S),
    ]),
    "links": pa.schema([("person", _I), ("hospital_a", _S), ("ipp_a", _S), ("hospital_b", _S), ("ipp_b", _S)]),
    "relations": pa.schema([("person", _I), ("other", _I), ("kind", _S)]),
    "stays": pa.schema([
        ("hospital", _S), ("system", _S), ("nda", _S), ("ipp", _S), ("person", _I), ("kind", _S), ("start", _T), ("end", _T),
        ("status", _S), ("entry_mode", _S), ("exit_mode", _S), ("reason", _S), ("ghm", _S),
    ]),
    "movements": pa.schema([
        ("hospital", _S), ("movement", _S), ("nda", _S), ("unit", _S), ("start", _T), ("end", _T), ("status", _S),
    ]),
    "diagnoses": pa.schema([
        ("hospital", _S), ("nda", _S), ("ipp", _S), ("feed", _S), ("code", _S), ("role", _S), ("date", _D),
    ]),
    "acts": pa.schema([("hospital", _S), ("nda", _S), ("ipp", _S), ("feed", _S), ("code", _S), ("date", _D)]),
    "labs": pa.schema([
        ("hospital", _S), ("nda", _S), ("ipp", _S), ("order", _S), ("sampled", _T), ("code", _S), ("loinc", _S), ("value", _F),
        ("unit", _S), ("canonical", _F), ("canonical_unit", _S), ("canonical_loinc", _S), ("status", _S),
    ]),
    "susceptibilities": pa.schema([
        ("hospital", _S), ("nda", _S), ("ipp", _S), ("order", _S), ("germ", _S), ("antibiotic", _S), ("result", _S),
    ]),
    "drugs": pa.schema([
        ("hospital", _S), ("nda", _S), ("ipp", _S), ("feed", _S), ("atc", _S), ("status", _S), ("dose", _F), ("unit", _S),
        ("moment", _T),
    ]),
    "documents": pa.schema([
        ("hospital", _S), ("document", _S), ("feed", _S), ("kind", _S), ("nda", _S), ("ipp", _S), ("moment", _T),
        ("status", _S), ("versions", _I), ("characters", _I),
    ]),
    "codes": pa.schema([
        ("hospital", _S), ("document", _S), ("kind", _S), ("nda", _S), ("ipp", _S), ("vocabulary", _S), ("code", _S), ("value", _F),
        ("unit", _S),
    ]),
    "spans": pa.schema([("hospital", _S), ("document", _S), ("start", _I), ("end", _I), ("label", _S), ("text", _S)]),
    "letters": pa.schema([("hospital", _S), ("document", _S), ("label", _S), ("text", _S)]),
    "mentions": pa.schema([
        ("hospital", _S), ("document", _S), ("start", _I), ("end", _I), ("text", _S), ("code", _S), ("context", _S),
    ]),
    "outcomes": pa.schema([
        ("person", _I), ("hospital", _S), ("nda", _S), ("index", _S), ("exposed", _B), ("risk", _F), ("event", _B), ("days", _F),
    ]),
}  # fmt: skip


class Truth:
    """Rows of one shard, in the order in which they came about."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in SCHEMAS}
        self._tables: dict[str, list[pa.Table]] = {}

    def table(self, name: str) -> list[tuple[Any, ...]]:
        """The rows of a table; columns in the order of its schema, moments in minutes, dates in days."""
        return self._rows[name]

    def add(self, name: str, columns: Sequence[pa.Array], kept: pa.BooleanArray) -> None:
        """Add at once the rows that are `kept`, given column by column."""
        schema = SCHEMAS[name]
        held = [values.cast(field.type) for values, field in zip(columns, schema, strict=True)]
        self._tables.setdefault(name, []).append(pa.table(held, schema=schema).filter(kept))

    def write(self, folder: Path, shard: int) -> dict[str, int]:
        """Write every table; returns how many rows each has."""
        counts = {}
        for name, rows in self._rows.items():
            place = folder / name
            place.mkdir(parents=True, exist_ok=True)
            held = pa.concat_tables([_arrow(name, rows), *self._tables.get(name, ())])
            counts[name] = held.num_rows
            pq.write_table(held, place / f"{name}-{shard:05d}.parquet", compression="zstd", store_schema=False)
        return counts


def _arrow(name: str, rows: list[tuple[Any, ...]]) -> pa.Table:
    schema = SCHEMAS[name]
    if not rows:
        return schema.empty_table()
    columns = [_column(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=True)]
    return pa.table(columns, schema=schema)


def _column(values: tuple[Any, ...], kind: pa.DataType) -> pa.Array:
    if kind == _T:
        return pa.array([None if v is None else v * 60 for v in values], pa.int64()).cast(_T)
    if kind == _D:
        return pa.array(values, pa.int32()).cast(_D)
    return pa.array(values, kind)
