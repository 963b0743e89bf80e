"""Computed columns of a block → a batch: records, people, stays, documents, facts, whole columns at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from estran.model.codes import Precision
from estran.model.moments import civil, utc_minutes
from estran.sources.omop.blocks import BAD, Block
from estran.sources.omop.content import hash_columns
from estran.sources.omop.expressions import moment_columns, one, refusals
from estran.sources.omop.interning import encode, mapped
from estran.sources.records import Batch, PatientKey, StayKey, UnitKey
from estran.sources.schemas import DOCUMENTS, MOVEMENTS, RECORDS, STAY_EVENTS
from estran.sources.tabular.facts import Facts
from estran.sources.tabular.language import DOCUMENT_STATUSES
from estran.sources.tabular.people import statements
from estran.sources.tabular.plan import Plan

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
_MINUTE = 60_000_000


@dataclass(frozen=True)
class Context:
    """What reading needs to know beside the file."""

    zone: str  # the site's
    system: str  # of patient numbers that come without one


@dataclass
class Sound:
    """The rows that are read, and how they make records and documents."""

    plan: Plan
    context: Context
    rows: pa.Table  # sound rows only
    record: Int32s  # record of each of `rows`
    owner: Int64s  # document (place among `heads`) of each of `rows`
    heads: pa.Table  # first row of each record
    head_record: Int32s
    _moments: dict[tuple[str, bool], dict[str, pa.Array]] = field(default_factory=dict)

    def head(self, purpose: str) -> pa.Array | None:
        """The slot `purpose` of the heads; None when the mapping has no such."""
        slot = self.plan.named.get(purpose)
        return one(self.heads[slot]) if slot else None

    def moment(self, alias: str, *, heads: bool) -> dict[str, pa.Array]:
        """Columns date, minute, precision of a moment, on the site's clocks."""
        key = (alias, heads)
        if key not in self._moments:
            table, zone = self.heads if heads else self.rows, self.plan.mapping.zone or self.context.zone
            date, minute = moment_columns(table, alias, zone)
            if zone != self.context.zone:
                date, minute = _moved(date, minute, zone, self.context.zone)
            precision = one(table[f"{alias}_p"]).fill_null(int(Precision.UNKNOWN))
            self._moments[key] = {"date": date, "minute": minute, "precision": precision}
        return self._moments[key]


def _moved(date: pa.Array, minute: pa.Array, source: str, target: str) -> tuple[pa.Array, pa.Array]:
    """Moments of one zone's clocks on another's; days without a time stay what they are."""
    day = date.cast(pa.int32()).fill_null(0).to_numpy().copy()
    elapsed = minute.fill_null(-1).to_numpy().copy()
    timed = elapsed >= 0
    day[timed], elapsed[timed] = civil(utc_minutes(day[timed], elapsed[timed], source) * _MINUTE, target)
    mask = date.is_null().to_numpy(zero_copy_only=False)
    return pa.array(day, pa.int32(), mask=mask).cast(pa.date32()), pa.array(elapsed, pa.int16(), mask=~timed)


# Records ---------------------------------------------------------------------------------------------


def make_batch(plan: Plan, block: Block, rows: pa.Table, part: str, context: Context, base: int) -> Batch:
    """The batch of a block and its computed columns; `base` is added to record numbers."""
    kept = np.flatnonzero(rows[plan.keep].to_numpy() | (block.bad != 0)) if plan.keep else np.arange(len(block))
    if len(kept) < len(block):
        rows = rows.take(pa.array(kept))
    why = rows["why"].to_numpy()
    record = _grouped(plan, rows, why) if plan.group else np.arange(len(kept), dtype=np.int32)
    first, wrong = _firsts(record), _wrongs(record, why)
    batch = Batch(part, record_table(plan, block, rows, kept, record, first, wrong, base))
    batch.refused = refused_table(plan, why, wrong)
    sound = np.flatnonzero(wrong[record] < 0)
    if not len(sound):
        return batch
    good = np.flatnonzero(wrong < 0).astype(np.int32)
    owner = np.searchsorted(good, record[sound])
    whole = len(sound) == len(record)
    table = rows if whole else rows.take(pa.array(sound))
    heads = table if len(good) == len(sound) else rows.take(pa.array(first[good]))
    _fill(batch, Sound(plan, context, table, record[sound], owner, heads, good))
    return batch


