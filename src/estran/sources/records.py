"""What a reader hands to the load pipeline: identified records, gathered in columnar batches.

Identified types exist only in this room: nothing in `model` has a place for a name or a hospital
number. A reader knows its format and nothing else: it neither resolves a patient nor maps a code.

Inside a batch, patients, stays, units and codes are *interned*: listed once, and referred to by
their index in that list. The pipeline resolves each list once and takes by index, so the hot path
has no Python loop over facts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from estran.identity.stays import OF_STAY as OF_STAY  # noqa: PLC0414
from estran.identity.traits import Person as Person  # noqa: PLC0414  (re-exported on purpose)
from estran.model.codes import DocumentStatus, FactStatus
from estran.model.moments import Moment
from estran.sources.columns import FactColumns, Profile, column, moments, sparse
from estran.sources.schemas import (
    ATTRIBUTES,
    DOCUMENTS,
    FACTS,
    MEDIA,
    MOVEMENTS,
    RECORDS,
    REFUSED,
    STAY_EVENTS,
    VARIANTS,
)  # fmt: skip


class PatientKey(NamedTuple):
    """A patient number as a source writes it: assigning authority and value."""

    system: str
    value: str


class StayKey(NamedTuple):
    """A stay number; `patient` is the index of its patient in the batch."""

    patient: int
    system: str
    value: str


def of_stay(system: str, value: str) -> PatientKey:
    """The patient of a stay, for sources that name the stay and not the patient (PMSI). The vault knows
    whose it is once any source has stated a stay of this authority and number; until then the record waits."""
    return PatientKey(OF_STAY + system, value)


class Code(NamedTuple):
    """A code as the source wrote it. `vocabulary` is a house name (LOINC, CIM10, OMOP, LOCAL/<x>).

    `also` holds other codings that the source itself gave for the same thing, best first: the
    terminology prefers a standard one and keeps this one as the local code.
    """

    vocabulary: str
    code: str
    label: str = ""
    lang: str = "fr"
    kind: str = "other"
    also: tuple[tuple[str, str, str], ...] = ()  # (vocabulary, code, label)


class UnitKey(NamedTuple):
    """A ward (unité) as the source names it."""

    code: str
    label: str = ""
    level: str = "UF"


@dataclass(frozen=True)
class IdentityStatement:
    """Record `record` says that these numbers belong to one person with these traits.

    `introduces` is False for a mere reference (a number without any trait).
    """

    record: int  # row in Batch.records
    patient: int  # index in Batch.patients
    aliases: tuple[PatientKey, ...]  # further numbers of the same person (not the INS)
    person: Person
    ins: str | None = None
    introduces: bool = True


@dataclass(frozen=True)
class MergeStatement:
    """Record says that `gone` is the same person as `kept` (HL7 A40), or no longer (`undo`)."""

    record: int
    kept: int
    gone: int
    undo: bool = False


@dataclass(frozen=True)
class RelationStatement:
    """`patient` has `other` as mother, child or twin."""

    record: int
    patient: int
    other: int
    kind: str
    rank: int | None = None


@dataclass(frozen=True)
class PermissionStatement:
    """Opposition or consent carried by a record."""

    record: int
    patient: int
    scope: str
    kind: str
    from_date: dt.date
    to_date: dt.date | None = None
    given_by: str = "patient"
    proof: str = ""


@dataclass(frozen=True)
class Refusal:
    """Why a record cannot be loaded: `field` in the source's own terms, one sentence, no value."""

    record: int
    field: str
    code: str  # malformed, truncated, encoding, missing, unknown-type, no-patient, derived, header
    reason: str


@dataclass(frozen=True)
class Vocabulary:
    """Rows of a vocabulary that travels with the data (OMOP's CONCEPT tables)."""

    # vocabulary, code, label, lang, kind, valid_from, valid_to, standard
    concepts: pa.Table | None = None
    # ancestor_vocabulary, ancestor_code, descendant_vocabulary, descendant_code, distance
    ancestors: pa.Table | None = None
    synonyms: pa.Table | None = None  # vocabulary, code, synonym, lang
    # source_vocabulary, source_code, target_vocabulary, target_code, relation, method
    maps: pa.Table | None = None


