"""Opposition and erasure: what a patient may ask of the warehouse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from estran.model.errors import UsageError
from estran.model.tables import PERMISSION
from estran.warehouse import Changes, Warehouse

if TYPE_CHECKING:
    from estran.identity.vault import Vault

SCOPES = ("warehouse", "research")


def oppose(warehouse: Warehouse, patient_id: int, scope: str, day: dt.date, *, end: bool = False) -> int:
    """Record an opposition from `day` on (or its end): effective with the snapshot returned."""
    if scope not in SCOPES:
        raise UsageError(f"There is no opposition of scope '{scope}'.", hint=f"use {' or '.join(SCOPES)}")
    with warehouse.writer() as writer:
        with writer.snapshot.connect() as connection:
            _require(connection, patient_id)
            held = (
                connection.sql(
                    "select * from raw_permission where patient_id = ? and scope = ? and kind = 'opposition'",
                    params=[patient_id, scope],
                )
                .to_arrow_table()
                .cast(PERMISSION)
            )
        changes = Changes()
        if held.num_rows:
            changes.remove["permission"] = held
        rows = _ended(held, day) if end else [_row(patient_id, scope, day)]
        changes.append["permission"] = pa.Table.from_pylist(rows, PERMISSION)
        return writer.commit(changes).version


def erase(warehouse: Warehouse, vault: Vault, forget_file: Callable[[str], None], patient_id: int) -> int:
    """Erase a patient from the warehouse, the vault and the landing; returns the snapshot's version.

    Landed files that hold one of the patient's records are removed whole: what the warehouse loaded
    from them for others stays, but it can no longer be read again from there.
    """
    patient_id = int(vault.patient_of([patient_id])[0])
    if not vault.known([patient_id])[patient_id].numbers:
        with warehouse.snapshot().connect() as connection:
            _require(connection, patient_id)
    # The vault goes last: until then a rerun of an erasure cut short finds what is left to do.
    identities = vault.identities_of(patient_id)
    for number in vault.upkeep.files_of(identities):
        forget_file(vault.file(number).sha256)
    warehouse.erase([patient_id], identities)
    vault.erase(patient_id)
    return warehouse.latest()


def _row(patient_id: int, scope: str, day: dt.date) -> dict[str, object]:
    return {
        "patient_id": patient_id,
        "scope": scope,
        "kind": "opposition",
        "from_date": day,
        "to_date": None,
        "given_by": "patient",
        "proof": None,
    }


def _ended(held: pa.Table, day: dt.date) -> list[dict[str, object]]:
    """The same oppositions, over since the day before."""
    return [row | {"to_date": day - dt.timedelta(days=1)} for row in held.to_pylist()]


def _require(connection: duckdb.DuckDBPyConnection, patient_id: int) -> None:
    if not connection.execute("select 1 from raw_patient where patient_id = ?", [patient_id]).fetchall():
        raise UsageError("There is no such patient.", hint="use the patient_id of the warehouse")
