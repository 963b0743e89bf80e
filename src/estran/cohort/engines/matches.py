"""Evidence: a patient's events, told one by one."""

from __future__ import annotations

import datetime as dt

from estran.cohort.engines.buckets import Bucket, numbers
from estran.cohort.engines.events import DOCUMENT, FACT, MOVEMENT, NO_DAY, Events, parts_of
from estran.cohort.engines.outcome import Match
from estran.model.moments import EPOCH

NEEDED = frozenset({"day", "minute", "ident", "stay", "document"})
KIND_NAMES = ("fact", "document", "stay", "movement", "group")


def matches(bucket: Bucket, events: Events) -> list[Match]:
    """The events of one patient in order of time, undated ones last."""
    stays = bucket.settled(events.stay) if events.stay is not None else events.idents
    columns = (events.days, events.minutes, events.idents, stays)
    rows = sorted(zip(*(c.tolist() for c in columns), strict=True), key=lambda r: (r[0] == NO_DAY, r[0], r[1], r[2]))
    facts = any(parts_of(row[2])[0] == FACT for row in rows)
    concepts = _concepts(bucket, int(events.patient[0]) if facts else None)
    return [_match(bucket, row, concepts) for row in rows]


def _match(bucket: Bucket, row: tuple[int, int, int, int], concepts: dict[tuple[int, int], int]) -> Match:
    day, minute, ident, stay = row
    kind, first, second = parts_of(ident)
    return Match(
        kind=KIND_NAMES[kind],
        date=None if day == NO_DAY else EPOCH + dt.timedelta(day),
        minute=None if minute < 0 else minute,
        stay_id=None if stay < 0 else stay,
        document_id=first if kind in (FACT, DOCUMENT) else None,
        fact_no=second if kind == FACT else None,
        movement_id=int(bucket.movements.number("movement_id")[first]) if kind == MOVEMENT else None,
        concept_id=concepts.get((first, second)) if kind == FACT else None,
    )


def _concepts(bucket: Bucket, patient: int | None) -> dict[tuple[int, int], int]:
    """The concept of each fact of a patient."""
    if patient is None:
        return {}
    rows = bucket.snapshot.patient_facts(patient)
    columns = (numbers(rows.column(n)).tolist() for n in ("document_id", "fact_no", "concept_id"))
    return {(document, fact): concept for document, fact, concept in zip(*columns, strict=True)}
