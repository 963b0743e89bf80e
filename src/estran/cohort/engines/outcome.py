"""What an engine answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from pyroaring import BitMap

from estran.cohort.query import And, CodeCriterion, CohortRef, Node, Same, Unit, walk
from estran.cohort.query.tree import ROOT
from estran.model.errors import UsageError

BAND_YEARS = 10
LAST_BAND = 90


@dataclass(frozen=True)
class Match:
    """One row of a patient that a criterion found. `kind`: fact, document, stay, movement or group.

    `date` and `minute` as in `model.moments`; what does not apply is None.
    """

    kind: str
    date: dt.date | None
    minute: int | None
    stay_id: int | None = None
    document_id: int | None = None
    fact_no: int | None = None
    movement_id: int | None = None
    concept_id: int | None = None


@dataclass(frozen=True)
class Step:
    """One line of the attrition: the patients who remain after the criterion at `path`."""

    path: str
    left: BitMap

    @property
    def patients(self) -> int:
        """How many remain."""
        return len(self.left)


@dataclass(frozen=True)
class Breakdown:
    """Patients by sex and age band at the index date (the snapshot's without one), and by year of index.

    A band is its first age in years, by tens, 90 and over together; None is an unknown age.
    """

    sex_age: Mapping[tuple[str, int | None], int]
    years: Mapping[int, int]


@dataclass(frozen=True)
class Details:
    """What an outcome computes only when asked."""

    index_dates: Callable[[], dict[int, dt.date]]
    breakdown: Callable[[], Breakdown]
    evidence: Callable[[int], dict[str, list[Match]]]


@dataclass(frozen=True)
class Outcome:
    """The answer of a question over one snapshot; every number is exact and unprotected.

    `sets`: the patients of each node by its path: those with at least one unit of the scope (the patient, or a
    stay inside a same-stay scope...) for which the node holds. `stays`, `documents`: the ones found
    when the question is about stays or documents, else None. `unknown`: codes that this site does
    not have. `elapsed_ms` does not include what is computed later, on demand.
    """

    version: int
    patients: BitMap
    sets: Mapping[str, BitMap]
    attrition: tuple[Step, ...]
    stays: BitMap | None
    documents: BitMap | None
    unknown: tuple[str, ...]
    elapsed_ms: float
    details: Details = field(repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.patients)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many patients each node has, by its path."""
        return {path: len(found) for path, found in self.sets.items()}

    @cached_property
    def index_dates(self) -> dict[int, dt.date]:
        """The date of the first event of the leading criterion (see `query.leading`), per patient."""
        return self.details.index_dates()

    @cached_property
    def breakdown(self) -> Breakdown:
        """Patients by sex, age band and year of index."""
        return self.details.breakdown()

    def evidence(self, patient_id: int) -> dict[str, list[Match]]:
        """Per path of criterion, the patient's own rows that it found, in order of time."""
        return self.details.evidence(patient_id)


class Engine(Protocol):
    """Answers questions over one snapshot."""

    def run(self, query: Node) -> Outcome:
        """The answer; UsageError when the question still names a cohort."""


def band(age: int | None) -> int | None:
    """The first age of the band."""
    return None if age is None else min(max(age, 0) // BAND_YEARS * BAND_YEARS, LAST_BAND)


def age_on(birth_month: dt.date | None, date: dt.date | None) -> int | None:
    """Completed years from the first of the birth month to a date; None when either is unknown.

    Only the month is known: the age is one too high from the first of the month to the birthday.
    Negative before birth.
    """
    if birth_month is None or date is None:
        return None
    return date.year - birth_month.year - ((date.month, date.day) < (birth_month.month, birth_month.day))


def check_runnable(query: Node) -> None:
    """UsageError when a cohort was not resolved."""
    for path, node in walk(query):
        if isinstance(node, CohortRef):
            raise UsageError(f"The cohort '{node.name}' was not looked up.", where=path, hint="resolve the question first")


def steps(query: Node, sets: Mapping[str, BitMap], population: BitMap) -> tuple[Step, ...]:
    """Population, then the criteria of the root one after the other."""
    found = [Step("", population)]
    parts = [f"{ROOT}.{n}" for n in range(len(query.children()))] if isinstance(query, And) else [ROOT]
    left = population
    for path in parts:
        left = left & sets[path]
        found.append(Step(path, left))
    return tuple(found)


def found_units(query: Node) -> Unit | None:
    """Whether the question finds stays or documents: a scope or a criterion of that kind at its root."""
    if isinstance(query, Same):
        return query.unit if query.unit in (Unit.STAY, Unit.DOCUMENT) else None
    return {"stay": Unit.STAY, "document": Unit.DOCUMENT, "text": Unit.DOCUMENT}.get(query.TAG)


def named_codes(query: Node) -> list[tuple[str, str]]:
    """Vocabulary and code of everything the question names, once."""
    nodes = (node for _, node in walk(query) if isinstance(node, CodeCriterion))
    return list(dict.fromkeys((c.vocabulary, c.code) for n in nodes for c in n.codes + n.values + n.parent))
