"""Running the checks on a snapshot: one pass per relation, whatever the number of checks; and the rows behind one."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import duckdb

from estran.catalog.checks import CHECKS, Check
from estran.catalog.dqd import Rule, ohdsi, rules, rules_table
from estran.catalog.reading import rows
from estran.catalog.relations import RELATIONS, Relation
from estran.state import Tallied
from estran.warehouse import Snapshot

_AT_ONCE = 60  # aggregates in one query


@dataclass(frozen=True)
class Outcome:
    """The results of a run, and how long it took."""

    results: tuple[Tallied, ...]
    seconds: float


def every_check(snapshot: Snapshot) -> list[Check]:
    """Estran's checks, then those of OHDSI that apply, the ones about a code that the site does not know left out."""
    return [*CHECKS, *ohdsi(), *(rule.check for rule in rules(snapshot))]


def failed(one: Tallied) -> bool:
    """Whether more rows violate the check than its threshold lets pass."""
    return one.applicable > 0 and 100 * one.violated > one.threshold * one.applicable


def run(snapshot: Snapshot) -> Outcome:
    """Run every check."""
    began = time.perf_counter()
    results: list[Tallied] = []
    with snapshot.connect() as connection:
        words = _words(connection, snapshot)
        of_relation: dict[str, list[Check]] = {}
        for check in (*CHECKS, *ohdsi()):
            of_relation.setdefault(check.relation, []).append(check)
        for name, checks in of_relation.items():
            for start in range(0, len(checks), _AT_ONCE):
                results += _pass(connection, RELATIONS[name], checks[start : start + _AT_ONCE], words)
        results += _rules(connection, rules(snapshot))
    return Outcome(tuple(results), time.perf_counter() - began)


def _pass(
    connection: duckdb.DuckDBPyConnection, relation: Relation, checks: list[Check], words: dict[str, str]
) -> list[Tallied]:
    """The counts of some checks of a relation in one reading of it; patients only of checks that found something."""
    # Many checks share the rows they look at: each condition is counted once.
    conditions = [_conditions(check, words) for check in checks]
    place_of: dict[str, str] = {}
    for condition in (one for pair in conditions for one in pair):
        place_of.setdefault(condition, f"n{len(place_of)}")
    columns = [f"count(*) FILTER ({condition}) AS {name}" for condition, name in place_of.items()]
    (found,) = rows(connection, f"SELECT {', '.join(columns)} FROM {relation.source}")
    counts = [(found[place_of[applies]], found[place_of[both]]) for applies, both in conditions]
    bad = [n for n, (_, violated) in enumerate(counts) if violated] if relation.patient else []
    people: dict[str, int] = {}
    if bad:
        who = [f"count(DISTINCT {relation.patient}) FILTER ({conditions[n][1]}) AS p{n}" for n in bad]
        (people,) = rows(connection, f"SELECT {', '.join(who)} FROM {relation.source}")
    return [Tallied(check.key, *counts[n], people.get(f"p{n}", 0), check.threshold) for n, check in enumerate(checks)]


def _conditions(check: Check, words: dict[str, str]) -> tuple[str, str]:
    applies = check.applies.format(**words)
    return applies, f"({applies}) AND ({check.violates.format(**words)})"


def _words(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> dict[str, str]:
    """What stands for `{today}` and `{pmsi}` in conditions: whether the site has PMSI summaries at all."""
    (row,) = rows(connection, "SELECT count(*) > 0 AS coded FROM document WHERE kind = 'pmsi'")
    return {"today": f"DATE '{snapshot.date}'", "pmsi": "true" if row["coded"] else "false"}


def _rules(connection: duckdb.DuckDBPyConnection, known: list[Rule]) -> list[Tallied]:
    """The checks of one concept each, all in one reading of the facts of these concepts."""
    if not known:
        return []
    found = _joined(connection, known)
    counted = {
        row["rule"]: row
        for row in rows(
            connection,
            f"""SELECT rule, count(*) FILTER (applies) AS a, count(*) FILTER (applies AND violates) AS v,
                       count(DISTINCT patient_id) FILTER (applies AND violates) AS p FROM ({found}) GROUP BY rule""",
        )
    }
    none = {"a": 0, "v": 0, "p": 0}
    return [
        Tallied(rule.check.key, row["a"], row["v"], row["p"], rule.check.threshold)
        for number, rule in enumerate(known)
        for row in [counted.get(number, none)]
    ]


def _joined(connection: duckdb.DuckDBPyConnection, known: list[Rule]) -> str:
    connection.register("rule_table", rules_table(known))
    connection.execute("CREATE OR REPLACE TEMP TABLE rules AS SELECT * FROM rule_table")
    connection.unregister("rule_table")
    return """
        SELECT r.rule, f.patient_id, f.document_id, f.start_date, f.value, f.unit, p.sex,
               CASE r.kind WHEN 'sex' THEN p.sex IN ('female', 'male')
                           WHEN 'unit' THEN f.value IS NOT NULL AND f.unit IS NOT NULL
                           ELSE f.value IS NOT NULL AND f.unit = r.unit END AS applies,
               CASE r.kind WHEN 'sex' THEN p.sex <> r.sex
                           WHEN 'unit' THEN NOT list_contains(r.units, f.unit)
                           WHEN 'low' THEN f.value < r.bound ELSE f.value > r.bound END AS violates
        FROM fact_by_concept f JOIN rules r USING (concept_id) JOIN patient p ON p.patient_id = f.patient_id
        WHERE f.origin <> 2"""


def rows_behind(snapshot: Snapshot, key: str, most: int = 200) -> tuple[list[str], list[dict[str, Any]]]:
    """Names of the columns and some of the rows that violate a check, of the snapshot as it is now.

    KeyError when no check has this key.
    """
    check = {check.key: check for check in every_check(snapshot)}[key]
    with snapshot.connect() as connection:
        if check.rule is not None:
            joined = _joined(connection, rules(snapshot))
            sql = f"SELECT * EXCLUDE (rule, applies, violates) FROM ({joined}) WHERE rule = {check.rule} AND applies AND violates LIMIT {most}"
        else:
            relation = RELATIONS[check.relation]
            both = _conditions(check, _words(connection, snapshot))[1]
            sql = f"SELECT {', '.join(relation.columns)} FROM {relation.source} WHERE {both} LIMIT {most}"
        table = connection.sql(sql).to_arrow_table()
    return table.column_names, table.to_pylist()


def failures(results: Iterable[Tallied]) -> list[Tallied]:
    """The results that failed."""
    return [one for one in results if failed(one)]
