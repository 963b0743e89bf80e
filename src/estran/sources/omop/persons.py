"""PERSON, DEATH and NOTE."""

from __future__ import annotations

import datetime as dt

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from estran.model.codes import DocumentKind, Precision, Sex
from estran.sources.omop.blocks import Block
from estran.sources.omop.expressions import Query, moment_columns, one
from estran.sources.omop.facts import dated, document_table
from estran.sources.omop.facttables import CAUSE_OF_DEATH
from estran.sources.omop.interning import Codes, Context, mapped, people
from estran.sources.records import Batch, IdentityStatement, PatientKey, Person
from estran.sources.schemas import FACTS
from estran.terminology.systems import local_vocabulary

_SEXES = {8507: Sex.MALE, 8532: Sex.FEMALE, 8521: Sex.OTHER}
_WRITTEN_SEXES = {"m": Sex.MALE, "male": Sex.MALE, "h": Sex.MALE, "f": Sex.FEMALE, "female": Sex.FEMALE,
                  "other": Sex.OTHER}  # fmt: skip
_LANGUAGES = {4180186: "en", 4180190: "fr", 4182347: "en", 4182511: "es", 4182504: "de", 4182507: "it"}
_NOTE_KINDS = {
    44814637: DocumentKind.DISCHARGE, 44814638: DocumentKind.DISCHARGE, 44814640: DocumentKind.CONSULTATION,
    44814641: DocumentKind.IMAGING, 44814642: DocumentKind.PATHOLOGY, 44814644: DocumentKind.NURSING,
    44814646: DocumentKind.EMERGENCY,
}  # fmt: skip


def person_batch(con: duckdb.DuckDBPyConnection, block: Block, context: Context) -> Batch:
    """Every row introduces a person: number, date of birth as precise as it is given, sex.

    The source's own number is kept to be masked in texts; it is no key, since nothing says that
    it is unique. Race, ethnicity and address are not kept.
    """
    query = Query(block.table.schema)
    query.integer("person", "person_id", required=True)
    for alias in ("year_of_birth", "month_of_birth", "day_of_birth", "gender_concept_id"):
        query.integer(f"v_{alias}", alias)
    query.moment("birth", "birth_datetime", "birth_datetime")
    query.text("sex", "gender_source_value")
    query.text("number", "person_source_value")
    _check_birth(query)
    result = query.run(con, block)
    rows, records = result.good()
    batch = Batch("person", result.records(), refused=result.refused())
    seen: dict[int, int] = {}
    for record, row in zip(records.to_pylist(), rows.to_pylist(), strict=True):
        patient = seen.setdefault(row["person"], len(seen))
        batch.identities.append(IdentityStatement(record, patient, (), _person(row)))
    batch.patients = [PatientKey(context.authority, str(number)) for number in seen]
    return batch


def _check_birth(query: Query) -> None:
    month = "coalesce(v_month_of_birth, 1)"
    wrong = f"v_year_of_birth NOT BETWEEN 1850 AND 2200 OR {month} NOT BETWEEN 1 AND 12"
    query.check(f"coalesce({wrong}, FALSE)", "year_of_birth", "malformed", "The year or month of birth is impossible.")
    days = f"day(last_day(make_date(v_year_of_birth, {month}, 1)))"
    wrong = f"v_day_of_birth NOT BETWEEN 1 AND {days}"
    query.check(f"coalesce({wrong}, FALSE)", "day_of_birth", "malformed", "The month of birth has no such day.")
    nothing = "v_year_of_birth IS NULL AND birth_day IS NULL AND birth_ts IS NULL"
    query.check(nothing, "year_of_birth", "missing", "The row has no year_of_birth.")


def _person(row: dict[str, object]) -> Person:
    year, month, day = (row[f"v_{n}_of_birth"] for n in ("year", "month", "day"))
    if isinstance(year, int):
        birth = dt.date(year, month if isinstance(month, int) else 1, day if isinstance(day, int) and month else 1)
        precision = Precision.DAY if day and month else Precision.MONTH if month else Precision.UNKNOWN
    else:
        birth, precision = row["birth_d"], Precision.DAY  # type: ignore[assignment]
    sex = _SEXES.get(row["v_gender_concept_id"])  # type: ignore[call-overload]
    sex = sex or _WRITTEN_SEXES.get(str(row["sex"]).lower())
    number = row["number"]
    return Person(birth_date=birth, birth_precision=precision, sex=sex, other_numbers=(str(number),) if number else ())


