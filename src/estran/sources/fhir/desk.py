"""The desk at which one resource type is written into batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from estran.sources.fhir.containers import Raw
from estran.sources.fhir.express import Express
from estran.sources.fhir.setting import Setting
from estran.sources.fhir.statements import (
    Document,
    Drug,
    Fact,
    Identity,
    Kin,
    Movement,
    Permit,
    Statement,
    Stay,
    Units,
)
from estran.sources.records import (
    Batch,
    BatchBuilder,
    Code,
    IdentityStatement,
    MergeStatement,
    PatientKey,
    PermissionStatement,
    RelationStatement,
    UnitKey,
    Vocabulary,
)
from estran.terminology.systems import is_standard


class Desk:
    """Writes statements of one part (resource type) and hands out a batch when asked."""

    def __init__(self, part: str) -> None:
        self.part = part
        self._open()

    def _open(self) -> None:
        self._builder = BatchBuilder(self.part)
        self.rows = self._builder.rows
        self._drugs: list[Code] = []
        self._patients: dict[PatientKey, int] = {}
        self._express = Express(self._builder)
        self._codes: dict[int, tuple[int, Code]] = {}  # by id(): the Code is kept, so its id stays its own

    def record(self, record_no: int, line: int | None, event_time: int, content: int) -> int:
        """Open a record; returns its row."""
        return self._builder.record(record_no, line, event_time, content)

    def refuse(self, row: int, field: str, code: str, reason: str) -> None:
        self._builder.refuse(row, field, code, reason)

    def take(self) -> Batch:
        """The batch of everything written since the last one."""
        batch = self._builder.build()
        if self._drugs:
            batch.vocabulary = _vocabulary(self._drugs)
        self._open()
        return batch

    def express(self, raw: Raw, setting: Setting) -> bool:
        """Write an Observation of the everyday shape with its record; False, with nothing written, for any other."""
        no, line, _, content, fault, _, data, modified = raw
        return fault is None and self._express.take(no, line, data, content, modified, setting)

    def write(self, row: int, statement: Statement) -> None:
        """Write what record `row` states."""
        if type(statement) is Document:
            self._document(row, statement)
        else:
            writer = _WRITERS.get(type(statement))
            if writer is not None:
                writer(self, row, statement)

    def _patient(self, key: PatientKey) -> int:
        found = self._patients.get(key)
        if found is None:
            found = self._patients[key] = self._builder.patient(key.system, key.value)
        return found

    def _code(self, code: Code) -> int:
        """Codes are made once by the lexicon: looking them up by identity spares hashing them."""
        found = self._codes.get(id(code))
        if found is None:
            found = self._codes[id(code)] = (self._builder.code(code), code)
        return found[0]

    def _stay_row(self, patient: int, number: tuple[str, str] | None) -> int | None:
        return None if number is None else self._builder.stay(patient, number[0], number[1])

    def _unit(self, unit: UnitKey | None) -> int | None:
        return None if unit is None else self._builder.unit(*unit)

    def _document(self, row: int, doc: Document) -> None:
        builder, patient = self._builder, self._patient(doc.patient)
        rare: dict[str, Any] = {"known_at": doc.known_at} if doc.known_at is not None else {}
        if doc.confidential:
            rare["confidential"] = True
        if doc.lang is not None:
            rare["lang"] = doc.lang
        number = builder.document(
            row, doc.key, patient, self._stay_row(patient, doc.stay), doc.kind, doc.title or "", doc.start,
            doc.text, doc.status, **rare,
        )
        for fact in doc.facts:
            self._fact(number, fact)
        for medium in doc.media:
            builder.media(number, **medium)

    def _fact(self, document: int, fact: Fact) -> None:
        builder, rare = self._builder, fact.rare
        if rare or fact.child:
            rare = dict(rare)
            if fact.child:
                rare["parent_fact_no"] = 0
            code = rare.get("value_code")
            if code is not None:
                rare["value_code"] = self._code(code)
        number = builder.fact(
            document, self._code(fact.code), fact.start, fact.value, fact.unit, fact.status, fact.end, **rare
        )
        for name, value, coded, text in fact.attributes:
            builder.attribute(
                document, number, self._code(name), value=value,
                value_code=None if coded is None else self._code(coded), value_text=text,
            )

    def _stay(self, row: int, stay: Stay) -> None:
        patient = self._patient(stay.patient)
        number = self._stay_row(patient, stay.number)
        parent = self._stay_row(patient, stay.parent)
        assert number is not None  # noqa: S101 - a stay always has its number
        self._builder.stay_event(row, number, parent=parent, unit=self._unit(stay.unit), **stay.columns)

    def _movement(self, row: int, move: Movement) -> None:
        number = self._stay_row(self._patient(move.patient), move.stay)
        assert number is not None  # noqa: S101 - a movement always has its stay
        self._builder.movement(row, move.key, number, unit=self._unit(move.unit), **move.columns)

    def _identity(self, row: int, who: Identity) -> None:
        batch = self._builder.batch
        batch.identities.append(
            IdentityStatement(row, self._patient(who.patient), who.aliases, who.person, who.ins)
        )
        for kept, gone in who.merges:
            batch.merges.append(MergeStatement(row, self._patient(kept), self._patient(gone)))

    def _permit(self, row: int, permit: Permit) -> None:
        self._builder.batch.permissions.append(
            PermissionStatement(
                row, self._patient(permit.patient), permit.scope, permit.kind, permit.from_date, permit.to_date,
                proof=permit.proof,
            )
        )

    def _kin(self, row: int, kin: Kin) -> None:
        patient, batch = self._patient(kin.patient), self._builder.batch
        batch.identities.append(IdentityStatement(row, patient, (), kin.person, introduces=False))
        if kin.other is not None:
            batch.relations.append(RelationStatement(row, patient, self._patient(kin.other), kin.kind, kin.rank))

    def _units(self, row: int, units: Units) -> None:
        for unit in units.units:
            self._unit(unit)

    def _drug(self, row: int, drug: Drug) -> None:
        self._drugs.append(drug.name)


_WRITERS: dict[type, Callable[[Desk, int, Any], None]] = {
    Stay: Desk._stay,
    Movement: Desk._movement,
    Identity: Desk._identity,
    Permit: Desk._permit,
    Kin: Desk._kin,
    Units: Desk._units,
    Drug: Desk._drug,
}


def _vocabulary(drugs: list[Code]) -> Vocabulary:
    """Local drug codes, with the source's own mapping onto the codings it gave for them."""
    rows = list({(c.vocabulary, c.code): c for c in drugs}.values())
    names = [(c.vocabulary, c.code, c.label, c.lang, c.kind) for c in rows]
    known = [(v, code, label, c.lang, c.kind) for c in rows for v, code, label in c.also]
    concepts = list(dict.fromkeys([*names, *known]))
    fields = ("vocabulary", "code", "label", "lang", "kind")
    columns: dict[str, pa.Array] = {
        name: pa.array([c[i] for c in concepts], pa.string()) for i, name in enumerate(fields)
    }
    columns["valid_from"] = columns["valid_to"] = pa.nulls(len(concepts), pa.date32())
    columns["standard"] = pa.array([is_standard(c[0]) for c in concepts])
    maps = [(c.vocabulary, c.code, v, code) for c in rows for v, code, _ in c.also]
    arrows = {
        name: pa.array([m[i] for m in maps], pa.string())
        for i, name in enumerate(("source_vocabulary", "source_code", "target_vocabulary", "target_code"))
    }
    arrows["relation"] = pa.repeat(pa.scalar("equivalent"), len(maps))
    arrows["method"] = pa.repeat(pa.scalar("source"), len(maps))
    return Vocabulary(concepts=pa.table(columns), maps=pa.table(arrows) if maps else None)
