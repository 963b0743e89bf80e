"""A datamart as OMOP CDM 5.4 tables in Parquet (https://ohdsi.github.io/CommonDataModel/cdm54.html).

A code of an OMOP vocabulary keeps its number; any other is a concept of its own from 2,000,000,000 on, told in `concept`,
with 0 for the standard concept, as the model asks of what is not mapped. Years stand for the first of January.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from estran.exchange.tables import files_as_views, write_parquet

_EHR = 32817  # type concept: electronic health record
_OWN = 2_000_000_000
_BATCH = 131_072
_PERSON_BITS = 53

_DOMAINS = """
CASE kind WHEN 'diagnosis' THEN 'Condition' WHEN 'procedure' THEN 'Procedure' WHEN 'drug' THEN 'Drug'
          WHEN 'laboratory' THEN 'Measurement' ELSE 'Observation' END"""
_CONCEPTS = f"""
CREATE TEMP TABLE known AS
SELECT code, label_en AS label, {_DOMAINS} AS domain, split_part(code, ':', 1) AS vocabulary, substr(code, instr(code, ':') + 1) AS own,
       split_part(code, ':', 1) = 'OMOP' AND try_cast(split_part(code, ':', 2) AS INTEGER) IS NOT NULL AS standard,
       CASE WHEN standard THEN try_cast(split_part(code, ':', 2) AS INTEGER) ELSE {_OWN} + row_number() OVER (ORDER BY code) END AS number
FROM codes"""
_CONCEPT = """
SELECT CAST(number AS INTEGER) AS concept_id, coalesce(label, code) AS concept_name, domain AS domain_id, vocabulary AS vocabulary_id,
       'Undefined' AS concept_class_id, CAST(NULL AS VARCHAR) AS standard_concept, own AS concept_code,
       DATE '1970-01-01' AS valid_start_date, DATE '2099-12-31' AS valid_end_date, CAST(NULL AS VARCHAR) AS invalid_reason
FROM known ORDER BY number"""


@dataclass(frozen=True)
class About:
    """What `cdm_source` says: the holder, the name of the datamart, the day of its snapshot."""

    holder: str
    name: str
    released: str


def write(tables: Mapping[str, Path], folder: Path, about: About) -> None:
    """Write the tables that the datamart has something for into a new folder."""
    folder.mkdir()
    with files_as_views(tables) as connection:
        connection.register("given_people", _people(tables["patients"]))
        connection.execute("CREATE TEMP TABLE person_number AS SELECT * FROM given_people")
        connection.execute(_CONCEPTS)
        for name, query in _queries(connection, tables, about).items():
            reader = connection.sql(query).to_arrow_reader(_BATCH)
            write_parquet(folder / f"{name}.parquet", reader.schema, reader)


def _people(patients: Path) -> pa.Table:
    """A number per pseudonym: its first 53 bits."""
    names = pq.read_table(patients, columns=["patient"]).column("patient").to_pylist()
    bits = [int.from_bytes(base64.b32decode(name[:16].upper())) >> (80 - _PERSON_BITS) for name in names]
    return pa.table({"patient": names, "person_id": pa.array(bits, pa.int64())})


def _queries(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Path], about: About) -> dict[str, str]:
    held = {name: pq.read_schema(path).names for name, path in tables.items()}
    found = {"person": _PERSON, "concept": _CONCEPT, "cdm_source": _source(about)}
    if "death_date" in held["patients"]:
        found["death"] = _DEATH.format(date=_date(connection, "patients", "death_date"))
    visits = "stays" in held and {"start", "end"} <= set(held["stays"])
    if visits:
        start, end = (_date(connection, "stays", column) for column in ("start", "end"))
        connection.execute(_VISITS)
        kind = "s.kind" if "kind" in held["stays"] else "CAST(NULL AS VARCHAR)"
        found["visit_occurrence"] = _VISIT.format(start=start, end=end, kind=kind)
    if "facts" in held:
        _facts(connection, visits)
        found |= _FACTS
        found["observation_period"] = _PERIOD
    if "text" in held.get("documents", ()):
        found["note"] = _NOTE.format(date=_date(connection, "documents", "date"))
    return found


def _date(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> str:
    """A column as a date, whether it holds dates or years."""
    kind = connection.execute(f'SELECT typeof("{column}") FROM {table} LIMIT 1').fetchall()
    return f'make_date("{column}", 1, 1)' if kind and kind[0][0] == "SMALLINT" else f'CAST("{column}" AS DATE)'


def _facts(connection: duckdb.DuckDBPyConnection, visits: bool) -> None:
    """Facts with their person, concept and visit; `event` numbers them in their order. What has no date has no place."""
    visit = ("v.visit_occurrence_id", "LEFT JOIN visit v ON v.patient = f.patient AND v.stay = f.stay")
    shown, joined = visit if visits else ("CAST(NULL AS BIGINT)", "")
    connection.execute(f"""
        CREATE TEMP TABLE event AS
        SELECT f.file_row_number + 1 AS event, n.person_id, k.domain, CAST(CASE WHEN k.standard THEN k.number ELSE 0 END AS INTEGER) AS concept,
               CAST(CASE WHEN k.standard THEN 0 ELSE k.number END AS INTEGER) AS source, f.code,
               {_date(connection, "facts", "date")} AS date, {shown} AS visit_occurrence_id, f.comparator, f.value, f.unit
        FROM numbered_facts f JOIN person_number n USING (patient) JOIN known k USING (code) {joined}
        WHERE f.date IS NOT NULL""")


_VISITS = """
CREATE TEMP TABLE visit AS
SELECT row_number() OVER (ORDER BY patient, stay) AS visit_occurrence_id, patient, stay FROM stays"""
_PERSON = """
SELECT person_id, CAST(CASE sex WHEN 'male' THEN 8507 WHEN 'female' THEN 8532 ELSE 0 END AS INTEGER) AS gender_concept_id,
       CAST(birth_year AS INTEGER) AS year_of_birth, 0 AS race_concept_id, 0 AS ethnicity_concept_id,
       patient AS person_source_value, sex AS gender_source_value
