"""The fast engine's criteria: the events that a leaf finds in one bucket, as columns of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from estran.cohort.engines.buckets import Bucket, Table, Words, days, fact_key, numbers
from estran.cohort.engines.events import (
    DOCUMENT,
    FACT,
    GROUP,
    MOVEMENT,
    NO_DAY,
    STAY,
    Bools,
    Events,
    Ints,
    ascending,
    contained,
    distinct,
    expand,
    frequent,
    given,
    number,
    on_days,
    starts,
)
from estran.cohort.query import (
    CodeCriterion,
    DateRange,
    DocumentCriterion,
    IntRange,
    MediaCriterion,
    MovementCriterion,
    Node,
    StayCriterion,
    TextCriterion,
    Unit,
    ValueRange,
    VariantCriterion,
)
from estran.cohort.query.leaves import AFFIRMED, LIVE, RECORDED
from estran.model.codes import Comparator, Precision
from estran.model.moments import EPOCH

if TYPE_CHECKING:
    from estran.cohort.engines.lookups import Lookups

Need = frozenset[str]
NOTHING: Need = frozenset()
_OF_FACTS: dict[Unit, Need] = {
    Unit.PATIENT: NOTHING,
    Unit.STAY: frozenset({"stay"}),
    Unit.DOCUMENT: frozenset({"document"}),
    Unit.MOVEMENT: frozenset({"stay", "day", "minute"}),
    Unit.GROUP: frozenset({"ident"}),
}
_COLUMNS = {
    "day": ("start_date", "precision"),
    "minute": ("start_minute",),
    "ident": ("document_id", "fact_no"),
    "stay": ("stay_id",),
    "document": ("document_id",),
}
_BOTTOM, _TOP = (Comparator.LT, Comparator.LE), (Comparator.GT, Comparator.GE)


def find(bucket: Bucket, lookups: Lookups, node: Node, unit: Unit, need: Need) -> Events:
    """The events of a leaf, under every unit of a scope that they belong to."""
    if isinstance(node, CodeCriterion):
        wanted = need | _OF_FACTS[unit] | (frozenset({"day"}) if node.apart else NOTHING)
        found = _facts(bucket, lookups, node, wanted)
        return often(node, to_unit(bucket, found, FACT, unit))
    kind, find_rows = _FIND[type(node)]
    return to_unit(bucket, _EVENTS[kind](bucket, find_rows(bucket, lookups, node)), kind, unit)


# Facts


def _facts(bucket: Bucket, lookups: Lookups, node: CodeCriterion, need: Need) -> Events:
    ids = lookups.code_set(node.codes)
    stored = lookups.with_targets(ids)
    mapped = len(stored) > len(ids)
    live = (set(node.statuses), set(node.contexts or ()), set(node.origins)) == (set(LIVE), set(AFFIRMED), set(RECORDED))
    columns = dict.fromkeys(["patient_id", *(column for name in sorted(need) for column in _COLUMNS[name])])
    columns |= dict.fromkeys(["concept_id", "local_concept_id"] if mapped else [])
    columns |= dict.fromkeys(column for column, asked in _asked(node, live).items() if asked)
    rows = bucket.snapshot.fact_slice(stored, bucket.number, list(columns), live)
    keep = _any_code(rows, "", ids) if mapped else np.ones(len(rows), np.bool_)
    for condition in _conditions(bucket, lookups, node, live):
        keep &= condition(rows)
    if lookups.within is not None:
        keep &= bucket.visible(numbers(rows.column("patient_id")))
    return _as_events(rows, need, np.flatnonzero(keep) if not keep.all() else None)


def _asked(node: CodeCriterion, live: bool) -> dict[str, bool]:
    """Columns that the conditions look at."""
    return {
        "value": node.value is not None,
        "comparator": node.value is not None,
        "unit": node.value is not None and node.value.unit is not None,
        "start_date": node.dates is not None or node.age is not None,
        "role": bool(node.roles),
        "precision": node.precision is not None,
        "value_concept": bool(node.values),
        "document_id": bool(node.parent),
        "parent_fact_no": bool(node.parent),
        "status": not live,
        "context": not live,
        "origin": not live,
    }


def _conditions(bucket: Bucket, lookups: Lookups, node: CodeCriterion, live: bool) -> list[Callable[[pa.Table], Bools]]:
    found: list[Callable[[pa.Table], Bools]] = []
    if not live:
        found += [_among("status", node.statuses), _among("origin", node.origins)]
        found += [] if node.contexts is None else [_among("context", node.contexts)]
    if node.value is not None:
        found.append(_valued(node.value))
    if node.dates is not None:
        found.append(_dated(node.dates))
    if node.age is not None:
        found.append(_aged(bucket, node.age))
    if node.roles:
        found.append(lambda rows: Words(rows.column("role")).among(node.roles))
    if node.precision is not None:
        found.append(_precise(node.precision))
    if node.values:
        values = lookups.code_set(node.values)
        found.append(lambda rows: contained(numbers(rows.column("value_concept")), values))
    if node.parent:
        found.append(_hanging(bucket, lookups, node))
    return found


def _among(name: str, choices: tuple[int, ...]) -> Callable[[pa.Table], Bools]:
    return lambda rows: np.isin(numbers(rows.column(name)), [int(one) for one in choices])


def _precise(least: Precision) -> Callable[[pa.Table], Bools]:
    return lambda rows: numbers(rows.column("precision")) >= int(least)


def _dated(wanted: DateRange) -> Callable[[pa.Table], Bools]:
    return lambda rows: in_dates(days(rows.column("start_date")), wanted)


def _aged(bucket: Bucket, wanted: IntRange) -> Callable[[pa.Table], Bools]:
    return lambda rows: at_age(bucket, numbers(rows.column("patient_id")), days(rows.column("start_date")), wanted)


def _valued(wanted: ValueRange) -> Callable[[pa.Table], Bools]:
    """Every value that the fact may stand for is in the range."""

    def condition(rows: pa.Table) -> Bools:
        value = rows.column("value").to_numpy()
        sign = numbers(rows.column("comparator"), 0)
        keep: Bools = ~np.isnan(value)
        if wanted.low is not None:
            strict = np.asarray(sign == Comparator.GT) if wanted.low_open else True
            keep &= ~np.isin(sign, _BOTTOM) & ((value > wanted.low) | ((value == wanted.low) & strict))
        if wanted.high is not None:
            strict = np.asarray(sign == Comparator.LT) if wanted.high_open else True
            keep &= ~np.isin(sign, _TOP) & ((value < wanted.high) | ((value == wanted.high) & strict))
        if wanted.unit is not None:
            keep &= Words(rows.column("unit")).among((wanted.unit,))
        return keep

    return condition


def _any_code(rows: pa.Table, prefix: str, ids: Ints) -> Bools:
    """Rows whose own or local concept is in a sorted list."""
    own, local = (numbers(rows.column(prefix + name)) for name in ("concept_id", "local_concept_id"))
    return contained(own, ids) | contained(local, ids)


def _hanging(bucket: Bucket, lookups: Lookups, node: CodeCriterion) -> Callable[[pa.Table], Bools]:
    """The fact hangs from one whose code is among the parents'."""
    ids = lookups.code_set(node.parent)
    columns = ["document_id", "fact_no", "concept_id", "local_concept_id"]
    above = bucket.snapshot.fact_slice(lookups.with_targets(ids), bucket.number, columns, live=False)
    above = above.filter(pa.array(_any_code(above, "", ids)))
    known = np.sort(fact_key(numbers(above.column("document_id")), numbers(above.column("fact_no"))))

    def condition(rows: pa.Table) -> Bools:
        parent = numbers(rows.column("parent_fact_no"))
        key = fact_key(numbers(rows.column("document_id")), np.maximum(parent, 0))
        return contained(key, known) & (parent >= 0)

    return condition


