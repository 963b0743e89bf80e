"""What one commit changes, and how its rows find their bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from estran.model.errors import StoreError
from estran.model.tables import BUCKETED, TABLES
from estran.warehouse.encoding import conform
from estran.warehouse.record import WHOLE_BUCKET

KEYS: dict[str, tuple[str, ...]] = {
    "patient": ("patient_id",),
    "stay": ("stay_id",),
    "movement": ("movement_id",),
    "unit": ("unit_id",),
    "concept": ("concept_id",),
    "load": ("load_id", "file_no", "part"),
    "quarantine": ("file_no", "record_no", "part", "source"),
}
REMOVABLE = frozenset(
    {*KEYS, "relation", "permission", "stay_event", "stay_link", "concept_ancestor", "concept_map", "concept_synonym"}
)
Ints = npt.NDArray[np.int64]


@dataclass
class Changes:
    """One commit. Row sets are Arrow tables with the columns of `estran.model.tables`.

    `append` adds rows; `upsert` replaces the rows of the same key (see `KEYS`); `remove` takes
    away the rows that equal the given key columns; `retire` lists (document_id, patient_id) pairs
    of superseded documents, as an n by 2 array or a table; `counters` are next free numbers.
    Rows of `stay_event` and `stay_link` carry a `patient_id` beside their columns, for the bucket.
    """

    append: dict[str, pa.Table] = field(default_factory=dict)
    upsert: dict[str, pa.Table] = field(default_factory=dict)
    remove: dict[str, pa.Table] = field(default_factory=dict)
    retire: Ints | pa.Table | None = None
    counters: dict[str, int] = field(default_factory=dict)

    def validate(self) -> None:
        """StoreError when a table or key is unknown, or cannot be changed in that way."""
        for name in [*self.append, *self.upsert, *self.remove]:
            if name not in TABLES or name == "fact_by_concept":
                raise StoreError(f"'{name}' is not a table that can be changed.")
        for name in self.upsert:
            if name not in KEYS:
                raise StoreError(f"Rows of table '{name}' have no key to be replaced by.")
        for name, keys in self.remove.items():
            if name not in REMOVABLE or not set(keys.column_names) <= set(TABLES[name].names):
                raise StoreError(f"Rows of table '{name}' cannot be removed by these columns.")

    def retired(self) -> tuple[Ints, Ints]:
        """Document ids and patient ids of the documents to retire."""
        if self.retire is None or len(self.retire) == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        if isinstance(self.retire, pa.Table):
            columns = (self.retire.column(name) for name in ("document_id", "patient_id"))
            documents, patients = (np.asarray(c.to_numpy(), np.int64) for c in columns)
            return documents, patients
        pairs = np.asarray(self.retire, np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]


def split(table: str, rows: pa.Table, bucket_patients: int) -> Iterator[tuple[int, pa.Table]]:
    """Conforming rows by bucket; whole tables in one piece. Empty pieces are left out."""
    if len(rows) == 0:
        return
    if table not in BUCKETED:
        yield WHOLE_BUCKET, conform(table, rows)
        return
    if "patient_id" not in rows.column_names or rows.column("patient_id").null_count:
        raise StoreError(f"Rows for table '{table}' lack the patient_id that tells their bucket.")
    buckets = rows.column("patient_id").to_numpy() // bucket_patients
    rows = conform(table, rows)
    found = np.unique(buckets)
    if (buckets[1:] >= buckets[:-1]).all():
        edges = [*np.searchsorted(buckets, found).tolist(), len(buckets)]
        for bucket, (start, stop) in zip(found, pairwise(edges), strict=True):
            yield int(bucket), rows.slice(start, stop - start)
        return
    for bucket in found:
        yield int(bucket), rows.filter(pa.array(buckets == bucket))
