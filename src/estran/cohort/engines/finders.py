"""The memory engine's criteria: which rows of which table they find, by looking at every one."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from estran.cohort.engines.outcome import age_on
from estran.cohort.engines.plain_text import PlainDocument, document, matches
from estran.cohort.engines.rows import Document, Fact, Movement, Patient, Rows, Stay, Variant
from estran.cohort.engines.scopes import DOCUMENT, FACT, MOVEMENT, STAY, Event
from estran.cohort.query import (
    Code,
    CodeCriterion,
    DateRange,
    Demographic,
    DocumentCriterion,
    IntRange,
    Kin,
    MediaCriterion,
    MovementCriterion,
    Node,
    PermissionCriterion,
    StayCriterion,
    TextCriterion,
    ValueRange,
    VariantCriterion,
)
from estran.model.codes import Comparator
from estran.text.parse import parse


class Finders:
    """Finds the rows of every leaf."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def events(self, node: Node) -> set[Event]:
        """The facts, documents, stays or movements that a criterion finds."""
        return set(_FIND[type(node)](self, node))

    # Codes

    def concepts(self, vocabulary: str, code: str) -> set[int]:
        """The concepts of a code."""
        return {row.concept_id for row in self.rows.concept if (row.vocabulary, row.code) == (vocabulary, code)}

    def code_set(self, codes: tuple[Code, ...]) -> set[int]:
        """The concepts of a code set: those included, minus those excluded, each with its descendants."""
        kept: dict[bool, set[int]] = {True: set(), False: set()}
        for one in codes:
            own = self.concepts(one.vocabulary, one.code)
            below = {row.descendant_id for row in self.rows.concept_ancestor if row.ancestor_id in own}
            kept[one.excluded] |= own | (below if one.descendants else set())
        return kept[False] - kept[True]

    def facts(self, node: CodeCriterion) -> Iterator[Event]:
        wanted, values, above = (self.code_set(codes) for codes in (node.codes, node.values, node.parent))
        for key, fact in self.rows.facts.items():
            if not {fact.concept_id, fact.local_concept_id} & wanted or not self.is_fact(node, fact):
                continue
            if node.values and fact.value_concept not in values:
                continue
            if node.parent and not self.hangs_from(fact, above):
                continue
            yield (FACT, *key)

    def hangs_from(self, fact: Fact, above: set[int]) -> bool:
        parent = None if fact.parent_fact_no is None else self.rows.facts.get((fact.document_id, fact.parent_fact_no))
        return parent is not None and bool({parent.concept_id, parent.local_concept_id} & above)

    def is_fact(self, node: CodeCriterion, fact: Fact) -> bool:
        """Whether a fact meets everything but the code sets."""
        return (
            fact.status in node.statuses
            and (node.contexts is None or fact.context in node.contexts)
            and fact.origin in node.origins
            and (not node.roles or fact.role in node.roles)
            and (node.precision is None or fact.precision >= node.precision)
            and dated(node.dates, fact.start_date)
            and self.aged(node.age, fact.patient_id, fact.start_date)
            and (node.value is None or valued(node.value, fact))
        )

    def aged(self, wanted: IntRange | None, patient: int, date: dt.date | None) -> bool:
        """Whether the patient's age at a date is in the range."""
        return wanted is None or wanted.holds(age_on(self.rows.patients[patient].birth_month, date))

    # Other tables

    @cached_property
    def plain_documents(self) -> dict[int, PlainDocument]:
        texts = {row.document_id: row.text for row in self.rows.text}
        found = ((d, texts.get(d.document_id)) for d in self.rows.documents.values())
        return {d.document_id: document(text, d.title, d.kind) for d, text in found if text is not None}

    def texts(self, node: TextCriterion) -> Iterator[Event]:
        query = parse(node.query)
        for number, plain in self.plain_documents.items():
            row = self.rows.documents[number]
            if (not node.kinds or row.kind in node.kinds) and dated(node.dates, row.start_date) and matches(query, plain):
                yield (DOCUMENT, number, 0)

    def documents(self, node: DocumentCriterion) -> Iterator[Event]:
        units = self.units(node.units)
        for row in self.rows.documents.values():
            placed = not node.units or row.unit_id in units
            if (not node.kinds or row.kind in node.kinds) and placed and dated(node.dates, row.start_date):
                yield (DOCUMENT, row.document_id, 0)

    def media(self, node: MediaCriterion) -> Iterator[Event]:
        for row in self.rows.media:
            found: Document | None = self.rows.documents.get(row.document_id)
            if found and (not node.modalities or row.modality in node.modalities) and dated(node.dates, found.start_date):
                yield (DOCUMENT, row.document_id, 0)

    def variants(self, node: VariantCriterion) -> Iterator[Event]:
        for row in self.rows.variant:
            found: Document | None = self.rows.documents.get(row.document_id)
            if found and is_variant(node, row) and dated(node.dates, found.start_date):
                yield (DOCUMENT, row.document_id, 0)

    def stays(self, node: StayCriterion) -> Iterator[Event]:
        units = self.units(node.units)
        for row in self.rows.stays.values():
            if self.is_stay(node, row) and (not node.units or row.unit_id in units):
                yield (STAY, row.stay_id, 0)

    def is_stay(self, node: StayCriterion, row: Stay) -> bool:
        return (
            (not node.kinds or row.kind in node.kinds)
            and (not node.entries or row.entry_mode in node.entries)
            and (not node.exits or row.exit_mode in node.exits)
            and (node.days is None or node.days.holds(lasted(row)))
            and dated(node.dates, row.start_date)
            and self.aged(node.age, row.patient_id, row.start_date)
        )

    def movements(self, node: MovementCriterion) -> Iterator[Event]:
        units = self.units(node.units)
        for row in self.rows.movements.values():
            if self.is_movement(node, row) and (not node.units or row.unit_id in units):
                yield (MOVEMENT, row.movement_id, 0)

    def is_movement(self, node: MovementCriterion, row: Movement) -> bool:
        wanted = node.responsibilities
        return (not wanted or row.responsibility in wanted) and dated(node.dates, row.start_date)

    def units(self, codes: tuple[str, ...]) -> set[int]:
        """The units of the codes and everything below them."""
        found = {row.unit_id for row in self.rows.unit if row.code in codes}
        while more := {row.unit_id for row in self.rows.unit if row.parent in found} - found:
            found |= more
        return found

    # Patients

    def is_patient(self, node: Node, row: Patient) -> bool:
        """Whether a patient meets a criterion that has no dates."""
        if isinstance(node, PermissionCriterion):
            return any(self.is_permitted(node, row, one) for one in self.rows.permission)
        assert isinstance(node, Demographic)  # noqa: S101 - no other node is left
        dead = row.death_date is not None or row.death_source is not None
        return (
            (not node.sexes or row.sex in node.sexes)
            and (node.age is None or node.age.holds(age_on(row.birth_month, self.rows.date)))
            and (node.alive is None or node.alive is not dead)
            and (not node.areas or row.residence_area in node.areas)
            and (node.born is None or node.born.holds(row.birth_month.year if row.birth_month else None))
        )

    def is_permitted(self, node: PermissionCriterion, row: Patient, permission: Any) -> bool:
        today = self.rows.date
        runs = permission.from_date <= today and (permission.to_date is None or today <= permission.to_date)
        named = (permission.patient_id, permission.kind, permission.scope) == (row.patient_id, node.kind, node.scope)
        return runs and named

    def relatives(self, kin: Kin, met: set[int]) -> set[int]:
        """Patients who are the mother (child, twin) of one of `met`.

        A row says that `patient` has `other` as mother, child or twin; either of the two may hold it.
        """
        opposite = {Kin.MOTHER: Kin.CHILD, Kin.CHILD: Kin.MOTHER, Kin.TWIN: Kin.TWIN}[kin]
        found = set()
        for row in self.rows.relation:
            if row.kind == kin and row.patient_id in met:
                found.add(row.other_id)
            if row.kind == opposite and row.other_id in met:
                found.add(row.patient_id)
        return found & set(self.rows.patients)

    @cached_property
    def last_trace(self) -> dict[int, dt.date]:
        """Until when each patient was observed."""
        found: dict[int, list[dt.date]] = defaultdict(list)
        for row in self.rows.patient:
            found[row.patient_id] += [d for d in (row.last_news, row.death_date) if d is not None]
        for fact in self.rows.facts.values():
            found[fact.patient_id] += [fact.start_date] if fact.start_date is not None else []
        return {patient: max(dates) for patient, dates in found.items() if dates}


