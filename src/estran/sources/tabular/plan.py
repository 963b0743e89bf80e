"""A table of a mapping, compiled for the columns of one file: what to compute, and where it goes."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field

import duckdb
import numpy as np
import pyarrow as pa

from estran.model.errors import InputRefused
from estran.sources.omop.blocks import Block
from estran.sources.tabular.compiling import Slots, joined_name
from estran.sources.tabular.expressions import Column, Constant, Expression
from estran.sources.tabular.language import (
    Attribute,
    Document,
    Fact,
    Instant,
    Mapping,
    Movement,
    Patient,
    Stay,
    Table,
    Term,
    Unit,
    Vocabulary,
)
from estran.sources.tabular.mapping import references
from estran.sources.tabular.marks import shown


@dataclass(frozen=True)
class TermPlan:
    """Slots of a code."""

    term: Term
    code: str
    label: str | None
    also: tuple[tuple[str, str, str | None], ...]  # vocabulary, slot of code, slot of label


@dataclass(frozen=True)
class UnitPlan:
    """Slots of a ward."""

    code: str
    label: str | None
    level: str


@dataclass(frozen=True)
class FactPlan:
    """Slots of a fact; every one but `code` and `status` may be missing."""

    fact: Fact
    guard: str  # "" is always
    code: TermPlan
    distinct: tuple[str, ...] = ()
    slots: AnyMapping[str, str] = field(default_factory=dict)
    value_code: TermPlan | None = None
    attributes: tuple[tuple[str, TermPlan | None], ...] = ()  # slot, or a code


@dataclass
class Plan:
    """Everything computed for one table."""

    mapping: Mapping
    table: Table
    slots: Slots
    keep: str = ""  # slot of the filter
    named: dict[str, str] = field(default_factory=dict)  # what it is for → slot
    units: dict[str, UnitPlan] = field(default_factory=dict)
    group: tuple[str, ...] = ()
    facts: tuple[FactPlan, ...] = ()
    terms: tuple[TermPlan, ...] = ()  # of a vocabulary: its code, then maps

    @property
    def columns(self) -> list[str]:
        """The file's columns that are read, in the file's order."""
        read = self.slots.read
        return [n for n in self.slots.schema.names if n in read]

    def run(self, con: duckdb.DuckDBPyConnection, block: Block, only: tuple[str, ...] | None = None) -> pa.Table:
        """The computed columns of a block in its order, with `why`: 0, or the number of the first check that
        fails (negative: of omop.blocks.BAD). `only` limits the columns and makes no check."""
        schema, slots = self.slots.schema, self.slots
        names = [f"c{schema.get_field_index(n)}" for n in block.table.column_names]
        given = block.table.rename_columns(names).append_column("bad", pa.array(block.bad))
        con.register("block", given.append_column("row", pa.array(np.arange(len(block), dtype=np.int32))))
        inner = ", ".join(f"{sql} AS {alias}" for alias, sql in slots.inner.items())
        shown = slots.outer if only is None else {alias: slots.outer[alias] for alias in only}
        columns = [f"{sql} AS {alias}" for alias, sql in shown.items()]
        cases = "WHEN bad <> 0 THEN -bad::INTEGER " + " ".join(
            f"WHEN {check.condition} THEN {place}" for place, check in enumerate(slots.checks if only is None else (), 1)
        )
        source = f"SELECT block.bad, block.row{', ' + inner if inner else ''} FROM block{self._joins()}"
        sql = f"SELECT {', '.join([*columns, f'(CASE {cases} ELSE 0 END)::INTEGER AS why', 'row'])} FROM ({source})"
        try:
            found = con.sql(sql).to_arrow_table().combine_chunks()
        except duckdb.Error as error:  # its words may hold a value of the file
            raise InputRefused("A value of the file cannot be computed with as the mapping says.") from error
        finally:
            con.unregister("block")
        rows = found["row"].to_numpy()
        if (np.diff(rows) < 0).any():  # with several threads DuckDB may hand out later rows first
            found = found.take(pa.array(np.argsort(rows)))
        return found.drop_columns(["row"])

    def _joins(self) -> str:
        """Each lookup that is used, joined on its key as text."""
        joins = []
        for place, name in enumerate(self.slots.lookups):
            if name in self.slots.joined:
                joined = joined_name(place)
                on = self.slots.on_of(self.table.joins.get(name) or Column(self.mapping.lookups[name].key.lower()))
                joins.append(f" LEFT JOIN {joined} ON {joined}.k = {on}")
        return "".join(joins)


def compile_table(
    mapping: Mapping, table: Table, schema: pa.Schema, instants: frozenset[str], lookups: AnyMapping[str, pa.Schema],
    file: str,
) -> Plan:  # fmt: skip
    """The plan; InputRefused when the file lacks a column that the mapping reads."""
    _refuse_missing(mapping, table, schema, lookups, file)
    slots = Slots(schema, instants, lookups, mapping.decimal, mapping.empty, mapping.ignore_offsets)
    plan = Plan(mapping, table, slots)
    if table.when:
        plan.keep = slots.condition(table.when)
    if table.vocabulary:
        _plan_vocabulary(plan, table.vocabulary)
        return plan
    if table.version:
        plan.named["version"] = slots.version(table.version)
    if table.patient:
        _plan_patient(plan, table.patient)
    if table.stay:
        _plan_stay(plan, table.stay)
    if table.movement:
        _plan_movement(plan, table.movement)
    if table.document:
        _plan_document(plan, table.document)
    plan.facts = tuple(_plan_fact(plan, fact, code) for one in table.facts for fact, code in _single(one))
    for lookup in list(slots.joined):
        slots.on_of(table.joins.get(lookup) or Column(mapping.lookups[lookup].key.lower()))
    return plan


def _refuse_missing(
    mapping: Mapping, table: Table, schema: pa.Schema, lookups: AnyMapping[str, pa.Schema], file: str
) -> None:
    used: set[str] = set()
    for path, column in references(table):
        known = lookups[column.lookup] if column.lookup else schema
        used |= {column.lookup} - {""}
        if column.name not in known.names:
            raise InputRefused(
                f"The file has no column '{column}', which the mapping names at {shown(('tables', table.name, *path))}.",
                where=file,
            )
    for lookup in used:
        key = table.joins.get(lookup) or Column(mapping.lookups[lookup].key.lower())
        if isinstance(key, Column) and key.name not in schema.names:
            raise InputRefused(
                f"The file has no column '{key}' to look up '{lookup}' by; name another one in joins.", where=file
            )


def _plan_vocabulary(plan: Plan, given: Vocabulary) -> None:
    slots = plan.slots
    plan.named["code"] = slots.text(given.code, required=True)
    if given.label:
        plan.named["label"] = slots.text(given.label)
    for place, target in enumerate(given.maps):
        plan.named[f"map{place}"] = slots.text(target.code)


def _plan_patient(plan: Plan, patient: Patient) -> None:
    slots, named = plan.slots, plan.named
    named["patient"] = slots.key(patient.key, required=True)
    for part, node in _texts(patient, "ins", "sex", "address", "postcode", "city", "commune", "phone", "mail", "birth_place"):
        named[f"patient.{part}"] = slots.text(node)
    for part in ("family_names", "given_names"):
        for place, node in enumerate(getattr(patient, part)):
            named[f"patient.{part}{place}"] = slots.text(node)
    for place, alias in enumerate(patient.aliases):
        named[f"patient.alias{place}"] = slots.text(alias.key)
    for part, parts in _moments(patient, "birth_date", "death_date"):
        named[f"patient.{part}"] = slots.moment(parts)
    if patient.deceased:
        named["patient.deceased"] = slots.condition(patient.deceased)


def _plan_movement(plan: Plan, movement: Movement) -> None:
    slots, named = plan.slots, plan.named
    named["movement"] = slots.text(movement.key, required=True)
    named["movement.start"] = slots.moment(movement.start, required=True)
    for part, parts in _moments(movement, "end"):
        named[f"movement.{part}"] = slots.moment(parts)
    for part, node in _texts(movement, "responsibility", "status"):
        named[f"movement.{part}"] = slots.text(node)
    _plan_unit(plan, "movement", movement.unit)


def _plan_stay(plan: Plan, stay: Stay) -> None:
    slots, named = plan.slots, plan.named
    named["stay"] = slots.key(stay.key, required=stay.states or plan.table.movement is not None)
    for part, node in _texts(stay, "kind", "entry_mode", "exit_mode", "status", "parent"):
        named[f"stay.{part}"] = slots.text(node)
    for part, parts in _moments(stay, "start", "end"):
        named[f"stay.{part}"] = slots.moment(parts, required=part == "start")
    if stay.confidential:
        named["stay.confidential"] = slots.condition(stay.confidential)
    _plan_unit(plan, "stay", stay.unit)


def _plan_document(plan: Plan, document: Document) -> None:
    slots, named = plan.slots, plan.named
    if document.key:
        named["document"] = slots.key(document.key, required=True)
    plan.group = (named["patient"], *(slots.text(node) for node in document.group)) if document.group else ()
    named["document.start"] = slots.moment(document.start, required=True)
    for part, node in _texts(document, "kind", "title", "author_role", "status", "lang"):
        named[f"document.{part}"] = slots.text(node)
    if document.known_at:
        named["document.known_at"] = slots.moment(document.known_at)
    if document.confidential:
        named["document.confidential"] = slots.condition(document.confidential)
    if document.text:
        named["document.text"] = slots.text(document.text, required=not plan.table.facts)
    _plan_unit(plan, "document", document.unit)


def _plan_unit(plan: Plan, part: str, unit: Unit | None) -> None:
    if unit:
        label = plan.slots.text(unit.label) if unit.label else None
        plan.units[part] = UnitPlan(plan.slots.text(unit.code), label, plan.slots.text(unit.level))


def _single(fact: Fact) -> list[tuple[Fact, Term]]:
    """A fact per measure: that column is the result, and what it has of its own goes before the rest."""
    if fact.code:
        return [(fact, fact.code)]
    facts = []
    for measure in fact.measures:
        own = {n: v for n in ("unit", "low", "high") if (v := getattr(measure, n)) is not None}
        facts.append((fact.model_copy(update={"measure": measure.column, **own}), measure.code))
    return facts


def _plan_fact(plan: Plan, fact: Fact, code: Term) -> FactPlan:
    slots = plan.slots
    guard = slots.condition(fact.when) if fact.when else ""
    if fact.measure and fact.measures:  # of several measures, an empty one makes no fact
        filled = slots.filled(fact.measure)
        guard = slots.both(guard, filled) if guard else filled
    found: dict[str, str] = {}
    if fact.measure:
        found["value"], found["comparator"], found["text"] = slots.measure(fact.measure, guard)
        if fact.text:
            found["text"] = slots.text(fact.text, guard)
    for part, node in _texts(fact, "value", "low", "high"):
        found[part] = slots.number(node, guard)
    for part, node in _texts(fact, "text", "comparator", "unit", "status", "role", "context"):
        found.setdefault(part, slots.text(node, guard))
    for part, parts in _moments(fact, "start", "end"):
        found[part] = slots.moment(parts, guard, required=False)
    return FactPlan(
        fact, guard, _plan_term(slots, code, guard, required=True), tuple(slots.text(d) for d in fact.distinct),
        found, _plan_term(slots, fact.value_code, guard) if fact.value_code else None,
        tuple(_plan_attribute(slots, a, guard) for a in fact.attributes),
    )  # fmt: skip


def _plan_attribute(slots: Slots, attribute: Attribute, guard: str) -> tuple[str, TermPlan | None]:
    if attribute.coded is not None:
        term = _plan_term(slots, attribute.coded, guard)
        return term.code, term
    if attribute.value is not None:
        return slots.number(attribute.value, guard), None
    return slots.text(attribute.text or Constant(""), guard), None


def _plan_term(slots: Slots, term: Term, guard: str, *, required: bool = False) -> TermPlan:
    code = slots.text(term.code, guard, required=required)
    label = slots.text(term.label) if term.label else None
    also = tuple((a.vocabulary, slots.text(a.code), slots.text(a.label) if a.label else None) for a in term.also)
    return TermPlan(term, code, label, also)


def _texts(part: object, *names: str) -> list[tuple[str, Expression]]:
    return [(name, node) for name in names if (node := getattr(part, name)) is not None]


def _moments(part: object, *names: str) -> list[tuple[str, tuple[Instant, ...]]]:
    return [(name, parts) for name in names if (parts := getattr(part, name)) is not None]