def _as_events(rows: pa.Table, need: Need, kept: Ints | None) -> Events:
    def column(name: str, null: int = -1) -> Ints:
        values = numbers(rows.column(name), null)
        return values if kept is None else values[kept]

    patient = column("patient_id")
    document = column("document_id") if need & {"ident", "document"} else None
    return Events(
        key=patient,
        patient=patient,
        day=column("start_date", NO_DAY) if "day" in need else None,
        minute=column("start_minute") if "minute" in need else None,
        precision=column("precision") if "day" in need else None,
        ident=number(FACT, given(document), column("fact_no")) if "ident" in need else None,
        stay=column("stay_id") if "stay" in need else None,
        document=document,
    )


def often(node: CodeCriterion, events: Events) -> Events:
    """Keep the units with enough distinct facts, far enough apart."""
    if node.times == 1:
        return events
    if node.apart is None:
        return events.take(frequent(events.key, node.times))
    dated = events.take(events.known(Precision.DAY))
    moments, order = ascending(on_days(dated)[0])
    keys = dated.key if order is None else dated.key[order]
    here = starts(keys)[:-1]
    for _ in range(node.times - 1):
        later = np.searchsorted(moments, moments[here] + node.apart)
        inside = later < len(moments)
        here, later = here[inside], later[inside]
        here = later[keys[later] == keys[here]]
    return events.take(contained(events.key, keys[here]))