def dated(wanted: DateRange | None, date: dt.date | None) -> bool:
    """Whether a date is in the range; an unknown one only when there is no range."""
    return wanted is None or wanted.holds(date)


def is_variant(node: VariantCriterion, row: Variant) -> bool:
    """Whether one variant meets all that is asked of it."""
    return (
        (not node.genes or (row.gene or "").upper() in node.genes)
        and (node.chrom is None or row.chrom == node.chrom)
        and (node.low is None or row.pos >= node.low)
        and (node.high is None or row.pos <= node.high)
        and (not node.impacts or row.impact in node.impacts)
    )


def lasted(stay: Stay) -> int | None:
    """Days from the date of start to the date of end."""
    if stay.start_date is None or stay.end_date is None:
        return None
    return (stay.end_date - stay.start_date).days


def valued(wanted: ValueRange, fact: Fact) -> bool:
    """Whether every value that a fact may stand for is in the range."""
    if fact.value is None or math.isnan(fact.value) or (wanted.unit is not None and fact.unit != wanted.unit):
        return False
    sign = Comparator(fact.comparator or 0)
    if wanted.low is not None:
        if sign in (Comparator.LT, Comparator.LE):
            return False
        open_ok = not wanted.low_open or sign is Comparator.GT
        if fact.value < wanted.low or (fact.value == wanted.low and not open_ok):
            return False
    if wanted.high is not None:
        if sign in (Comparator.GT, Comparator.GE):
            return False
        open_ok = not wanted.high_open or sign is Comparator.LT
        if fact.value > wanted.high or (fact.value == wanted.high and not open_ok):
            return False
    return True


_FIND: dict[type[Node], Callable[[Finders, Any], Iterator[Event]]] = {
    CodeCriterion: Finders.facts,
    TextCriterion: Finders.texts,
    StayCriterion: Finders.stays,
    MovementCriterion: Finders.movements,
    DocumentCriterion: Finders.documents,
    MediaCriterion: Finders.media,
    VariantCriterion: Finders.variants,
}
