"""What a datamart owes to patients: it is a recipient of its own from the day it is built until its files are gone.

A wish that concerns somebody in it has it replaced by a build without them; every wish is acknowledged with what came
of it, within the hour (`projects.rights`).
"""

from __future__ import annotations

import orjson
from pyroaring import BitMap

from estran.projects import rights
from estran.projects.actors import Role
from estran.projects.datamarts.reading import read_spec
from estran.projects.life.formality import Kind
from estran.projects.life.machine import Stage
from estran.projects.life.opening import project_of
from estran.state import StateDatabase, Tombstone
from estran.state.datamarts import DatamartRow, MartState
from estran.warehouse import Snapshot

_ALWAYS = frozenset({"research", "genetic"})


def name_of(row: DatamartRow) -> str:
    """The recipient that a build is in the register of rights."""
    return f"datamart {row.id} {row.project}/{row.name}"


def uses(state: StateDatabase, project: str, recipient: str) -> frozenset[str]:
    """The uses that a datamart serves: whoever is opposed to one of them is left out of it."""
    found = {"research", f"project:{project}"}
    account = state.accounts.find(recipient)
    if account is not None and account.role == Role.INDUSTRIAL_PARTNER:
        found.add("industry")
    life = project_of(state, project)
    if life is not None and life.kind is Kind.TEACHING:
        found.add("teaching")
    if life is not None and life.request.partner:
        found.add("industry")
    return frozenset(found)


def excluded(state: StateDatabase, newest: Snapshot, project: str, recipient: str) -> BitMap:
    """Whom no datamart of this project may hold today."""
    return rights.excluded(newest, uses(state, project, recipient))


def enrol(state: StateDatabase, row: DatamartRow, obeys: int) -> None:
    """Register a build that leaves out whoever was opposed in snapshot `obeys`; again does no harm."""
    rights.register(state, name_of(row), "datamart", scopes(state, row), obeys)


def scopes(state: StateDatabase, row: DatamartRow) -> frozenset[str]:
    """The scopes of a wish that concern who holds a build, or a copy of it."""
    texts = {"texts"} if read_spec(orjson.loads(row.spec)).texts else set()
    return _ALWAYS | uses(state, row.project, row.recipient) | texts


def enrolled(state: StateDatabase) -> set[str]:
    """Names of those that are registered."""
    return {one.name for one in state.rights.recipients()}


def owed(state: StateDatabase) -> dict[str, list[Tombstone]]:
    """What each recipient owes of the wishes that the warehouse itself obeys."""
    waiting = {act.number for act in state.rights.acts(waiting=True)}
    found: dict[str, list[Tombstone]] = {}
    for one in state.rights.tombstones():
        if one.number not in waiting:
            found.setdefault(one.recipient, []).append(one)
    return found


def concerns(row: DatamartRow, tombstones: list[Tombstone]) -> bool:
    """Whether somebody in a build is to be taken out; who may come back comes back with the next refresh."""
    held = BitMap.deserialize(row.members) if row.members else BitMap()
    return any(one.patient_id in held for one in tombstones if one.what != "restore")


def owes(state: StateDatabase) -> bool:
    """Whether a datamart of this site owes anything."""
    found = owed(state)
    return bool(found) and any(name_of(row) in found for row in state.datamarts.all() if row.state == MartState.LIVE)


def owed_by(state: StateDatabase, row: DatamartRow) -> list[int]:
    """Numbers of the tombstones that a build owes now: taken before it is judged, so that no later one is among them."""
    return [one.id for one in owed(state).get(name_of(row), [])]


def acknowledge(state: StateDatabase, row: DatamartRow, numbers: list[int], outcome: str) -> None:
    """The build obeyed these tombstones."""
    if numbers:
        rights.acknowledge(state, name_of(row), numbers, outcome)


def end(state: StateDatabase, row: DatamartRow) -> None:
    """Its files are gone: it holds nothing any more."""
    if name_of(row) in enrolled(state):
        rights.end(state, name_of(row))


def over(state: StateDatabase, project: str) -> bool:
    """Whether a project of the house is being closed, or is closed: nothing is kept for it."""
    life = project_of(state, project)
    return life is not None and life.stage in (Stage.CLOSING, Stage.CLOSED)