FROM patients JOIN person_number USING (patient) ORDER BY patient"""
_DEATH = f"""
SELECT person_id, {{date}} AS death_date, {_EHR} AS death_type_concept_id
FROM patients JOIN person_number USING (patient) WHERE death_date IS NOT NULL ORDER BY patient"""
_VISIT = f"""
SELECT v.visit_occurrence_id, n.person_id,
       CASE {{kind}} WHEN 'venue' THEN 9201 WHEN 'emergency' THEN 9203 WHEN 'consultation' THEN 9202 WHEN 'session' THEN 9202
                     WHEN 'had' THEN 581476 ELSE 0 END AS visit_concept_id,
       {{start}} AS visit_start_date, coalesce({{end}}, {{start}}) AS visit_end_date, {_EHR} AS visit_type_concept_id,
       {{kind}} AS visit_source_value
FROM stays s JOIN visit v USING (patient, stay) JOIN person_number n USING (patient) WHERE s.start IS NOT NULL ORDER BY 1"""
_PERIOD = f"""
SELECT row_number() OVER (ORDER BY person_id) AS observation_period_id, person_id, min(date) AS observation_period_start_date,
       max(date) AS observation_period_end_date, {_EHR} AS period_type_concept_id
FROM event GROUP BY person_id ORDER BY 1"""
_NOTE = f"""
SELECT row_number() OVER (ORDER BY patient, document) AS note_id, person_id, {{date}} AS note_date, {_EHR} AS note_type_concept_id,
       0 AS note_class_concept_id, kind AS note_title, text AS note_text, 32678 AS encoding_concept_id, 0 AS language_concept_id
FROM documents JOIN person_number USING (patient) WHERE text IS NOT NULL AND date IS NOT NULL ORDER BY 1"""


def _of_domain(name: str, prefix: str, domain: str, dates: str, more: str = "") -> str:
    return f"""
        SELECT event AS {name}_id, person_id, concept AS {prefix}_concept_id, {dates}, {_EHR} AS {prefix}_type_concept_id,
               {more} visit_occurrence_id, code AS {prefix}_source_value, source AS {prefix}_source_concept_id
        FROM event WHERE domain = '{domain}' ORDER BY event"""


_OPERATOR = """
CAST(CASE comparator WHEN '<' THEN 4171756 WHEN '<=' THEN 4171754 WHEN '>' THEN 4172704 WHEN '>=' THEN 4171755 ELSE 4172703 END AS INTEGER)
  AS operator_concept_id, value AS value_as_number, unit AS unit_source_value,"""
_FACTS = {
    "condition_occurrence": _of_domain("condition_occurrence", "condition", "Condition", "date AS condition_start_date"),
    "procedure_occurrence": _of_domain("procedure_occurrence", "procedure", "Procedure", "date AS procedure_date"),
    "drug_exposure": _of_domain(
        "drug_exposure", "drug", "Drug", "date AS drug_exposure_start_date, date AS drug_exposure_end_date"
    ),
    "measurement": _of_domain("measurement", "measurement", "Measurement", "date AS measurement_date", _OPERATOR),
    "observation": _of_domain(
        "observation", "observation", "Observation", "date AS observation_date",
        "value AS value_as_number, unit AS unit_source_value,",
    ),
}  # fmt: skip


def _source(about: About) -> str:
    name, holder = (text.replace("'", "''") for text in (about.name, about.holder))
    return f"""
        SELECT '{name}' AS cdm_source_name, '{name}' AS cdm_source_abbreviation, '{holder}' AS cdm_holder,
               DATE '{about.released}' AS source_release_date, DATE '{about.released}' AS cdm_release_date,
               '5.4' AS cdm_version, 756265 AS cdm_version_concept_id, '' AS vocabulary_version"""
