"""The DuckDB side of a snapshot."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

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


class Database:
    """An in-memory DuckDB over a snapshot: a view per table, and a raw view without any filter.

    A view is made when a question first names it: all of them together take longer than most questions. Nothing
    is fetched from elsewhere, spills go to `temporary`. For questions over the raw views, `hidden_document` keeps
    the retired and cancelled documents, and `closed_document` those that the scope or the perimeter closes,
    whatever their version.
    """

    def __init__(self, files: Mapping[str, Sequence[str]], hidden: BitMap, unseen: Unseen, temporary: Path) -> None:
        self._root = duckdb.connect(config={**OFFLINE, "temp_directory": str(temporary)})
        self._root.execute("SET parquet_metadata_cache = true")
        # Files never change under their name: no need to ask the disk again whether they did.
        self._root.execute("SET validate_external_file_cache = 'NO_VALIDATION'")
        self._lock = threading.Lock()
        self._made: set[str] = set()
        self._kept = {
            "hidden_document": ("document_id", hidden), "unseen_document": ("document_id", unseen.documents),
            "closed_document": ("document_id", unseen.closed), "unseen_patient": ("patient_id", unseen.patients),
            "unseen_stay": ("stay_id", unseen.stays), "silent_patient": ("patient_id", unseen.silent),
        }  # fmt: skip
        self._views = {f"raw_{table}": source(table, files.get(table, ())) for table in TABLES}
        self._views |= {table: _filtered(table, unseen) for table in TABLES}

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of your own to this database."""
        return cast("duckdb.DuckDBPyConnection", _Connection(self._root.cursor(), self))

    def provide(self, sql: str) -> None:
        """Make what `sql` names and is not there yet. A name may be a column's: one view too many does no harm."""
        named = set(_NAMES.findall(sql.lower()))
        if named <= self._made:
            return
        with self._lock:
            self._make(named)

    def _make(self, named: set[str]) -> None:
        for name in sorted(named - self._made, key=TABLES.__contains__):  # filtered views last: they look into others
            if name in self._kept:
                _keep(self._root, name, *self._kept[name])
            else:
                if name in TABLES:
                    self._make(set(_BENEATH.findall(self._views[name])))
                self._root.execute(f"CREATE OR REPLACE VIEW {name} AS {self._views[name]}")
            self._made.add(name)


class _Connection:
    """A DuckDB connection that finds the views of its snapshot, and keeps their database."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, database: Database) -> None:
        self._cursor, self._database = cursor, database

    def execute(self, query: str, *values: Any, **named: Any) -> duckdb.DuckDBPyConnection:
        self._database.provide(query)
        return self._cursor.execute(query, *values, **named)

    def sql(self, query: str, *values: Any, **named: Any) -> duckdb.DuckDBPyRelation:
        self._database.provide(query)
        return self._cursor.sql(query, *values, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._cursor.close()


_KEPT = ("hidden_document", "unseen_document", "closed_document", "unseen_patient", "unseen_stay", "silent_patient")
_BENEATH = re.compile(rf"\b(?:raw_(?:{'|'.join(TABLES)})|{'|'.join(_KEPT)})\b")  # what a filter is over
_NAMES = re.compile(rf"\b(?:(?:raw_)?(?:{'|'.join(TABLES)})|{'|'.join(_KEPT)})\b")


def _keep(connection: duckdb.DuckDBPyConnection, table: str, column: str, values: BitMap) -> None:
    connection.execute(f"CREATE OR REPLACE TABLE {table} ({column} INTEGER)")  # there already when it failed halfway
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
