"""What each table, each kind of document and each source holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb

from estran.catalog.reading import ask, rows
from estran.model.tables import TABLES
from estran.state import Entry
from estran.warehouse import Snapshot

_APART = ("fact_by_concept", "stay_event")  # the facts again in another order, and what stays are folded from
_DATES = ("start_date", "from_date", "valid_from")


def tables(snapshot: Snapshot) -> Iterator[Entry]:
    """One entry per table: rows, patients, period, share of each column that is filled."""
    with snapshot.connect() as connection:
        for name, schema in TABLES.items():
            if name not in _APART:
                yield _table(connection, snapshot, name, schema.names)


def _table(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, name: str, columns: list[str]) -> Entry:
    filled = ", ".join(f'count("{column}") AS "{column}"' for column in columns)
    (row,) = rows(connection, f"SELECT count(*) AS n__rows, {filled} FROM {name}")
    count = row.pop("n__rows")
    patients, period = 0, (None, None)
    if "patient_id" in columns and count:
        patients = _patients(connection, snapshot, name)
    date = next((column for column in _DATES if column in columns), None)
    if date:
        (found,) = rows(connection, f"SELECT min({date}) AS first, max({date}) AS last FROM {name}")
        period = (found["first"], found["last"])
    body = {"columns": [[column, row[column]] for column in columns], "first": period[0], "last": period[1]}
    return Entry("table", name, snapshot.version, patients, count, body)


def _patients(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, name: str) -> int:
    """Distinct patients, bucket by bucket: theirs are disjoint, and memory stays that of one bucket."""
    if name in ("relation", "permission"):
        return int(rows(connection, f"SELECT count(DISTINCT patient_id) AS n FROM {name}")[0]["n"])
    counts = (
        rows(connection, f"SELECT count(DISTINCT patient_id) AS n FROM {name} WHERE bucket = {bucket}")[0]["n"]
        for bucket in snapshot.buckets
    )
    return sum(counts)


def document_kinds(snapshot: Snapshot) -> Iterator[Entry]:
    """One entry per kind of document: counts, texts, stays, period, by source and by month."""
    texts = {
        r["kind"]: r["n"]
        for r in ask(snapshot, "SELECT kind, count(*) AS n FROM text JOIN document USING (document_id) GROUP BY ALL")
    }
    facts = {
        r["kind"]: r["n"]
        for r in ask(snapshot, "SELECT kind, count(*) AS n FROM fact JOIN document USING (document_id) GROUP BY ALL")
    }
    sources = _by_kind(ask(snapshot, _KIND_SOURCES))
    months = _by_kind(ask(snapshot, _KIND_MONTHS))
    for row in ask(snapshot, _KINDS):
        kind, count, patients = row.pop("kind"), row.pop("n"), row.pop("patients")
        body = row | {
            "texts": texts.get(kind, 0), "facts": facts.get(kind, 0), "sources": sources.get(kind, []),
            "months": months.get(kind, []),
        }  # fmt: skip
        yield Entry("document", kind, snapshot.version, patients, count, body)


_KINDS = """
SELECT kind, count(*) AS n, count(DISTINCT patient_id) AS patients, count(stay_id) AS in_stay, count(start_date) AS dated,
       count(unit_id) AS in_unit, count(author_role) AS authored, min(start_date) AS first, max(start_date) AS last
FROM document GROUP BY kind ORDER BY n DESC"""
_KIND_SOURCES = """
SELECT kind, source, count(*) AS facts, count(DISTINCT patient_id) AS patients, max(load_id) AS load,
       max(start_date) AS last FROM document GROUP BY ALL ORDER BY facts DESC"""
_KIND_MONTHS = """
SELECT kind, strftime(start_date, '%Y-%m') AS month, count(*) AS facts, count(DISTINCT patient_id) AS patients
FROM document WHERE start_date IS NOT NULL GROUP BY ALL ORDER BY ALL"""


def _by_kind(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in found:
        grouped.setdefault(row.pop("kind"), []).append(row)
    return grouped


def sources(snapshot: Snapshot) -> Iterator[Entry]:
    """One entry per source: documents, period, the last load."""
    for row in ask(snapshot, _SOURCES):
        source, count, patients = row.pop("source"), row.pop("n"), row.pop("patients")
        yield Entry("source", source, snapshot.version, patients, count, row)


_SOURCES = """
SELECT source, count(*) AS n, count(DISTINCT patient_id) AS patients, min(start_date) AS first, max(start_date) AS last,
       max(load_id) AS load, count(DISTINCT kind) AS kinds FROM document GROUP BY source ORDER BY n DESC"""
