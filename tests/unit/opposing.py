"""A patient who objects, as the warehouse keeps it."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa

from estran.model.tables import PERMISSION
from estran.warehouse import Changes, Warehouse


def oppose(warehouse: Warehouse, patient: int, scope: str, day: dt.date) -> int:
    """The version of the snapshot from which on the patient is left out of this scope."""
    row = {"patient_id": patient, "scope": scope, "kind": "opposition", "from_date": day}
    with warehouse.writer() as writer:
        return int(writer.commit(Changes(append={"permission": pa.Table.from_pylist([row], PERMISSION)})).version)
