"""What the facts of each concept look like: counts, completeness, period, distribution, sources.

Concepts are read in contiguous ranges of at most `RANGE_FACTS` facts, which the concept order of facts makes a
matter of row groups: memory is bounded by a range (or by one concept, when it alone has more), whatever the site.
Sources are counted bucket by bucket for the same reason.

A quantile is kept only where `ASIDE` patients or more have a value at or beyond it on either side: the extremes
of a few people are values of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from estran.catalog.reading import rows
from estran.state import Entry
from estran.state.catalogue import folded
from estran.warehouse import Snapshot

RANGE_FACTS = 5_000_000
ASIDE = 10
BINS = 24
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
TOP = 12
_EDGES = (0.01, 0.99)  # between which the histogram is drawn


@dataclass(frozen=True)
class Range:
    """Concepts from `first` to `last`."""

    first: int
    last: int

    @property
    def where(self) -> str:
        return f"concept_id BETWEEN {self.first} AND {self.last}"


def variables(snapshot: Snapshot) -> Iterator[Entry]:
    """One entry per concept that has facts. The key is VOCABULARY:code."""
    with snapshot.connect() as connection:
        sources = _sources(connection, snapshot)
        for one in ranges(connection):
            yield from _range(connection, snapshot, one, sources)


def ranges(connection: duckdb.DuckDBPyConnection, most: int = RANGE_FACTS) -> list[Range]:
    """Contiguous ranges of concepts of at most `most` facts each."""
    counts = rows(connection, "SELECT concept_id, count(*) AS n FROM fact_by_concept GROUP BY ALL ORDER BY concept_id")
    found: list[Range] = []
    first, held = 0, 0
    for place, row in enumerate(counts):
        if held and held + row["n"] > most:
            found.append(Range(counts[first]["concept_id"], counts[place - 1]["concept_id"]))
            first, held = place, 0
        held += row["n"]
    if counts:
        found.append(Range(counts[first]["concept_id"], counts[-1]["concept_id"]))
    return found


def _range(
    connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, one: Range, sources: dict[int, list[dict[str, Any]]]
) -> Iterator[Entry]:
    names = {row["concept_id"]: row for row in rows(connection, f"SELECT * FROM concept WHERE {one.where}")}
    years = _grouped(rows(connection, _YEARS.format(where=one.where)))
    tops = _grouped(rows(connection, _TOP_VALUES.format(where=one.where, top=TOP)))
    units = _values(connection, one)
    for row in rows(connection, _COUNTS.format(where=one.where)):
        number = row.pop("concept_id")
        name = names.get(number)
        if name is None:
            continue
        patients, facts = row.pop("patients"), row.pop("facts")
        body = {
            "concept_id": number, "label_fr": name["label_fr"], "label_en": name["label_en"], "kind": name["kind"], **row,
            "years": years.get(number, []), "values": units.get(number, []), "top": tops.get(number, []),
            "sources": sources.get(number, []),
        }  # fmt: skip
        key = f"{name['vocabulary']}:{name['code']}"[:200]
        words = folded(f"{key} {name['label_fr'] or ''} {name['label_en'] or ''}")
        yield Entry("variable", key, snapshot.version, patients, facts, body, words)


_COUNTS = """
SELECT concept_id, count(*) AS facts, count(DISTINCT patient_id) AS patients, count(DISTINCT stay_id) AS stays,
       min(start_date) AS first, max(start_date) AS last, count(start_date) AS dated, count(start_minute) AS timed,
       count(stay_id) AS in_stay, count(value) AS valued, count(unit) FILTER (value IS NOT NULL) AS united,
       count(value_concept) AS coded, count(local_concept_id) AS mapped, count(*) FILTER (context <> 0) AS not_affirmed,
       count(*) FILTER (origin = 1) AS from_text
FROM fact_by_concept WHERE {where} GROUP BY concept_id ORDER BY concept_id"""

_YEARS = """
SELECT concept_id, year(start_date) AS year, count(*) AS facts, count(DISTINCT patient_id) AS patients
FROM fact_by_concept WHERE {where} AND start_date IS NOT NULL GROUP BY ALL ORDER BY ALL"""

_TOP_VALUES = """
SELECT f.concept_id, v.vocabulary || ':' || v.code AS code, v.label_fr, v.label_en, f.facts, f.patients FROM (
    SELECT concept_id, value_concept, count(*) AS facts, count(DISTINCT patient_id) AS patients
    FROM fact_by_concept WHERE {where} AND value_concept IS NOT NULL GROUP BY concept_id, value_concept
    QUALIFY row_number() OVER (PARTITION BY concept_id ORDER BY count(*) DESC, value_concept) <= {top}) f
