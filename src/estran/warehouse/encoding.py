"""How each table is sorted and encoded in Parquet.

Sorted integers become small differences (DELTA_BINARY_PACKED), whatever repeats becomes a
dictionary; then zstd (LZ4 in what a load writes, until the next compaction). Statistics are kept on the columns by which files are searched.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from estran.model.errors import StoreError
from estran.model.tables import TABLES
from estran.warehouse.files import flush

ORDER: dict[str, tuple[str, ...]] = {
    "patient": ("patient_id",),
    "stay": ("patient_id", "start_date", "start_minute", "stay_id"),
    "stay_event": ("stay_id", "event_time", "content"),
    "stay_link": ("stay_id", "document_id"),
    "movement": ("patient_id", "start_date", "start_minute", "movement_id"),
    "document": ("patient_id", "start_date", "start_minute", "document_id"),
    "text": ("patient_id", "document_id"),
    "fact": ("patient_id", "start_date", "start_minute"),
    "fact_by_concept": ("concept_id", "patient_id", "start_date", "start_minute"),
    "fact_attribute": ("patient_id", "document_id", "fact_no"),
    "media": ("patient_id", "document_id"),
    "variant": ("chrom", "pos", "patient_id", "document_id", "ref", "alt"),
    "relation": ("patient_id", "other_id", "kind"),
    "permission": ("patient_id", "from_date", "scope", "kind"),
    "unit": ("unit_id",),
    "concept": ("concept_id",),
    "concept_ancestor": ("ancestor_id", "descendant_id"),
    "concept_synonym": ("concept_id", "synonym"),
    "concept_map": ("source_id", "target_id"),
    "load": ("load_id", "file_no", "part"),
    "quarantine": ("file_no", "record_no", "part"),
}

_DELTA = frozenset({"patient_id", "other_id", "document_id", "stay_id", "movement_id", "identity_id", "start_date",
                    "known_at", "event_time", "record_no", "descendant_id", "pos"})  # fmt: skip
_SPLIT: frozenset[str] = frozenset()
_PLAIN = frozenset({"content", "record_key", "text"})  # hashes have no pattern, texts never repeat
_SEARCHED = frozenset({"patient_id", "concept_id", "start_date", "document_id", "stay_id", "identity_id", "ancestor_id",
                       "source_id", "record_key", "value", "confidential", "chrom", "pos", "gene"})  # fmt: skip
_ZSTD_LEVEL = 3
_RANDOM = frozenset({"content", "record_key"})  # nothing to gain by compressing them
# Row groups this much smaller: what decodes whole to read one patient.
_FINE = {"patient": 8, "stay": 8, "document": 8, "fact": 8, "text": 32}


Ints = npt.NDArray[np.int64]


def conform(table: str, rows: pa.Table) -> pa.Table:
    """Rows with exactly the table's columns and types (strings may be dictionaries); StoreError names what does not fit."""
    schema = TABLES[table]
    missing = [name for name in schema.names if name not in rows.column_names]
    if missing:
        raise StoreError(f"Rows for table '{table}' lack {', '.join(missing)}.")
    try:
        columns = [_fitted(rows.column(field.name), field.type) for field in schema]
    except pa.ArrowInvalid as error:
        raise StoreError(f"Rows for table '{table}' do not have its types.") from error
    for field, column in zip(schema, columns, strict=True):
        if not field.nullable and column.null_count:
            raise StoreError(f"Rows for table '{table}' have no {field.name}.")
    fields = [field.with_type(column.type) for field, column in zip(schema, columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _fitted(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """The column in its table's type; strings may stay dictionaries, as the file will hold them."""
    encoded = pa.types.is_dictionary(column.type) and column.type.value_type == kind
    return column if encoded or column.type == kind else column.cast(kind)


def ordered(table: str, rows: pa.Table) -> pa.Table:
    """Rows in the table's own order, strings as dictionaries where the file will hold them so."""
    rows = _dictionaries(rows)
    if len(rows) < 2:
        return rows
    if table == "fact_by_concept":
        return by_concept(taken(rows, _time_order(rows)))
    if ORDER[table][:3] == ("patient_id", "start_date", "start_minute"):
        return taken(rows, _time_order(rows))
    if ORDER[table][:2] == ("patient_id", "document_id"):
        key = (numbers(rows, "patient_id").astype(np.int64) << 32) | numbers(rows, "document_id")
        return taken(rows, stable_order(key))
    return rows.take(_order(table, rows))


def _order(table: str, rows: pa.Table) -> pa.Array:
    """Sort indices; Arrow does not sort dictionaries, so the keys are plain here."""
    keys = rows.select(list(ORDER[table]))
    plain = pa.schema([f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in keys.schema])
    return pc.sort_indices(keys.cast(plain), [(name, "ascending") for name in ORDER[table]])


def by_concept(rows: pa.Table) -> pa.Table:
    """Facts already in patient order, in concept order with the columns of `fact_by_concept`."""
    rows = rows.select(TABLES["fact_by_concept"].names)
    encoded = _whole(rows.column("concept_id")).dictionary_encode()
    ranks = np.argsort(np.argsort(encoded.dictionary.to_numpy()))
    small = np.uint16 if len(ranks) <= 65_536 else np.int32  # numpy sorts 16 bits by radix, ten times faster
    return taken(rows, np.argsort(ranks.astype(small)[encoded.indices.to_numpy()], kind="stable"))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece, which pyarrow takes from several times faster."""
    joined = column.combine_chunks()
    if not isinstance(joined, pa.ChunkedArray):
        return joined
    return joined.chunk(0) if joined.num_chunks else pa.array([], column.type)


def taken(rows: pa.Table, order: npt.NDArray[np.int64]) -> pa.Table:
    """The rows at these places, each wanted once at most, in this order. Columns that say the same of every row
    are cut to length, not gathered: many tables have as many of them as of others."""
    if len(order) == len(rows) and (order[1:] > order[:-1]).all():
        return rows
    places = pa.array(order)
    columns = [c.slice(0, len(order)) if _is_uniform(c) else _whole(c).take(places) for c in rows.columns]
    return pa.Table.from_arrays(columns, schema=rows.schema)


def _is_uniform(column: pa.ChunkedArray) -> bool:
    """Whether every row surely has the same value, or none has any."""
    if column.null_count:
        return bool(column.null_count == len(column))
    if pa.types.is_dictionary(column.type):
        words = {c.dictionary[0].as_py() if len(c.dictionary) == 1 else None for c in column.chunks}
        return len(words) == 1 and None not in words
    if not pa.types.is_integer(column.type) or not len(column):
        return False
    ends = pc.min_max(column)
    return bool(ends["min"] == ends["max"])


def _time_order(rows: pa.Table) -> npt.NDArray[np.int64]:
    """Order by patient, date, minute."""
    return time_order(numbers(rows, "patient_id"), numbers(rows, "start_date", -(1 << 17)), numbers(rows, "start_minute"))


def time_order(patients: npt.ArrayLike, dates: npt.ArrayLike, minutes: npt.ArrayLike) -> Ints:
    """Stable order by patient, date (days) and minute (-1: unknown) through one integer key of 31 + 18 + 11 bits."""
    patient, date, minute = (np.asarray(part, np.int64) for part in (patients, dates, minutes))
    date, minute = date + (1 << 17), minute + 1
    return stable_order((patient << 29) | (np.clip(date, 0, (1 << 18) - 1) << 11) | np.clip(minute, 0, (1 << 11) - 1))


def stable_order(key: Ints) -> Ints:
    """Stable sort order of integers that are not negative.

    Where key and row number fit in 63 bits together they are sorted as one number: numpy sorts plain
    numbers several times faster than it finds the order of some.
    """
    if (key[1:] >= key[:-1]).all():
        return np.arange(len(key))
    key = key - key.min()
    bits = len(key).bit_length()
    if int(key.max()).bit_length() + bits > 63:
        return np.argsort(key, kind="stable")
    both = (key << bits) | np.arange(len(key))
    both.sort()
    both &= (1 << bits) - 1
    return both


def numbers(rows: pa.Table, column: str, null: int = -1) -> npt.NDArray[np.int64]:
    """An integer or date column as numpy, nulls replaced by `null`."""
    values = rows.column(column)
    if pa.types.is_date32(values.type):
        values = values.cast(pa.int32())
    if values.null_count:
        values = pc.fill_null(values, pa.scalar(null, values.type))
    result: npt.NDArray[np.int64] = values.to_numpy()
    return result


def _dictionaries(rows: pa.Table) -> pa.Table:
    for index, name in enumerate(rows.column_names):
        column = rows.column(index)
        if name not in _PLAIN and pa.types.is_string(column.type):
            column = column.dictionary_encode()
        if pa.types.is_dictionary(column.type):
            rows = rows.set_column(index, name, column.unify_dictionaries())
    return rows


def _options(table: str, fresh: bool) -> dict[str, object]:
    names = TABLES[table].names
    plain = {n: "DELTA_BINARY_PACKED" for n in names if n in _DELTA}
    plain |= {n: "BYTE_STREAM_SPLIT" for n in names if n in _SPLIT}
    return {
        "use_dictionary": [n for n in names if n not in plain and n not in _PLAIN],
        "column_encoding": plain,
        "write_statistics": [n for n in names if n in _SEARCHED],
        "compression": {n: "NONE" if n in _RANDOM else "LZ4" if fresh else "zstd" for n in names},
        "compression_level": None if fresh else {n: _ZSTD_LEVEL for n in names if n not in _RANDOM},
        "version": "2.6",
        "store_schema": False,
        "dictionary_pagesize_limit": 1 << 21,
    }


def write_file(
    path: Path, table: str, pieces: Iterable[pa.Table], row_group_rows: int, *, fresh: bool = False
) -> tuple[int, int]:
    """Write sorted pieces of rows to a new Parquet file, forced to the disk; returns its bytes and rows.

    A `fresh` file is one that the next compaction replaces: written faster, a tenth larger.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fine = _FINE.get(table, 1)
    groups = max(1024, row_group_rows // (max(1, fine // 4) if fresh else fine))
    pieces = iter(pieces)
    first = next(pieces)
    rows = 0
    with pq.ParquetWriter(path, first.schema, **_options(table, fresh)) as writer:
        for piece in chain([first], pieces):
            writer.write_table(piece, row_group_size=groups)
            rows += len(piece)
    flush(path)
    return path.stat().st_size, rows


def read_files(table: str, paths: list[str], columns: list[str] | None = None) -> pa.Table:
    """Rows of Parquet files in the table's types; an empty table when there is no file."""
    schema = TABLES[table] if columns is None else pa.schema([TABLES[table].field(c) for c in columns])
    parts = [pq.ParquetFile(path, memory_map=True).read(columns=schema.names) for path in paths]
    if not parts:
        return schema.empty_table()
    rows = pa.concat_tables([part.select(schema.names).cast(schema) for part in parts])
    return rows
