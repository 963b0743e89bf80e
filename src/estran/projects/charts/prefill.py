"""Filling a form from facts: each value comes with its evidence, and the reviewer has the last word."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from estran.model.codes import LIVE_STATUS
from estran.projects.charts.forms import Fill, Form, Item, Kind, Take, Value
from estran.terminology.units import ucum
from estran.warehouse import Snapshot

_COLUMNS = [
    "document_id",
    "fact_no",
    "concept_id",
    "start_date",
    "start_minute",
    "value",
    "value_text",
    "unit",
    "context",
    "status",
]


@dataclass(frozen=True)
class Filled:
    """A value taken from a fact, and where it comes from. `date` is ISO, "" when the fact has none."""

    value: Value
    document_id: int
    fact_no: int
    date: str
    code: str

    def as_row(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def prefill(snapshot: Snapshot, form: Form, patient: int, index: dt.date | None) -> dict[str, Filled]:
    """What the facts of a patient say of the items; affirmed facts about the patient that happened, and no others.

    An item with a window is left empty when the patient has no index date.
    """
    wanted = [item for item in form.items if item.fill]
    if not wanted:
        return {}
    facts = snapshot.patient_rows("fact", patient, _COLUMNS)
    live = pa.array(sorted(map(int, LIVE_STATUS)), facts.schema.field("status").type)
    facts = facts.filter(pc.and_(pc.equal(facts["context"], 0), pc.is_in(facts["status"], value_set=live)))
    found = {}
    for item in wanted:
        filled = _filled(snapshot, facts, item, index)
        if filled is not None:
            found[item.id] = filled
    return found


def _filled(snapshot: Snapshot, facts: pa.Table, item: Item, index: dt.date | None) -> Filled | None:
    fill = item.fill
    if fill is None or (fill.days is not None and index is None):
        return None
    rows = _within(_of_concept(snapshot, facts, fill), fill, index)
    fitting = [(value, row) for row in rows.to_pylist() if (value := _value(item, row)) is not None]
    if not fitting:
        return None
    value, row = _taken(fill.take, fitting)
    day = row["start_date"]
    return Filled(
        value, row["document_id"], row["fact_no"], day.isoformat() if day else "", f"{fill.vocabulary}:{fill.code}"
    )


def _of_concept(snapshot: Snapshot, facts: pa.Table, fill: Fill) -> pa.Table:
    own = snapshot.concept_ids(fill.vocabulary, fill.code)
    below = np.asarray(snapshot.descendants(own) if own else [], np.int32)
    return facts.filter(pc.is_in(facts["concept_id"], value_set=pa.array(below, pa.int32())))


def _within(facts: pa.Table, fill: Fill, index: dt.date | None) -> pa.Table:
    if fill.days is None or index is None:
        return facts
    first, last = (index + dt.timedelta(days=day) for day in fill.days)
    dates = facts["start_date"]
    return facts.filter(pc.and_(pc.greater_equal(dates, pa.scalar(first)), pc.less_equal(dates, pa.scalar(last))))


def _value(item: Item, row: dict[str, Any]) -> Value | None:
    """What a fact says to an item; None when it has nothing to say."""
    if item.kind is Kind.YES_NO:
        return "yes"
    if item.kind is Kind.DATE:
        return row["start_date"].isoformat() if row["start_date"] else None
    return (row["value_text"] or None) if item.kind is Kind.TEXT else _measured(item, row["value"], row["unit"] or "")


def _measured(item: Item, value: float | None, unit: str) -> Value | None:
    """The number of a fact; None when it is in another unit or out of the range."""
    if value is None or (item.unit and ucum(unit) != ucum(item.unit)):
        return None
    if (item.low is not None and value < item.low) or (item.high is not None and value > item.high):
        return None
    if item.kind is Kind.INTEGER:
        return int(value) if float(value).is_integer() else None
    return float(value)


def _taken(take: Take, fitting: Iterable[tuple[Any, dict[str, Any]]]) -> tuple[Any, dict[str, Any]]:
    """One of several; of equals the earliest, or the latest for `last`."""

    def moment(row: dict[str, Any]) -> tuple[dt.date, int, int]:
        return row["start_date"] or dt.date.min, row["start_minute"] or 0, row["fact_no"]

    ordered = sorted(fitting, key=lambda one: moment(one[1]))
    if take is Take.MIN:
        return min(ordered, key=lambda one: one[0])
    if take is Take.MAX:
        return max(ordered, key=lambda one: one[0])
    return ordered[0] if take is Take.FIRST else ordered[-1]
