"""The tables of a snapshot as plain Python rows, for the memory engine."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pyroaring import BitMap

    from estran.warehouse import Snapshot


@dataclass(frozen=True)
class Patient:
    patient_id: int
    sex: str
    birth_month: dt.date | None = None
    death_date: dt.date | None = None
    death_source: str | None = None
    last_news: dt.date | None = None
    residence_area: str | None = None


@dataclass(frozen=True)
class Stay:
    stay_id: int
    patient_id: int
    kind: str | None = None
    start_date: dt.date | None = None
    start_minute: int | None = None
    end_date: dt.date | None = None
    end_minute: int | None = None
    precision: int = 2
    entry_mode: str | None = None
    exit_mode: str | None = None
    unit_id: int | None = None


@dataclass(frozen=True)
class Movement:
    movement_id: int
    stay_id: int
    patient_id: int
    unit_id: int | None = None
    responsibility: str | None = None
    start_date: dt.date | None = None
    start_minute: int | None = None
    end_date: dt.date | None = None
    end_minute: int | None = None
    precision: int = 2
    status: str = "active"


@dataclass(frozen=True)
class Document:
    document_id: int
    patient_id: int
    stay_id: int | None = None
    kind: str = "other"
    title: str | None = None
    start_date: dt.date | None = None
    start_minute: int | None = None
    precision: int = 2
    unit_id: int | None = None


@dataclass(frozen=True)
class Fact:
    patient_id: int
    document_id: int
    fact_no: int
    concept_id: int
    local_concept_id: int | None = None
    parent_fact_no: int | None = None
    stay_id: int | None = None
    start_date: dt.date | None = None
    start_minute: int | None = None
    precision: int = 2
    value: float | None = None
    value_concept: int | None = None
    comparator: int | None = None
    unit: str | None = None
    status: int = 0
    role: str | None = None
    context: int = 0
    origin: int = 0


@dataclass(frozen=True)
class Text:
    document_id: int
    text: str


@dataclass(frozen=True)
class Media:
    document_id: int
    modality: str | None


@dataclass(frozen=True)
class Variant:
    document_id: int
    chrom: str
    pos: int
    gene: str | None = None
    impact: str | None = None


@dataclass(frozen=True)
class Unit:
    unit_id: int
    code: str
    parent: int | None = None


@dataclass(frozen=True)
class Relation:
    patient_id: int
    other_id: int
    kind: str


@dataclass(frozen=True)
class Permission:
    patient_id: int
    scope: str
    kind: str
    from_date: dt.date
    to_date: dt.date | None = None


@dataclass(frozen=True)
class Concept:
    concept_id: int
    vocabulary: str
    code: str


@dataclass(frozen=True)
class Ancestor:
    ancestor_id: int
    descendant_id: int


Row = TypeVar("Row")


@dataclass(frozen=True)
class Rows:
    """Every visible row, as lists. `population`: the visible patients, who alone are answered."""

    date: dt.date
    zone: str
    patient: list[Patient]
    stay: list[Stay] = field(default_factory=list)
    movement: list[Movement] = field(default_factory=list)
    document: list[Document] = field(default_factory=list)
    fact: list[Fact] = field(default_factory=list)
    text: list[Text] = field(default_factory=list)
    media: list[Media] = field(default_factory=list)
    variant: list[Variant] = field(default_factory=list)
    unit: list[Unit] = field(default_factory=list)
    relation: list[Relation] = field(default_factory=list)
    permission: list[Permission] = field(default_factory=list)
    concept: list[Concept] = field(default_factory=list)
    concept_ancestor: list[Ancestor] = field(default_factory=list)
    version: int = 0

    @cached_property
    def patients(self) -> dict[int, Patient]:
        return {row.patient_id: row for row in self.patient}

    @cached_property
    def stays(self) -> dict[int, Stay]:
        return {row.stay_id: row for row in self.stay if row.patient_id in self.patients}

    @cached_property
    def movements(self) -> dict[int, Movement]:
        return {m.movement_id: m for m in self.movement if m.status == "active" and m.stay_id in self.stays}

    @cached_property
    def documents(self) -> dict[int, Document]:
        return {row.document_id: row for row in self.document if row.patient_id in self.patients}

    @cached_property
    def facts(self) -> dict[tuple[int, int], Fact]:
        return {(f.document_id, f.fact_no): f for f in self.fact if f.patient_id in self.patients}

    @cached_property
    def movements_of(self) -> dict[int, list[Movement]]:
        return _by(self.movements.values(), "stay_id")

    @cached_property
    def documents_of(self) -> dict[int, list[Document]]:
        """Documents of each stay."""
        return _by(self.documents.values(), "stay_id")

    @cached_property
    def facts_in(self) -> dict[int, list[Fact]]:
        """Facts of each document."""
        return _by(self.facts.values(), "document_id")


def _by(rows: Iterable[Row], name: str) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        if getattr(row, name) is not None:
            found[getattr(row, name)].append(row)
    return found


_TABLES: dict[str, type] = {
    "patient": Patient, "stay": Stay, "movement": Movement, "document": Document, "fact": Fact, "text": Text,
    "media": Media, "variant": Variant, "unit": Unit, "relation": Relation, "permission": Permission, "concept": Concept,
    "concept_ancestor": Ancestor,
}  # fmt: skip


def read(snapshot: Snapshot, within: BitMap | None = None) -> Rows:
    """All the rows of a snapshot that may be seen; `within` keeps some patients only."""
    tables: dict[str, Any] = {}
    with snapshot.connect() as connection:
        for name, kind in _TABLES.items():
            columns = ", ".join(f.name for f in fields(kind))
            tables[name] = [kind(*row) for row in connection.execute(f"SELECT {columns} FROM {name}").fetchall()]
    visible = snapshot.population() if within is None else snapshot.population() & within
    tables["patient"] = [row for row in tables["patient"] if row.patient_id in visible]
    return Rows(snapshot.date, snapshot.settings.zone, version=snapshot.version, **tables)
