"""The memory engine's events, and the patients, stays, documents, movements and groups they belong to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from estran.cohort.engines.rows import Document, Fact, Movement, Rows, Stay
from estran.cohort.query import Unit
from estran.model.codes import Precision

# The kinds of event, in the order that settles equal moments.
FACT, DOCUMENT, STAY, MOVEMENT, GROUP = range(5)
KIND_NAMES = ("fact", "document", "stay", "movement", "group")
DEEPEST = 16  # how many parents of a fact are followed

Key = tuple[int, ...]
Event = tuple[int, int, int]  # kind and two numbers: (document, fact), (document, 0), (stay, 0)...


@dataclass(frozen=True)
class Seen:
    """Where and when an event is."""

    patient: int
    date: dt.date | None
    minute: int | None
    precision: int
    stay: int | None
    document: int | None

    @property
    def day_known(self) -> bool:
        return self.date is not None and self.precision >= Precision.DAY


class Scopes:
    """What belongs to what, one row at a time."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def see(self, event: Event) -> Seen:
        """Where and when an event is."""
        kind, number, fact_no = event
        if kind == STAY:
            stay = self.rows.stays[number]
            return Seen(stay.patient_id, stay.start_date, stay.start_minute, stay.precision, number, None)
        if kind == MOVEMENT:
            moved = self.rows.movements[number]
            return Seen(
                moved.patient_id, moved.start_date, moved.start_minute, moved.precision, moved.stay_id, None
            )
        found: Fact | Document = self.rows.facts[number, fact_no] if kind == FACT else self.rows.documents[number]
        stay_id = found.stay_id if found.stay_id in self.rows.stays else None
        return Seen(found.patient_id, found.start_date, found.start_minute, found.precision, stay_id, number)

    def keys(self, event: Event, unit: Unit) -> set[Key]:
        """The units of a kind that an event belongs to; a stay holds all its documents and movements."""
        kind, number, fact_no = event
        seen = self.see(event)
        if unit is Unit.PATIENT:
            return {(seen.patient,)}
        if unit is Unit.STAY:
            return set() if seen.stay is None else {(seen.stay,)}
        if unit is Unit.MOVEMENT:
            return {(m.movement_id,) for m in self.movements(event, seen)}
        documents = self.documents(event, seen)
        if unit is Unit.DOCUMENT:
            return {(found,) for found in documents}
        if kind == GROUP:
            return {(number, fact_no)}
        facts = [self.rows.facts[number, fact_no]] if kind == FACT else self.facts(documents)
        return {self.group(fact) for fact in facts}

    def facts(self, documents: list[int]) -> list[Fact]:
        """Every fact of some documents."""
        return [fact for number in documents for fact in self.rows.facts_in.get(number, [])]

    def movements(self, event: Event, seen: Seen) -> list[Movement]:
        """The movement itself, those of the stay, or those that a fact or document happens in."""
        if event[0] == MOVEMENT:
            return [self.rows.movements[event[1]]]
        mine = [] if seen.stay is None else self.rows.movements_of.get(seen.stay, [])
        return [m for m in mine if event[0] == STAY or inside(seen, m)]

    def documents(self, event: Event, seen: Seen) -> list[int]:
        """The document itself, those of the stay, or those that happen in the movement."""
        if seen.document is not None:
            return [seen.document]
        mine = [] if seen.stay is None else self.rows.documents_of.get(seen.stay, [])
        if event[0] == STAY:
            return [d.document_id for d in mine]
        moved = self.rows.movements[event[1]]
        return [d.document_id for d in mine if inside(self.see((DOCUMENT, d.document_id, 0)), moved)]

    def group(self, fact: Fact) -> Key:
        """Document and number of the fact that everything hangs from."""
        top = fact
        for _ in range(DEEPEST):
            above = self.rows.facts.get((top.document_id, top.parent_fact_no)) if top.parent_fact_no is not None else None
            if above is None:
                break
            top = above
        return (top.document_id, top.fact_no)

    def universe(self, unit: Unit) -> set[Key]:
        """Every unit of a kind."""
        rows = self.rows
        if unit is Unit.GROUP:
            return {self.group(fact) for fact in rows.facts.values()}
        kept: dict[Unit, Iterable[int]] = {
            Unit.PATIENT: rows.patients, Unit.STAY: rows.stays, Unit.DOCUMENT: rows.documents,
            Unit.MOVEMENT: rows.movements,
        }  # fmt: skip
        return {(number,) for number in kept[unit]}

    def patient(self, key: Key, unit: Unit) -> int:
        """Whose unit it is."""
        if unit is Unit.PATIENT:
            return key[0]
        return self.see(self.event(key, unit)).patient

    def event(self, key: Key, unit: Unit) -> Event:
        """A stay, document, movement or group as an event."""
        kind = {Unit.STAY: STAY, Unit.DOCUMENT: DOCUMENT, Unit.MOVEMENT: MOVEMENT, Unit.GROUP: GROUP}[unit]
        return (kind, key[0], key[1] if kind == GROUP else 0)

    def of_patients(self, patients: set[int], unit: Unit) -> set[Key]:
        """Every unit of a kind of some patients."""
        return {key for key in self.universe(unit) if self.patient(key, unit) in patients}

    def interval(self, event: Event) -> Stay | Movement | None:
        """What lasts: the movement, the stay, or the stay of the fact or document."""
        if event[0] == MOVEMENT:
            return self.rows.movements[event[1]]
        stay = self.see(event).stay
        return None if stay is None else self.rows.stays[stay]


def inside(seen: Seen, moved: Movement) -> bool:
    """Whether a moment is in a movement: by date, and by minute on its first and last day where both are known."""
    if not seen.day_known or seen.date is None or moved.start_date is None or moved.precision < Precision.DAY:
        return False
    if seen.date < moved.start_date or (moved.end_date is not None and seen.date > moved.end_date):
        return False
    if seen.minute is None:
        return True
    early = seen.date == moved.start_date and moved.start_minute is not None and seen.minute < moved.start_minute
    late = seen.date == moved.end_date and moved.end_minute is not None and seen.minute > moved.end_minute
    return not (early or late)
