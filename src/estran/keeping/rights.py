"""What the process that holds the key does for the rights of patients: finds persons, carries wishes out, catches up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from estran.model.errors import EstranError, UsageError
from estran.projects.audit import permit
from estran.projects.opposition import carry_out, declare
from estran.projects.policy import Action, Target
from estran.projects.rights import catch_up, standing
from estran.projects.rights_desk import KINDS, actor_of
from estran.state import Job, StateDatabase, Wish
from estran.warehouse import Warehouse

if TYPE_CHECKING:
    from estran.identity.vault import Vault

_TELL_EVERY = 3600.0  # seconds between two alarms about the same delay


def find_person(state: StateDatabase, vault: Vault, system: str, job: Job) -> str:
    """Look for the person of a request; `system` is the site's own authority, when the request names none."""
    number = int(job.argument)
    permit(state, actor_of(state, job.asked_by), Action.FIND_PERSON, Target(f"request:{number}"))
    wanted = state.requests.wanted(number)
    if wanted is None:
        raise UsageError("Nobody is looked for in this request.")
    identity = int(vault.resolve([(wanted[0] or system, wanted[1])])[0])
    patient = int(vault.patient_of([identity])[0]) if identity >= 0 else None
    state.requests.answered(number, patient)
    return "found" if patient is not None else "not found"


def carry_wish_out(state: StateDatabase, warehouse: Warehouse, vault: Vault, job: Job) -> str:
    """Have the warehouse obey a request, and close it with the number of the act."""
    found = state.requests.one(int(job.argument))
    kind = KINDS[found.kind] if found else None
    if found is None or kind is None or found.patient_id is None or found.closed is not None:
        raise UsageError("Only a wish of somebody who was found can be carried out.")
    patient = int(vault.patient_of([found.patient_id])[0])  # a merge may have come in between
    wish = Wish(
        patient, found.scope, kind[0], warehouse.snapshot().today(), kind[1], found.asked_by, found.channel,
        found.proof_date, found.proof, found.id,
    )  # fmt: skip
    done = declare(state, warehouse, actor_of(state, job.asked_by), wish)
    state.requests.close(found.id, job.asked_by, f"carried out: {done.number}")
    return f"carried out: {done.number}"


class RightsKeeper:
    """Looked at often: registers what sources said, finishes what was interrupted, tells what is late."""

    def __init__(self, state: StateDatabase, warehouse: Warehouse) -> None:
        self._state, self._warehouse = state, warehouse
        self._seen, self._next_told = -1, 0.0

    def look(self) -> list[str]:
        """Do what is due; a sentence for each thing done, late or gone wrong, which is tried again."""
        try:
            return self._do() + self._late()
        except EstranError as error:
            return [f"rights: {error.what} {error.where}".strip()]

    def _do(self) -> list[str]:
        told = []
        for act in self._state.rights.acts(waiting=True):
            if act.kind != "erasure":  # an erasure cut short is run again by whoever asked for it
                carry_out(self._state, self._warehouse, act)
                told.append(f"rights: {act.number} carried out")
        snapshot = self._warehouse.snapshot()
        if snapshot.version != self._seen:
            made = catch_up(self._state, snapshot)
            self._seen = snapshot.version
            told += [f"rights: {made} wishes registered that sources told"] if made else []
        return told

    def _late(self) -> list[str]:
        if time.monotonic() < self._next_told:
            return []
        self._next_told = time.monotonic() + _TELL_EVERY
        now = standing(self._state)
        late = [f"rights: {holder.recipient.name} is late with {holder.late} wishes" for holder in now.holders if holder.late]
        return late + ([f"rights: {now.late_requests} requests are past their legal month"] if now.late_requests else [])