# Titles that readers give by themselves to documents without one: words of this package, nobody's name,
# so they are not masked patient by patient.
OWN_TITLES = frozenset(
    ["Acte", "Actes", "Allergies", "Diagnostic", "Diagnostics", "Dispositif médical", "Épisode", "Mesure", "Médicament", "Observation", "Prélèvement", "RHS", "RPU", "RSA", "RSS", "RUM", "Période d'observation", "Période de dose (calculée)", "Période de maladie (calculée)", "Période de traitement (calculée)"]
)


@dataclass
class Batch:
    """Some records of one file, in file order. Every record is in `records`, refused or not."""

    part: str  # table or resource type, "" when the format has none
    records: pa.Table
    patients: list[PatientKey] = field(default_factory=list)
    stays: list[StayKey] = field(default_factory=list)
    units: list[UnitKey] = field(default_factory=list)
    codes: list[Code] = field(default_factory=list)
    identities: list[IdentityStatement] = field(default_factory=list)
    merges: list[MergeStatement] = field(default_factory=list)
    relations: list[RelationStatement] = field(default_factory=list)
    permissions: list[PermissionStatement] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    refused: pa.Table = field(default_factory=REFUSED.empty_table)  # beside `refusals`, never the same record
    stay_events: pa.Table = field(default_factory=STAY_EVENTS.empty_table)
    movements: pa.Table = field(default_factory=MOVEMENTS.empty_table)
    documents: pa.Table = field(default_factory=DOCUMENTS.empty_table)
    facts: pa.Table = field(default_factory=FACTS.empty_table)
    attributes: pa.Table = field(default_factory=ATTRIBUTES.empty_table)
    media: pa.Table = field(default_factory=MEDIA.empty_table)
    variants: pa.Table = field(default_factory=VARIANTS.empty_table)
    vocabulary: Vocabulary | None = None
    # Records that only state that a stay number is of a patient: (record row, index in `stays`).
    ties: list[tuple[int, int]] = field(default_factory=list)
    # Records that need a known patient but make no document, stay or movement of their own:
    # (record row, patient index).
    needs: list[tuple[int, int]] = field(default_factory=list)


class Reader(Protocol):
    """A format. `wanted` limits the reading to these record numbers (replay of quarantine)."""

    format: str

    def files(self, paths: list[Path]) -> list[Path]:
        """The files to read under `paths`, those that introduce patients first."""
        ...

    def read(self, path: Path, name: str, wanted: frozenset[int] | None = None) -> Iterator[Batch]:
        """Batches of the file at `path`; `name` is the file's original name (replays read a copy).

        Bad records become refusals and the reading goes on; InputRefused only when nothing of the
        file can be read at all.
        """
        ...

    def size(self, path: Path) -> int:
        """Bytes to read, for the progress bar."""
        ...


_DOCUMENT_ROW = ("record", "key", "patient", "stay", "kind", "title", "start", "status", "known_at")
_NOTHING: Mapping[str, Any] = {}