JOIN concept v ON v.concept_id = f.value_concept ORDER BY f.facts DESC, code"""

_QUANTILES = """
SELECT concept_id, coalesce(unit, '') AS unit, count(*) AS facts, count(DISTINCT patient_id) AS patients,
       quantile_cont(value, [{quantiles}]) AS quantiles, quantile_cont(value, [{edges}]) AS edges
FROM fact_by_concept WHERE {where} AND value IS NOT NULL AND isfinite(value) GROUP BY ALL"""

_HISTOGRAM = """
SELECT f.concept_id, b.unit, least(greatest(floor((value - low) / width), 0), {last})::INTEGER AS bin,
       count(*) AS facts, count(DISTINCT patient_id) AS patients
FROM fact_by_concept f JOIN bounds b ON f.concept_id = b.concept_id AND coalesce(f.unit, '') = b.unit
WHERE f.{where} AND value BETWEEN low AND high GROUP BY ALL"""


def _values(connection: duckdb.DuckDBPyConnection, one: Range) -> dict[int, list[dict[str, Any]]]:
    """The distribution of values, unit by unit, the most frequent unit first."""
    asked = {"quantiles": ", ".join(map(str, QUANTILES)), "edges": ", ".join(map(str, _EDGES))}
    spread = connection.sql(_QUANTILES.format(where=one.where, **asked)).to_arrow_table()
    connection.register("spread", spread)
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE bounds AS SELECT concept_id, unit, edges[1] AS low, edges[2] AS high,
            greatest((edges[2] - edges[1]) / {BINS}, 1e-12) AS width FROM spread WHERE patients >= {2 * ASIDE}"""
    )
    bars = _grouped(rows(connection, _HISTOGRAM.format(where=one.where, last=BINS - 1)))
    connection.unregister("spread")
    found: dict[int, list[dict[str, Any]]] = {}
    for row in sorted(spread.to_pylist(), key=lambda r: (-r["facts"], r["unit"])):
        own = [bar for bar in bars.get(row["concept_id"], []) if bar["unit"] == row["unit"]]
        found.setdefault(row["concept_id"], []).append(_distribution(row, own))
    return found


def _distribution(row: dict[str, Any], bars: list[dict[str, Any]]) -> dict[str, Any]:
    shown = [
        q if min(p, 1 - p) * row["patients"] >= ASIDE else None
        for p, q in zip(QUANTILES, row["quantiles"], strict=True)
    ]
    known = {bar["bin"]: (bar["facts"], bar["patients"]) for bar in bars}
    wide = row["patients"] >= 2 * ASIDE
    return {
        "unit": row["unit"], "facts": row["facts"], "patients": row["patients"], "quantiles": shown,
        "low": row["edges"][0] if wide else None, "high": row["edges"][1] if wide else None,
        "bins": [known.get(number, (0, 0)) for number in range(BINS)] if wide else [],
    }  # fmt: skip


def _sources(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> dict[int, list[dict[str, Any]]]:
    """Per concept, the sources of its facts, with the newest load and the newest date of each."""
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for bucket in snapshot.buckets:
        for row in rows(connection, _SOURCES.format(bucket=bucket)):
            number, source = row.pop("concept_id"), row["source"]
            held = found.setdefault(number, {}).setdefault(source, {**row, "facts": 0, "patients": 0})
            held["facts"] += row["facts"]
            held["patients"] += row["patients"]
            held["load"] = max(held["load"], row["load"])
            held["last"] = max((d for d in (held["last"], row["last"]) if d is not None), default=None)
    return {number: sorted(per.values(), key=lambda r: (-r["facts"], r["source"])) for number, per in found.items()}


_SOURCES = """
SELECT f.concept_id, d.source, count(*) AS facts, count(DISTINCT f.patient_id) AS patients, max(d.load_id) AS load,
       max(f.start_date) AS last
FROM fact_by_concept f JOIN document d USING (document_id) WHERE f.bucket = {bucket} AND d.bucket = {bucket} GROUP BY ALL"""


def _grouped(found: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    grouped: dict[int, list[dict[str, Any]]] = {}
    for row in found:
        grouped.setdefault(row.pop("concept_id"), []).append(row)
    return grouped
