"""What is exported, in the same relations whether it is a whole site or a datamart.

`h_person`, `h_stay`, `h_movement`, `h_unit`, `h_fact`, `h_note`, `h_concept`, `h_ancestor`, `h_map`, `h_synonym` and
`h_attribute` are views of a DuckDB connection; a writer of a format knows nothing else. `person`, `stay`, `unit` and
`concept` are whole numbers of 31 bits; a fact has `place`, its number within its part. Facts, stays, movements and notes
are read part by part (`part`), so that memory is that of one part: the buckets of a site.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from estran.exchange.tables import files_as_views
from estran.model.moments import first_day, midnights
from estran.warehouse import Snapshot

MEMORY = "1GB"  # that the database may hold; what is beyond goes to the warehouse's folder for scratch files
_COMPARATORS = "['=', '<', '<=', '>', '>=']"


@dataclass(frozen=True)
class Holding:
    """The relations, and what is said of them: who holds them, what they are, of which day, of which snapshot."""

    connection: duckdb.DuckDBPyConnection
    parts: tuple[int, ...]
    holder: str
    name: str
    released: str  # ISO date of the snapshot
    snapshot: int
    zone: str = "UTC"  # of the dates and minutes

    def number(self, sql: str) -> int:
        """The one number that a query gives."""
        return int(self.connection.execute(sql).fetchall()[0][0])

    def counts(self, sql: str) -> dict[str, int]:
        """Two columns, a word and a number, as a dictionary."""
        return {str(word): int(count) for word, count in self.connection.execute(sql).fetchall()}


def wall(date: str, minute: str, clock: str) -> str:
    """SQL of the time on the wall of a date and the minutes elapsed since its midnight; `clock` is the alias of a
    `LEFT JOIN clock` on the date."""
    shown = f"{minute} + CASE WHEN {minute} >= {clock}.after THEN {clock}.shift ELSE 0 END"
    return f"CASE WHEN {minute} IS NOT NULL THEN CAST({date} AS TIMESTAMP) + to_minutes(CAST({shown} AS BIGINT)) END"


@lru_cache(maxsize=8)
def clock_changes(zone: str) -> pa.Table:
    """Days on which clocks changed, the elapsed minute from which, and by how many minutes the wall then differs."""
    starts = midnights(zone)
    days, after, shifts = list[int](), list[int](), list[int]()
    for index in range(len(starts) - 1):
        length = int(starts[index + 1] - starts[index])
        if length == 1440 or not -36_500 <= index + first_day() <= 84_000:  # 1870 to 2199
            continue
        days.append(index + first_day())
        shifts.append(1440 - length)
        after.append(120 if length < 1440 else 120 + length - 1440)
    columns = {"day": pa.array(days, pa.int32()).cast(pa.date32())}
    return pa.table(columns | {"after": pa.array(after, pa.int16()), "shift": pa.array(shifts, pa.int16())})


# A whole site


@contextmanager
def of_site(snapshot: Snapshot) -> Iterator[Holding]:
    """What a snapshot shows in its scope: nobody who objects, nothing that is closed."""
    settings = snapshot.settings
    with snapshot.connect() as connection:
        limit = connection.execute("SELECT current_setting('memory_limit')").fetchall()[0][0]
        connection.execute(f"SET memory_limit = '{MEMORY}'")
        try:
            connection.register("given_clock", clock_changes(settings.zone))
            connection.execute("CREATE TEMP TABLE clock AS SELECT * FROM given_clock")
            for name, query in _SITE.items():
                connection.execute(f"CREATE TEMP VIEW h_{name} AS {query}")
            yield Holding(
                connection,
                tuple(snapshot.buckets),
                settings.name,
                settings.name,
                snapshot.date.isoformat(),
                snapshot.version,
                settings.zone,
            )
        finally:
            # Whatever failed may have left a result open on the connection itself.
            with snapshot.connect() as other:
                other.execute(f"SET memory_limit = '{limit}'")


_FACT_COLUMNS = """patient_id AS person, bucket AS part, stay_id AS stay, document_id AS document, fact_no AS number,
    parent_fact_no AS parent, concept_id AS concept, local_concept_id AS local, start_date, start_minute, end_date, end_minute,
    precision, value, value_concept, value_text, comparator, unit, low, high, status, role, context, origin"""
_SITE = {
    "person": """SELECT patient_id AS person, bucket AS part, CAST(NULL AS VARCHAR) AS source, sex, CAST(year(birth_month) AS SMALLINT) AS birth_year,
        CAST(month(birth_month) AS SMALLINT) AS birth_month, death_date, death_date IS NOT NULL OR death_source IS NOT NULL AS died,
        residence_area AS area FROM patient""",
    "stay": """SELECT stay_id AS stay, patient_id AS person, bucket AS part, kind, start_date, start_minute, end_date, end_minute,
        precision, status, entry_mode, exit_mode, unit_id AS unit, parent_stay AS parent FROM stay""",
    "movement": """SELECT movement_id AS movement, stay_id AS stay, patient_id AS person, bucket AS part, unit_id AS unit, responsibility,
        start_date, start_minute, end_date, end_minute FROM movement""",
    "unit": "SELECT unit_id AS unit, code, label, level, parent FROM unit",
    "fact": f"SELECT {_FACT_COLUMNS} FROM fact",
    "note": """SELECT t.document_id AS document, d.patient_id AS person, d.bucket AS part, d.stay_id AS stay, d.kind, d.title,
        d.start_date, d.start_minute, t.text, d.lang
        FROM document d JOIN text t ON t.document_id = d.document_id AND t.bucket = d.bucket""",
    "attribute": """SELECT document_id AS document, fact_no AS number, bucket AS part, attribute_id AS attribute, value, value_concept,
        value_text FROM fact_attribute""",
    "concept": """SELECT concept_id AS concept, vocabulary, code, label_fr, label_en, kind, valid_from, valid_to, standard FROM concept""",
    "ancestor": "SELECT ancestor_id AS above, descendant_id AS below, distance FROM concept_ancestor",
    "map": "SELECT source_id AS source, target_id AS target, relation, method FROM concept_map",
    "synonym": "SELECT concept_id AS concept, synonym, lang FROM concept_synonym",
}


# A datamart


@contextmanager
def of_datamart(tables: Mapping[str, Path], holder: str, name: str, snapshot: Mapping[str, Any]) -> Iterator[Holding]:
    """What the Parquet tables of a datamart hold; `snapshot` is that of its manifest. People are numbered in the order of their pseudonyms."""
    held = {table: pq.read_schema(path).names for table, path in tables.items()}
    with files_as_views(tables) as connection:
        connection.register("given_clock", clock_changes("UTC"))
        connection.execute("CREATE TEMP TABLE clock AS SELECT * FROM given_clock")
        connection.execute(_PEOPLE)
        connection.execute(_STAYS if "stays" in held else _NO_STAYS)
        connection.execute(_CODES)
        for view, query in _datamart(connection, held).items():
            connection.execute(f"CREATE TEMP VIEW h_{view} AS {query}")
        yield Holding(connection, (0,), holder, name, str(snapshot["created"])[:10], int(snapshot["version"]))


_PEOPLE = """
CREATE TEMP TABLE person_number AS
SELECT patient, CAST(row_number() OVER (ORDER BY patient) AS INTEGER) AS person FROM patients"""
_STAYS = """
CREATE TEMP TABLE stay_number AS
SELECT patient, stay AS own, CAST(row_number() OVER (ORDER BY patient, stay) AS INTEGER) AS stay FROM stays"""
_NO_STAYS = "CREATE TEMP TABLE stay_number AS SELECT '' AS patient, 0::BIGINT AS own, 0::INTEGER AS stay WHERE false"
_CODES = """
CREATE TEMP TABLE code_number AS
SELECT code, label_fr, label_en, kind, CAST(row_number() OVER (ORDER BY code) AS INTEGER) AS concept FROM codes"""


def _datamart(connection: duckdb.DuckDBPyConnection, held: Mapping[str, list[str]]) -> dict[str, str]:
    return {
        "person": _persons(connection, held["patients"]),
        "stay": _stays(connection, held.get("stays", [])),
        "fact": _facts(connection, held.get("facts", [])),
        "note": _notes(connection, held.get("documents", [])),
        "concept": """SELECT concept, split_part(code, ':', 1) AS vocabulary, substr(code, instr(code, ':') + 1) AS code, label_fr, label_en,
            kind, NULL::DATE AS valid_from, NULL::DATE AS valid_to, split_part(code, ':', 1) = 'OMOP' AS standard FROM code_number""",
    } | {name: _empty(columns) for name, columns in _ABSENT.items()}


_ABSENT = {
    "movement": "movement BIGINT, stay INTEGER, person INTEGER, part INTEGER, unit INTEGER, responsibility VARCHAR, start_date DATE, "
                "start_minute SMALLINT, end_date DATE, end_minute SMALLINT",
    "unit": "unit INTEGER, code VARCHAR, label VARCHAR, level VARCHAR, parent INTEGER",
    "attribute": "document INTEGER, number INTEGER, part INTEGER, attribute INTEGER, value DOUBLE, value_concept INTEGER, value_text VARCHAR",
    "ancestor": "above INTEGER, below INTEGER, distance SMALLINT",
    "map": "source INTEGER, target INTEGER, relation VARCHAR, method VARCHAR",
    "synonym": "concept INTEGER, synonym VARCHAR, lang VARCHAR",
}  # fmt: skip


def _empty(columns: str) -> str:
    pairs = (one.strip().split(" ") for one in columns.split(","))
    return f"SELECT {', '.join(f'CAST(NULL AS {kind}) AS {name}' for name, kind in pairs)} WHERE false"


def _persons(connection: duckdb.DuckDBPyConnection, columns: list[str]) -> str:
    death = _date(connection, "patients", "death_date", columns)
    known = f"{death} IS NOT NULL" if "death_date" in columns else "NULL::BOOLEAN"
    died = "t.died" if "died" in columns else known
    return f"""SELECT n.person, 0 AS part, t.patient AS source, {_or_null("sex", "VARCHAR", columns)} AS sex,
        {_or_null("birth_year", "SMALLINT", columns)} AS birth_year, NULL::SMALLINT AS birth_month, {death} AS death_date, {died} AS died,
        {_or_null("residence_area", "VARCHAR", columns)} AS area FROM patients t JOIN person_number n USING (patient)"""


def _stays(connection: duckdb.DuckDBPyConnection, columns: list[str]) -> str:
    if not columns:
        return _empty(
            "stay INTEGER, person INTEGER, part INTEGER, kind VARCHAR, start_date DATE, start_minute SMALLINT, end_date DATE, "
            "end_minute SMALLINT, precision TINYINT, status VARCHAR, entry_mode VARCHAR, exit_mode VARCHAR, unit INTEGER, parent INTEGER"
        )
    return f"""SELECT s.stay, n.person, 0 AS part, {_or_null("kind", "VARCHAR", columns)} AS kind,
        {_date(connection, "stays", "start", columns)} AS start_date, NULL::SMALLINT AS start_minute,
        {_date(connection, "stays", "end", columns)} AS end_date, NULL::SMALLINT AS end_minute, 2::TINYINT AS precision, NULL::VARCHAR AS status,
        {_or_null("entry_mode", "VARCHAR", columns)} AS entry_mode, {_or_null("exit_mode", "VARCHAR", columns)} AS exit_mode,
        NULL::INTEGER AS unit, NULL::INTEGER AS parent
        FROM stays t JOIN person_number n USING (patient) JOIN stay_number s ON s.patient = t.patient AND s.own = t.stay"""


def _facts(connection: duckdb.DuckDBPyConnection, columns: list[str]) -> str:
    stay, joined = _of_stay(columns)
    if not columns:
        return _empty(_FACT_TYPES)
    return f"""SELECT n.person, 0 AS part, {stay} AS stay, NULL::INTEGER AS document, CAST(t.file_row_number + 1 AS INTEGER) AS number,
        NULL::INTEGER AS parent, c.concept, NULL::INTEGER AS local, {_date(connection, "facts", "date", columns)} AS start_date,
        NULL::SMALLINT AS start_minute, NULL::DATE AS end_date, NULL::SMALLINT AS end_minute, 2::TINYINT AS precision, t.value,
        NULL::INTEGER AS value_concept, NULL::VARCHAR AS value_text, CAST(list_position({_COMPARATORS}, t.comparator) - 1 AS TINYINT) AS comparator,
        t.unit, NULL::DOUBLE AS low, NULL::DOUBLE AS high, 0::TINYINT AS status, NULL::VARCHAR AS role, 0::TINYINT AS context, 0::TINYINT AS origin
        FROM numbered_facts t JOIN person_number n USING (patient) JOIN code_number c USING (code) {joined}"""


_FACT_TYPES = (
    "person INTEGER, part INTEGER, stay INTEGER, document INTEGER, number INTEGER, parent INTEGER, concept INTEGER, local INTEGER, "
    "start_date DATE, start_minute SMALLINT, end_date DATE, end_minute SMALLINT, precision TINYINT, value DOUBLE, value_concept INTEGER, "
    "value_text VARCHAR, comparator TINYINT, unit VARCHAR, low DOUBLE, high DOUBLE, status TINYINT, role VARCHAR, context TINYINT, "
    "origin TINYINT"
)


def _notes(connection: duckdb.DuckDBPyConnection, columns: list[str]) -> str:
    if not columns:
        return _empty(
            "document BIGINT, person INTEGER, part INTEGER, stay INTEGER, kind VARCHAR, title VARCHAR, start_date DATE, "
            "start_minute SMALLINT, text VARCHAR, lang VARCHAR"
        )
    stay, joined = _of_stay(columns)
    return f"""SELECT CAST(t.file_row_number + 1 AS BIGINT) AS document, n.person, 0 AS part, {stay} AS stay, t.kind, t.kind AS title,
        {_date(connection, "documents", "date", columns)} AS start_date, NULL::SMALLINT AS start_minute,
        {_or_null("text", "VARCHAR", columns)} AS text, 'fr' AS lang
        FROM numbered_documents t JOIN person_number n USING (patient) {joined}"""


def _of_stay(columns: list[str]) -> tuple[str, str]:
    if "stay" not in columns:
        return "NULL::INTEGER", ""
    return "s.stay", "LEFT JOIN stay_number s ON s.patient = t.patient AND s.own = t.stay"


def _or_null(column: str, kind: str, columns: list[str]) -> str:
    return f't."{column}"' if column in columns else f"CAST(NULL AS {kind})"


def _date(connection: duckdb.DuckDBPyConnection, table: str, column: str, columns: list[str]) -> str:
    """A column as a date: the first of January of what is a year only; null when it is absent."""
    if column not in columns:
        return "NULL::DATE"
    kind = connection.execute(f'SELECT typeof("{column}") FROM {table} LIMIT 1').fetchall()
    return f'make_date(t."{column}", 1, 1)' if kind and kind[0][0] == "SMALLINT" else f'CAST(t."{column}" AS DATE)'