class BatchBuilder:
    """Gathers records one by one into a Batch; for formats that are read in Python."""

    def __init__(self, part: str = "") -> None:
        self.part = part
        self._records: list[tuple[int, int | None, int, int]] = []
        self._patients: dict[PatientKey, int] = {}
        self._stays: dict[StayKey, int] = {}
        self._units: dict[UnitKey, int] = {}
        self._codes: dict[Code, int] = {}
        self._profiles: dict[Profile, int] = {}
        self.batch = Batch(part, RECORDS.empty_table())
        self._document_rows: list[tuple[Any, ...]] = []
        # columns of documents that are mostly empty, by row
        self._document_rare: dict[str, dict[int, Any]] = {
            name: {} for name in ("text", "unit", "author_role", "confidential", "lang", "key_int")
        }
        self._facts = FactColumns()
        self._runs: list[tuple[int, int]] = []  # (document, place of its first fact)
        self._stay_rows: list[dict[str, Any]] = []
        self._movement_rows: list[dict[str, Any]] = []
        self._attribute_rows: list[dict[str, Any]] = []
        self._media_rows: list[dict[str, Any]] = []
        self._variants: list[pa.Table] = []
        batch = self.batch
        self._undoable: tuple[Any, ...] = (
            self._patients, self._stays, self._units, self._codes, self._profiles, self._document_rows,
            *self._document_rare.values(), self._runs, self._stay_rows, self._movement_rows, self._attribute_rows, self._media_rows, self._variants, batch.identities,
            batch.merges, batch.relations, batch.permissions, batch.needs,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self._records)

    @property
    def rows(self) -> Sequence[object]:
        """The records gathered so far; it grows with them."""
        return self._records

    @property
    def facts(self) -> int:
        """Facts gathered so far."""
        return len(self._facts)

    @property
    def documents(self) -> int:
        """Documents gathered so far."""
        return len(self._document_rows)

    def record(self, record_no: int, line: int | None, event_time: int, content: int) -> int:
        """Open a record; returns its row, which every statement about it carries."""
        self._records.append((record_no, line, event_time, content))
        return len(self._records) - 1

    def date_record(self, record: int, event_time: int) -> None:
        """Set the event time once it is known."""
        no, line, _, content = self._records[record]
        self._records[record] = (no, line, event_time, content)

    def patient(self, system: str, value: str) -> int:
        return self._patients.setdefault(PatientKey(system, value), len(self._patients))

    def stay(self, patient: int, system: str, value: str) -> int:
        return self._stays.setdefault(StayKey(patient, system, value), len(self._stays))

    def unit(self, code: str, label: str = "", level: str = "UF") -> int:
        return self._units.setdefault(UnitKey(code, label, level), len(self._units))

    def code(self, code: Code) -> int:
        return self._codes.setdefault(code, len(self._codes))

    def profile(self, code: int, unit: str | None = None, low: float | None = None, high: float | None = None) -> int:
        """What results of one kind share: index of the code, unit and reference range."""
        return self._profiles.setdefault((code, unit, low, high), len(self._profiles))

    def refuse(self, record: int, field_name: str, code: str, reason: str) -> None:
        self.batch.refusals.append(Refusal(record, field_name, code, reason))

    def stay_event(self, record: int, stay: int, **columns: Any) -> None:
        """`columns` are those of STAY_EVENTS."""
        self._stay_rows.append({"record": record, "stay": stay, **columns})

    def movement(self, record: int, key: str, stay: int, **columns: Any) -> None:
        self._movement_rows.append({"record": record, "key": key, "stay": stay, **columns})

    def media(self, document: int, **columns: Any) -> None:
        self._media_rows.append({"document": document, **columns})

    def variants(self, document: int, rows: pa.Table) -> None:
        """The variants of `document`: the columns of VARIANTS but `document`."""
        number = pa.array(np.full(rows.num_rows, document, np.int32))
        self._variants.append(rows.add_column(0, "document", number).select(VARIANTS.names).cast(VARIANTS))

    def document(
        self, record: int, key: str, patient: int, stay: int | None, kind: str, title: str, start: Moment | None,
        text: str | None = None, status: DocumentStatus | int = DocumentStatus.CURRENT, *,
        known_at: int | None = None, unit: int | None = None, author_role: str | None = None,
        confidential: bool | None = None, lang: str | None = None, key_int: int | None = None,
    ) -> int:  # fmt: skip
        """Returns the document's row; the parameters are the columns of DOCUMENTS, but for `whole`."""
        row = len(self._document_rows)
        self._document_rows.append((record, key, patient, stay, kind, title, start, int(status), known_at))
        rare = (text, unit, author_role, confidential or None, lang, key_int)
        for gathered, item in zip(self._document_rare.values(), rare, strict=True):
            if item is not None:
                gathered[row] = item
        return row

    def fact(
        self, document: int, code: int, start: Moment | None, value: float | None = None, unit: str | None = None,
        status: FactStatus | int = FactStatus.FINAL, end: Moment | None = None, **rare: Any,
    ) -> int:
        """A fact of `document`; returns its fact_no. `rare` are the other columns of FACTS.

        Facts of one document are added before the next document is opened.
        """
        profile = self.profile(code, unit, rare.pop("low", None), rare.pop("high", None))
        if status:
            rare["status"] = int(status)
        if end is not None:
            rare["end_date"], rare["end_minute"] = end.date, end.minute
        place = self._facts.add(profile, start, value, rare)
        if not self._runs or self._runs[-1][0] != document:
            self._runs.append((document, place))
        return place - self._runs[-1][1]

    def result(
        self, record: tuple[int, int | None, int, int], key: str, patient: int, stay: int | None, kind: str,
        title: str, start: Moment | None, value: float | None, profile: int, status: int = 0, *,
        known_at: int | None = None, rare: Mapping[str, Any] = _NOTHING,
    ) -> int:  # fmt: skip
        """`record`, `document` and `fact` in one, for the everyday result: a record of one value.

        Parameters as those methods take them; `rare` are columns of the fact. Returns the document's row.
        """
        document = len(self._document_rows)
        self._document_rows.append((len(self._records), key, patient, stay, kind, title, start, status, known_at))
        self._records.append(record)
        self._runs.append((document, self._facts.add(profile, start, value, rare)))
        return document

    def add_facts(self, document: int, facts: FactColumns) -> None:
        """All the facts of `document` at once, numbered from 0: the fast way in."""
        if len(facts):
            self._runs.append((document, len(self._facts)))
            self._facts.extend(facts)

    def attribute(self, document: int, fact_no: int, attribute: int, **columns: Any) -> None:
        self._attribute_rows.append({"document": document, "fact_no": fact_no, "attribute": attribute, **columns})

    def mark(self) -> tuple[int, ...]:
        """Where the gathering stands between two records; `undo` comes back to it."""
        return (len(self._facts.profiles), *map(len, self._undoable))

    def undo(self, mark: tuple[int, ...]) -> None:
        """Forget what was gathered since `mark`, records excepted.

        Indices of patients, stays, units, codes and profiles given since are no longer valid.
        """
        self._facts.cut(mark[0])
        for gathered, size in zip(self._undoable, mark[1:], strict=True):
            if isinstance(gathered, dict):
                while len(gathered) > size:
                    gathered.popitem()
            else:
                del gathered[size:]

    def _fact_places(self) -> dict[str, pa.Array]:
        """The columns `document` and `fact_no`, from the runs."""
        runs = np.array(self._runs, dtype=np.int64).reshape(-1, 2)
        counts = np.diff(runs[:, 1], append=len(self._facts))
        numbers = np.arange(len(self._facts)) - np.repeat(runs[:, 1], counts)
        return {
            "document": pa.array(np.repeat(runs[:, 0], counts).astype(np.int32)),
            "fact_no": pa.array(numbers.astype(np.int32)),
        }

    def _document_table(self) -> pa.Table:
        rows = self._document_rows
        columns = moments([row[_DOCUMENT_ROW.index("start")] for row in rows])
        for at, name in enumerate(_DOCUMENT_ROW):
            if name != "start":
                columns[name] = column(rows, at, DOCUMENTS.field(name).type)
        for name, items in self._document_rare.items():
            default = False if name == "confidential" else None
            columns[name] = sparse(items, len(rows), default, DOCUMENTS.field(name).type)
        columns["whole"] = pa.nulls(len(rows), pa.string())
        return pa.table([columns[name] for name in DOCUMENTS.names], schema=DOCUMENTS)

    def build(self) -> Batch:
        """The finished batch; the builder is not used afterwards."""
        batch = self.batch
        records = [column(self._records, at, item.type) for at, item in enumerate(RECORDS)]
        batch.records = pa.table(records, schema=RECORDS)
        batch.patients, batch.stays = list(self._patients), list(self._stays)
        batch.units, batch.codes = list(self._units), list(self._codes)
        batch.documents = self._document_table()
        batch.facts = self._facts.table(FACTS, list(self._profiles), self._fact_places())
        batch.stay_events = pa.Table.from_pylist(self._stay_rows, STAY_EVENTS)
        batch.movements = pa.Table.from_pylist(self._movement_rows, MOVEMENTS)
        batch.attributes = pa.Table.from_pylist(self._attribute_rows, ATTRIBUTES)
        batch.media = pa.Table.from_pylist(self._media_rows, MEDIA)
        if self._variants:
            batch.variants = pa.concat_tables(self._variants)
        return batch


def content_hash(data: bytes) -> int:
    """64 bits of BLAKE2b as a signed integer: finds identical resends and breaks ties."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little", signed=True)
