"""Which database a file belongs to: person 1 of one is not person 1 of another.

CDM_SOURCE tells, inside the file or beside it. Its abbreviation (else its name) becomes part of the
source, so that two OMOP databases loaded into one site never share a person number.
"""

from __future__ import annotations

import re
from pathlib import Path

from estran.model.errors import InputRefused
from estran.sources.omop.containers import Table, open_tables, suffix_of, table_of

_ONE_TABLE = ("csv", "parquet")  # a file is one table
_NAMES = ("cdm_source_abbreviation", "cdm_source_name")


def database_of(path: Path) -> str:
    """A short name of the database that the file at `path` is part of; "" when nothing tells."""
    places = [path]
    if suffix_of(path.name) in _ONE_TABLE:
        places = sorted(
            p for p in path.parent.iterdir() if suffix_of(p.name) in _ONE_TABLE and table_of(p.name) == "cdm_source"
        )
    for place in places:
        try:
            with open_tables(place, place.name) as tables:
                named = [_name(table) for table in tables if table.name == "cdm_source"]
        except InputRefused:
            continue  # the reading of the file itself will say so
        if named and named[0]:
            return named[0]
    return ""


def _name(table: Table) -> str:
    columns = [name for name in _NAMES if name in table.columns()]
    for block in table.blocks(columns) if columns else ():
        for name in columns:
            values = [str(v) for v in block.table[name].to_pylist() if v and str(v).lower() != name]
            if values:
                return re.sub(r"[^a-z0-9]+", "-", values[0].lower()).strip("-")[:40]
    return ""
