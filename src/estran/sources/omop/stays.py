"""VISIT_OCCURRENCE → stays, VISIT_DETAIL → movements, CARE_SITE → units."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from estran.model.codes import StayKind
from estran.sources.omop.blocks import Block
from estran.sources.omop.expressions import Query, one
from estran.sources.omop.facts import dated
from estran.sources.omop.interning import Context, encode, mapped, people
from estran.sources.records import Batch, UnitKey
from estran.sources.schemas import MOVEMENTS, STAY_EVENTS

_LEVEL = "service"
STILL_HERE = "still patient"  # discharged_to_source_value of a visit that goes on
_KINDS = {
    9201: StayKind.VENUE, 262: StayKind.VENUE, 8717: StayKind.VENUE, 32037: StayKind.VENUE, 38004515: StayKind.VENUE,
    581379: StayKind.VENUE, 581383: StayKind.VENUE, 9203: StayKind.EMERGENCY, 8870: StayKind.EMERGENCY,
    581381: StayKind.EMERGENCY, 581478: StayKind.EMERGENCY, 9202: StayKind.CONSULTATION, 8756: StayKind.CONSULTATION,
    8940: StayKind.CONSULTATION, 581477: StayKind.CONSULTATION, 5083: StayKind.CONSULTATION,
    38004207: StayKind.CONSULTATION, 581476: StayKind.CONSULTATION, 38004519: StayKind.HAD,
    38004284: StayKind.PSY, 8971: StayKind.PSY, 8920: StayKind.SMR, 38004285: StayKind.SMR,
}  # fmt: skip


def visit_batch(con: duckdb.DuckDBPyConnection, block: Block, context: Context) -> Batch:
    """A row is a stay of a known person."""
    query = Query(block.table.schema)
    query.integer("person", "person_id", required=True)
    query.integer("visit", "visit_occurrence_id", required=True)
    query.check("visit = 0", "visit_occurrence_id", "malformed", "Visit 0 means no visit.")
    _dates(query, "visit")
    query.columns["stamped"] = "start_ts IS NOT NULL"
    query.integer("concept", "visit_concept_id")
    query.integer("unit", "care_site_id")
    query.text("own", "visit_source_value")
    query.text("entry", "admitted_from_source_value", "admitted_from_concept_id")
    query.text("exit", "discharged_to_source_value", "discharged_to_concept_id")
    result = query.run(con, block)
    rows, records = result.good()
    who = people(rows, context.authority, visit=True)
    batch = Batch("visit_occurrence", result.records(), refused=result.refused())
    batch.patients, batch.stays = who.patients, who.stays
    unit, batch.units = _units(rows["unit"], context)
    columns = {name: pa.nulls(len(rows), STAY_EVENTS.field(name).type) for name in STAY_EVENTS.names}
    columns |= {"record": records, "stay": who.stay, "unit": unit} | dated(rows, context.zone, context.months)
    kinds = {concept: str(kind) for concept, kind in _KINDS.items()}
    # A source that writes our own word for the kind says more than the visit concept.
    own = mapped(rows["own"], {str(kind): str(kind) for kind in StayKind}, None, pa.string())
    columns["kind"] = pc.coalesce(own, mapped(rows["concept"], kinds, None, pa.string()))
    columns["entry_mode"], columns["exit_mode"] = _stated(rows["entry"]), _stated(rows["exit"])
    _not_ended(columns)
    columns["status"] = pc.if_else(columns["end_date"].is_valid(), "finished", "active")
    batch.stay_events = pa.table(columns, schema=STAY_EVENTS)
    return batch


def detail_batch(con: duckdb.DuckDBPyConnection, block: Block, context: Context) -> Batch:
    """A row is a movement within a stay."""
    query = Query(block.table.schema)
    query.integer("person", "person_id", required=True)
    query.integer("key", "visit_detail_id", required=True)
    query.integer("visit", "visit_occurrence_id", required=True)
    query.check("visit = 0", "visit_occurrence_id", "missing", "A movement needs a stay; visit 0 means no visit.")
    _dates(query, "visit_detail")
    query.integer("unit", "care_site_id")
    result = query.run(con, block)
    rows, records = result.good()
    who = people(rows, context.authority, visit=True)
    batch = Batch("visit_detail", result.records(), refused=result.refused())
    batch.patients, batch.stays = who.patients, who.stays
    unit, batch.units = _units(rows["unit"], context)
    keys = pc.binary_join_element_wise(context.authority, one(rows["key"]).cast(pa.string()), ":")
    columns = {name: pa.nulls(len(rows), MOVEMENTS.field(name).type) for name in MOVEMENTS.names}
    columns |= {"record": records, "key": keys, "stay": who.stay, "unit": unit} | dated(rows, context.zone)
    columns |= {"responsibility": pa.repeat("lodging", len(rows)), "status": pa.repeat("active", len(rows))}
    batch.movements = pa.table(columns, schema=MOVEMENTS)
    return batch


def care_site_batch(con: duckdb.DuckDBPyConnection, block: Block, context: Context) -> Batch:
    """A row names a unit."""
    query = Query(block.table.schema)
    query.integer("unit", "care_site_id", required=True)
    query.text("label", "care_site_name", "care_site_source_value")
    result = query.run(con, block)
    rows, _ = result.good()
    batch = Batch("care_site", result.records(), refused=result.refused())
    pairs = zip(rows["unit"].to_pylist(), rows["label"].to_pylist(), strict=True)
    batch.units = list(dict.fromkeys(UnitKey(_unit_code(unit, context), label or "", _LEVEL) for unit, label in pairs))
    return batch


def _dates(query: Query, prefix: str) -> None:
    query.moment("start", f"{prefix}_start_date", f"{prefix}_start_datetime", required=True)
    query.moment("stop", f"{prefix}_end_date", f"{prefix}_end_datetime")


def _units(column: pa.ChunkedArray, context: Context) -> tuple[pa.Array, list[UnitKey]]:
    indices, values = encode(column)
    units = [UnitKey(_unit_code(value, context), "", _LEVEL) for value in values]
    if 0 in values:
        indices = np.where(indices == values.index(0), -1, indices).astype(np.int32)
    return pa.array(indices, mask=indices < 0), units


def _unit_code(care_site: int, context: Context) -> str:
    return f"{context.authority}:{care_site}"


def _not_ended(columns: dict[str, pa.Array]) -> None:
    """The model wants an end of every visit: that of one which goes on is the day of the extraction, and no end."""
    here = pc.fill_null(pc.equal(columns["exit_mode"], STILL_HERE), False)
    for name in ("end_date", "end_minute", "exit_mode"):
        columns[name] = pc.if_else(here, pa.scalar(None, columns[name].type), columns[name])


def _stated(column: pa.ChunkedArray) -> pa.Array:
    """A mode as written; concept 0 says nothing."""
    text = one(column)
    return pc.if_else(pc.equal(text, "0"), pa.scalar(None, pa.string()), text)
