"""Who holds data of the site, and what they still owe its patients.

A datamart or a hub registers as a recipient. Each act of a patient that concerns it makes one tombstone, to be
acknowledged within the hour by a datamart, within a day by a hub; later than that is an alarm. What a source says of
oppositions is taken into the register too (`catch_up`), and told on in the same way.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from pyroaring import BitMap

from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER, Actor
from estran.projects.audit import permit, record
from estran.projects.policy import Action, Decision, Target
from estran.state import Act, Recipient, StateDatabase, Tombstone, Wish
from estran.state.transactions import now
from estran.warehouse import Snapshot

HOURS = {"datamart": 1, "hub": 24}  # to obey, by kind of recipient
_ALL = ("warehouse", "research")  # opposition to these concerns whoever holds a copy


def register(
    state: StateDatabase, name: str, kind: str, purposes: Iterable[str], snapshot: int, actor: Actor = KEY_HOLDER
) -> Recipient:
    """Enter a recipient that holds data of this snapshot for these scopes (research, project:12, industry, texts …).

    What patients asked since the snapshot is due at once. Registering again says that it was refreshed.
    UsageError when the name or the kind does not fit.
    """
    permit(state, actor, Action.RIGHTS, Target(f"recipient:{name[:120]}"))
    if kind not in HOURS or not 1 <= len(name) <= 120:
        raise UsageError("A recipient is a datamart or a hub, with a name of 1 to 120 characters.")
    found = state.rights.register(name, kind, frozenset(purposes), snapshot)
    for act in state.rights.since(snapshot):
        _bury(state, act, found)
    return found


def end(state: StateDatabase, name: str, actor: Actor = KEY_HOLDER) -> None:
    """A recipient destroyed what it held; UsageError when there is none of this name."""
    permit(state, actor, Action.RIGHTS, Target(f"end of recipient:{name[:120]}"))
    if not state.rights.end(name):
        raise UsageError("There is no recipient of this name.")


def due(state: StateDatabase, recipient: str) -> tuple[Tombstone, ...]:
    """What a recipient has to do, the most urgent first."""
    return tuple(state.rights.tombstones(recipient))


def acknowledge(
    state: StateDatabase, recipient: str, numbers: Iterable[int], outcome: str = "", actor: Actor = KEY_HOLDER
) -> int:
    """A recipient did what these tombstones say, with what came of it (rows removed, not held); how many were waiting."""
    numbers = tuple(numbers)
    permit(state, actor, Action.RIGHTS, Target(f"acknowledged by {recipient[:120]}: {len(numbers)} tombstones"))
    return state.rights.acknowledge(recipient, numbers, outcome)


def excluded(snapshot: Snapshot, purposes: Iterable[str]) -> BitMap:
    """Patients whom a copy for these scopes must not hold: opposed to all use, or to one of the scopes."""
    return snapshot.opposed() | snapshot.refused(list(purposes))


def concerns(act: Act, holder: Recipient) -> bool:
    """Whether a recipient has to do anything about an act."""
    if act.kind == "erasure" or act.scope in _ALL:
        return True
    return (act.scope == "hub" and holder.kind == "hub") or act.scope in holder.purposes


def propagate(state: StateDatabase, act: Act) -> int:
    """A tombstone for each recipient that an act concerns; how many recipients that is."""
    told = [holder for holder in state.rights.recipients() if concerns(act, holder)]
    for holder in told:
        _bury(state, act, holder)
    return len(told)


def _bury(state: StateDatabase, act: Act, holder: Recipient) -> None:
    what = _what(state, act, holder)
    if what and concerns(act, holder):
        state.rights.bury(act.id, holder.id, what, act.at + dt.timedelta(hours=HOURS[holder.kind]))


def _what(state: StateDatabase, act: Act, holder: Recipient) -> str:
    """hide, restore or erase; "" when nothing is to be done: a consent opens nothing in a copy until its refresh, and
    who opposed in another way too stays hidden."""
    if act.kind == "erasure":
        return "erase"
    if act.kind == "consent":
        return "hide" if act.ends else ""
    if not act.ends:
        return "hide"
    last = {(one.scope, one.kind): one for one in state.rights.acts([act.patient_id])}
    others = [one for one in last.values() if one.id != act.id and one.kind != "consent" and not one.ends]
    return "" if any(concerns(one, holder) for one in others) else "restore"


# What a source said


def catch_up(state: StateDatabase, snapshot: Snapshot) -> int:
    """Register what the warehouse obeys and the register does not know: oppositions, consents and erasures that came
    with the feeds or with a merge, and their ends; how many acts that made."""
    held, known = _held(snapshot), state.rights.standing()
    begun = [Wish(*key, snapshot.date, False, "source", "feed") for key in sorted(held - known)]
    over = [Wish(*key, snapshot.date, True, "source", "feed") for key in sorted(known - held) if key[2] != "erasure"]
    for wish in [*begun, *over]:
        decision = Decision(True, "A source said so.")
        target = f"{'end of ' if wish.ends else ''}{wish.kind}:{wish.scope}"
        record(state, KEY_HOLDER, Action.RIGHTS, decision, target=target, patients=(wish.patient_id,))
        act = state.rights.declare(wish, KEY_HOLDER.login)
        state.rights.applied(act.id, snapshot.version)
        propagate(state, act)
    return len(begun) + len(over)


def _held(snapshot: Snapshot) -> set[tuple[int, str, str]]:
    """(patient, scope, kind) in force; an erasure is for ever."""
    with snapshot.connect() as connection:
        rows = connection.execute(
            "select distinct patient_id, scope, kind from raw_permission "
            "where kind = 'erasure' or (from_date <= ? and (to_date is null or to_date >= ?))",
            [snapshot.date, snapshot.date],
        ).fetchall()
    return {(int(row[0]), str(row[1]), str(row[2])) for row in rows}


# What is late


@dataclass(frozen=True)
class HolderState:
    """One recipient: tombstones waiting, those past their hour, the nearest deadline, the last acknowledgement."""

    recipient: Recipient
    waiting: int
    late: int
    next: dt.datetime | None
    last: dt.datetime | None


@dataclass(frozen=True)
class Standing:
    """Where the site stands. `unapplied` are acts that the warehouse itself does not obey yet."""

    holders: tuple[HolderState, ...]
    unapplied: tuple[Act, ...]
    open_requests: int
    late_requests: int

    @property
    def alarms(self) -> int:
        """Everything that is past its time."""
        return sum(holder.late for holder in self.holders) + len(self.unapplied) + self.late_requests


def standing(state: StateDatabase, actor: Actor = KEY_HOLDER) -> Standing:
    """Who still has to obey what, and which requests wait for an answer."""
    permit(state, actor, Action.RIGHTS, Target("status"))
    moment, requests = now(), state.requests.open()
    holders = tuple(_holder(state, holder, moment) for holder in state.rights.recipients())
    unapplied = tuple(state.rights.acts(waiting=True))
    return Standing(holders, unapplied, len(requests), sum(request.late for request in requests))


def _holder(state: StateDatabase, holder: Recipient, moment: dt.datetime) -> HolderState:
    every = state.rights.tombstones(holder.name, owed=False)
    owed = [one for one in every if one.acknowledged is None]
    done = [one.acknowledged for one in every if one.acknowledged is not None]
    return HolderState(
        holder, len(owed), sum(one.deadline < moment for one in owed), owed[0].deadline if owed else None, max(done, default=None)
    )
