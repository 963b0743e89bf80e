"""One pseudonymous patient: who, and everything that happened, in lanes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from estran.model.codes import LIVE_STATUS
from estran.projects.concepts import ConceptShelf
from estran.projects.rows import When, age, age_sql, fetch
from estran.warehouse import Snapshot

LANES = ("stay", "diagnosis", "procedure", "laboratory", "drug", "document", "observation")
_OF_FACT = {"diagnosis": 1, "procedure": 2, "laboratory": 3, "drug": 4}
DOCUMENT_LANE, OBSERVATION_LANE = 5, 6


@dataclass(frozen=True)
class PatientLine:
    """A patient in a list."""

    patient_id: int
    sex: str
    age: int | None
    dead: bool
    stays: int
    documents: int
    first: dt.date | None
    last: dt.date | None


@dataclass(frozen=True)
class Event:
    """Something on the timeline: `lane` is an index in LANES; `concept` and `document_id` when it has one."""

    lane: int
    start: When
    end: When
    label: tuple[str, str]  # French, English; for stays and documents the kind, twice
    code: str = ""
    value: float | None = None
    value_text: str = ""
    unit: str = ""
    document_id: int | None = None


@dataclass(frozen=True)
class Timeline:
    """A patient's events in order of time."""

    patient: PatientLine
    events: tuple[Event, ...]


def read_patients(snapshot: Snapshot, patient_ids: list[int]) -> list[PatientLine]:
    """Lines for these patients, in the order given; those who may not be seen are left out."""
    if not patient_ids:
        return []
    marks = ", ".join("?" for _ in patient_ids)
    rows = fetch(
        snapshot,
        f"""
        WITH stays AS (SELECT patient_id, count(*) AS n FROM stay
                       WHERE patient_id IN ({marks}) GROUP BY patient_id),
        documents AS (SELECT patient_id, count(*) AS n, min(start_date) AS first, max(start_date) AS last
                      FROM document WHERE patient_id IN ({marks}) GROUP BY patient_id)
        SELECT p.patient_id, p.sex, {age_sql("p.birth_month", "coalesce(p.death_date, CAST(? AS DATE))")} AS age,
               p.death_date IS NOT NULL OR p.death_source IS NOT NULL AS dead,
               coalesce(stays.n, 0) AS stays, coalesce(documents.n, 0) AS documents, first, last
        FROM patient p LEFT JOIN stays USING (patient_id) LEFT JOIN documents USING (patient_id)
        WHERE p.patient_id IN ({marks})
        """,
        [*patient_ids, *patient_ids, snapshot.date, *patient_ids],
    )
    found = {row["patient_id"]: PatientLine(**row) for row in rows}
    return [found[number] for number in patient_ids if number in found]


def read_timeline(snapshot: Snapshot, concepts: ConceptShelf, patient_id: int) -> Timeline | None:
    """Everything of one patient that may be seen; None when there is no such patient."""
    stays = snapshot.patient_rows("stay", patient_id, _OF_STAY).to_pylist()
    rows = snapshot.patient_rows("document", patient_id, _OF_DOCUMENT).to_pylist()
    documents = {row["document_id"]: row for row in rows}
    patient = _line(snapshot, patient_id, len(stays), [row["start_date"] for row in rows])
    if patient is None:
        return None
    facts = snapshot.patient_rows("fact", patient_id, _OF_FACTS).to_pylist()
    texts = set(snapshot.patient_rows("text", patient_id, ["document_id"]).column(0).to_pylist())
    telling = documents.keys() & (texts | (documents.keys() - {fact["document_id"] for fact in facts}))
    events = [
        *_stays(snapshot, stays),
        *_documents(documents[number] for number in telling),
        *_facts(concepts, facts),
    ]
    events.sort(key=_moment)
    return Timeline(patient, tuple(events))


_WHEN = ("start_date", "start_minute", "precision")
_OF_PATIENT = ("sex", "birth_month", "death_date", "death_source", "confidential")
_OF_STAY = ("kind", "unit_id", *_WHEN, "end_date", "end_minute")
_OF_DOCUMENT = ("document_id", "kind", "title", *_WHEN)
_OF_FACTS = ["document_id", "concept_id", "value_concept", "value", "value_text", "unit", *_WHEN, "end_date", "end_minute",
             "context", "status"]  # fmt: skip


def _moment(event: Event) -> tuple[dt.date, int, int, int]:
    minute = -1 if event.start.minute is None else event.start.minute
    return event.start.date or dt.date.min, minute, event.lane, event.document_id or 0


def _line(snapshot: Snapshot, patient_id: int, stays: int, dates: list[dt.date | None]) -> PatientLine | None:
    """The line of one patient, as `read_patients` would say it, from rows that were read already."""
    row = next(iter(snapshot.patient_rows("patient", patient_id, _OF_PATIENT).to_pylist()), None)
    if row is None:
        return None
    born, day = row["birth_month"], row["death_date"] or snapshot.date
    known = [date for date in dates if date is not None]
    return PatientLine(
        patient_id, row["sex"], age(born, day),
        row["death_date"] is not None or row["death_source"] is not None, stays, len(dates),
        min(known, default=None), max(known, default=None),
    )  # fmt: skip


def _stays(snapshot: Snapshot, rows: list[dict[str, Any]]) -> list[Event]:
    names = {}
    if any(row["unit_id"] is not None for row in rows):
        units = fetch(snapshot, "SELECT unit_id, coalesce(label, code) AS name FROM unit")
        names = {row["unit_id"]: row["name"] for row in units}
    return [
        Event(0, _start(r), _end(r), (r["kind"] or "venue",) * 2, value_text=names.get(r["unit_id"], ""))
        for r in rows
        if r["start_date"] is not None
    ]


def _documents(rows: Iterable[dict[str, Any]]) -> list[Event]:
    """Documents that say something by themselves: with a text, or without any fact."""
    return [
        Event(DOCUMENT_LANE, _start(r), When(None), (r["kind"],) * 2, value_text=r["title"] or "",
              document_id=r["document_id"])
        for r in rows
        if r["start_date"] is not None
    ]


def _facts(concepts: ConceptShelf, rows: list[dict[str, Any]]) -> list[Event]:
    """Affirmed facts that happened."""
    live = {int(status) for status in LIVE_STATUS}
    rows = [r for r in rows if r["start_date"] is not None and r["context"] == 0 and r["status"] in live]
    known = concepts.of_ids({r[c] for r in rows for c in ("concept_id", "value_concept") if r[c] is not None})
    events = []
    for row in rows:
        concept = known.get(row["concept_id"])
        result = known.get(row["value_concept"])
        events.append(
            Event(
                _OF_FACT.get(concept.kind if concept else "", OBSERVATION_LANE), _start(row), _end(row),
                (concept.label("fr"), concept.label("en")) if concept else ("", ""),
                f"{concept.vocabulary}:{concept.code}" if concept else "", row["value"],
                row["value_text"] or (result.label("fr") if result else ""), row["unit"] or "", row["document_id"],
            )
        )
    return events


def _start(row: dict[str, Any]) -> When:
    return When(row["start_date"], row["start_minute"], row["precision"])


def _end(row: dict[str, Any]) -> When:
    return When(row["end_date"], row["end_minute"], row["precision"])
