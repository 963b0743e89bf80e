"""Where the tables meet the text indexes: what is indexed of a text, and where the folders lie.

The `text` table is the source; an index folder can always be built again from it.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap

from estran.model.errors import StoreError
from estran.model.tables import TEXT
from estran.warehouse.draft import Draft
from estran.warehouse.files import FileRef
from estran.warehouse.presence import members
from estran.warehouse.scratch import scratch
from estran.warehouse.text_build import TextIndexBuilder
from estran.warehouse.text_folder import open_folder

_TIER = 8  # so many folders of about the same size become one
_SETTLED_DOCUMENTS = 2_000  # folders this large wait for `compact`
_BATCH_ROWS = 20_000

_INDEXED = """
    SELECT t.document_id, t.patient_id, t.text, d.kind, d.title, d.start_date, d.unit_id, d.stay_id, p.sex, p.birth_month
    FROM texts t LEFT JOIN documents d ON t.document_id = d.document_id
    LEFT JOIN patients p ON t.patient_id = p.patient_id"""


def add_index(draft: Draft, bucket: int, rows: pa.Table, documents: pa.Table | None) -> None:
    """Index the texts of one commit as a new folder; `documents` are those it appends."""
    covered = documents is not None and np.isin(_ids(rows), _ids(documents)).all()
    _build(draft, bucket, [rows], documents if covered else None)
    _settle(draft, bucket)


def merge(draft: Draft, bucket: int, dropped: BitMap) -> None:
    """One folder per bucket without the `dropped` documents, built from the `text` table as it stands.

    A bucket that has one sound folder and none of the dropped documents is left alone.
    """
    folders = draft.text.get(bucket, [])
    if len(folders) > 1 or not all(_holds_none(draft, ref, dropped) for ref in folders):
        draft.text[bucket] = []
        _build(draft, bucket, _stored(draft, bucket, None, dropped), None)


def _settle(draft: Draft, bucket: int) -> None:
    """Make one folder of many small ones, so that a search opens few."""
    tiers: dict[int, list[FileRef]] = {}
    for ref in draft.text.get(bucket, []):
        if ref.rows < _SETTLED_DOCUMENTS:
            tiers.setdefault(int(math.log(max(ref.rows, 64), _TIER)), []).append(ref)
    for refs in tiers.values():
        if len(refs) >= _TIER:
            chosen = BitMap.union(*(_documents(draft, ref) for ref in refs))
            draft.text[bucket] = [ref for ref in draft.text[bucket] if ref not in refs]
            _build(draft, bucket, _stored(draft, bucket, chosen, BitMap()), None)


def _holds_none(draft: Draft, ref: FileRef, dropped: BitMap) -> bool:
    try:
        return not _documents(draft, ref) & dropped
    except StoreError:  # damaged, or made with older rules of analysis: to be built again
        return False


def _ids(rows: pa.Table) -> npt.NDArray[np.int64]:
    ids: npt.NDArray[np.int64] = rows.column("document_id").to_numpy()
    return ids


def _documents(draft: Draft, ref: FileRef) -> BitMap:
    return open_folder(draft.directory / ref.path).members


def _stored(draft: Draft, bucket: int, chosen: BitMap | None, dropped: BitMap) -> Iterator[pa.Table]:
    """Texts of a bucket in batches, without the dropped documents, of the chosen ones only if given."""
    for path in draft.paths("text", bucket):
        for batch in pq.ParquetFile(path).iter_batches(_BATCH_ROWS, columns=TEXT.names):
            rows = pa.table(batch).cast(TEXT)
            ids = _ids(rows)
            keep = ~np.isin(ids, members(dropped))
            if chosen is not None:
                keep &= np.isin(ids, members(chosen))
            if keep.any():
                yield rows.filter(pa.array(keep))


def _build(draft: Draft, bucket: int, texts: Iterable[pa.Table], documents: pa.Table | None) -> None:
    folder = draft.place(f"text/{bucket}", "")
    with scratch() as connection, TextIndexBuilder(folder) as builder:
        connection.register("patients", draft.read("patient", bucket, ["patient_id", "sex", "birth_month"]))
        columns = ["document_id", "kind", "title", "start_date", "unit_id", "stay_id"]
        connection.register("documents", _described(draft, bucket, documents, columns))
        for rows in texts:
            connection.register("texts", rows)
            builder.add(connection.sql(_INDEXED).to_arrow_table())
        info = builder.seal()
    if info.documents == 0:
        shutil.rmtree(folder)
        return
    draft.text.setdefault(bucket, []).append(FileRef(draft.relative(folder), info.size, info.documents))


def _described(draft: Draft, bucket: int, documents: pa.Table | None, columns: list[str]) -> pa.Table:
    return documents.select(columns) if documents is not None else draft.read("document", bucket, columns)


def folder_size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
