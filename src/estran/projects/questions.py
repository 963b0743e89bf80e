"""A question counted: every number through the gate, every question recorded before it runs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from estran.cohort.engines import DuckDBEngine, Outcome
from estran.cohort.language import json as question_json
from estran.cohort.query import CohortRef, IdList, Node, resolve, walk
from estran.model.errors import UsageError
from estran.projects.gate import Gate, Shown
from estran.warehouse import Snapshot

BANDS = tuple(range(0, 100, 10))
_KEPT = 64
_DEEPEST = 20


@dataclass(frozen=True)
class StepShown:
    """One line of the flow diagram: what remains after the criterion at `path` ("" is everybody)."""

    path: str
    left: Shown
    gone: Shown


@dataclass(frozen=True)
class Counted:
    """The answer as one person may see it. `counts` is by path of the question."""

    total: Shown
    population: Shown
    counts: Mapping[str, Shown]
    steps: tuple[StepShown, ...]
    women: tuple[Shown, ...]
    men: tuple[Shown, ...]
    years: tuple[tuple[int, Shown], ...]
    unknown: tuple[str, ...]
    elapsed_ms: float
    version: int

    @property
    def share(self) -> float | None:
        """The total as a share of the population, of what is shown; None when that says nothing."""
        if self.total.below or self.population.value == 0:
            return None
        return self.total.value / self.population.value


class Answers:
    """Outcomes of the last questions on one snapshot, shared between threads and people.

    Who may ask was decided before; an outcome never leaves this room but through a gate.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._engine = DuckDBEngine(snapshot)
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Outcome] = OrderedDict()

    def run(self, query: Node) -> Outcome:
        """The outcome of a question without cohort names."""
        key = question_json.dumps(query)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        outcome = self._engine.run(query)
        with self._lock:
            self._kept[key] = outcome
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return outcome


def shown(outcome: Outcome, population: int, gate: Gate) -> Counted:
    """An outcome with each of its numbers as the gate lets it be shown."""
    people = outcome.breakdown.sex_age
    women, men = (tuple(gate.show(people.get((sex, band), 0)) for band in BANDS) for sex in ("female", "male"))
    left = [step.patients for step in outcome.attrition]
    steps = tuple(
        StepShown(step.path, gate.show(step.patients), gate.show(before - step.patients))
        for before, step in zip([population, *left], outcome.attrition, strict=False)
    )
    return Counted(
        total=gate.show(len(outcome.patients)), population=gate.show(population),
        counts={path: gate.show(count) for path, count in outcome.counts.items()}, steps=steps, women=women, men=men,
        years=tuple((year, gate.show(count)) for year, count in _every_year(outcome.breakdown.years)), unknown=outcome.unknown,
        elapsed_ms=outcome.elapsed_ms, version=outcome.version,
    )


def _every_year(years: Mapping[int, int]) -> list[tuple[int, int]]:
    """The years in order, those without anybody included, so that a chart keeps its scale."""
    return [(year, years.get(year, 0)) for year in range(min(years), max(years) + 1)] if years else []


def names_patients(query: Node) -> bool:
    """Whether the question lists patients by number."""
    return any(isinstance(node, IdList) for _, node in walk(query))


def named_patients(query: Node) -> tuple[int, ...]:
    """The patients that the question lists by number."""
    return tuple({n for _, node in walk(query) if isinstance(node, IdList) for n in node.ids})


def open_names(query: Node, find: Callable[[str], str | None], depth: int = 0) -> Node:
    """The question with each cohort named in it replaced by its own; `find` gives its JSON or None.

    UsageError when a name is unknown or when cohorts name each other in a circle.
    """
    if not any(isinstance(node, CohortRef) for _, node in walk(query)):
        return query
    if depth > _DEEPEST:
        raise UsageError("These cohorts name each other in a circle.", hint="take one of the names out")

    def named(name: str) -> Node:
        text = find(name)
        if text is None:
            raise UsageError(f"You have no saved cohort called '{name}'.", hint="save it first, under this name")
        return open_names(question_json.loads(text), find, depth + 1)

    return resolve(query, named)
