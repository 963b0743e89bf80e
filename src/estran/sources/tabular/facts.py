"""Facts of a batch: each kind of fact of the mapping over all rows at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from estran.model.codes import Comparator
from estran.sources.omop.expressions import one
from estran.sources.omop.interning import Codes, encode, mapped
from estran.sources.records import Code
from estran.sources.schemas import ATTRIBUTES, FACTS
from estran.sources.tabular.language import CONTEXTS, FACT_STATUSES
from estran.sources.tabular.plan import FactPlan, Plan, TermPlan
from estran.terminology.units import ucum

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
_COMPARATORS = {
    "<": Comparator.LT, "<=": Comparator.LE, "=<": Comparator.LE, ">": Comparator.GT, ">=": Comparator.GE,
    "=>": Comparator.GE, "=": Comparator.EQ,
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """The facts of one plan: the rows they are read from, and what tells them apart."""

    plan: FactPlan
    rows: Int64s  # in ascending order
    group: Int64s  # of every row of the block: its distinct value in its document
    first: Int64s  # place of the fact of each group among `rows`, -1 when it has none


class Facts:
    """Builds the facts of the sound rows; `owner` is the document of each row."""

    def __init__(
        self, rows: pa.Table, owner: Int64s, plan: Plan, start: pa.Array, moment: Callable[..., dict[str, pa.Array]]
    ) -> None:
        self.rows, self.owner, self.plan, self.moment = rows, owner, plan, moment
        self.codes = Codes()

    def build(self, documents: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Tables of schemas FACTS and ATTRIBUTES."""
        kinds = [self._kind(plan) for plan in self.plan.facts]
        if not kinds:
            return FACTS.empty_table(), ATTRIBUTES.empty_table()
        numbers = self._numbers(kinds)
        facts = [self._facts(kind, number, documents) for kind, number in zip(kinds, numbers, strict=True)]
        for place, kind in enumerate(kinds):
            if kind.plan.fact.parent:
                facts[place] = self._with_parents(facts[place], kind, kinds, numbers)
        attributes = [
            table for kind, number in zip(kinds, numbers, strict=True) for table in self._attributes(kind, number)
        ]
        return pa.concat_tables(facts), pa.concat_tables([ATTRIBUTES.empty_table(), *attributes])

    def _kind(self, plan: FactPlan) -> Kind:
        count = len(self.rows)
        rows = np.flatnonzero(self.rows[plan.guard].to_numpy()) if plan.guard else np.arange(count)
        if not plan.distinct:
            first = np.full(count, -1, dtype=np.int64)
            first[rows] = np.arange(len(rows))
            return Kind(plan, rows, np.arange(count), first)
        parts = [encode(self.rows[slot])[0] for slot in plan.distinct]
        group, seen = combinations([self.owner.astype(np.int64), *parts])
        groups, places = np.unique(group[rows], return_index=True)
        order = np.argsort(places)
        first = np.full(len(seen), -1, dtype=np.int64)
        first[groups[order]] = np.arange(len(groups))
        return Kind(plan, rows[places[order]], group, first)

    def _numbers(self, kinds: list[Kind]) -> list[Int32s]:
        """fact_no of every fact: its place in its document, by row and then by kind."""
        if len(kinds) == 1 and len(kinds[0].rows) == len(self.rows) == int(self.owner[-1]) + 1:
            return [np.zeros(len(self.rows), dtype=np.int32)]
        row = np.concatenate([k.rows for k in kinds])
        kind = np.concatenate([np.full(len(k.rows), place) for place, k in enumerate(kinds)])
        owner = self.owner[row]
        order = np.lexsort((kind, row, owner))
        sorted_owner = owner[order]
        starts = np.flatnonzero(np.diff(sorted_owner, prepend=-1))
        lengths = np.diff(starts, append=len(order))
        number = np.empty(len(order), dtype=np.int32)
        number[order] = np.arange(len(order)) - np.repeat(starts, lengths)
        return np.split(number, np.cumsum([len(k.rows) for k in kinds])[:-1])

    def _with_parents(self, facts: pa.Table, kind: Kind, kinds: list[Kind], numbers: list[Int32s]) -> pa.Table:
        at = next(n for n, k in enumerate(kinds) if k.plan.fact.id == kind.plan.fact.parent)
        place = kinds[at].first[kinds[at].group[kind.rows]]
        parents = pa.array(np.append(numbers[at], 0)[place], pa.int32(), mask=place < 0)
        return facts.set_column(facts.schema.get_field_index("parent_fact_no"), "parent_fact_no", parents)

    # columns ----------------------------------------------------------------------------------------

    def _facts(self, kind: Kind, number: Int32s, documents: pa.Table) -> pa.Table:
        take = self._taker(kind.rows)
        count, slots = len(kind.rows), kind.plan.slots
        columns: dict[str, Any] = {f.name: pa.nulls(count, f.type) for f in FACTS}
        columns |= {"document": pa.array(self.owner[kind.rows].astype(np.int32)), "fact_no": pa.array(number)}
        columns |= self._dates(kind, documents)
        columns["code"] = self._term(kind.plan.code, take)
        columns |= {name: take(slots[name]) for name in ("value", "low", "high", "role") if name in slots}
        if "text" in slots:  # the text is for rows that have no number
            text = take(slots["text"])
            nothing = pa.scalar(None, pa.string())
            columns["value_text"] = pc.if_else(columns["value"].is_valid(), nothing, text) if "value" in slots else text
        if kind.plan.value_code:
            columns["value_code"] = self._term(kind.plan.value_code, take)
        if "unit" in slots:
            columns["unit"] = _units(take(slots["unit"]))
        if "comparator" in slots:
            columns["comparator"] = mapped(take(slots["comparator"]), _COMPARATORS, None, pa.int8())
        columns["status"] = mapped(take(slots["status"]), FACT_STATUSES, 0, pa.int8())
        columns["context"] = mapped(take(slots["context"]), CONTEXTS, 0, pa.int8())
        columns["origin"] = pa.array(np.zeros(count, dtype=np.int8))
        return pa.table(columns, schema=FACTS)

    def _taker(self, rows: Int64s) -> Callable[[str], pa.Array]:
        """A column at these rows; the column itself when these are all."""
        if len(rows) == len(self.rows):
            return lambda slot: one(self.rows[slot])
        places = pa.array(rows)
        return lambda slot: one(self.rows[slot]).take(places)

    def _dates(self, kind: Kind, documents: pa.Table) -> dict[str, pa.Array]:
        """Start and end; without a start of its own a fact is dated like its document."""
        owner = pa.array(self.owner[kind.rows])
        names = ("start_date", "start_minute", "precision")
        columns = {n: one(documents[n]).take(owner) for n in names}
        own = kind.plan.slots.get("start")
        rows = pa.array(kind.rows)
        if own:
            found = self.moment(own, heads=False)
            stated = found["date"].take(rows)
            known = stated.is_valid()
            pairs = zip(names, ("date", "minute", "precision"), strict=True)
            columns = {n: pc.if_else(known, found[p].take(rows), columns[n]) for n, p in pairs}
        end = kind.plan.slots.get("end")
        if end:
            found = self.moment(end, heads=False)
            columns |= {"end_date": found["date"].take(rows), "end_minute": found["minute"].take(rows)}
        return columns

    def _term(self, plan: TermPlan, take: Callable[[str], pa.Array]) -> pa.Array:
        """Indices of codes, null where there is none; each combination of code and labels once."""
        slots = [plan.code, plan.label, *(s for _, code, label in plan.also for s in (code, label))]
        encoded = [encode(take(slot)) if slot else None for slot in slots]
        given = [e for e in encoded if e is not None]
        indices, seen = combinations([e[0] for e in given])
        places = []
        for row in seen.tolist():
            words = ["" if e is None or e[0][row] < 0 else str(e[1][e[0][row]]) for e in encoded]
            places.append(self.codes.add(_code(plan, words)) if words[0] else -1)
        taken = np.array([*places, -1], dtype=np.int32)[indices]
        return pa.array(taken, mask=taken < 0)

    def _attributes(self, kind: Kind, number: Int32s) -> list[pa.Table]:
        take = self._taker(kind.rows)
        found = []
        for (slot, term), attribute in zip(kind.plan.attributes, kind.plan.fact.attributes, strict=True):
            values = self._term(term, take) if term else take(slot)
            which = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
            if not len(which):
                continue
            code = self.codes.add(Code(attribute.vocabulary, attribute.code, attribute.label or attribute.code))
            columns: dict[str, Any] = {f.name: pa.nulls(len(which), f.type) for f in ATTRIBUTES}
            columns["document"] = pa.array(self.owner[kind.rows[which]].astype(np.int32))
            columns["fact_no"] = pa.array(number[which])
            columns["attribute"] = pa.array(np.full(len(which), code, dtype=np.int32))
            name = "value_code" if term else "value" if attribute.value is not None else "value_text"
            columns[name] = values.take(pa.array(which))
            found.append(pa.table(columns, schema=ATTRIBUTES))
        return found


