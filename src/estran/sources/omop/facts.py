"""Clinical and derived tables → one document with one fact per row, whole columns at a time."""

from __future__ import annotations

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from estran.model.codes import DocumentKind, FactStatus, Precision
from estran.sources.omop.blocks import Block
from estran.sources.omop.expressions import Query, Rows, moment_columns, one
from estran.sources.omop.facttables import COMPARATORS
from estran.sources.omop.interning import Codes, Context, empty_columns, mapped, people, ucum_units
from estran.sources.omop.layout import Attribute, FactTable
from estran.sources.records import Batch, Code
from estran.sources.schemas import ATTRIBUTES, DOCUMENTS, FACTS
from estran.terminology.systems import local_vocabulary


def fact_query(schema: pa.Schema, table: FactTable) -> Query:
    """What to compute from a block of `table` whose columns have the types of `schema`."""
    query = Query(schema)
    query.integer("person", "person_id", required=True)
    query.integer("key", table.key, required=True)
    query.integer("visit", "visit_occurrence_id" if table.visit else None)
    query.integer("concept", table.concept)
    query.integer("source", table.source_concept)
    query.text("word", table.source_value)
    query.columns["word"] = f"CASE WHEN coalesce(concept, 0) = 0 THEN {query.columns['word']} END"
    query.moment("start", table.start, table.start_time, required=True)
    if table.start_time:
        query.columns["stamped"] = "start_ts IS NOT NULL"
    if table.end:
        query.moment("stop", table.end, table.end_time)
    _value_query(query, table)
    for alias, choice in (("status", table.status), ("role", table.role)):
        if choice:
            query.integer(alias, choice[0])
    if table.role_words:
        query.text("role_word", table.role_words[0])
    for place, attribute in enumerate(table.attributes):
        _attribute_query(query, place, attribute)
    if table.concept:
        nothing = "concept IS NULL AND coalesce(source, 0) = 0 AND word IS NULL"
        query.check(nothing, table.concept, "missing", "The row names neither a concept nor a source value.")
    return query


def _value_query(query: Query, table: FactTable) -> None:
    for alias, column in (("number", table.number), ("low", table.low), ("high", table.high)):
        if column:
            query.number(alias, column)
    for alias, column in (("value_concept", table.value_concept), ("operator", table.operator)):
        if column:
            query.integer(alias, column)
    if table.texts:  # the value as text is for rows that have no other
        query.text("text", *table.texts)
        nothing = "number IS NULL AND coalesce(value_concept, 0) = 0"
        query.columns["text"] = f"CASE WHEN {nothing} THEN {query.columns['text']} END"
    if table.number:
        query.integer("unit_concept", table.unit_concept)
        query.text("unit_source", table.unit_source)


def _attribute_query(query: Query, place: int, attribute: Attribute) -> None:
    alias = f"attribute_{place}"
    if attribute.form == "text":
        query.text(alias, attribute.column)
    elif attribute.form == "concept":
        query.integer(alias, attribute.column)
    else:
        query.number(alias, attribute.column)


def fact_batch(con: duckdb.DuckDBPyConnection, block: Block, table: FactTable, context: Context) -> Batch:
    """The batch of one block."""
    result = fact_query(block.table.schema, table).run(con, block)
    rows, records = result.good()
    who, codes = people(rows, context.authority, table.visit), Codes()
    facts = _facts(rows, table, codes, context)
    attributes = _attributes(rows, table, codes)
    batch = Batch(table.name, result.records(), refused=result.refused())
    batch.patients, batch.stays = who.patients, who.stays
    documents = {"record": records, "patient": who.patient, "stay": who.stay, "kind": _kinds(facts, table)}
    batch.documents = document_table(rows, documents, table.title, facts)
    batch.facts, batch.attributes, batch.codes = facts, attributes, list(codes.found)
    return batch


def document_table(rows: pa.Table, given: dict[str, pa.Array], title: str, facts: pa.Table) -> pa.Table:
    """Documents of the rows, dated like their facts."""
    count = len(rows)
    columns = empty_columns(DOCUMENTS, count)
    columns |= {name: one(facts[name]) for name in ("start_date", "start_minute", "precision")}
    columns |= {"key_int": one(rows["key"]), "title": pa.repeat(title, count)}
    columns |= {"status": pa.array(np.zeros(count, np.int8)), "confidential": pa.repeat(pa.scalar(False), count)}
    return pa.table(columns | given, schema=DOCUMENTS)