def death_batch(con: duckdb.DuckDBPyConnection, block: Block, context: Context) -> Batch:
    """A row dates the death of a known person; a cause is a diagnosis of that day.

    The model has one death per person: the person's number is the document's key.
    """
    query = Query(block.table.schema)
    query.integer("person", "person_id", required=True)
    query.moment("start", "death_date", "death_datetime", required=True)
    query.integer("concept", "cause_concept_id")
    query.integer("source", "cause_source_concept_id")
    query.text("word", "cause_source_value")
    query.columns["key"] = "person"
    result = query.run(con, block)
    rows, records = result.good()
    batch = Batch("death", result.records(), refused=result.refused())
    who = people(rows, context.authority, visit=False)
    batch.patients = who.patients
    dates = moment_columns(rows, "start", context.zone)[0].to_pylist()
    for record, patient, date in zip(records.to_pylist(), who.patient.to_pylist(), dates, strict=True):
        person = Person(death_date=date, deceased=True)
        batch.identities.append(IdentityStatement(record, patient, (), person, introduces=False))
        batch.needs.append((record, patient))
    _causes(batch, rows, records, who.patient, context)
    return batch


def _causes(batch: Batch, rows: pa.Table, records: pa.Array, patients: pa.Array, context: Context) -> None:
    concept, source = one(rows["concept"]).fill_null(0), one(rows["source"]).fill_null(0)
    word = one(rows["word"])
    stated = (concept.to_numpy() != 0) | (source.to_numpy() != 0) | word.is_valid().to_numpy(zero_copy_only=False)
    mask = pa.array(stated)
    rows, codes = rows.filter(mask), Codes()
    count = len(rows)
    columns = {name: pa.nulls(count, FACTS.field(name).type) for name in FACTS.names}
    columns |= {n: pa.array(np.zeros(count, FACTS.field(n).type.to_pandas_dtype())) for n in _ZEROS}
    columns |= {"document": pa.array(np.arange(count, dtype=np.int32)), "role": pa.repeat(CAUSE_OF_DEATH, count)}
    columns |= dated(rows, context.zone)
    vocabulary = local_vocabulary(f"{context.authority}-death")
    columns["code"] = codes.facts(concept.filter(mask), source.filter(mask), word.filter(mask), "diagnosis", vocabulary)
    batch.facts, batch.codes = pa.table(columns, schema=FACTS), list(codes.found)
    given = {"record": records.filter(mask), "patient": patients.filter(mask)}
    given["kind"] = pa.repeat(str(DocumentKind.DIAGNOSIS), count)
    batch.documents = document_table(rows, given, "Cause de décès", batch.facts)


_ZEROS = ("fact_no", "status", "context", "origin")


def note_batch(con: duckdb.DuckDBPyConnection, block: Block, context: Context) -> Batch:
    """A row is a document with its text."""
    query = Query(block.table.schema)
    query.integer("person", "person_id", required=True)
    query.integer("key", "note_id", required=True)
    query.integer("visit", "visit_occurrence_id")
    query.moment("start", "note_date", "note_datetime", required=True)
    query.text("title", "note_title")
    query.text("own", "note_source_value")
    query.columns["body"] = '"note_text"' if query.name("note_text") else "NULL::VARCHAR"
    query.check("body IS NULL", "note_text", "missing", "The note has no text.")
    for alias in ("note_type_concept_id", "note_class_concept_id", "language_concept_id"):
        query.integer(f"v_{alias}", alias)
    result = query.run(con, block)
    rows, records = result.good()
    batch = Batch("note", result.records(), refused=result.refused())
    who = people(rows, context.authority, visit=True)
    batch.patients, batch.stays = who.patients, who.stays
    kinds = {concept: str(kind) for concept, kind in _NOTE_KINDS.items()}
    kind = mapped(rows["v_note_class_concept_id"], kinds, None, pa.string())
    by_type = mapped(rows["v_note_type_concept_id"], kinds, str(DocumentKind.OTHER), pa.string())
    given = {"record": records, "patient": who.patient, "stay": who.stay, "text": one(rows["body"])}
    own = mapped(rows["own"], {str(kind): str(kind) for kind in DocumentKind}, None, pa.string())
    given |= {"kind": pc.coalesce(kind, own, by_type), "title": one(rows["title"])}
    given["lang"] = mapped(rows["v_language_concept_id"], _LANGUAGES, None, pa.string())
    batch.documents = document_table(rows, given, "", pa.table(dated(rows, context.zone)))
    return batch
