"""The rules of OHDSI's DataQualityDashboard for CDM 5.4, evaluated on Estran's own tables.

The rules are read from OHDSI's own tables (Apache License 2.0, `ohdsi/`): which check holds for which field, with
which threshold. What a check counts, and among what, is as its description there says. `_date` and `_datetime`
fields of one thing, which Estran keeps in one date, make one check.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pyarrow as pa

from estran.catalog.checks import Category, Check
from estran.catalog.dqd_map import ABSENT, CODED, REFERENCES, TABLES, Mapped
from estran.sources.omop.units import UNITS
from estran.warehouse import Snapshot

HERE = Path(__file__).parent / "ohdsi"
_C, _K, _P, _T = Category.CONFORMANCE, Category.COMPLETENESS, Category.PLAUSIBILITY, Category.TEMPORAL
_DEATH_GRACE, _VISIT_GRACE = 60, 7  # days, as in the dashboard

FIELD_CHECKS = (
    "isRequired", "isPrimaryKey", "isForeignKey", "fkDomain", "fkClass", "isStandardValidConcept", "measureValueCompleteness",
    "standardConceptRecordCompleteness", "sourceConceptRecordCompleteness", "sourceValueCompleteness", "plausibleValueLow",
    "plausibleValueHigh", "plausibleTemporalAfter", "plausibleDuringLife", "plausibleStartBeforeEnd", "plausibleAfterBirth",
    "plausibleBeforeDeath", "withinVisitDates",
)  # fmt: skip
# Checks that hold for every row that Estran stores, or that say nothing about its tables.
BY_CONSTRUCTION = {
    "fkDomain": "A fact belongs to the table of its concept's kind.",
    "fkClass": "A class of concepts is not kept apart.",
    "sourceConceptRecordCompleteness": "A local code stays beside its standard one only when there are two.",
}
_UNREFERENCED = "The field holds a word of a closed list, not a reference."
_STARTS_NOWHERE = "The other date is not kept."


@dataclass(frozen=True)
class Line:
    """A rule of the dashboard: the check it makes here, or why it makes none."""

    table: str
    field: str
    name: str
    threshold: str
    check: Check | None
    reason: str = ""


@dataclass(frozen=True)
class Rule:
    """A check of one concept; `ids` are the concepts of this site that it is about."""

    check: Check
    kind: str  # sex, unit, low, high
    ids: tuple[int, ...]
    sex: str = ""
    units: tuple[str, ...] = ()
    unit: str = ""
    bound: float = 0.0


def _table(name: str) -> list[dict[str, str]]:
    with (HERE / f"OMOP_CDMv5.4_{name}.csv").open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


@cache
def lines() -> tuple[Line, ...]:
    """Every rule of the table of fields, in its order."""
    return tuple(line for row in _table("Field_Level") for line in _of_field(row))


@cache
def ohdsi() -> tuple[Check, ...]:
    """The checks of fields, each condition once."""
    found: dict[tuple[str, str, str], Check] = {}
    for line in lines():
        if line.check is not None:
            found.setdefault((line.check.relation, line.check.applies, line.check.violates), line.check)
    return tuple(found.values())


def _of_field(row: dict[str, str]) -> Iterator[Line]:
    table, name = row["cdmTableName"], row["cdmFieldName"].lower()
    for check in FIELD_CHECKS:
        if row[check] in ("", "No", "NA"):
            continue
        line = Line(table, name, check, row[f"{check}Threshold"], None)
        yield _checked(line, row)


def _checked(line: Line, row: dict[str, str]) -> Line:
    mapped = TABLES.get(line.table)
    if mapped is None:
        return replace(line, reason=ABSENT.get(line.table, "The table has no counterpart."))
    if line.name in BY_CONSTRUCTION:
        return replace(line, reason=BY_CONSTRUCTION[line.name])
    value = mapped.fields.get(line.field)
    if value is None and line.name not in ("isPrimaryKey", "sourceValueCompleteness"):
        return replace(line, reason=mapped.missing.get(line.field, "The field has no counterpart."))
    made = _MAKE[line.name](Asked(row, mapped, line.name, value or ""))
    if isinstance(made, str):
        return replace(line, reason=made)
    category, applies, violates = made[:3]
    relation = "code" if line.name == "sourceValueCompleteness" else mapped.relation
    key = f"ohdsi.{line.name}.{line.table}.{line.field}".lower()
    threshold = float(line.threshold or 0)
    return replace(
        line,
        check=Check(
            key, category, relation, applies, violates, threshold, "ohdsi", (line.name, line.table, line.field)
        ),
    )


Made = tuple[Category, str, str]


@dataclass(frozen=True)
class Asked:
    """A rule about a field: the field's expression, its rows, those where it is filled, birth and death of the patient."""

    row: dict[str, str]
    mapped: Mapped
    name: str
    value: str

    @property
    def among(self) -> str:
        return self.mapped.where

    @property
    def given(self) -> str:
        return f"{self.mapped.where} AND {self.value} IS NOT NULL"

    @property
    def person(self) -> str:
        return "t" if self.mapped.relation == "patient" else "p"

    @property
    def dead(self) -> str:
        return f"{self.person}.death_date IS NOT NULL"

    @property
    def after_death(self) -> str:
        return f"{self.value} > {self.person}.death_date + {_DEATH_GRACE}"


