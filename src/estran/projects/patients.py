"""One pseudonymous patient: who, and everything that happened, in lanes."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from estran.model.codes import LIVE_STATUS
from estran.projects.concepts import ConceptShelf
from estran.projects.rows import OPEN_DOCUMENT, When, age_sql, fetch
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
    """Lines for these patients, in the order given; flagged ones are left out."""
    if not patient_ids:
        return []
    marks = ", ".join("?" for _ in patient_ids)
    rows = fetch(
        snapshot,
        f"""
        WITH stays AS (SELECT patient_id, count(*) AS n FROM stay
                       WHERE patient_id IN ({marks}) AND NOT confidential GROUP BY patient_id),
        documents AS (SELECT patient_id, count(*) AS n, min(start_date) AS first, max(start_date) AS last
                      FROM document d WHERE patient_id IN ({marks}) AND {OPEN_DOCUMENT} GROUP BY patient_id)
        SELECT p.patient_id, p.sex, {age_sql("p.birth_month", "coalesce(p.death_date, CAST(? AS DATE))")} AS age,
               p.death_date IS NOT NULL OR p.death_source IS NOT NULL AS dead,
               coalesce(stays.n, 0) AS stays, coalesce(documents.n, 0) AS documents, first, last
        FROM patient p LEFT JOIN stays USING (patient_id) LEFT JOIN documents USING (patient_id)
        WHERE p.patient_id IN ({marks}) AND NOT p.confidential
        """,
        [*patient_ids, *patient_ids, snapshot.date, *patient_ids],
    )
    found = {row["patient_id"]: PatientLine(**row) for row in rows}
    return [found[number] for number in patient_ids if number in found]


def read_timeline(snapshot: Snapshot, concepts: ConceptShelf, patient_id: int) -> Timeline | None:
    """Everything of one patient that may be seen; None when there is no such patient."""
    patient = next(iter(read_patients(snapshot, [patient_id])), None)
    if patient is None:
        return None
    events = [*_stays(snapshot, patient_id), *_documents(snapshot, patient_id), *_facts(snapshot, concepts, patient_id)]
    events.sort(key=lambda e: (e.start.date, -1 if e.start.minute is None else e.start.minute, e.lane))
    return Timeline(patient, tuple(events))


def _stays(snapshot: Snapshot, patient_id: int) -> list[Event]:
    rows = fetch(
        snapshot,
        "SELECT s.*, coalesce(u.label, u.code, '') AS unit_name FROM stay s LEFT JOIN unit u USING (unit_id) "
        "WHERE patient_id = ? AND start_date IS NOT NULL AND NOT confidential",
        [patient_id],
    )
    return [
        Event(0, _start(r), _end(r), (r["kind"] or "venue",) * 2, value_text=r["unit_name"]) for r in rows
    ]


def _documents(snapshot: Snapshot, patient_id: int) -> list[Event]:
    """Documents that say something by themselves: with a text, or without any fact."""
    rows = fetch(
        snapshot,
        f"""
        SELECT d.* FROM document d
        LEFT JOIN (SELECT document_id FROM text WHERE patient_id = ?) t USING (document_id)
        LEFT JOIN (SELECT DISTINCT document_id FROM fact WHERE patient_id = ?) f USING (document_id)
        WHERE d.patient_id = ? AND d.start_date IS NOT NULL AND {OPEN_DOCUMENT}
          AND (t.document_id IS NOT NULL OR f.document_id IS NULL)
        """,
        [patient_id] * 3,
    )
    return [
        Event(DOCUMENT_LANE, _start(r), When(None), (r["kind"],) * 2, value_text=r["title"] or "",
              document_id=r["document_id"])
        for r in rows
    ]


def _facts(snapshot: Snapshot, concepts: ConceptShelf, patient_id: int) -> list[Event]:
    """Affirmed facts that happened; of open documents only."""
    live = ", ".join(str(int(status)) for status in LIVE_STATUS)
    rows = fetch(
        snapshot,
        f"""
        SELECT f.* FROM fact f JOIN document d ON d.document_id = f.document_id AND d.patient_id = f.patient_id
        WHERE f.patient_id = ? AND d.patient_id = ? AND f.start_date IS NOT NULL AND f.context = 0
          AND f.status IN ({live}) AND {OPEN_DOCUMENT}
        """,
        [patient_id] * 2,
    )
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
