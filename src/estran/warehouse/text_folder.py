"""One sealed text index folder, opened for reading: rows that match, rows ranked, words and counts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tantivy
from pyroaring import BitMap
from tantivy import Query

from estran.model.errors import StoreError
from estran.text.query import TextQuery
from estran.text.spelling import one_slip, slips
from estran.warehouse.text_build import COLUMNS, COLUMNS_FILE
from estran.warehouse.text_match import Matcher

Rows: TypeAlias = npt.NDArray[np.int64]
_CACHED_ROWS = 5_000_000


@dataclass(frozen=True, slots=True)
class Hit:
    """A document found, with its BM25 score (comparable within one search only)."""

    document_id: int
    patient_id: int
    score: float


class Folder:
    """One sealed folder, opened for reading.

    tantivy keeps a thread per open index that looks for commits twice a second (there are none) and
    leaves an empty `.tantivy-meta.lock` behind: the folder must be writable.
    """

    def __init__(self, directory: Path) -> None:
        try:
            table = pa.ipc.open_file(pa.memory_map(str(directory / COLUMNS_FILE))).read_all()
            index = tantivy.Index.open(str(directory))
        except (OSError, ValueError, pa.ArrowInvalid):
            raise StoreError("A text index is missing or damaged.", where=str(directory),
                             hint="estran compact rebuilds it from the stored texts") from None  # fmt: skip
        if table.schema.metadata != COLUMNS.metadata:
            raise StoreError("A text index was built with other rules of analysis.", where=str(directory),
                             hint="estran compact rebuilds it from the stored texts")  # fmt: skip
        self.schema = index.schema
        self.size = len(table)
        self.columns = {name: _numbers(table, name) for name in table.column_names}
        self.documents = self.columns["document_id"]
        self._table = table
        self._searcher = index.searcher()
        self._cache: OrderedDict[TextQuery, Rows] = OrderedDict()
        self._cached = 0
        self._lock = Lock()
        self.frequency = lru_cache(maxsize=4096)(self._count)

    @cached_property
    def members(self) -> BitMap:
        """Documents of this folder."""
        return as_bitmap([self.documents])

    def words(self, column: str) -> list[str]:
        """The words that the codes of `kind` or `sex` stand for."""
        chunks = self._table.column(column).chunks
        return list(chunks[0].dictionary.to_pylist()) if chunks else []

    def _count(self, field: str, term: str) -> tuple[int, int]:
        return self._searcher.doc_freq(field, term), self.size

    def matching(self, query: TextQuery) -> Rows:
        """Rows that match, in order; kept for the next time, most recently used first."""
        with self._lock:
            if query in self._cache:
                self._cache.move_to_end(query)
                return self._cache[query]
        rows = np.sort(self._all_rows(Matcher(self.schema, self.frequency, self.frequency).query(query)))
        with self._lock:
            if query not in self._cache:
                self._cache[query] = rows
                self._cached += len(rows)
            while self._cached > _CACHED_ROWS and len(self._cache) > 1:
                self._cached -= len(self._cache.popitem(last=False)[1])
        return rows

    def _all_rows(self, query: Query) -> Rows:
        if not self.size:
            return np.empty(0, np.int64)
        flat = Query.const_score_query(query, 1.0)
        return self._rows(self._searcher.search(flat, limit=self.size, count=False).hits)

    def _rows(self, hits: list[tuple[float, Any]]) -> Rows:
        addresses = [address for _, address in hits]
        return np.array(self._searcher.fast_field_values("row", addresses), np.int64)

    def ranked(self, query: Query, limit: int) -> tuple[Rows, npt.NDArray[np.float64]]:
        """The best `limit` rows with their scores, best first, equal scores by row."""
        hits = self._searcher.search(query, limit=limit, count=False).hits
        return self._rows(hits), np.array([score for score, _ in hits], np.float64)

    def hits(self, rows: Rows, scores: npt.NDArray[np.float64]) -> list[Hit]:
        """Rows with their ids."""
        patients = self.columns["patient_id"][rows].tolist()
        return [Hit(*hit) for hit in zip(self.documents[rows].tolist(), patients, scores.tolist(), strict=True)]

    def near(self, word: str) -> dict[str, int]:
        """Words one slip from `word`, and those two slips away that begin with the same three letters."""
        found = {w: n for w in one_slip(word) if (n := self._searcher.doc_freq("text_word", w))}
        for candidate, count in self._searcher.terms_with_prefix("text_word", word[:3]) if len(word) > 5 else ():
            if abs(len(candidate) - len(word)) <= 2 and candidate not in found and slips(word, candidate) <= 2:
                found[candidate] = count
        return found


def open_folder(directory: Path) -> Folder:
    """The sealed index of `directory`; opened once. StoreError when it is missing or damaged."""
    try:
        stamp = (directory / COLUMNS_FILE).stat()
    except OSError:
        raise StoreError("A text index is missing.", where=str(directory),
                         hint="estran compact rebuilds it from the stored texts") from None  # fmt: skip
    return _opened(directory, stamp.st_ino, stamp.st_mtime_ns)


@lru_cache(maxsize=128)
def _opened(directory: Path, inode: int, modified: int) -> Folder:
    return Folder(directory)


def _numbers(table: pa.Table, name: str) -> npt.NDArray[Any]:
    chunks = table.column(name).chunks
    if not chunks:
        return np.empty(0, np.int64)
    chunk = chunks[0].indices if pa.types.is_dictionary(chunks[0].type) else chunks[0]
    return np.asarray(chunk.to_numpy())


def as_bitmap(parts: Iterable[npt.NDArray[Any]]) -> BitMap:
    found = BitMap()
    for part in parts:
        found |= BitMap(part[part >= 0].astype(np.uint32))
    return found


def as_array(bitmap: BitMap) -> npt.NDArray[np.int64]:
    return np.fromiter(bitmap, np.int64, len(bitmap))
