"""A page: the records of one kind in one stretch of lines, made into a batch."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import pyarrow as pa

from estran.model.codes import DocumentStatus, Precision, Sex
from estran.model.moments import MICROS_PER_MINUTE, utc_minutes
from estran.sources.pmsi.checking import Faults, checked
from estran.sources.pmsi.cutting import NO_DAY, Ints, Lines, blank, days, texts
from estran.sources.pmsi.layout import DocumentSpec, Kind, Layout
from estran.sources.pmsi.sheet import Cut, Days, Facts
from estran.sources.pmsi.wholes import Wholes, names_of
from estran.sources.records import (
    Batch,
    IdentityStatement,
    PatientKey,
    Person,
    RelationStatement,
    StayKey,
    UnitKey,
    content_hash,
    of_stay,
)
from estran.sources.schemas import DOCUMENTS, MOVEMENTS, RECORDS, REFUSED, STAY_EVENTS

RSA = "rsa"  # system of the numbers that GENRSA gives within one transmission
_SEXES = {"1": Sex.MALE, "2": Sex.FEMALE, "3": Sex.OTHER}
_EPOCH = dt.date(1970, 1, 1)
_NO_LAYOUT = "The line is of no known PMSI layout: its format is in no table."
_NO_SENDING = "The name of the file does not say which transmission it is of (FINESS.year.month)."


@dataclass(frozen=True)
class Sending:
    """What holds for every line of a file: when it was sent (microseconds UTC), in which transmission, and the
    wholes that its records are parts of."""

    zone: str
    authority: str
    sent: int
    transmission: str
    wholes: Wholes | None = None


@dataclass
class Page:
    """Gathers the lines of one kind, layout by layout; `counts` numbers lines that share a business key."""

    sending: Sending
    wanted: frozenset[int] | None
    counts: dict[str, int]
    _parts: list[tuple[Cut, Faults, list[str]]] = field(default_factory=list)

    def add(self, kind: Kind, layout: Layout, lines: Lines) -> None:
        """Lines of one layout. Keys are counted over all of them, whatever is wanted."""
        cut, faults = checked(kind, layout, lines)
        keys = self._keys(cut, kind.key)
        if kind.numbered:
            keys = [self._counted(f"{kind.kind}|{key}") for key in keys]
        if self.wanted is not None:
            rows = np.flatnonzero(np.isin(lines.numbers, np.fromiter(self.wanted, np.int64, len(self.wanted))))
            keys = [keys[row] for row in rows.tolist()]
            cut, faults = checked(kind, layout, lines.take(rows))
        if len(cut.lines):
            self._parts.append((cut, faults, keys))

    def _counted(self, key: str) -> str:
        self.counts[key] = self.counts.get(key, 0) + 1
        return f"{key}|{self.counts[key]}"

    def _keys(self, cut: Cut, names: tuple[str, ...]) -> list[str]:
        columns = []
        for name in names:
            if name == "@transmission":
                columns.append([self.sending.transmission] * len(cut.lines))
            elif cut.has(name):
                columns.append(texts(cut.lines.head(cut.layout.fields[name])))
        return ["|".join(words) for words in zip(*columns, strict=True)]

    def batches(self) -> Iterator[Batch]:
        """The batch of the records, and one of the mothers that they name."""
        if self._parts:
            sheet = _Sheet(self.sending, self._parts[0][0].kind)
            for cut, faults, keys in self._parts:
                sheet.add(cut, faults, keys, lambda cut, spec: self._keys(cut, spec.key))
            yield sheet.build()
            mothers = _Mothers(self.sending)
            for cut, faults, _ in self._parts:
                mothers.add(cut, faults)
            if mothers.rows:
                yield mothers.build()


class _Sheet:
    """A batch in the making."""

    def __init__(self, sending: Sending, kind: Kind) -> None:
        self.sending, self.kind = sending, kind
        self.batch = Batch(kind.kind, RECORDS.empty_table())
        self.records: list[pa.Table] = []
        self.documents: list[pa.Table] = []
        self.stay_events: list[dict[str, Any]] = []
        self.movements: list[pa.Table] = []
        self.refused: list[tuple[int, str, str, str]] = []
        self.facts = Facts(sending.zone)
        self.patients: dict[PatientKey, int] = {}
        self.stays: dict[StayKey, int] = {}
        self.units: dict[UnitKey, int] = {}
        self.base = self.document_rows = 0

    def add(self, cut: Cut, faults: Faults, keys: list[str], keys_of: Any) -> None:
        start, end = self._day(cut, self.kind.start), self._day(cut, self.kind.end)
        if (self.kind.tie or self.kind.numbered_by_tra) and not self.sending.transmission:
            faults.note(np.ones(len(cut.lines), np.bool_), "file name", "missing", _NO_SENDING)
        wholes = names_of(self.kind, cut.layout, cut.lines) if self.kind.whole and self.sending.wholes else None
        self._record(cut, start, wholes)
        self.refused += [(self.base + row, *why) for row, why in sorted(faults.first.items())]
        good = faults.good()
        patients, stays = self._whose(cut, good)
        units = self._wards(cut, good)
        if self.kind.introduces or self.kind.states_stay:
            self._introduce(cut, good, patients, stays, start, end)
        elif self.kind.stay_kind:
            self._class(stays)
        if self.kind.tie:
            self._tie(cut, good, patients)
        for place, spec in enumerate(self.kind.documents):
            named = None if place else wholes  # what belongs to the whole is no part of it
            self._document(cut, spec, keys if not place else keys_of(cut, spec), named, good, patients, stays, units)
        if self.kind.movement:
            self._movement(cut, keys, good, stays, units, start, end)
        self.base += len(cut.lines)

    def _day(self, cut: Cut, name: str) -> Days:
        if not cut.has(name):
            return np.full(len(cut.lines), NO_DAY, np.int32)
        return days(cut.values(name), cut.field(name).type)[0]

    def _record(self, cut: Cut, start: Days, wholes: list[str] | None) -> None:
        lines, sent = cut.lines, self.sending.sent
        told = [lines.bytes_of(row) for row in range(len(lines))]
        if wholes and self.sending.wholes:  # a part is another one when any part of its whole is
            digests = self.sending.wholes.of(wholes).tolist()
            told = [line + b"|%d" % digest for line, digest in zip(told, digests, strict=True)]
        content = [content_hash(line) for line in told]
        event = np.full(len(lines), sent, np.int64) + lines.numbers
        if self.kind.introduces or self.kind.states_stay:
            event = _first_word(start, sent, self.sending.zone, event)
        columns = [lines.numbers, lines.places, event, np.array(content, np.int64)]
        self.records.append(pa.table([pa.array(c, pa.int64()) for c in columns], schema=RECORDS))

    def _whose(self, cut: Cut, good: np.ndarray[Any, Any]) -> tuple[Ints, Ints]:
        """Patient and stay of each line, -1 where it is refused or names none."""
        count = len(cut.lines)
        numbers = texts(cut.values(self.kind.stay)) if cut.has(self.kind.stay) else [""] * count
        ipps = texts(cut.values(self.kind.patient)) if cut.has(self.kind.patient) else [""] * count
        if self.kind.numbered_by_tra:
            index = texts(cut.values(self.kind.numbered_by_tra))
            return self._by_tra(index, good), np.full(count, -1, np.int64)
        patients, stays = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
        system = self.sending.authority
        for row in np.flatnonzero(good).tolist():
            number, ipp = numbers[row], ipps[row]
            if not number and not ipp:
                continue
            key = PatientKey(system, ipp) if ipp else of_stay(system, number)
            patients[row] = self.patients.setdefault(key, len(self.patients))
            if number:
                stay = StayKey(int(patients[row]), system, number)
                stays[row] = self.stays.setdefault(stay, len(self.stays))
        return patients, stays

    def _by_tra(self, index: list[str], good: np.ndarray[Any, Any]) -> Ints:
        patients = np.full(len(index), -1, np.int64)
        for row in np.flatnonzero(good).tolist():
            key = of_stay(RSA, f"{self.sending.transmission}|{index[row]}")
            patients[row] = self.patients.setdefault(key, len(self.patients))
        return patients

    def _wards(self, cut: Cut, good: np.ndarray[Any, Any]) -> Ints:
        name = self.kind.unit or self.kind.states_unit
        if not cut.has(name):
            return np.full(len(cut.lines), -1, np.int64)
        codes = texts(cut.values(name))
        keys = [UnitKey(code, "", "UM") if code and kept else None for code, kept in zip(codes, good.tolist(), strict=True)]
        return np.array([self.units.setdefault(k, len(self.units)) if k else -1 for k in keys], np.int64)

    def _introduce(self, cut: Cut, good: Any, patients: Ints, stays: Ints, start: Days, end: Days) -> None:
        """What VID-HOSP says of the person (never of the insured one) and of the stay."""
        births = self._day(cut, self.kind.birth)
        sexes = texts(cut.values(self.kind.sex)) if cut.has(self.kind.sex) else [""] * len(cut.lines)
        named = ~blank(cut.values(self.kind.patient)) if cut.has(self.kind.patient) else np.zeros(len(cut.lines), np.bool_)
        for row in np.flatnonzero(good).tolist():
            record = self.base + row
            if named[row]:
                person = Person(birth_date=_date(births[row]), sex=_SEXES.get(sexes[row]))
                told = person.birth_date is not None or person.sex is not None
                statement = IdentityStatement(record, int(patients[row]), (), person, None, told)
                self.batch.identities.append(statement)
            if stays[row] >= 0:
                self.stay_events.append(_stay_event(record, int(stays[row]), self.kind.stay_kind, start[row], end[row]))

    def _class(self, stays: Ints) -> None:
        """The kind of the stays, and no date: those are said by admissions and VID-HOSP."""
        for row in np.flatnonzero(stays >= 0).tolist():
            self.stay_events.append(_stay_event(self.base + row, int(stays[row]), self.kind.stay_kind, NO_DAY, NO_DAY))

    def _tie(self, cut: Cut, good: Any, patients: Ints) -> None:
        """The number that GENRSA gave to a stay in this transmission is a number of that stay."""
        index = texts(cut.values(self.kind.tie))
        for row in np.flatnonzero(good).tolist():
            stay = StayKey(int(patients[row]), RSA, f"{self.sending.transmission}|{index[row]}")
            self.batch.ties.append((self.base + row, self.stays.setdefault(stay, len(self.stays))))

    def _document(
        self, cut: Cut, spec: DocumentSpec, keys: list[str], wholes: list[str] | None, good: Any, patients: Ints,
        stays: Ints, units: Ints,
    ) -> None:  # fmt: skip
        made = good & (patients >= 0)
        if spec.when:
            made &= ~blank(cut.values(spec.when)) if cut.has(spec.when) else False
        rows = np.flatnonzero(made)
        place = np.full(len(cut.lines), -1, np.int64)
        place[rows] = self.document_rows + np.arange(len(rows))
        self.document_rows += len(rows)
        start = self._day(cut, spec.start)
        month = cut.has(spec.start) and cut.field(spec.start).type == "m"
        whole = [f"{spec.title}|{keys[row]}" for row in rows.tolist()]
        table = _document_table(self.kind, spec, rows + self.base, whole, patients[rows], stays[rows], units[rows], start[rows],
                                self.sending.sent, month)  # fmt: skip
        if wholes:
            at = table.schema.get_field_index("whole")
            table = table.set_column(at, table.schema.field(at), pa.array([wholes[row] for row in rows.tolist()], pa.string()))
        self.documents.append(table)
        for fact in spec.facts:
            self.facts.add(cut, fact, place, start)

    def _movement(self, cut: Cut, keys: list[str], good: Any, stays: Ints, units: Ints, start: Days, end: Days) -> None:
        rows = np.flatnonzero(good & (stays >= 0) & (start != NO_DAY))
        count = len(rows)
        columns = {
            "record": pa.array(rows + self.base, pa.int32()),
            "key": pa.array([f"PMSI|{self.kind.kind}|{keys[row]}" for row in rows.tolist()], pa.string()),
            "stay": pa.array(stays[rows], pa.int32()), "unit": _index(units[rows]),
            "responsibility": pa.array(["medical"] * count, pa.string()), "start_date": _dates(start[rows]),
            "end_date": _dates(end[rows]), "precision": pa.array([int(Precision.DAY)] * count, pa.int8()),
            "status": pa.array(["active"] * count, pa.string()),
        }  # fmt: skip
        self.movements.append(_filled(columns, MOVEMENTS, count))

    def build(self) -> Batch:
        batch = self.batch
        batch.records = pa.concat_tables(self.records)
        batch.patients, batch.stays, batch.units = list(self.patients), list(self.stays), list(self.units)
        batch.documents = pa.concat_tables(self.documents) if self.documents else DOCUMENTS.empty_table()
        batch.facts, batch.attributes = self.facts.tables()
        batch.codes = list(self.facts.codes)
        batch.movements = pa.concat_tables(self.movements) if self.movements else MOVEMENTS.empty_table()
        batch.stay_events = pa.Table.from_pylist(self.stay_events, STAY_EVENTS)
        if self.refused:
            batch.refused = _refusals(self.refused)
        return batch


class _Mothers:
    """The mothers that VID-HOSP lines name by their stay: records of their own, for they may wait alone."""

    def __init__(self, sending: Sending) -> None:
        self.sending, self.rows = sending, 0
        self.batch = Batch("hosp-mere", RECORDS.empty_table())
        self.records: list[tuple[int, int, int, int]] = []
        self.patients: dict[PatientKey, int] = {}

    def add(self, cut: Cut, faults: Faults) -> None:
        kind, system = cut.kind, self.sending.authority
        if not cut.has(kind.mother):
            return
        mothers, own = texts(cut.values(kind.mother)), texts(cut.values(kind.stay))
        for row in np.flatnonzero(faults.good()).tolist():
            if not mothers[row].strip("0") or mothers[row] == own[row]:
                continue
            raw = cut.lines.bytes_of(row)
            number, place = int(cut.lines.numbers[row]), int(cut.lines.places[row])
            self.records.append((number, place, self.sending.sent + number, content_hash(b"mere" + raw)))
            child, mother = (self._patient(of_stay(system, n)) for n in (own[row], mothers[row]))
            self.batch.relations.append(RelationStatement(self.rows, child, mother, "mother"))
            self.rows += 1

    def _patient(self, key: PatientKey) -> int:
        return self.patients.setdefault(key, len(self.patients))

    def build(self) -> Batch:
        columns = [pa.array([r[at] for r in self.records], pa.int64()) for at in range(4)]
        self.batch.records = pa.table(columns, schema=RECORDS)
        self.batch.patients = list(self.patients)
        return self.batch


def unknown_lines(lines: Lines, sending: Sending, wanted: frozenset[int] | None) -> Iterator[Batch]:
    """Lines of no known layout, each refused."""
    rows = [row for row in range(len(lines)) if wanted is None or int(lines.numbers[row]) in wanted]
    if rows:
        content = [content_hash(lines.bytes_of(row)) for row in rows]
        columns = [lines.numbers[rows], lines.places[rows], np.full(len(rows), sending.sent), np.array(content, np.int64)]
        records = pa.table([pa.array(c, pa.int64()) for c in columns], schema=RECORDS)
        refused = _refusals([(row, "line", "unknown-type", _NO_LAYOUT) for row in range(len(rows))])
        yield Batch("", records, refused=refused)


def unread_member(number: int, stream: IO[bytes]) -> Batch:
    """A member of an archive that is no PMSI file: one record, refused."""
    content = content_hash(stream.read(1 << 16))
    columns = [pa.array([number], pa.int64()), pa.nulls(1, pa.int64()), pa.array([0], pa.int64()), pa.array([content], pa.int64())]
    refused = _refusals([(0, "member", "unknown-type", "A member of the archive is not a PMSI file that is read.")])
    return Batch("", pa.table(columns, schema=RECORDS), refused=refused)


def _refusals(rows: list[tuple[int, str, str, str]]) -> pa.Table:
    columns = [pa.array([row[at] for row in rows], item.type) for at, item in enumerate(REFUSED)]
    return pa.table(columns, schema=REFUSED)


def _first_word(start: Days, sent: int, zone: str, event: Ints) -> Ints:
    """Event times of statements about stays: the midnight at which the stay began, so that what ADT says
    from then on outweighs them; of two files the later one wins (microseconds, from the day it was sent)."""
    midnights = utc_minutes(np.maximum(start, 0), np.zeros(len(start), np.int16), zone) * MICROS_PER_MINUTE
    later = max(sent, 0) // (1440 * MICROS_PER_MINUTE)
    return np.where(start == NO_DAY, event, midnights + later).astype(np.int64)


def _stay_event(record: int, stay: int, kind: str, start: Any, end: Any) -> dict[str, Any]:
    known = start != NO_DAY or end != NO_DAY
    return {
        "record": record, "stay": stay, "kind": kind or None, "start_date": _date(start), "end_date": _date(end),
        "precision": int(Precision.DAY) if known else None,
    }  # fmt: skip


def _document_table(
    kind: Kind, spec: DocumentSpec, records: Ints, keys: list[str], patients: Ints, stays: Ints, units: Ints, start: Days,
    sent: int, month: bool,
) -> pa.Table:  # fmt: skip
    count = len(keys)
    precision = np.where(start == NO_DAY, int(Precision.UNKNOWN), int(Precision.MONTH if month else Precision.DAY))
    columns = {
        "record": pa.array(records, pa.int32()), "key": pa.array(keys, pa.string()),
        "patient": pa.array(patients, pa.int32()), "stay": _index(stays), "unit": _index(units),
        "kind": pa.array([kind.document_kind] * count, pa.string()), "title": pa.array([spec.title] * count, pa.string()),
        "start_date": _dates(start), "precision": pa.array(precision, pa.int8()),
        "known_at": pa.array([sent or None] * count, pa.int64()),
        "status": pa.array([int(DocumentStatus.CURRENT)] * count, pa.int8()), "confidential": pa.array([False] * count),
    }  # fmt: skip
    return _filled(columns, DOCUMENTS, count)


def _filled(columns: dict[str, pa.Array], schema: pa.Schema, count: int) -> pa.Table:
    return pa.table([columns.get(f.name, pa.nulls(count, f.type)) for f in schema], schema=schema)


def _index(values: Ints) -> pa.Array:
    return pa.array(values, pa.int32(), mask=values < 0)


def _dates(values: Days) -> pa.Array:
    return pa.array(values, pa.int32(), mask=values == NO_DAY).cast(pa.date32())


def _date(day: Any) -> dt.date | None:
    return None if day == NO_DAY else _EPOCH + dt.timedelta(days=int(day))