# Stays, movements and documents: rows of the bucket's own tables


def stay_events(bucket: Bucket, rows: Ints) -> Events:
    """Stays as events, by their place in the table."""
    table, stay = bucket.stays, bucket.stay_ids[rows]
    return _table_events(table, rows, number(STAY, stay), stay, np.full(len(rows), -1))


def movement_events(bucket: Bucket, rows: Ints) -> Events:
    """Movements as events, by their place in the table."""
    table = bucket.movements
    stay = table.number("stay_id")[rows]
    return _table_events(table, rows, number(MOVEMENT, rows), stay, np.full(len(rows), -1))


def document_events(bucket: Bucket, rows: Ints) -> Events:
    """Documents as events, by their place in the table."""
    document = bucket.document_ids[rows]
    return _table_events(bucket.documents, rows, number(DOCUMENT, document), bucket.document_stays[rows], document)


def _table_events(table: Table, rows: Ints, ident: Ints, stay: Ints, document: Ints) -> Events:
    patient = table.number("patient_id")[rows]
    minute, precision = (table.number(name)[rows] for name in ("start_minute", "precision"))
    return Events(patient, patient, table.day("start_date")[rows], minute, precision, ident, stay, document)


def _stays(bucket: Bucket, lookups: Lookups, node: StayCriterion) -> Ints:
    table = bucket.stays
    keep = np.ones(len(table), np.bool_)
    for name, wanted in (("kind", node.kinds), ("entry_mode", node.entries), ("exit_mode", node.exits)):
        if wanted:
            keep &= table.words(name).among(wanted)
    if node.units:
        keep &= contained(table.number("unit_id"), lookups.units(node.units))
    start, end = table.day("start_date"), table.day("end_date")
    if node.days:
        keep &= (start != NO_DAY) & (end != NO_DAY) & in_range(end - start, node.days)
    if node.dates:
        keep &= in_dates(start, node.dates)
    if node.age:
        keep &= at_age(bucket, table.number("patient_id"), start, node.age)
    return np.flatnonzero(keep)


def _movements(bucket: Bucket, lookups: Lookups, node: MovementCriterion) -> Ints:
    table = bucket.movements
    keep = np.ones(len(table), np.bool_)
    if node.units:
        keep &= contained(table.number("unit_id"), lookups.units(node.units))
    if node.responsibilities:
        keep &= table.words("responsibility").among(node.responsibilities)
    if node.dates:
        keep &= in_dates(table.day("start_date"), node.dates)
    return np.flatnonzero(keep)


def _documents(bucket: Bucket, lookups: Lookups, node: DocumentCriterion) -> Ints:
    table = bucket.documents
    keep = np.ones(len(table), np.bool_)
    if node.kinds:
        keep &= table.words("kind").among(node.kinds)
    if node.units:
        keep &= contained(table.number("unit_id"), lookups.units(node.units))
    if node.dates:
        keep &= in_dates(table.day("start_date"), node.dates)
    return np.flatnonzero(keep)


def _texts(bucket: Bucket, lookups: Lookups, node: TextCriterion) -> Ints:
    found = lookups.text_documents(node.query, node.kinds)
    keep = contained(bucket.document_ids, found)
    if node.dates:
        keep &= in_dates(bucket.documents.day("start_date"), node.dates)
    return np.flatnonzero(keep)


def _media(bucket: Bucket, lookups: Lookups, node: MediaCriterion) -> Ints:
    table = bucket.media
    keep = table.words("modality").among(node.modalities) if node.modalities else np.ones(len(table), np.bool_)
    found = contained(bucket.document_ids, distinct(table.number("document_id")[keep]))
    if node.dates:
        found &= in_dates(bucket.documents.day("start_date"), node.dates)
    return np.flatnonzero(found)


def _variants(bucket: Bucket, lookups: Lookups, node: VariantCriterion) -> Ints:
    found = contained(bucket.document_ids, bucket.with_variant(_sql_of(node)))
    if node.dates:
        found &= in_dates(bucket.documents.day("start_date"), node.dates)
    return np.flatnonzero(found)


def _sql_of(node: VariantCriterion) -> str:
    """What is asked of a variant, as SQL over its table. The node's words hold no quote: it saw to that."""
    asked = [f"upper(gene) IN ({_quoted(node.genes)})"] if node.genes else []
    asked += [f"chrom = '{node.chrom}'"] if node.chrom is not None else []
    asked += [f"pos >= {node.low}"] if node.low is not None else []
    asked += [f"pos <= {node.high}"] if node.high is not None else []
    asked += [f"impact IN ({_quoted(node.impacts)})"] if node.impacts else []
    return " AND ".join(asked)


