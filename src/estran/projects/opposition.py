"""Opposition, consent and erasure: what a patient may ask of the warehouse. Recorded, registered, then done.

The register (`state.rights`) keeps every act for ever, in order; the warehouse's table `permission` holds what is in
force, and every read obeys it from the next snapshot on.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from estran.model.errors import UsageError
from estran.model.tables import PERMISSION
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target
from estran.projects.rights import propagate
from estran.state import Act, StateDatabase, Wish
from estran.warehouse import Changes, Warehouse

if TYPE_CHECKING:
    from estran.identity.vault import Vault

# warehouse and research hide the patient from every reader; texts hides the texts alone; teaching and industry hide from
# those; genetic is closed until a consent; hub and project:<id> bind those who hold a copy; recontact is asked of criteria.
SCOPES = ("warehouse", "research", "teaching", "industry", "genetic", "texts", "hub", "recontact")
KINDS = ("opposition", "consent")
ASKERS = ("person", "guardian")
CHANNELS = ("desk", "letter", "mail", "phone", "form")
_PROJECT = re.compile(r"project:[A-Za-z0-9._-]{1,60}")
_LONGEST_PROOF = 120


@dataclass(frozen=True)
class Declared:
    """`number` is the acknowledgement to give back; reads obey from `snapshot` on."""

    number: str
    snapshot: int


def declare(state: StateDatabase, warehouse: Warehouse, actor: Actor, wish: Wish) -> Declared:
    """Register an opposition or a consent, or its end, and have the warehouse obey it.

    UsageError when the scope is unknown or nobody has this number; NotAllowed when the policy says no.
    """
    verb = "end of " if wish.ends else ""
    permit(state, actor, Action.RIGHTS, Target(f"{verb}{wish.kind}:{wish.scope}", patients=(wish.patient_id,)))
    check_wish(wish)
    with warehouse.snapshot().connect() as connection:
        _require(connection, wish.patient_id)
    return carry_out(state, warehouse, state.rights.declare(wish, actor.login))


def carry_out(state: StateDatabase, warehouse: Warehouse, act: Act) -> Declared:
    """Have the warehouse obey a registered act, and tell those who hold copies; again does no harm."""
    snapshot = _write(warehouse, act)
    state.rights.applied(act.id, snapshot)
    propagate(state, act)
    return Declared(act.number, snapshot)


def erase(
    state: StateDatabase, actor: Actor, warehouse: Warehouse, vault: Vault, forget_file: Callable[[str], None], wish: Wish
) -> Declared:
    """Erase a patient from the warehouse, the vault and the landing.

    Landed files that hold one of the patient's records are removed whole: what the warehouse loaded
    from them for others stays, but it can no longer be read again from there.
    """
    patient_id = int(vault.patient_of([wish.patient_id])[0])
    permit(state, actor, Action.RIGHTS, Target("erasure:warehouse", patients=(patient_id,)))
    if not vault.known([patient_id])[patient_id].numbers:
        with warehouse.snapshot().connect() as connection:
            _require(connection, patient_id)
    identities = vault.identities_of(patient_id)
    act = state.rights.declare(wish, actor.login)
    # The vault goes last: until then a rerun of an erasure cut short finds what is left to do.
    for number in vault.upkeep.files_of(identities):
        forget_file(vault.file(number).sha256)
    warehouse.erase([patient_id], identities)
    vault.erase(patient_id)
    snapshot = warehouse.latest()
    state.rights.applied(act.id, snapshot)
    propagate(state, act)
    return Declared(act.number, snapshot)


def check_scope(scope: str) -> None:
    """UsageError when nothing can be asked for this scope."""
    if scope not in SCOPES and not _PROJECT.fullmatch(scope):
        raise UsageError("There is no such scope.", hint=f"use {', '.join(SCOPES)} or project:<code>")


def check_wish(wish: Wish) -> None:
    """UsageError when a wish cannot be registered."""
    check_scope(wish.scope)
    if wish.kind not in KINDS:
        raise UsageError("A wish is an opposition or a consent.")
    if wish.asked_by not in ASKERS or wish.channel not in CHANNELS:
        raise UsageError("Say who asked and by which channel.")
    if len(wish.proof) > _LONGEST_PROOF:
        raise UsageError("The reference of the proof has at most 120 characters.")


def _write(warehouse: Warehouse, act: Act) -> int:
    """The table of permissions as the act wants it; its version."""
    with warehouse.writer() as writer:
        running = _running(writer.snapshot.connect(), act)
        if bool(running.num_rows) is not act.ends:
            return int(writer.snapshot.version)  # nothing to begin, or nothing to end
        changes = Changes()
        if act.ends:
            changes.remove["permission"] = running
        rows = _ended(running, act.from_date) if act.ends else [_row(act)]
        changes.append["permission"] = pa.Table.from_pylist(rows, PERMISSION)
        return writer.commit(changes).version


def _running(connection: duckdb.DuckDBPyConnection, act: Act) -> pa.Table:
    """What is in force of this kind for the patient and scope."""
    with connection:
        found = connection.sql(
            "select * from raw_permission where patient_id = ? and scope = ? and kind = ? and (to_date is null or to_date >= ?)",
            params=[act.patient_id, act.scope, act.kind, act.from_date],
        ).to_arrow_table()
    return found.cast(PERMISSION)


def _row(act: Act) -> dict[str, object]:
    return {
        "patient_id": act.patient_id, "scope": act.scope, "kind": act.kind, "from_date": act.from_date, "to_date": None,
        "given_by": "guardian" if act.asked_by == "guardian" else "patient", "proof": act.number,
    }  # fmt: skip


def _ended(held: pa.Table, day: dt.date) -> list[dict[str, object]]:
    """The same permissions, over since the day before."""
    return [row | {"to_date": day - dt.timedelta(days=1)} for row in held.to_pylist()]


def _require(connection: duckdb.DuckDBPyConnection, patient_id: int) -> None:
    if not connection.execute("select 1 from raw_patient where patient_id = ?", [patient_id]).fetchall():
        raise UsageError("There is no such patient.", hint="use the patient_id of the warehouse")
