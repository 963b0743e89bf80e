"""What the desk answers with: counts as the gate shows them, lines of pages."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from estran.projects.concepts import Concept
from estran.projects.gate import Shown
from estran.projects.holdings import SourceLine
from estran.projects.patients import PatientLine


@dataclass(frozen=True)
class HoldingsShown:
    """The home page's numbers, through the gate. Sources count records, not patients: they are exact."""

    version: int
    created: dt.datetime
    patients: Shown
    stays: Shown
    documents: Shown
    facts: Shown
    texts: Shown
    concepts: Shown
    sources: tuple[SourceLine, ...]
    kinds: tuple[tuple[str, Shown], ...]
    years: tuple[tuple[int, Shown], ...]
    women: tuple[Shown, ...]
    men: tuple[Shown, ...]


@dataclass(frozen=True)
class ConceptShown:
    """A code offered by a picker."""

    concept: Concept
    patients: Shown


@dataclass(frozen=True)
class PatientPage:
    """Some of the patients of a cohort; `total` is how many there are."""

    patients: tuple[PatientLine, ...]
    total: int


@dataclass(frozen=True)
class EvidenceLine:
    """A row of a patient that a criterion found."""

    date: dt.date | None
    document_id: int | None
    label_fr: str
    label_en: str
