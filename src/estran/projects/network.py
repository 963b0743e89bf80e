"""Answering another organisation's hub: as somebody with an account, whose only right is to have a question counted.

A patient opposed to sharing with other hospitals is not there for any hub. What a hub is shown passes the same gate as
what a person is shown, and may pass a stricter one.
"""

from __future__ import annotations

import dataclasses
import secrets
from dataclasses import dataclass

from pyroaring import BitMap

from estran.cohort.language import json as question_json
from estran.cohort.language.text import parse
from estran.cohort.query import CohortRef, Node, walk
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import Actor, Role
from estran.projects.audit import permit
from estran.projects.desk import ReadingRoom, View
from estran.projects.gate import Shown, gate_of
from estran.projects.policy import Action, Target
from estran.projects.questions import named_patients, names_patients
from estran.state import StateDatabase

REFUSALS = frozenset({"hub"})
_OPENING = ("sexe=F", "âge>=60", "CIM10:I10 SAUF CIM10:E11")
_NO_PASSWORD = "!"  # noqa: S105 (no argon2 hash: nobody signs in with it)


@dataclass(frozen=True)
class NetworkCount:
    """A count for a hub. `patients` is the set that was answered for, which may be one close to the set asked for:
    it stays at the site."""

    shown: Shown
    patients: BitMap
    unknown: tuple[str, ...]
    version: int
    elapsed_ms: float


def hub_actor(state: StateDatabase, network: str) -> Actor:
    """The account under which a network asks, made when it first does; nobody can sign in with it."""
    login = f"hub:{network}"
    account = state.accounts.find(login)
    if account is None:
        account = state.accounts.add(login, f"{_NO_PASSWORD}{secrets.token_hex(8)}", Role.HUB)
        state.accounts.change(account.id, disabled=True)
    return Actor(account.login, Role.HUB, account.id)


class NetworkClerk:
    """Counts for one hub at one site. NotAllowed when the policy, or the quota, says no."""

    def __init__(self, room: ReadingRoom, actor: Actor, *, floor: int, quota: int) -> None:
        settings = room.site.settings
        self._view: View = room.view(REFUSALS)
        self._state, self.actor, self._floor = room.site.state, actor, max(floor, settings.count_floor)
        strict = dataclasses.replace(settings, count_floor=self._floor, count_quota=quota)
        self._gate = gate_of(actor, self._state, strict)

    @property
    def version(self) -> int:
        """The snapshot that is read."""
        return self._view.snapshot.version

    def everybody(self) -> BitMap:
        """All whom this hub may be told of, in counts."""
        return self._view.snapshot.population()

    def warm(self) -> None:
        """Open what the first question about a snapshot has to open. Nobody asks and nothing is told, so nothing is
        recorded."""
        for text in _OPENING:
            self._view.answers.run(parse(text))

    def count(self, query: Node, target: str, action: Action = Action.HUB_COUNT) -> NetworkCount:
        """How many patients a question selects; UsageError when it names cohorts, which are of another house."""
        self._permitted(action, query, target)
        outcome = self._view.answers.run(query)
        answer = self._gate.answers({"total": outcome.patients})["total"]
        # What another person was shown of this set first is kept, and may be less than this floor.
        low = not answer.shown.below and answer.shown.value < self._floor
        shown = Shown(0, below=self._floor) if low or answer.shown.below else answer.shown
        return NetworkCount(shown, answer.patients, outcome.unknown, outcome.version, outcome.elapsed_ms)

    def linkable(self, query: Node, target: str) -> BitMap:
        """Whose records may be linked with those of other sites: the patients that a question selects. NotAllowed when
        there are fewer than the floor, or the quota is used up: a linkage tells protected counts, as a question does, and whether
        there are enough patients is said of the set that the gate answers for."""
        self._permitted(Action.HUB_LINK, query, target)
        found = self._view.answers.run(query).patients & self.everybody()
        shown = self._gate.answers({"total": found})["total"].shown
        if shown.below or shown.value < self._floor or len(found) < self._floor:
            raise NotAllowed("There are too few patients here for this question.")
        return found

    def _permitted(self, action: Action, query: Node, target: str) -> None:
        asked = Target(target, names_patients=names_patients(query), patients=named_patients(query))
        permit(self._state, self.actor, action, asked, query=question_json.dumps(query), snapshot=self.version)
        if any(isinstance(node, CohortRef) for _, node in walk(query)):
            raise UsageError("A question to a network names no saved cohort.", hint="send the criteria themselves")
