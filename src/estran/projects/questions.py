"""A question counted: every number through the gate, every question recorded before it runs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyroaring import BitMap

from estran.cohort.engines import DuckDBEngine, Outcome
from estran.cohort.language import json as question_json
from estran.cohort.query import CodeCriterion, CohortRef, IdList, Node, at, leading, resolve, walk
from estran.model.errors import UsageError
from estran.projects.gate import Answer, ResultGate, Shown
from estran.state import StateDatabase
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


def shown(query: Node, outcome: Outcome, population: int, gate: ResultGate) -> Counted:
    """An outcome with each of its numbers as the gate lets it be shown. Raises NotAllowed when a quota is used up."""
    sets: dict[str | int, BitMap] = dict(outcome.sets.items())  # by path of the question, and by number of step
    sets |= {n: step.left for n, step in enumerate(outcome.attrition[1:], start=1)}
    sets["total"] = outcome.patients
    answers = gate.answers(sets, free={path for path, node in walk(query) if isinstance(node, CodeCriterion) and node.plain})
    everybody = gate.show(population, "population")
    left = [everybody, *(answers[n].shown for n in range(1, len(outcome.attrition)))]
    steps = tuple(
        StepShown(step.path, now, gone(before, now))
        for step, before, now in zip(outcome.attrition, [everybody, *left], left, strict=False)
    )
    women, men, years = _broken_down(query, outcome, answers["total"], gate)
    return Counted(
        total=answers["total"].shown, population=everybody, counts={path: answers[path].shown for path in outcome.sets},
        steps=steps, women=women, men=men, years=years, unknown=outcome.unknown, elapsed_ms=outcome.elapsed_ms,
        version=outcome.version,
    )


def gone(before: Shown, now: Shown) -> Shown:
    """The difference of two counts, of what is shown of them."""
    return Shown(max(before.value - now.value, 0), margin=before.margin + now.margin)


Bars = tuple[Shown, ...]


def _broken_down(query: Node, outcome: Outcome, total: Answer, gate: ResultGate) -> tuple[Bars, Bars, tuple[tuple[int, Shown], ...]]:
    """Women and men by age band, and patients by year of the first event of the leading criterion."""
    path = leading(query)
    by = "" if path is None else question_json.dumps(at(query, path))
    people, events = outcome.breakdown.sex_age, _every_year(outcome.breakdown.years)
    cells = {f"{sex}/{band}": people.get((sex, band), 0) for sex in ("female", "male") for band in BANDS}
    ages = gate.cells(total, f"age/{by}", cells)
    years = gate.cells(total, f"year/{by}", {str(year): count for year, count in events})
    women, men = (tuple(ages[f"{sex}/{band}"] for band in BANDS) for sex in ("female", "male"))
    return women, men, tuple(sorted((int(year), one) for year, one in years.items()))


def _every_year(years: Mapping[int, int]) -> list[tuple[int, int]]:
    """The years in order, those without anybody included, so that a chart keeps its scale."""
    return [(year, years.get(year, 0)) for year in range(min(years), max(years) + 1)] if years else []


def names_patients(query: Node) -> bool:
    """Whether the question lists patients by number."""
    return any(isinstance(node, IdList) for _, node in walk(query))


def named_patients(query: Node) -> tuple[int, ...]:
    """The patients that the question lists by number."""
    return tuple({n for _, node in walk(query) if isinstance(node, IdList) for n in node.ids})


def query_of(state: StateDatabase, account_id: int | None) -> Callable[[str], str | None]:
    """How `open_names` finds the cohorts of one person: the newest version under a name, None when there is none."""

    def find(name: str) -> str | None:
        mine = [] if account_id is None else state.cohorts.owned_by(account_id)
        return next((c.versions[0].query for c in mine if c.name == name and c.versions), None)

    return find


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