def _grouped(plan: Plan, rows: pa.Table, why: Int64s) -> Int32s:
    """Record of each row: rows of one group make one, numbered by first row; a row that could not be cut
    into columns belongs to none."""
    keys = group_hashes(plan, rows)
    keys = np.where(why < 0, np.arange(len(keys)).astype(np.uint64) ^ np.uint64(0xBAD0_0BAD_0000_0000), keys)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int32)
    rank[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return rank[inverse]


def group_hashes(plan: Plan, rows: pa.Table) -> npt.NDArray[np.uint64]:
    """64 bits per row, the same for rows of one document."""
    return hash_columns(rows.select(list(dict.fromkeys(plan.group)))).view(np.uint64)


def groups_of(plan: Plan, block: Block, rows: pa.Table, wanted: frozenset[int]) -> tuple[Block, pa.Table]:
    """The rows of those groups whose first row's number is wanted (of kept rows)."""
    kept = np.flatnonzero(rows[plan.keep].to_numpy() | (block.bad != 0)) if plan.keep else np.arange(len(block))
    record = _grouped(plan, rows.take(pa.array(kept)), rows["why"].to_numpy()[kept])
    numbers = block.numbers[kept[_firsts(record)]]
    chosen = np.isin(numbers, np.fromiter(wanted, dtype=np.int64, count=len(wanted)))
    places = kept[chosen[record]]
    lines = None if block.lines is None else block.lines[places]
    table = block.table.take(pa.array(places))
    part = Block(table, block.numbers[places], block.content[places], lines, block.bad[places])
    return part, rows.take(pa.array(places))


def _firsts(record: Int32s) -> Int64s:
    """First row of each record."""
    return np.unique(record, return_index=True)[1].astype(np.int64)


def _wrongs(record: Int32s, why: Int64s) -> Int64s:
    """The first bad row of each record, -1 when all are sound."""
    wrong = np.full(int(record.max(initial=-1)) + 1, -1, dtype=np.int64)
    bad = np.flatnonzero(why != 0)[::-1]
    wrong[record[bad]] = bad
    return wrong


def record_table(
    plan: Plan, block: Block, rows: pa.Table, kept: Int64s, record: Int32s, first: Int64s, wrong: Int64s, base: int
) -> pa.Table:
    content, place = block.content[kept], kept[first]
    if len(first) < len(record):  # of a group: of all its rows, whatever their order
        total = np.zeros(len(first), dtype=np.uint64)
        np.add.at(total, record, _mixed(content.view(np.uint64)))
        content = _mixed(total).view(np.int64)
    else:
        content = content[first]
    lines = pa.nulls(len(first), pa.int64())
    if block.lines is not None:
        lines = pa.array(block.lines[np.where(wrong >= 0, kept[wrong], place)])
    time = pa.array(np.zeros(len(first), dtype=np.int64))
    if "version" in plan.named:
        time = _latest(one(rows[plan.named["version"]]), record, len(first))
    return pa.table([pa.array(block.numbers[place] + base), lines, time, pa.array(content)], schema=RECORDS)


def _latest(versions: pa.Array, record: Int32s, count: int) -> pa.Array:
    latest = np.zeros(count, dtype=np.int64)
    np.maximum.at(latest, record, versions.fill_null(0).to_numpy())
    return pa.array(latest)


def _mixed(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def refused_table(plan: Plan, why: Int64s, wrong: Int64s) -> pa.Table:
    bad = np.flatnonzero(wrong >= 0)
    kinds = np.unique(why[wrong[bad]])
    return refusals(bad, np.searchsorted(kinds, why[wrong[bad]]), [_reason(plan, int(k)) for k in kinds])


def _reason(plan: Plan, number: int) -> tuple[str, str, str]:
    if number < 0:
        return BAD[-number]
    check = plan.slots.checks[number - 1]
    return check.field, check.code, check.reason


# People, stays, documents ----------------------------------------------------------------------------


def _fill(batch: Batch, sound: Sound) -> None:
    plan = sound.plan
    table = plan.table
    if table.patient is None:  # a table of codes has batches of its own
        return
    system = table.patient.system or (plan.mapping.patients.system if plan.mapping.patients else sound.context.system)
    patient, numbers = encode(sound.heads[plan.named["patient"]])
    batch.patients = [PatientKey(system, str(number)) for number in numbers]
    statements(batch, table.patient, sound.heads, sound.head_record, patient, plan, sound.moment)
    stay = _stays(batch, sound, patient, system)
    if table.stay and table.stay.states and stay is not None:
        batch.stay_events = _stay_events(batch, sound, stay)
    if table.movement and stay is not None:
        batch.movements = _movements(batch, sound, stay)
    if table.document:
        batch.documents = _documents(batch, sound, patient, stay)
        facts = Facts(sound.rows, sound.owner, plan, one(batch.documents["start_date"]), sound.moment)
        batch.facts, batch.attributes = facts.build(batch.documents)
        batch.codes = list(facts.codes.found)


def _stays(batch: Batch, sound: Sound, patient: Int32s, system: str) -> pa.Array | None:
    given, column = sound.plan.table.stay, sound.head("stay")
    if given is None or column is None:
        return None
    mapping = sound.plan.mapping
    authority = given.system or (mapping.stays.system if mapping.stays else system)
    return _intern_stays(batch, patient, column, authority)


def _intern_stays(batch: Batch, patient: Int32s, column: pa.Array, authority: str) -> pa.Array:
    stay, values = encode(column)
    pair = (patient.astype(np.int64) << 32) | stay
    indices, keys = encode(pa.array(pair, mask=stay < 0))
    base = len(batch.stays)
    batch.stays += [StayKey(int(k) >> 32, authority, str(values[int(k) & 0xFFFFFFFF])) for k in keys]
    return pa.array(np.where(indices < 0, 0, indices + base).astype(np.int32), mask=indices < 0)


def _unit(batch: Batch, sound: Sound, part: str) -> pa.Array:
    plan = sound.plan.units.get(part)
    count = len(sound.heads)
    if plan is None:
        return pa.nulls(count, pa.int32())
    names = [plan.code, plan.level, *([plan.label] if plan.label else [])]
    (code, codes), (level, levels), *rest = (encode(sound.heads[n]) for n in names)
    label, labels = rest[0] if rest else (np.full(count, -1, dtype=np.int32), [])
    key = (code.astype(np.int64) * (len(levels) + 1) + level + 1) * (len(labels) + 1) + label + 1
    known, inverse = np.unique(key, return_inverse=True)
    places = np.full(len(known), -1, dtype=np.int32)
    units = {unit: at for at, unit in enumerate(batch.units)}
    for at, value in enumerate(known.tolist()):
        value, b = divmod(value, len(labels) + 1)
        c, v = divmod(value, len(levels) + 1)
        if c >= 0:
            unit = UnitKey(str(codes[c]), str(labels[b - 1]) if b else "", str(levels[v - 1]) if v else "UF")
            places[at] = units.setdefault(unit, len(units))
    batch.units = list(units)
    taken = places[inverse]
    return pa.array(taken, mask=taken < 0)


def _empty(schema: pa.Schema, count: int) -> dict[str, pa.Array]:
    return {f.name: pa.nulls(count, f.type) for f in schema}


def _bounds(sound: Sound, part: str) -> dict[str, pa.Array]:
    """Start, end and precision of a stay or a movement."""
    columns: dict[str, pa.Array] = {}
    for end in ("start", "end"):
        alias = sound.plan.named.get(f"{part}.{end}")
        if alias:
            found = sound.moment(alias, heads=True)
            columns |= {f"{end}_date": found["date"], f"{end}_minute": found["minute"]}
            columns.setdefault("precision", found["precision"])
    return columns


def _stay_events(batch: Batch, sound: Sound, stay: pa.Array) -> pa.Table:
    columns = _empty(STAY_EVENTS, len(sound.heads)) | {"record": pa.array(sound.head_record), "stay": stay}
    columns |= _bounds(sound, "stay") | {"unit": _unit(batch, sound, "stay")}
    for name in ("kind", "entry_mode", "exit_mode", "status", "confidential"):
        found = sound.head(f"stay.{name}")
        if found is not None:
            columns[name] = found
    if sound.head("stay.status") is None:
        columns["status"] = pc.if_else(columns["end_date"].is_valid(), "finished", "active")
    parent = sound.head("stay.parent")
    if parent is not None:
        of_patient = np.array([s.patient for s in batch.stays], dtype=np.int32)[stay.to_numpy()]
        columns["parent"] = _intern_stays(batch, of_patient, parent, batch.stays[0].system)
    return pa.table(columns, schema=STAY_EVENTS)


def _movements(batch: Batch, sound: Sound, stay: pa.Array) -> pa.Table:
    key = pc.binary_join_element_wise(sound.plan.table.name, sound.head("movement"), ":")
    columns = _empty(MOVEMENTS, len(sound.heads)) | {"record": pa.array(sound.head_record), "stay": stay, "key": key}
    columns |= _bounds(sound, "movement") | {"unit": _unit(batch, sound, "movement")}
    columns |= {name: sound.head(f"movement.{name}") for name in ("responsibility", "status")}
    return pa.table(columns, schema=MOVEMENTS)


def _documents(batch: Batch, sound: Sound, patient: Int32s, stay: pa.Array | None) -> pa.Table:
    count = len(sound.heads)
    columns = _empty(DOCUMENTS, count) | {"record": pa.array(sound.head_record), "patient": pa.array(patient)}
    columns |= _key(sound) | {"unit": _unit(batch, sound, "document")}
    if stay is not None:
        columns["stay"] = stay
    start = sound.moment(sound.plan.named["document.start"], heads=True)
    columns |= {"start_date": start["date"], "start_minute": start["minute"], "precision": start["precision"]}
    for name in ("kind", "title", "author_role", "lang", "text", "confidential"):
        found = sound.head(f"document.{name}")
        if found is not None:
            columns[name] = found
    columns["title"] = columns["title"].fill_null("")
    columns["confidential"] = columns["confidential"].fill_null(False)
    status = sound.head("document.status")
    columns["status"] = mapped(status if status is not None else pa.nulls(count, pa.string()), DOCUMENT_STATUSES, 0, pa.int8())
    known = sound.plan.named.get("document.known_at")
    if known:
        columns["known_at"] = _instants(sound.moment(known, heads=True), sound.context.zone)
    return pa.table(columns, schema=DOCUMENTS)


def _key(sound: Sound) -> dict[str, pa.Array]:
    """The document's business id: a number, or a text with the table's name before it."""
    name, key = sound.plan.table.name, sound.head("document")
    if key is not None and pa.types.is_integer(key.type):
        return {"key_int": key}
    parts: Sequence[pa.Array] = [key] if key is not None else [one(sound.heads[s]).cast(pa.string()) for s in sound.plan.group]
    filled = [pc.fill_null(pc.cast(p, pa.string()), "") for p in parts]
    return {"key": pc.binary_join_element_wise(name, *filled, "\x1f")}


def _instants(moment: dict[str, pa.Array], zone: str) -> pa.Array:
    """Microseconds UTC; those of a day without time, at its beginning."""
    day = moment["date"].cast(pa.int32()).fill_null(0).to_numpy()
    minute = moment["minute"].fill_null(0).to_numpy()
    mask = moment["date"].is_null().to_numpy(zero_copy_only=False)
    return pa.array(utc_minutes(day, minute, zone) * _MINUTE, mask=mask)
