"""The desk of whoever looks: the words and the family of a patient, the words and the areas of a cohort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from estran.cohort.query import Node, codes_of
from estran.projects import cloud
from estran.projects.areas import Areas, areas
from estran.projects.cloud import Word
from estran.projects.family import Family, read_family, ties_of
from estran.projects.gate import ResultGate, Shown
from estran.projects.patients import Timeline
from estran.projects.policy import Action, Target

if TYPE_CHECKING:
    from estran.projects.desk import View


class Permit(Protocol):
    """Decides and records, as `Desk` does; NotAllowed when the answer is no."""

    def __call__(self, action: Action, target: Target | None = None, query: str = "") -> None: ...


class Asked(Protocol):
    """Decides and records a question, and opens the cohorts that it names, as `Desk` does."""

    def __call__(self, action: Action, query: Node, target: Target | None = None) -> Node: ...


@dataclass(frozen=True)
class Portrait:
    """A cohort beside the site: how many, where they live, and the words that stand out, None when not asked for."""

    total: Shown
    areas: Areas
    words: tuple[Word, ...] | None


class Explorer:
    """One person, looking. Each look is decided and recorded before it reads."""

    def __init__(self, view: View, gate: ResultGate, permit: Permit, asked: Asked) -> None:
        self._view, self._gate, self._permit, self._asked = view, gate, permit, asked

    def words(self, found: Timeline) -> tuple[Word, ...]:
        """The words of a patient whose timeline this person was given."""
        return cloud.of_patient(self._view.prevalence, self._view.concepts, self._gate, found)

    def family(self, patient_id: int) -> Family | None:
        """The family of a patient; None without any. Its members are named in the trail before their lines are read."""
        self._permit(Action.TIMELINE, Target(f"ties of patient:{patient_id}", patients=(patient_id,)))
        ties = ties_of(self._view.snapshot, patient_id)
        if len(ties.members) == 1:
            return None
        self._permit(Action.TIMELINE, Target(f"family of patient:{patient_id}", patients=ties.members))
        return read_family(self._view.snapshot, ties)

    def portrait(self, query: Node, *, words: bool) -> Portrait:
        """The patients of a question; with words, each of which is an answer of the gate as if it had been asked for."""
        opened = self._asked(Action.COUNT, query, Target("portrait" + (" with words" if words else "")))
        patients = self._view.answers.run(opened).patients
        answer = self._gate.answers({"total": patients})["total"]
        named = {(code.vocabulary, code.code) for code in codes_of(opened)}
        found = None
        if words:
            found = cloud.of_cohort(self._view.prevalence, self._view.concepts, self._gate, patients, answer, named)
        return Portrait(answer.shown, areas(self._view.snapshot, self._gate, patients, answer), found)
