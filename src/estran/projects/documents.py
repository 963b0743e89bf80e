"""One document: its de-identified text, its facts, its versions, its neighbours."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from estran.model.codes import Comparator
from estran.projects.concepts import Concept, ConceptShelf
from estran.projects.rows import When, age, fetch, one
from estran.warehouse import Snapshot

_COMPARATORS = {Comparator.LT: "<", Comparator.LE: "≤", Comparator.GT: ">", Comparator.GE: "≥"}


@dataclass(frozen=True)
class FactLine:
    """A fact as it is read. `out` is -1 under the range, 1 over it, 0 otherwise."""

    fact_no: int
    parent_fact_no: int | None
    concept: Concept
    local: Concept | None
    start: When
    end: When
    value: float | None
    comparator: str
    value_text: str
    value_concept: Concept | None
    unit: str
    low: float | None
    high: float | None
    status: int
    role: str
    context: int
    origin: int

    @property
    def out(self) -> int:
        """Where the value stands against its reference range."""
        if self.value is None:
            return 0
        if self.low is not None and self.value < self.low:
            return -1
        return 1 if self.high is not None and self.value > self.high else 0


@dataclass(frozen=True)
class VersionLine:
    """One version of the document's source record."""

    document_id: int
    event_time: dt.datetime | None
    load_id: int
    status: int
    current: bool


@dataclass(frozen=True)
class Document:
    """A document with what hangs off it. `text` is "" for one made of codes only."""

    document_id: int
    patient_id: int
    kind: str
    title: str
    start: When
    unit: str
    author_role: str
    source: str
    status: int
    lang: str
    load_id: int
    known_at: dt.datetime | None
    stay_id: int | None
    stay_kind: str
    stay_start: dt.date | None
    stay_end: dt.date | None
    sex: str
    age: int | None  # completed years at the document's date
    text: str
    facts: tuple[FactLine, ...]
    versions: tuple[VersionLine, ...]
    previous: int | None
    following: int | None


def patient_of(snapshot: Snapshot, document_id: int) -> tuple[int, ...]:
    """Whose document it is; nobody when there is none that may be seen under this number."""
    head = one(snapshot, "SELECT patient_id FROM document WHERE document_id = ?", [document_id])
    return () if head is None else (head["patient_id"],)


def read_document(snapshot: Snapshot, concepts: ConceptShelf, document_id: int, patients: tuple[int, ...] = ()) -> Document | None:
    """The document, or None when there is none that may be seen under this number; `patients` as `patient_of` said."""
    for patient in patients or patient_of(snapshot, document_id):
        course = snapshot.patient_rows("document", patient).to_pylist()
        head = next((row for row in course if row["document_id"] == document_id), None)
        if head is not None:
            return _document(snapshot, concepts, head, _neighbours(course, document_id))
    return None


def _document(
    snapshot: Snapshot, concepts: ConceptShelf, head: dict[str, Any], neighbours: tuple[int | None, int | None]
) -> Document:
    document_id, patient = head["document_id"], head["patient_id"]
    text = _row(snapshot, "text", patient, "document_id", document_id)
    stay = _row(snapshot, "stay", patient, "stay_id", head["stay_id"])
    person = _row(snapshot, "patient", patient, "patient_id", patient)
    unit = head["unit_id"] is not None and one(snapshot, "SELECT code, label FROM unit WHERE unit_id = ?", [head["unit_id"]])
    return Document(
        document_id=document_id, patient_id=patient, kind=head["kind"], title=head["title"] or "",
        start=When(head["start_date"], head["start_minute"], head["precision"]),
        unit=(unit["label"] or unit["code"] or "") if unit else "", author_role=head["author_role"] or "",
        source=head["source"], status=head["status"], lang=head["lang"] or "", load_id=head["load_id"],
        known_at=instant(head["known_at"]), stay_id=stay.get("stay_id"), stay_kind=stay.get("kind") or "",
        stay_start=stay.get("start_date"), stay_end=stay.get("end_date"), sex=person.get("sex") or "unknown",
        age=age(person.get("birth_month"), head["start_date"]), text=text.get("text") or "",
        facts=_facts(snapshot, concepts, patient, document_id), versions=_versions(snapshot, head),
        previous=neighbours[0], following=neighbours[1],
    )  # fmt: skip


