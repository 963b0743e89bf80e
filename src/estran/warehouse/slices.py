"""Reading few facts fast: row groups chosen by their statistics, decoded columns kept in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyroaring import BitMap

from estran.model.tables import FACT, FACT_BY_CONCEPT, TABLES
from estran.warehouse.encoding import numbers
from estran.warehouse.presence import members
from estran.warehouse.presence_update import live_mask

USUAL = ("concept_id", "patient_id", "start_date", "start_minute", "precision", "value")
_LIVE_COLUMNS = ("status", "context", "origin")
_CACHE_BYTES = 256 << 20
Ints = npt.NDArray[np.int64]


class _Cache:
    """Decoded row groups, the least recently used ones forgotten beyond a number of bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, int, str], pa.ChunkedArray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, int, str]) -> pa.ChunkedArray | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: tuple[str, int, str], values: pa.ChunkedArray) -> None:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = values
                self._bytes += values.nbytes
            while self._bytes > self._limit:
                _, gone = self._kept.popitem(last=False)
                self._bytes -= gone.nbytes


_cache = _Cache(_CACHE_BYTES)


class _File:
    """An open Parquet file with the smallest and largest key of each row group."""

    def __init__(self, path: str, key: str) -> None:
        self.path = path
        self._file = pq.ParquetFile(path, memory_map=True)
        self._lock = threading.Lock()
        meta = self._file.metadata
        place = self._file.schema_arrow.names.index(key)
        stats = [meta.row_group(g).column(place).statistics for g in range(meta.num_row_groups)]
        self.low = np.array([s.min for s in stats], np.int64)
        self.high = np.array([s.max for s in stats], np.int64)

    def groups(self, wanted: Ints) -> list[int]:
        """Row groups that may hold one of the sorted `wanted` keys."""
        hit = np.searchsorted(wanted, self.high, "right") > np.searchsorted(wanted, self.low, "left")
        return np.flatnonzero(hit).tolist()

    def read(self, group: int, columns: list[str], schema: pa.Schema) -> pa.Table:
        """Columns of one row group, from memory where they were read before."""
        known = {name: _cache.get((self.path, group, name)) for name in columns}
        missing = [name for name, values in known.items() if values is None]
        if missing:
            with self._lock:
                fresh = self._file.read_row_group(group, columns=missing)
            for name in missing:
                known[name] = fresh.column(name).cast(schema.field(name).type)
                _cache.put((self.path, group, name), known[name])
        return pa.table(known)


@lru_cache(maxsize=512)
def _open(path: str, key: str) -> _File:
    return _File(path, key)


def column(path: str, name: str) -> Ints:
    """One integer column of a whole file."""
    values: Ints = pq.ParquetFile(path, memory_map=True).read([name]).column(0).to_numpy()
    return values


def by_concept(
    paths: list[str], wanted: Ints, columns: list[str], live: bool, hidden: BitMap, opposed: BitMap
) -> pa.Table:
    """Facts of files in concept order that have one of the sorted concept ids `wanted`."""
    needed = {"concept_id": None, **dict.fromkeys(columns)}
    needed |= dict.fromkeys(_LIVE_COLUMNS) if live else {}
    needed |= {"document_id": None} if hidden else {}
    needed |= {"patient_id": None} if opposed else {}
    parts = []
    for path in paths:
        file = _open(path, "concept_id")
        for group in file.groups(wanted):
            parts.append(_of_concepts(file.read(group, list(needed), FACT_BY_CONCEPT), wanted))
    if not parts:
        return pa.schema([FACT_BY_CONCEPT.field(name) for name in columns]).empty_table()
    rows = pa.concat_tables(parts)
    keep = live_mask(rows) if live else np.ones(len(rows), np.bool_)
    keep &= _visible(rows, hidden, opposed)
    return (rows if keep.all() else rows.filter(pa.array(keep))).select(columns)


def _of_concepts(rows: pa.Table, wanted: Ints) -> pa.Table:
    """The wanted rows of a row group sorted by concept: slices, no row is looked at."""
    concepts = rows.column("concept_id").to_numpy()
    # Of the column's own type: else numpy makes a wider copy of the whole row group to search in.
    inside = wanted[(wanted >= concepts[0]) & (wanted <= concepts[-1])].astype(concepts.dtype)
    starts, stops = np.searchsorted(concepts, inside, "left"), np.searchsorted(concepts, inside, "right")
    pieces = [rows.slice(int(a), int(b - a)) for a, b in zip(starts, stops, strict=True) if b > a]
    return pa.concat_tables(pieces) if pieces else rows.slice(0, 0)


def _visible(rows: pa.Table, hidden: BitMap, opposed: BitMap) -> npt.NDArray[np.bool_]:
    keep = np.ones(len(rows), np.bool_)
    if hidden:
        keep &= ~np.isin(numbers(rows, "document_id"), members(hidden))
    if opposed:
        keep &= ~np.isin(numbers(rows, "patient_id"), members(opposed))
    return keep


def of_patient(
    table: str, paths: list[str], patient_id: int, hidden: BitMap, columns: list[str] | None = None
) -> pa.Table:
    """Rows of one patient from a table's files in patient order; without hidden documents where rows belong to one."""
    schema = TABLES[table] if columns is None else pa.schema([TABLES[table].field(name) for name in columns])
    names = list(dict.fromkeys([*schema.names, *(["document_id"] if hidden and _of_document(table) else [])]))
    parts = [part for path in paths for part in _of_one(_open(path, "patient_id"), patient_id, names, TABLES[table])]
    if not parts:
        return schema.empty_table()
    rows = pa.concat_tables(parts)
    if hidden and _of_document(table):
        rows = rows.filter(pa.array(_visible(rows, hidden, BitMap())))
    return rows.select(schema.names).cast(schema)


def _of_document(table: str) -> bool:
    return "document_id" in TABLES[table].names


def _of_one(file: _File, patient_id: int, names: list[str], schema: pa.Schema) -> Iterator[pa.Table]:
    """The patient's rows in each row group of a file: the key column tells which, before anything else is decoded."""
    for group in file.groups(np.array([patient_id], np.int64)):
        patients = file.read(group, ["patient_id"], schema).column(0).to_numpy()
        bounds = np.array([patient_id, patient_id + 1], patients.dtype)
        start, stop = np.searchsorted(patients, bounds).tolist()
        if stop > start:
            yield file.read(group, names, schema).slice(start, stop - start)


def facts_of_patient(paths: list[str], patient_id: int, hidden: BitMap) -> pa.Table:
    """All facts of one patient, in order of time."""
    rows = of_patient("fact", paths, patient_id, hidden)
    keys = [(name, "ascending") for name in ("start_date", "start_minute", "document_id", "fact_no")]
    return rows.take(pc.sort_indices(rows, keys)).cast(FACT)
