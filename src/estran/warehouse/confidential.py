"""What is confidential, and who opens it.

A patient, a stay or a document is flagged by its source. What follows is closed with it: all of a
flagged patient, and the documents of a flagged stay with everything that hangs from them. Genomic documents
are closed without any flag, but for patients who consented to the scope `genetic`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cached_property, lru_cache
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyroaring import BitMap

from estran.model.codes import DocumentKind
from estran.warehouse.encoding import numbers
from estran.warehouse.presence import bitmap, members
from estran.warehouse.record import Record
from estran.warehouse.scratch import scratch
from estran.warehouse.views import source

FLAG = "confidential"


class Scope(StrEnum):
    """What a reader may see: `research` leaves out what is confidential, `care` opens it."""

    RESEARCH = "research"
    CARE = "care"


class Closed:
    """What a snapshot keeps closed. Nothing is looked for before it is asked; do not change the bitmaps.

    `records` are the snapshot's own, then the newest one when that is another: what is confidential
    today is closed in older snapshots too. Without any record nothing is closed. `consenting` gives the patients
    whose genomic documents are open; None opens all of them.
    """

    def __init__(
        self, directory: Path, records: Sequence[Record] = (), consenting: Callable[[], BitMap] | None = None
    ) -> None:
        self._directory = directory
        self._records = records
        self._consenting = consenting

    @cached_property
    def patients(self) -> BitMap:
        """Patients flagged."""
        return self._flagged("patient", "patient_id")

    @cached_property
    def stays(self) -> BitMap:
        """Stays flagged, whatever their status."""
        return self._flagged("stay", "stay_id")

    @cached_property
    def documents(self) -> Mapping[int, BitMap]:
        """Per bucket, documents flagged and documents of (or linked to) a flagged stay. Buckets without any are left
        out. Documents of flagged patients are not listed."""
        if not self._records:
            return {}
        files = self._records[0].tables["document"].files
        found = {bucket: BitMap().union(*(flagged(path, "document_id") for path in self._paths(0, "document", bucket)))
                 for bucket in files}  # fmt: skip
        for bucket in files if self._consenting else ():
            found[bucket] |= self._genomic(bucket)
        for bucket, followers in self._following():
            found[bucket] |= followers
        return {bucket: ids for bucket, ids in found.items() if ids}

    def _genomic(self, bucket: int) -> BitMap:
        """Genomic documents of those who did not consent."""
        closed = BitMap()
        for path in self._paths(0, "document", bucket):
            documents, patients = genomic(path)
            if len(documents) and self._consenting:
                closed |= bitmap(documents[~np.isin(patients, members(self._consenting()))])
        return closed

    @property
    def movement_condition(self) -> str:
        """Which movements of open stays are open, as SQL; "" is all."""
        return ""

    def movements(self, rows: pa.Table) -> pa.Table:
        """Those of the rows that are open, their stays aside: all."""
        return rows

    def _flagged(self, table: str, key: str) -> BitMap:
        paths = [path for place in range(len(self._records)) for path in self._paths(place, table)]
        return BitMap().union(*(flagged(path, key) for path in paths))

    def _paths(self, place: int, table: str, bucket: int | None = None) -> list[str]:
        files = self._records[place].tables[table]
        refs = files.all() if bucket is None else files.files.get(bucket, ())
        return [str(self._directory / ref.path) for ref in refs]

    def _following(self) -> Iterator[tuple[int, BitMap]]:
        """Per bucket, the documents of flagged stays, and older versions of what the newest snapshot closes."""
        with scratch() as connection:
            queries = [*self._of_stays(connection), *self._older_versions(connection)]
            if not queries:
                return
            rows = connection.sql(" UNION ".join(queries)).to_arrow_table()
        buckets, documents = numbers(rows, "bucket"), numbers(rows, "document_id")
        for bucket in np.unique(buckets).tolist():
            yield bucket, bitmap(documents[buckets == bucket])

    def _of_stays(self, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
        if self.stays:
            connection.register("closed_stay", _column("stay_id", self.stays))
            for table in ("document", "stay_link"):
                rows = source(table, self._paths(0, table))
                yield f"SELECT bucket, document_id FROM ({rows}) SEMI JOIN closed_stay USING (stay_id)"

    def _older_versions(self, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
        newest = Closed(self._directory, self._records[1:])
        if newest.documents:
            connection.register("closed_now", _column("document_id", BitMap().union(*newest.documents.values())))
            rows, now = (source("document", self._paths(place, "document")) for place in (0, 1))
            yield f"""SELECT bucket, document_id FROM ({rows}) SEMI JOIN (
                      SELECT identity_id, record_key FROM ({now}) SEMI JOIN closed_now USING (document_id))
                      USING (identity_id, record_key)"""


def _column(name: str, values: BitMap) -> pa.Table:
    return pa.table({name: members(values).astype(np.int32)})


@lru_cache(maxsize=16_384)
def flagged(path: str, key: str) -> BitMap:
    """Keys of a file's flagged rows. Row groups whose statistics say that none is flagged are not read."""
    file = pq.ParquetFile(path, memory_map=True)
    place = file.schema_arrow.names.index(FLAG)
    stats = [file.metadata.row_group(g).column(place).statistics for g in range(file.num_row_groups)]
    groups = [g for g, s in enumerate(stats) if s is None or not s.has_min_max or s.max]
    if not groups:
        return BitMap()
    rows = file.read_row_groups(groups, columns=[key, FLAG])
    return bitmap(rows.filter(rows.column(FLAG)).column(key).to_numpy())


@lru_cache(maxsize=16_384)
def genomic(path: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Documents of a file whose kind is genomics, and their patients. Row groups that cannot hold one are not read."""
    kind = DocumentKind.GENOMICS.value
    file = pq.ParquetFile(path, memory_map=True, read_dictionary=["kind"])
    place = file.schema_arrow.names.index("kind")
    found = [np.empty((0, 2), np.int32)]
    for group in range(file.num_row_groups):
        stats = file.metadata.row_group(group).column(place).statistics
        if stats is None or not stats.has_min_max or stats.min <= kind <= stats.max:
            rows = file.read_row_group(group, columns=["document_id", "patient_id", "kind"])
            rows = rows.filter(pc.equal(rows.column("kind"), kind))
            found.append(np.column_stack([numbers(rows, "document_id"), numbers(rows, "patient_id")]))
    both = np.concatenate(found)
    return both[:, 0], both[:, 1]
