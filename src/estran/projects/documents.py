"""One document: its de-identified text, its facts, its versions, its neighbours."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from estran.model.codes import Comparator
from estran.projects.concepts import Concept, ConceptShelf
from estran.projects.rows import When, age_sql, fetch, one
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


def read_document(snapshot: Snapshot, concepts: ConceptShelf, document_id: int) -> Document | None:
    """The document, or None when there is none that may be seen under this number."""
    head = one(
        snapshot,
        f"""
        SELECT d.*, t.text, u.code AS unit_code, u.label AS unit_label, p.sex,
               {age_sql("p.birth_month", "d.start_date")} AS age,
               s.kind AS stay_kind, s.start_date AS stay_start, s.end_date AS stay_end, s.stay_id AS known_stay
        FROM document d
        LEFT JOIN text t ON t.document_id = d.document_id AND t.patient_id = d.patient_id
        LEFT JOIN unit u ON u.unit_id = d.unit_id
        LEFT JOIN patient p ON p.patient_id = d.patient_id
        LEFT JOIN stay s ON s.stay_id = d.stay_id AND s.patient_id = d.patient_id
        WHERE d.document_id = ?
        """,
        [document_id],
    )
    if head is None:
        return None
    before, after = _neighbours(snapshot, head["patient_id"], document_id)
    return Document(
        document_id=document_id, patient_id=head["patient_id"], kind=head["kind"], title=head["title"] or "",
        start=When(head["start_date"], head["start_minute"], head["precision"]),
        unit=head["unit_label"] or head["unit_code"] or "", author_role=head["author_role"] or "",
        source=head["source"], status=head["status"], lang=head["lang"] or "", load_id=head["load_id"],
        known_at=instant(head["known_at"]), stay_id=head["known_stay"], stay_kind=head["stay_kind"] or "",
        stay_start=head["stay_start"], stay_end=head["stay_end"], sex=head["sex"] or "unknown", age=head["age"],
        text=head["text"] or "", facts=_facts(snapshot, concepts, head["patient_id"], document_id),
        versions=_versions(snapshot, head), previous=before, following=after,
    )


def instant(micros: int | None) -> dt.datetime | None:
    """An aware UTC datetime of microseconds since 1970; 0 and None are unknown."""
    return dt.datetime.fromtimestamp(micros / 1_000_000, dt.UTC) if micros else None


def _facts(snapshot: Snapshot, concepts: ConceptShelf, patient_id: int, document_id: int) -> tuple[FactLine, ...]:
    rows = fetch(
        snapshot, "SELECT * FROM fact WHERE patient_id = ? AND document_id = ? ORDER BY fact_no", [patient_id, document_id]
    )
    return fact_lines(concepts, rows)


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


def _neighbours(snapshot: Snapshot, patient_id: int, document_id: int) -> tuple[int | None, int | None]:
    row = one(
        snapshot,
        """
        SELECT before, after FROM (
            SELECT d.document_id, lag(d.document_id) OVER o AS before, lead(d.document_id) OVER o AS after
            FROM document d WHERE d.patient_id = ?
            WINDOW o AS (ORDER BY d.start_date NULLS LAST, d.start_minute NULLS FIRST, d.document_id))
        WHERE document_id = ?
        """,
        [patient_id, document_id],
    )
    return (None, None) if row is None else (row["before"], row["after"])