def _row(snapshot: Snapshot, table: str, patient: int, key: str, number: int | None) -> dict[str, Any]:
    """The visible row of a patient with this number; nothing when there is none."""
    rows = snapshot.patient_rows(table, patient)
    found: list[dict[str, Any]] = [] if number is None else rows.filter(pc.equal(rows.column(key), number)).to_pylist()
    return found[0] if found else {}


def instant(micros: int | None) -> dt.datetime | None:
    """An aware UTC datetime of microseconds since 1970; 0 and None are unknown."""
    return dt.datetime.fromtimestamp(micros / 1_000_000, dt.UTC) if micros else None


def _facts(snapshot: Snapshot, concepts: ConceptShelf, patient_id: int, document_id: int) -> tuple[FactLine, ...]:
    rows = snapshot.patient_rows("fact", patient_id)
    return fact_lines(concepts, rows.filter(pc.equal(rows.column("document_id"), document_id)).sort_by("fact_no").to_pylist())


def fact_lines(concepts: ConceptShelf, rows: list[dict[str, Any]]) -> tuple[FactLine, ...]:
    """Facts with the labels of their concepts."""
    ids = {r[c] for r in rows for c in ("concept_id", "local_concept_id", "value_concept") if r[c] is not None}
    known = concepts.of_ids(ids)

    def concept(number: int | None) -> Concept | None:
        return None if number is None else known.get(number, Concept(number, "", str(number), "", "", "other", ""))

    return tuple(_fact_line(row, concept) for row in rows)


def _fact_line(row: dict[str, Any], concept: Any) -> FactLine:
    return FactLine(
        fact_no=row["fact_no"], parent_fact_no=row["parent_fact_no"], concept=concept(row["concept_id"]),
        local=concept(row["local_concept_id"]), start=When(row["start_date"], row["start_minute"], row["precision"]),
        end=When(row["end_date"], row["end_minute"], row["precision"]), value=row["value"],
        comparator=_COMPARATORS.get(row["comparator"], ""), value_text=row["value_text"] or "",
        value_concept=concept(row["value_concept"]), unit=row["unit"] or "", low=row["low"], high=row["high"],
        status=row["status"], role=row["role"] or "", context=row["context"], origin=row["origin"],
    )


def _versions(snapshot: Snapshot, head: dict[str, Any]) -> tuple[VersionLine, ...]:
    """Every version that the source sent; only the current one can be read."""
    rows = fetch(
        snapshot,
        "SELECT document_id, event_time, load_id, status FROM raw_document ANTI JOIN closed_document USING (document_id) "
        "WHERE patient_id = ? AND identity_id = ? AND record_key = ? ORDER BY event_time DESC, content DESC",
        [head["patient_id"], head["identity_id"], head["record_key"]],
    )
    return tuple(
        VersionLine(
            r["document_id"], instant(r["event_time"]), r["load_id"], r["status"],
            r["document_id"] == head["document_id"],
        )
        for r in rows
    )


def _neighbours(course: list[dict[str, Any]], document_id: int) -> tuple[int | None, int | None]:
    """The documents before and after this one in a patient's course; those without a date come last."""
    course = sorted(course, key=lambda row: (
        row["start_date"] or dt.date.max, -1 if row["start_minute"] is None else row["start_minute"], row["document_id"]
    ))  # fmt: skip
    numbers = [None, *(row["document_id"] for row in course), None]
    at = numbers.index(document_id)
    return numbers[at - 1], numbers[at + 1]
