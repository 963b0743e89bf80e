"""The tables of OMOP CDM 5.4 as OHDSI's own DDL gives them (`ohdsi/`, Apache License 2.0)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DDL = Path(__file__).parent / "ohdsi" / "OMOPCDM_postgresql_5.4_ddl.sql"
_TABLE = re.compile(r"CREATE TABLE @cdmDatabaseSchema\.(\w+) \((.*?)\);", re.DOTALL)
_COLUMN = re.compile(r'^"?(\w+)"?\s+([A-Za-z]+)(?:\((\d+)\))?\s+(NOT NULL|NULL)$')
_TYPES = {
    "integer": "INTEGER", "date": "DATE", "timestamp": "TIMESTAMP", "numeric": "DOUBLE", "varchar": "VARCHAR",
    "text": "VARCHAR",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column; `longest` characters, 0 for no limit."""

    name: str
    type: str
    longest: int
    required: bool


@cache
def tables() -> dict[str, tuple[Column, ...]]:
    """Every table of the model, in the DDL's order."""
    text = DDL.read_text("utf-8")
    return {name.lower(): tuple(map(_column, _lines(body))) for name, body in _TABLE.findall(text)}


def _lines(body: str) -> list[str]:
    return [line.strip().rstrip(",").strip() for line in body.split(",\n")]


def _column(line: str) -> Column:
    found = _COLUMN.match(line)
    if found is None:
        raise ValueError(f"a column that cannot be read: {line}")
    name, kind, longest, null = found.groups()
    return Column(name.lower(), _TYPES[kind.lower()], int(longest or 0), null == "NOT NULL")


def conform(table: str, given: Mapping[str, str], source: str) -> str:
    """A query of all columns of a table in its order and types; those not given are null.

    ValueError for a column that the table does not have, or a required one that is not given.
    """
    columns = tables()[table]
    names = {column.name for column in columns}
    if unknown := sorted(given.keys() - names):
        raise ValueError(f"{table} has no column {unknown[0]}")
    if missing := [column.name for column in columns if column.required and column.name not in given]:
        raise ValueError(f"{table} needs {missing[0]}")
    shown = ", ".join(f'{_typed(column, given.get(column.name, "NULL"))} AS "{column.name}"' for column in columns)
    return f"SELECT {shown} {source}"


def _typed(column: Column, value: str) -> str:
    cast = f"CAST({value} AS {column.type})"
    return f"left({cast}, {column.longest})" if column.longest and value != "NULL" else cast