def _quoted(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


_EVENTS = {STAY: stay_events, MOVEMENT: movement_events, DOCUMENT: document_events}
_FIND: dict[type[Node], tuple[int, Callable[[Bucket, Lookups, Any], Ints]]] = {
    StayCriterion: (STAY, _stays),
    MovementCriterion: (MOVEMENT, _movements),
    DocumentCriterion: (DOCUMENT, _documents),
    TextCriterion: (DOCUMENT, _texts),
    MediaCriterion: (DOCUMENT, _media),
    VariantCriterion: (DOCUMENT, _variants),
}


def in_range(values: Ints, wanted: IntRange) -> Bools:
    """Numbers within bounds, both included."""
    low, high = wanted.low, wanted.high
    keep: Bools = np.ones(len(values), np.bool_) if low is None else values >= low
    return keep if high is None else keep & (values <= high)


def in_dates(values: Ints, wanted: DateRange) -> Bools:
    """Known days within bounds, both included."""
    keep: Bools = values != NO_DAY
    if wanted.start is not None:
        keep &= values >= (wanted.start - EPOCH).days
    if wanted.end is not None:
        keep &= values <= (wanted.end - EPOCH).days
    return keep


def at_age(bucket: Bucket, patients: Ints, at: Ints, wanted: IntRange) -> Bools:
    """Whether the age of patients on days is known and within bounds."""
    years, known = bucket.ages(patients, at)
    found: Bools = known & in_range(years, wanted)
    return found


# From events to the units they belong to


def to_unit(bucket: Bucket, events: Events, kind: int, unit: Unit) -> Events:
    """The events under each of their units; those that belong to none are gone."""
    if unit is Unit.PATIENT:
        return events
    if unit is Unit.STAY:
        stay = bucket.settled(given(events.stay))
        rows = np.flatnonzero(stay >= 0)
        return events.keyed(rows, stay[rows])
    if unit is Unit.MOVEMENT:
        return _to_movements(bucket, events, kind)
    if unit is Unit.GROUP and kind in (FACT, GROUP):
        own = events.idents & ((1 << 60) - 1)
        return events.keyed(np.arange(len(events)), bucket.groups(own) if kind == FACT else own)
    found = _to_documents(bucket, events, kind)
    if unit is Unit.DOCUMENT:
        return found
    documents, groups = bucket.groups_in(found.key)
    rows, at = expand(found.key, documents)
    return found.keyed(rows, groups[at])


def _to_movements(bucket: Bucket, events: Events, kind: int) -> Events:
    if kind == MOVEMENT:
        return events.keyed(np.arange(len(events)), (events.idents >> 29) & 0x7FFFFFFF)
    stays, ranks = bucket.movements_by_stay
    rows, at = expand(bucket.settled(given(events.stay)), stays)
    if kind != STAY:
        keep = _inside(bucket, events.take(rows), ranks[at])
        rows, at = rows[keep], at[keep]
    return events.keyed(rows, ranks[at])


def _to_documents(bucket: Bucket, events: Events, kind: int) -> Events:
    if kind not in (STAY, MOVEMENT):
        return events.keyed(np.arange(len(events)), given(events.document))
    stays, places_ = bucket.documents_by_stay
    rows, at = expand(bucket.settled(given(events.stay)), stays)
    if kind == MOVEMENT:
        moved = (events.idents[rows] >> 29) & 0x7FFFFFFF
        keep = _inside(bucket, document_events(bucket, places_[at]), moved)
        rows, at = rows[keep], at[keep]
    return events.keyed(rows, bucket.document_ids[places_[at]])


def _inside(bucket: Bucket, events: Events, movements: Ints) -> Bools:
    """Row by row, whether an event is in a movement: by date, by minute on the first and last day."""
    table = bucket.movements
    start, end = table.day("start_date")[movements], table.day("end_date")[movements]
    first, last = (table.number(name)[movements] for name in ("start_minute", "end_minute"))
    keep: Bools = events.known(Precision.DAY) & (start != NO_DAY) & (table.number("precision")[movements] >= Precision.DAY)
    keep &= (events.days >= start) & ((end == NO_DAY) | (events.days <= end))
    timed = events.minutes >= 0
    early = timed & (events.days == start) & (first >= 0) & (events.minutes < first)
    late = timed & (events.days == end) & (last >= 0) & (events.minutes > last)
    keep &= ~early & ~late
    return keep
