"""From cut lines to a batch: documents, facts and attributes of one kind of record, as columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from estran.model.codes import FactStatus, Precision
from estran.sources.pmsi.cutting import NO_DAY, Bools, Bytes, Ints, Items, Lines, blank, days, distinct, numbers
from estran.sources.pmsi.layout import FactSpec, Field, Kind, Layout
from estran.sources.records import Code
from estran.sources.schemas import ATTRIBUTES, FACTS
from estran.terminology.systems import LOCAL

VARIABLES = f"{LOCAL}PMSI"  # vocabulary of the variables that have no standard code
_STATUSES = {"": FactStatus.FINAL, "given": FactStatus.GIVEN}

Days = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


@dataclass
class Cut:
    """Lines of one layout with their repeated zones."""

    kind: Kind
    layout: Layout
    lines: Lines
    zones: dict[str, Items]

    def has(self, path: str) -> bool:
        return bool(path) and self.layout.find(path) is not None

    def owner(self, path: str) -> Ints:
        """The line of each value of the field."""
        group = path.rpartition(".")[0]
        return self.zones[group].line if group else np.arange(len(self.lines))

    def field(self, path: str) -> Field:
        found = self.layout.find(path)
        assert found is not None  # noqa: S101 (callers ask `has` first)
        return found[1]

    def values(self, path: str) -> Bytes:
        """The bytes of the field, one row per line, or per item of its group."""
        item, group = self.field(path), path.rpartition(".")[0]
        if not group:
            return self.lines.head(item)
        items = self.zones[group]
        return self.lines.cut(items.at + item.start, self.lines.ends[items.line], item.length)


@dataclass
class Facts:
    """Facts and attributes gathered block by block; `document` of a line is the row of its document."""

    zone: str
    codes: dict[Code, int] = field(default_factory=dict)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    attributes: list[dict[str, Any]] = field(default_factory=list)
    rows: int = 0

    def code(self, code: Code) -> int:
        return self.codes.setdefault(code, len(self.codes))

    def add(self, cut: Cut, spec: FactSpec, document: Ints, start: Days) -> None:
        """The facts that `spec` states of the lines of `cut`. `document` is -1 for lines without one;
        `start` is the day of each line's document."""
        if not cut.has(spec.source):
            return
        raw, owner = cut.values(spec.source), cut.owner(spec.source)
        kept = ~blank(raw) & (document[owner] >= 0)
        if spec.blank:
            kept &= ~(raw == np.frombuffer(spec.blank.encode(), np.uint8)).all(axis=1)
        block = self._what(cut, spec, raw, owner, kept)
        kept &= block.pop("kept")
        when = self._when(cut, spec, owner, start)
        day = block.pop("day", None)
        block["start"] = (when if day is None else day)[kept]
        block["document"] = document[owner][kept]
        block = {n: v[kept] if isinstance(v, np.ndarray) and len(v) == len(kept) and n not in ("start", "document") else v
                 for n, v in block.items()}  # fmt: skip
        count = int(kept.sum())
        block |= {"role": spec.role, "status": int(_STATUSES[spec.status]), "unit": spec.unit, "count": count}
        block["month"] = cut.has(cut.kind.start) and cut.field(cut.kind.start).type == "m"
        self.blocks.append(block)
        self._hang(cut, spec, owner, kept)
        self.rows += count

    def _what(self, cut: Cut, spec: FactSpec, raw: Bytes, owner: Ints, kept: Bools) -> dict[str, Any]:
        """Codes and values of each row, and which rows state something."""
        count = len(raw)
        if spec.field:
            words, index = distinct(raw)
            codes = self._coded([_trimmed(w, spec.digits) for w in words], spec.vocabulary, spec.kind)
            value, _ = numbers(cut.values(spec.count), cut.field(spec.count).decimals) if cut.has(spec.count) else (None, None)
            return {"code": codes[index], "value": value, "kept": codes[index] >= 0}
        variable = np.full(count, self._variable(spec, cut), np.int64)
        if spec.number:
            value, wrong = numbers(raw, cut.field(spec.number).decimals)
            if spec.also_when and cut.has(spec.also_when[0]):
                told, which = distinct(cut.values(spec.also_when[0]))
                plain = self.code(_code_of(spec, also=False))
                said = np.array([t == spec.also_when[1] for t in told] + [False])[which][owner]
                variable = np.where(said, variable, plain)
            return {"code": variable, "value": value, "kept": ~wrong & ~np.isnan(value)}
        if spec.day:
            day, wrong = days(raw, cut.field(spec.day).type)
            return {"code": variable, "day": day, "kept": ~wrong & (day != NO_DAY)}
        words, index = distinct(raw)
        labels = cut.kind.values.get(spec.values or spec.coded, {})
        values = self._coded(words, f"{VARIABLES}-{spec.values or spec.code}", "other", labels)
        return {"code": variable, "value_code": values[index], "kept": values[index] >= 0}

    def _variable(self, spec: FactSpec, cut: Cut) -> int:
        return self.code(_code_of(spec, also=True))

    def _coded(self, words: list[str], vocabulary: str, kind: str, labels: dict[str, str] | Any = None) -> Ints:
        """Indices of codes, -1 for blank ones."""
        labels = labels or {}
        found = [self.code(Code(vocabulary, w, labels.get(w, ""), kind=kind)) if w else -1 for w in words]
        return np.array(found, np.int64)

    def _when(self, cut: Cut, spec: FactSpec, owner: Ints, start: Days) -> Days:
        """The day of the fact: its own when the record gives one, else its document's."""
        if not cut.has(spec.date):
            return start[owner]
        day, _ = days(cut.values(spec.date), cut.field(spec.date).type)
        day = day if "." in spec.date else day[owner]
        return np.where(day == NO_DAY, start[owner], day).astype(np.int32)

    def _hang(self, cut: Cut, spec: FactSpec, owner: Ints, kept: Bools) -> None:
        """Attributes of the facts just added: a code each, or a number."""
        place = np.cumsum(kept) - 1 + self.rows
        for written in spec.attributes:
            path, _, step = written.partition("/")
            if not cut.has(path):
                continue
            name, item = path.rpartition(".")[2], cut.field(path)
            raw = cut.values(path)
            if "." in spec.source and "." not in path:
                raw = raw[owner]
            attribute = self.code(Code(VARIABLES, name, _LABELS.get(name, name.capitalize())))
            if item.type.startswith("n"):
                value, _ = numbers(raw, item.decimals)
                self._attribute(place, kept & ~np.isnan(value), attribute, value=value)
                continue
            width = int(step or raw.shape[1])
            for part in range(0, raw.shape[1], width):
                words, index = distinct(raw[:, part : part + width])
                codes = self._coded(words, f"{VARIABLES}-{name}", "other")[index] if len(index) else index
                self._attribute(place, kept & (codes >= 0), attribute, value_code=codes)

    def _attribute(self, place: Ints, rows: Bools, attribute: int, **columns: Any) -> None:
        if rows.any():
            chosen = {name: values[rows] for name, values in columns.items()}
            self.attributes.append({"place": place[rows], "attribute": attribute, **chosen})

    def tables(self) -> tuple[pa.Table, pa.Table]:
        """The tables FACTS and ATTRIBUTES of everything gathered, facts in the order of their documents."""
        if not self.rows:
            return FACTS.empty_table(), ATTRIBUTES.empty_table()
        document = np.concatenate([block["document"] for block in self.blocks])
        order = np.argsort(document, kind="stable")
        document = document[order]
        first = np.concatenate([[0], np.flatnonzero(np.diff(document)) + 1])
        number = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
        facts = self._fact_table(order, document, number)
        home = np.empty(len(order), np.int64)  # place of gathering → row of the table
        home[order] = np.arange(len(order))
        return facts, self._attribute_table(home, document, number)

    def _fact_table(self, order: Ints, document: Ints, number: Ints) -> pa.Table:
        start = _joined(self.blocks, "start", NO_DAY)[order]
        month = _spread(self.blocks, "month")[order].astype(bool)
        known = start != NO_DAY
        precision = np.where(known, np.where(month, int(Precision.MONTH), int(Precision.DAY)), int(Precision.UNKNOWN))
        value = _joined(self.blocks, "value", np.nan)[order]
        value_code = _joined(self.blocks, "value_code", -1)[order]
        words = {name: _words([block[name] or None for block in self.blocks], self.blocks, order) for name in ("role", "unit")}
        columns = {
            "document": pa.array(document, pa.int32()), "fact_no": pa.array(number, pa.int32()),
            "code": pa.array(_joined(self.blocks, "code", -1)[order], pa.int32()),
            "start_date": pa.array(start, pa.int32(), mask=~known).cast(pa.date32()),
            "precision": pa.array(precision, pa.int8()),
            "value": pa.array(value, pa.float64(), mask=np.isnan(value)),
            "value_code": pa.array(value_code, pa.int32(), mask=value_code < 0),
            "status": pa.array(_spread(self.blocks, "status")[order], pa.int8()),
            "context": pa.array(np.zeros(len(order)), pa.int8()), "origin": pa.array(np.zeros(len(order)), pa.int8()),
            **words,
        }  # fmt: skip
        return pa.table([columns.get(f.name, pa.nulls(len(order), f.type)) for f in FACTS], schema=FACTS)

    def _attribute_table(self, home: Ints, document: Ints, number: Ints) -> pa.Table:
        if not self.attributes:
            return ATTRIBUTES.empty_table()
        rows = home[np.concatenate([block["place"] for block in self.attributes])]
        sizes = [len(block["place"]) for block in self.attributes]
        value = np.concatenate([block.get("value", np.full(n, np.nan)) for block, n in zip(self.attributes, sizes, strict=True)])
        codes = np.concatenate([block.get("value_code", np.full(n, -1)) for block, n in zip(self.attributes, sizes, strict=True)])
        attribute = np.repeat([block["attribute"] for block in self.attributes], sizes)
        return pa.table(
            [
                pa.array(document[rows], pa.int32()), pa.array(number[rows], pa.int32()), pa.array(attribute, pa.int32()),
                pa.array(value, pa.float64(), mask=np.isnan(value)), pa.array(codes, pa.int32(), mask=codes < 0),
                pa.nulls(len(rows), pa.string()),
            ],
            schema=ATTRIBUTES,
        )  # fmt: skip