def _start_before_end(asked: Asked) -> Made | str:
    end = asked.mapped.fields.get(asked.row["plausibleStartBeforeEndFieldName"].lower())
    return (_T, asked.given, f"{asked.value} > {end}") if end else _STARTS_NOWHERE


def _after(asked: Asked) -> Made | str:
    table = asked.row["plausibleTemporalAfterTableName"].upper()
    field = asked.row["plausibleTemporalAfterFieldName"].lower()
    born = f"{asked.person}.birth_month" if (table, field) == ("PERSON", "birth_datetime") else None
    before = born or asked.mapped.fields.get(field)
    if before is None or table not in ("PERSON", asked.row["cdmTableName"]):
        return _STARTS_NOWHERE
    return _T, asked.among, f"{before} > {asked.value}"


# What each check counts, as its description in the dashboard says: category, among which rows, which violate it.
_MAKE: dict[str, Callable[[Asked], Made | str]] = {
    "isRequired": lambda a: (_C, a.among, f"{a.value} IS NULL"),
    "measureValueCompleteness": lambda a: (_K, a.among, f"{a.value} IS NULL"),
    "isPrimaryKey": lambda a: _key(a.mapped),
    "isForeignKey": lambda a: _reference(a.mapped, a.row["fkTableName"].upper(), a.value, a.given),
    "isStandardValidConcept": lambda a: _standard(a.name, a.mapped, a.value, a.among),
    "standardConceptRecordCompleteness": lambda a: _standard(a.name, a.mapped, a.value, a.among),
    "sourceValueCompleteness": lambda a: _sources(a.mapped),
    "plausibleValueLow": lambda a: (_P, a.given, f"{a.value} < {_bound(a.row[a.name])}"),
    "plausibleValueHigh": lambda a: (_P, a.given, f"{a.value} > {_bound(a.row[a.name])}"),
    "plausibleStartBeforeEnd": _start_before_end,
    "plausibleTemporalAfter": _after,
    "plausibleAfterBirth": lambda a: (_T, a.given, f"{a.value} < {a.person}.birth_month"),
    "plausibleBeforeDeath": lambda a: (_T, f"{a.given} AND {a.dead}", a.after_death),
    "plausibleDuringLife": lambda a: (_T, f"{a.among} AND {a.dead}", a.after_death),
    "withinVisitDates": lambda a: _within(a.mapped, a.value),
}


def _key(mapped: Mapped) -> Made | str:
    return (
        "A fact is told by its document and its place in it; identifiers of OMOP's rows are not kept."
        if not mapped.unique
        else _UNIQUE
    )


_UNIQUE = "Ids are given once by the vault; `estran check` proves that none is twice."


def _reference(mapped: Mapped, table: str, value: str, given: str) -> Made | str:
    if table == "CONCEPT" and value not in CODED:
        return _UNREFERENCED
    proof = REFERENCES.get((mapped.relation, table))
    # Rows of a kind are those whose concept is known: the facts without one are counted by Estran's own check.
    return (_C, given, f"{proof} IS NULL") if proof else "The reference has no counterpart."


def _standard(name: str, mapped: Mapped, value: str, among: str) -> Made | str:
    if mapped.relation != "fact" or value not in CODED:
        return _UNREFERENCED
    if name == "standardConceptRecordCompleteness":
        return _K, among, "c.vocabulary LIKE 'LOCAL%'"
    return _C, f"{among} AND c.vocabulary NOT LIKE 'LOCAL%'", "NOT c.standard OR c.valid_to < t.start_date"


