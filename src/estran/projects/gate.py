"""The result gate before one person: exact to the key holder at the command line, protected to everybody else.

Every number of a page passes here (nodes, steps, bars and facets alike), because an exact part beside a masked
total gives the total away. The rules themselves are those of `release.disclosure`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from pyroaring import BitMap

from estran.model.errors import NotAllowed
from estran.projects.actors import Actor, Role
from estran.projects.policy import Action, decide
from estran.release.complement import withheld
from estran.release.disclosure import Answer, Gate, Rules, Shown
from estran.settings import Settings
from estran.state import StateDatabase

__all__ = ["Answer", "ResultGate", "Shown", "gate_of"]

Key = TypeVar("Key", bound=Hashable)


class ResultGate(Protocol):
    """Counts as one person may see them."""

    def show(self, count: int, place: str) -> Shown:
        """A count that nobody chose; `place` names it, so that its noise never changes."""

    def answers(self, sets: Mapping[Key, BitMap], free: Collection[Key] = ()) -> dict[Key, Answer]:
        """Sets of patients that a question selected; those of `free` do not count towards the person's quota.

        Raises NotAllowed when the quota is used up.
        """

    def cells(self, answer: Answer, name: str, counts: Mapping[str, int]) -> dict[str, Shown]:
        """The disjoint cells of a breakdown `name` of an answered set."""

    def parts(self, answer: Answer, name: str, counts: Mapping[str, int]) -> dict[str, Shown | None]:
        """The parts that an answered set is made of, all of them; None for one that is withheld, so that no small
        one follows from the others (see `release.complement`)."""


class ExactGate:
    """What the key holder sees."""

    def show(self, count: int, place: str) -> Shown:
        return Shown(count)

    def answers(self, sets: Mapping[Key, BitMap], free: Collection[Key] = ()) -> dict[Key, Answer]:
        return {key: Answer(0, patients, Shown(len(patients))) for key, patients in sets.items()}

    def cells(self, answer: Answer, name: str, counts: Mapping[str, int]) -> dict[str, Shown]:
        return {cell: Shown(count) for cell, count in counts.items()}

    def parts(self, answer: Answer, name: str, counts: Mapping[str, int]) -> dict[str, Shown | None]:
        return dict(self.cells(answer, name, counts))


class ProtectedGate:
    """What everybody else sees. `account_id` is whose quota is used; None when nobody's is.

    `within` names the person's perimeter: what is kept of a breakdown counts what lies inside it only.
    """

    def __init__(self, state: StateDatabase, rules: Rules, account_id: int | None, within: str = "") -> None:
        self._state, self._rules, self._account_id, self._within = state, rules, account_id, within
        self._gate = Gate(rules, state.answered.secret(), _Book(state))

    def show(self, count: int, place: str) -> Shown:
        return self._gate.fixed(count, place + self._within)

    def answers(self, sets: Mapping[Key, BitMap], free: Collection[Key] = ()) -> dict[Key, Answer]:
        self._mind_quota()
        answers = dict(zip(sets, self._gate.answers(list(sets.values())), strict=True))
        if self._account_id is not None:
            self._state.answered.tell((one.number for key, one in answers.items() if key not in free), self._account_id)
        return answers

    def cells(self, answer: Answer, name: str, counts: Mapping[str, int]) -> dict[str, Shown]:
        """What was shown first of a set and of those close to it is what is shown ever after."""
        return {cell: one for cell, one in self._kept(answer, name, counts, frozenset()).items() if one is not None}

    def parts(self, answer: Answer, name: str, counts: Mapping[str, int]) -> dict[str, Shown | None]:
        return self._kept(answer, name, counts, withheld(counts, self._rules.floor))

    def _kept(
        self, answer: Answer, name: str, counts: Mapping[str, int], hidden: frozenset[str]
    ) -> dict[str, Shown | None]:
        name += self._within
        kept: dict[str, dict[str, list[int] | None]] = json.loads(self._state.answered.cells(answer.number))
        if name not in kept:
            shown = self._gate.cells(answer, name, counts)
            kept[name] = {cell: None if cell in hidden else [one.value, one.below] for cell, one in shown.items()}
            self._state.answered.keep_cells(answer.number, json.dumps(kept))
        return {cell: None if one is None else _shown(one, answer.shown.margin) for cell, one in kept[name].items()}

    def _mind_quota(self) -> None:
        if self._account_id is None:
            return
        since = dt.datetime.now(dt.UTC) - dt.timedelta(days=self._rules.days)
        if self._state.answered.told(self._account_id, since) >= self._rules.quota:
            raise NotAllowed(
                "You have used up your questions of this period: more answers together could tell of one patient.",
                hint="ask the clinical data centre to count for you",
            )


def _shown(kept: list[int], margin: int) -> Shown:
    value, below = kept
    return Shown(value, below, 0 if below else margin)


class _Book:
    """The answered sets of the application's database."""

    def __init__(self, state: StateDatabase) -> None:
        self._sets = state.answered

    def near(self, sizes: Collection[int], margin: int) -> Iterable[Answer]:
        for row in self._sets.near(sizes, margin):
            yield Answer(row.id, BitMap.deserialize(row.members), Shown(row.value, row.below, row.margin))

    def keep(self, answered: Sequence[tuple[BitMap, Shown]]) -> list[Answer]:
        rows = [(len(one), bytes(one.serialize()), shown.value, shown.below, shown.margin) for one, shown in answered]
        numbers = self._sets.keep(rows)
        return [Answer(number, *one) for number, one in zip(numbers, answered, strict=True)]


def gate_of(actor: Actor, state: StateDatabase, settings: Settings) -> ResultGate:
    """The gate before a person. Who may read the patients one by one has no quota: nothing is left to find out."""
    if actor.role is Role.OWNER and actor.account_id is None:
        return ExactGate()
    reads = decide(actor, Action.PATIENTS).allowed
    within = "" if actor.perimeter.whole else "@" + hashlib.sha256(actor.perimeter.to_json().encode()).hexdigest()[:32]
    return ProtectedGate(state, rules_of(settings), None if reads else actor.account_id, within)


def rules_of(settings: Settings) -> Rules:
    """The rules that a site has set."""
    return Rules(
        settings.count_floor, settings.count_near, settings.count_step, settings.count_noise, settings.count_quota,
        settings.count_days,
    )  # fmt: skip