def _facts(rows: pa.Table, table: FactTable, codes: Codes, context: Context) -> pa.Table:
    count = len(rows)
    columns = empty_columns(FACTS, count)
    columns |= {"document": pa.array(np.arange(count, dtype=np.int32))}
    zeros = {
        name: pa.array(np.zeros(count, FACTS.field(name).type.to_pandas_dtype())) for name in ("fact_no", "context")
    }
    columns |= zeros | dated(rows, context.zone, context.months) | _values(rows, table, codes, context)
    columns["code"] = _fact_codes(rows, table, codes, context)
    columns["origin"] = pa.array(np.full(count, int(table.origin), np.int8))
    if table.status:
        columns["status"] = mapped(rows["status"], table.status[1], table.status[2], pa.int8())
    else:
        columns["status"] = zeros["context"]
    if table.role:
        columns["role"] = mapped(rows["role"], table.role[1], None, pa.string())
    if table.role_words:
        said = mapped(rows["role_word"], {word: word for word in table.role_words[1]}, None, pa.string())
        columns["role"] = pc.coalesce(said, columns["role"])
    return pa.table(columns, schema=FACTS)


def dated(rows: pa.Table, zone: str, months: bool = False) -> dict[str, pa.Array]:
    """Start, end and precision of the rows; with `months`, a start that is not `stamped` is known by its month only."""
    start, minute = moment_columns(rows, "start", zone)
    count = len(rows)
    end, end_minute = pa.nulls(count, pa.date32()), pa.nulls(count, pa.int16())
    if "stop_d" in rows.column_names:
        end, end_minute = moment_columns(rows, "stop", zone)
    precision = pc.if_else(
        minute.is_valid(), pa.scalar(Precision.MINUTE, pa.int8()), pa.scalar(Precision.DAY, pa.int8())
    )
    if months and "stamped" in rows.column_names:
        precision = pc.if_else(one(rows["stamped"]), precision, pa.scalar(Precision.MONTH, pa.int8()))
    names = ("start_date", "start_minute", "end_date", "end_minute", "precision")
    return dict(zip(names, (start, minute, end, end_minute, precision), strict=True))


def _fact_codes(rows: pa.Table, table: FactTable, codes: Codes, context: Context) -> pa.Array:
    if table.concept is None:
        fixed = codes.add(Code("ESTRAN", table.name, table.title, kind=table.concept_kind))
        return pa.array(np.full(len(rows), fixed, np.int32))
    concept = one(rows["concept"]).fill_null(0)
    vocabulary = local_vocabulary(f"{context.authority}-{table.name}")
    return codes.facts(concept, one(rows["source"]), one(rows["word"]), table.concept_kind, vocabulary)


def _values(rows: pa.Table, table: FactTable, codes: Codes, context: Context) -> dict[str, pa.Array]:
    columns: dict[str, pa.Array] = {}
    if table.number:
        columns["value"] = one(rows["number"])
        columns["unit"] = ucum_units(rows["unit_concept"], rows["unit_source"], context.units)
    if table.low:
        columns |= {"low": one(rows["low"]), "high": one(rows["high"])}
    if table.operator:
        columns["comparator"] = mapped(rows["operator"], COMPARATORS, None, pa.int8())
    if table.value_concept:
        columns["value_code"] = codes.concepts(rows["value_concept"])
    if table.texts:
        columns["value_text"] = one(rows["text"])
    return columns


def _kinds(facts: pa.Table, table: FactTable) -> pa.Array:
    """An administered drug is an administration, not a prescription."""
    usual = pa.scalar(str(table.kind), pa.string())
    if table.name != "drug_exposure":
        return pa.repeat(usual, len(facts))
    given = pc.equal(one(facts["status"]), int(FactStatus.GIVEN))
    return pc.if_else(given, pa.scalar(str(DocumentKind.ADMINISTRATION), pa.string()), usual)


def _attributes(rows: pa.Table, table: FactTable, codes: Codes) -> pa.Table:
    found = [ATTRIBUTES.empty_table()]
    for place, attribute in enumerate(table.attributes):
        column = rows[f"attribute_{place}"]
        kept = column.is_valid() if attribute.form == "text" else pc.fill_null(pc.not_equal(column, 0), False)
        which = np.flatnonzero(kept.to_numpy())
        if len(which):
            found.append(_attribute_rows(one(column.take(pa.array(which))), which, attribute, codes))
    return pa.concat_tables(found)


def _attribute_rows(values: pa.Array, which: npt.NDArray[np.int64], attribute: Attribute, codes: Codes) -> pa.Table:
    code = codes.add(Code("ESTRAN", attribute.code, attribute.label))
    columns = empty_columns(ATTRIBUTES, len(values))
    columns |= {"document": pa.array(which.astype(np.int32)), "fact_no": pa.array(np.zeros(len(values), np.int32))}
    columns["attribute"] = pa.array(np.full(len(values), code, np.int32))
    if attribute.form == "concept":
        columns["value_code"] = codes.concepts(pa.chunked_array([values]))
    else:
        columns["value_text" if attribute.form == "text" else "value"] = values
    return pa.table(columns, schema=ATTRIBUTES)


__all__ = ["Rows", "dated", "document_table", "fact_batch", "fact_query"]
