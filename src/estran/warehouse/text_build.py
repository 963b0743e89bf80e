"""Building one immutable text index: a folder that is written once, sealed, and then only read.

A folder holds a tantivy index (stems with positions, folded words for prefixes, the same for the
title, the kind; no text is stored) and `columns.arrow`, one row per document in the order given:
what the reader filters and counts with, mapped into memory. The row number is the only fast field.
An index never changes: a load writes a new folder, compaction writes one folder from the texts
that are left (`TextIndexBuilder.add` with `drop`), the snapshot says which folders count.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tantivy
from pyroaring import BitMap

from estran.model.errors import StoreError
from estran.text.analysis import ANALYSIS_VERSION, index_terms
from estran.warehouse.files import flush

COLUMNS_FILE: Final = "columns.arrow"
COLUMNS: Final = pa.schema(
    [
        pa.field("document_id", pa.int32(), nullable=False),
        pa.field("patient_id", pa.int32(), nullable=False),
        pa.field("stay_id", pa.int32(), nullable=False),  # -1: none
        pa.field("unit_id", pa.int32(), nullable=False),  # -1: none
        pa.field("year", pa.int16(), nullable=False),  # of the document; 0: not known
        pa.field("birth_year", pa.int16(), nullable=False),  # 0: not known
        pa.field("kind", pa.string(), nullable=False),
        pa.field("sex", pa.string(), nullable=False),
    ],
    metadata={"analysis": str(ANALYSIS_VERSION)},
)
_MISSING: Final[dict[str, Any]] = {"stay_id": -1, "unit_id": -1, "year": 0, "birth_year": 0, "kind": "other",
                                   "sex": "unknown"}  # fmt: skip
_YEAR_OF: Final = {"year": "start_date", "birth_year": "birth_month"}
_HEAP = 400_000_000
_LARGEST_BATCH = 20_000


@dataclass(frozen=True)
class TextIndexInfo:
    """What a sealed folder holds: documents, and bytes on disk."""

    documents: int
    size: int


def make_schema() -> tantivy.Schema:
    """The fields of every text index."""
    builder = tantivy.SchemaBuilder()
    for name in ("text", "title"):
        builder.add_text_field(name, tokenizer_name="whitespace")
        builder.add_text_field(f"{name}_word", tokenizer_name="whitespace", index_option="basic")
    builder.add_text_field("kind", tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field("row", fast=True)
    return builder.build()


class TextIndexBuilder:
    """Builds the index folder `directory`; what an interrupted build left there is replaced.

    Use as a context manager: `add` tables, and the folder is sealed at the end of the block (or by
    `seal`, which tells its size); an exception leaves nothing behind. `heap` is in bytes: more means
    fewer segments. Raises StoreError when the folder is something else than a text index.
    """

    def __init__(self, directory: Path, *, heap: int = _HEAP) -> None:
        self._directory = directory
        _make_room(directory)
        self._schema = make_schema()
        index = tantivy.Index(self._schema, str(directory), reuse=False)
        self._writer = index.writer(heap, 1)
        self._columns: list[pa.RecordBatch] = []
        self._rows = 0
        self._info: TextIndexInfo | None = None

    def __enter__(self) -> TextIndexBuilder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.seal()
        elif self._info is None:
            del self._writer
            shutil.rmtree(self._directory, ignore_errors=True)

    def add(self, table: pa.Table, drop: BitMap | None = None) -> None:
        """Index the documents of `table`, but those of `drop`.

        Columns: document_id, patient_id and text; kind, title, unit_id, stay_id, sex, year (or
        start_date) and birth_year (or birth_month) may be null or absent.
        """
        if drop:
            dropped = pa.array(np.fromiter(drop, np.int64, len(drop)), pa.int64())
            table = table.filter(pc.invert(pc.is_in(table.column("document_id").cast(pa.int64()), dropped)))
        for batch in table.to_batches(max_chunksize=_LARGEST_BATCH):
            self._add(pa.table(batch))

    def _add(self, table: pa.Table) -> None:
        columns = _columns(table)
        self._columns += columns.to_batches()
        kinds = columns.column("kind").to_pylist()
        titles = _column(table, "title", pa.string()).to_pylist()
        texts = table.column("text").to_pylist()
        for row, (text, title, kind) in enumerate(zip(texts, titles, kinds, strict=True), self._rows):
            stems, words = index_terms(text or "")
            values = {"text": stems, "text_word": words, "kind": kind, "row": row}
            if title:
                values["title"], values["title_word"] = _title_terms(title)
            self._writer.add_document(tantivy.Document.from_dict(values, self._schema))
        self._rows += len(texts)

    def seal(self) -> TextIndexInfo:
        """Make the folder durable and complete: nothing may be added after."""
        if self._info is None:
            self._writer.commit()
            self._writer.wait_merging_threads()
            del self._writer
            self._write_columns()
            _make_durable(self._directory)
            self._info = TextIndexInfo(self._rows, sum(p.stat().st_size for p in self._directory.iterdir()))
        return self._info

    def _write_columns(self) -> None:
        table = pa.Table.from_batches(self._columns, COLUMNS).combine_chunks()
        with (
            pa.OSFile(str(self._directory / COLUMNS_FILE), "wb") as sink,
            pa.ipc.new_file(sink, _encoded(table).schema) as out,
        ):
            out.write_table(_encoded(table))


_title_terms = lru_cache(maxsize=10_000)(index_terms)  # titles repeat


def build_index(directory: Path, table: pa.Table) -> TextIndexInfo:
    """One text index of `table` (see `TextIndexBuilder.add`), sealed."""
    with TextIndexBuilder(directory) as builder:
        builder.add(table)
        return builder.seal()


def _encoded(table: pa.Table) -> pa.Table:
    """Kind and sex as one-byte codes with their words beside."""
    for name in ("kind", "sex"):
        coded = pc.dictionary_encode(table.column(name)).cast(pa.dictionary(pa.int8(), pa.string())).combine_chunks()
        table = table.set_column(table.schema.get_field_index(name), name, coded)
    return table.replace_schema_metadata(COLUMNS.metadata)


def _columns(table: pa.Table) -> pa.Table:
    found = []
    for field in COLUMNS:
        column = _column(table, field.name, field.type)
        found.append(pc.fill_null(column, _MISSING[field.name]) if field.name in _MISSING else column)
    return pa.Table.from_arrays(found, schema=COLUMNS)


def _column(table: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    if name in table.column_names:
        return table.column(name).cast(kind)
    source = _YEAR_OF.get(name)
    if source in table.column_names:
        return pc.year(table.column(source)).cast(kind)
    return pa.chunked_array([pa.nulls(len(table), kind)])


def _make_room(directory: Path) -> None:
    if directory.exists():
        known = (directory / "meta.json").exists() or not any(directory.iterdir())
        if not known:
            raise StoreError("The folder of a new text index holds something else.", where=str(directory))
        shutil.rmtree(directory)
    directory.mkdir(parents=True)


def _make_durable(directory: Path) -> None:
    for lock in directory.glob("*.lock"):
        lock.unlink()
    for path in [*directory.iterdir(), directory, directory.parent]:
        flush(path)