def _sources(mapped: Mapped) -> Made | str:
    kind = mapped.where.partition("c.kind = ")[2].partition(" ")[0]
    return (_K, f"c.kind = {kind}", "c.vocabulary LIKE 'LOCAL%'") if kind else _AS_LISTED


_AS_LISTED = "The words of the source are mapped to a closed list when they are read."


def _bound(text: str) -> str:
    if text.startswith("DATEADD"):
        return "{today} + 1"
    if text.startswith("'"):
        return f"DATE '{text[1:5]}-{text[5:7]}-{text[7:9]}'"
    return f"year({{today}}) + {text.partition('+')[2]}" if text.upper().startswith("YEAR") else text


def _within(mapped: Mapped, value: str) -> Made | str:
    if mapped.relation not in ("fact", "note", "movement"):
        return "The table has no stay."
    days = f"{value} < s.start_date - {_VISIT_GRACE} OR {value} > s.end_date + {_VISIT_GRACE}"
    return _T, f"{mapped.where} AND s.stay_id IS NOT NULL", days


# Rules of one concept


def rules(snapshot: Snapshot) -> list[Rule]:
    """The rules about concepts that this site knows, by OMOP's number of the concept."""
    found: list[Rule] = []
    for row in _table("Concept_Level"):
        ids = snapshot.concept_ids("OMOP", row["conceptId"])
        if ids:
            found += _of_concept(row, tuple(ids), snapshot)
    return [replace(rule, check=replace(rule.check, rule=number)) for number, rule in enumerate(found)]


def concept_lines() -> list[tuple[str, str, str]]:
    """Concept, name and check of every rule of the table of concepts."""
    names = (
        "plausibleGender",
        "plausibleGenderUseDescendants",
        "plausibleUnitConceptIds",
        "plausibleValueLow",
        "plausibleValueHigh",
    )
    return [
        (row["conceptId"], row["conceptName"], name) for row in _table("Concept_Level") for name in names if row[name]
    ]


def _of_concept(row: dict[str, str], ids: tuple[int, ...], snapshot: Snapshot) -> Iterator[Rule]:
    for name, below in (("plausibleGender", False), ("plausibleGenderUseDescendants", True)):
        if row[name]:
            wanted = tuple(int(one) for one in snapshot.descendants(ids)) if below else ids
            yield Rule(_concept_check(row, name), "sex", wanted, sex=row[name].lower())
    if row["plausibleUnitConceptIds"]:
        listed = [UNITS[int(one)] for one in row["plausibleUnitConceptIds"].split(",") if int(one) in UNITS]
        if listed:
            yield Rule(_concept_check(row, "plausibleUnitConceptIds"), "unit", ids, units=tuple(listed))
    unit = UNITS.get(int(row["unitConceptId"] or 0), "")
    for name, kind in (("plausibleValueLow", "low"), ("plausibleValueHigh", "high")):
        if row[name] and unit:
            yield Rule(_concept_check(row, name), kind, ids, unit=unit, bound=float(row[name]))


def _concept_check(row: dict[str, str], name: str) -> Check:
    category = _C if name == "plausibleUnitConceptIds" else _P
    key = f"ohdsi.{name}.{row['conceptId']}.{row['unitConceptId'] or 0}".lower()
    threshold = float(row[f"{name}Threshold"] or 0)
    return Check(
        key, category, "rule", "true", "true", threshold, "ohdsi", (name, row["cdmTableName"], row["conceptName"])
    )


def rules_table(known: list[Rule]) -> pa.Table:
    """The rules as a table to join facts with, one row per concept."""
    schema = pa.schema(
        [("rule", pa.int32()), ("concept_id", pa.int32()), ("kind", pa.string()), ("sex", pa.string()),
         ("units", pa.list_(pa.string())), ("unit", pa.string()), ("bound", pa.float64())]
    )  # fmt: skip
    made = [
        {"rule": number, "concept_id": one, "kind": rule.kind, "sex": rule.sex, "units": list(rule.units),
         "unit": rule.unit, "bound": rule.bound}
        for number, rule in enumerate(known) for one in rule.ids
    ]  # fmt: skip
    return pa.Table.from_pylist(made, schema)
