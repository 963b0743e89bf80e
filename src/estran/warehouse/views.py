"""The DuckDB side of a snapshot: a view per table, and a raw view without any filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from estran.model.tables import BUCKETED, TABLES
from estran.warehouse.presence import members
from estran.warehouse.scratch import OFFLINE

_OF_DOCUMENT = ("document", "text", "fact", "fact_by_concept", "fact_attribute", "media", "variant", "stay_link")
_OF_PATIENT = ("patient", "relation", "stay", "movement", "document", "text", "fact", "fact_by_concept",
               "fact_attribute", "media", "variant")  # fmt: skip
_OF_STAY = ("stay", "stay_event", "movement")
_CONDITIONS = {"stay": "status <> 'cancelled'", "movement": "status <> 'cancelled'"}


@dataclass(frozen=True)
class Unseen:
    """What the views leave out."""

    documents: BitMap
    patients: BitMap
    stays: BitMap
    silent: BitMap  # patients whose texts are left out, and nothing else of theirs
    closed: BitMap  # of the documents, those that the scope or the perimeter closes, old versions included
    movements: str  # the condition that a movement must meet, "" for none


def open_database(
    files: Mapping[str, Sequence[str]], hidden: BitMap, unseen: Unseen, temporary: Path
) -> duckdb.DuckDBPyConnection:
    """An in-memory database with the views; nothing is fetched, spills go to `temporary`.

    For questions over the raw views, `hidden_document` keeps the retired and cancelled documents, and
    `closed_document` those that the scope or the perimeter closes, whatever their version.
    """
    connection = duckdb.connect(
        config={
            **OFFLINE,
            "temp_directory": str(temporary),
        }
    )
    connection.execute("SET parquet_metadata_cache = true")
    # Files never change under their name: no need to ask the disk again whether they did.
    connection.execute("SET validate_external_file_cache = 'NO_VALIDATION'")
    _keep(connection, "hidden_document", "document_id", hidden)
    _keep(connection, "unseen_document", "document_id", unseen.documents)
    _keep(connection, "closed_document", "document_id", unseen.closed)
    _keep(connection, "unseen_patient", "patient_id", unseen.patients)
    _keep(connection, "unseen_stay", "stay_id", unseen.stays)
    _keep(connection, "silent_patient", "patient_id", unseen.silent)
    views = [f"CREATE VIEW raw_{table} AS {source(table, files.get(table, ()))}" for table in TABLES]
    # some of these look into the raw view of another table
    views += [f"CREATE VIEW {table} AS {_filtered(table, unseen)}" for table in TABLES]
    connection.execute(";".join(["BEGIN", *views, "COMMIT"]))  # a transaction for each takes twice as long
    return connection


def _keep(connection: duckdb.DuckDBPyConnection, table: str, column: str, values: BitMap) -> None:
    connection.execute(f"CREATE TABLE {table} ({column} INTEGER)")
    if values:
        connection.register("given", pa.table({column: members(values).astype(np.int32)}))
        connection.execute(f"INSERT INTO {table} SELECT {column} FROM given ORDER BY 1")
        connection.unregister("given")


def source(table: str, paths: Sequence[str]) -> str:
    """SQL that reads a table's files as they are; an empty relation of the right types without any."""
    bucketed = table in BUCKETED
    if paths:
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
        hive = (
            ", hive_partitioning = true, hive_types = {'bucket': INTEGER}"
            if bucketed
            else ", hive_partitioning = false"
        )
        return f"SELECT * FROM read_parquet([{listed}]{hive})"
    columns = [f'CAST(NULL AS {_SQL_TYPES[str(f.type)]}) AS "{f.name}"' for f in TABLES[table]]
    columns += ["CAST(NULL AS INTEGER) AS bucket"] if bucketed else []
    return f"SELECT {', '.join(columns)} WHERE false"


_SQL_TYPES = {
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "string": "VARCHAR",
    "date32[day]": "DATE",
    "float": "FLOAT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
}


def _filtered(table: str, unseen: Unseen) -> str:
    """The view that people read. A filter that would remove nothing is not written at all."""
    joins, conditions = [], [_CONDITIONS[table]] if table in _CONDITIONS else []
    if unseen.movements and table == "movement":
        conditions.append(unseen.movements)
    if unseen.documents and table in _OF_DOCUMENT:
        joins.append("ANTI JOIN unseen_document USING (document_id)")
    if unseen.stays and table in _OF_STAY:
        joins.append("ANTI JOIN unseen_stay USING (stay_id)")
    if unseen.patients and table in _OF_PATIENT:
        joins.append("ANTI JOIN unseen_patient USING (patient_id)")
    if unseen.silent and table == "text":
        joins.append("ANTI JOIN silent_patient USING (patient_id)")
    if unseen.patients and table == "relation":
        joins.append("ANTI JOIN unseen_patient o ON raw_relation.other_id = o.patient_id")
    if unseen.patients and table == "stay_link":
        joins.append(_belonging("document", "document_id"))
    if unseen.patients and table == "stay_event":
        joins.append(_belonging("stay", "stay_id"))
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT * FROM raw_{table} {' '.join(joins)}{where}"


def _belonging(table: str, key: str) -> str:
    inner = f"SELECT {key} FROM raw_{table} SEMI JOIN unseen_patient USING (patient_id)"
    return f"ANTI JOIN ({inner}) of_unseen USING ({key})"