def combinations(columns: list[Any]) -> tuple[Int64s, Int64s]:
    """Index columns (-1 is none) → which combination each row has, and the first row of each."""
    key = columns[0].astype(np.int64) + 1
    for column in columns[1:]:
        if len(key) and int(key.max()) > 2**31:  # keep products within 64 bits
            key = encode(pa.array(key))[0].astype(np.int64)
        key = key * (int(column.max(initial=-1)) + 2) + column + 1
    which = encode(pa.array(key))[0].astype(np.int64)
    first = np.empty(int(which.max(initial=-1)) + 1, dtype=np.int64)
    first[which[::-1]] = np.arange(len(which))[::-1]
    return which, first


def _code(plan: TermPlan, words: list[str]) -> Code:
    also = []
    for place, (vocabulary, _, _) in enumerate(plan.also):
        code, label = words[2 + 2 * place : 4 + 2 * place]
        if code:
            also.append((vocabulary, code, label))
    term = plan.term
    return Code(term.vocabulary, words[0], words[1], term.lang, term.kind, tuple(also))


def _units(column: pa.Array) -> pa.Array:
    indices, words = encode(column)
    table = pa.array([*(ucum(w) for w in words), None], pa.string())
    return table.take(pa.array(np.where(indices < 0, len(words), indices)))