_LABELS = {
    "extension": "Extension PMSI de l'acte", "phase": "Phase", "activite": "Activité",
    "documentaire": "Extension documentaire", "modificateurs": "Modificateur", "remboursement": "Remboursement exceptionnel",
    "association": "Association non prévue", "delai": "Délai depuis l'entrée (jours)", "dents": "Dent",
    "classification": "Version de la classification", "retour": "Code retour du groupage", "indication": "Indication",
    "reference": "Validation par un centre de référence", "type": "Type de prestation",
    "appareillage": "Code d'appareillage", "lieu": "Modulateur de lieu", "patient1": "Modulateur de patient 1",
    "patient2": "Modulateur de patient 2", "intervenant": "Intervenant", "patients": "Nombre réel de patients",
    "intervenants": "Nombre d'intervenants", "temps": "Modulateur de temps", "technicite": "Modulateur de technicité",
    "specialite": "Spécialité de l'exécutant", "lieu_acte": "Lieu de l'acte", "modalite": "Modalité de l'acte",
    "categorie": "Catégorie professionnelle", "liberal": "Activité libérale",
}  # fmt: skip


def _code_of(spec: FactSpec, *, also: bool) -> Code:
    others = ((spec.also[0], spec.also[1], spec.also[2]),) if spec.also and also else ()
    return Code(VARIABLES, spec.code, spec.label, kind=spec.kind, also=others)


def _trimmed(word: str, digits: int) -> str:
    """A code without the zeros that fill its field."""
    return word.lstrip("0").zfill(digits) if digits and len(word) > digits and word.isdigit() else word


def _joined(blocks: list[dict[str, Any]], name: str, default: float) -> npt.NDArray[Any]:
    parts = [block.get(name) for block in blocks]
    return np.concatenate(
        [np.full(block["count"], default) if part is None else part for part, block in zip(parts, blocks, strict=True)]
    )


def _spread(blocks: list[dict[str, Any]], name: str) -> npt.NDArray[Any]:
    return np.repeat([int(block[name]) for block in blocks], [block["count"] for block in blocks])


def _words(words: list[str | None], blocks: list[dict[str, Any]], order: Ints) -> pa.Array:
    """A word per block, spread over its rows."""
    index = np.repeat(np.arange(len(blocks)), [block["count"] for block in blocks])[order]
    return pa.array(words, pa.string()).take(pa.array(index))
