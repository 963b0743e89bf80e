"""OHDSI's rules as Estran evaluates them on its tables equal the dashboard's own SQL on the OMOP database it was loaded from.

The SQL is written here anew, after the dashboard's description of each check; a day of birth is left out of it,
since the warehouse keeps months.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from tests.spec import site_kit as kit

from estran.app import Site
from estran.catalog import dqd, quality
from estran.state import Tallied

EVENTS = {  # table: start, end, key
    "condition_occurrence": ("condition_start_date", "condition_end_date", "condition_occurrence_id"),
    "drug_exposure": ("drug_exposure_start_date", "drug_exposure_end_date", "drug_exposure_id"),
    "procedure_occurrence": ("procedure_date", "", "procedure_occurrence_id"),
    "measurement": ("measurement_date", "", "measurement_id"),
    "observation": ("observation_date", "", "observation_id"),
}
Pair = tuple[int, int]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    file = tmp_path_factory.mktemp("omop") / "eunomia.duckdb"
    with gzip.open(kit.SAMPLES / "omop_gibleed" / "eunomia.duckdb.gz") as packed, file.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    with duckdb.connect(file, read_only=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = kit.make(tmp_path_factory.mktemp("sites") / "gibleed")
    kit.load(made, "omop", Path(kit.SAMPLES) / "omop_gibleed" / "eunomia.duckdb.gz")
    return made


@pytest.fixture(scope="module")
def results(site: Site) -> dict[str, Tallied]:
    return {one.key: one for one in quality.run(site.snapshot()).results}


def told(results: dict[str, Tallied], key: str) -> Pair:
    return results[key].violated, results[key].applicable


def direct(source: duckdb.DuckDBPyConnection, table: str, among: str, violated: str) -> Pair:
    key = EVENTS[table][2]
    rows = f"(SELECT * FROM {table} QUALIFY row_number() OVER (PARTITION BY person_id, {key} ORDER BY rowid DESC) = 1)"
    sql = f"""SELECT count(*) FILTER ({violated}), count(*) FROM {rows} t JOIN person p USING (person_id)
              LEFT JOIN visit_occurrence v ON v.visit_occurrence_id = t.visit_occurrence_id AND v.person_id = t.person_id
              WHERE {among}"""
    found = source.execute(sql).fetchone()
    assert found
    return found[0], found[1]


def agree(source: duckdb.DuckDBPyConnection, table: str, ours: Pair, theirs: Pair) -> None:
    """Equal, but for rows of which the source has two under one id: the warehouse keeps one, whichever the SQL keeps."""
    key = EVENTS[table][2]
    found = source.execute(f"SELECT count(*) - count(DISTINCT (person_id, {key})) FROM {table}").fetchone()
    assert found and found[0] <= 10
    assert ours[1] == theirs[1]
    assert abs(ours[0] - theirs[0]) <= found[0]


@pytest.mark.parametrize("table", EVENTS)
def test_rules_of_dates_count_what_the_dashboard_counts(
    source: duckdb.DuckDBPyConnection, results: dict[str, Tallied], table: str
) -> None:
    start, end, _ = EVENTS[table]
    born = "make_date(p.year_of_birth, coalesce(p.month_of_birth, 1), 1)"
    for date in filter(None, (start, end)):
        name = f"{table}.{date}"
        known = f"t.{date} IS NOT NULL"
        old = direct(source, table, known, f"t.{date} < DATE '1950-01-01'")
        agree(source, table, told(results, f"ohdsi.plausiblevaluelow.{name}"), old)
        unborn = direct(source, table, known, f"t.{date} < {born}")
        agree(source, table, told(results, f"ohdsi.plausibleafterbirth.{name}"), unborn)
        assert told(results, f"ohdsi.plausiblebeforedeath.{name}") == (0, 0), "nobody dies in GiBleed"
    if end:
        inverted = direct(source, table, f"t.{start} IS NOT NULL", f"t.{start} > t.{end}")
        assert told(results, f"ohdsi.plausiblestartbeforeend.{table}.{start}") == inverted
    visits = f"t.{start} < v.visit_start_date - 7 OR t.{start} > v.visit_end_date + 7"
    within = direct(source, table, "v.visit_occurrence_id IS NOT NULL", visits)
    assert told(results, f"ohdsi.withinvisitdates.{table}.{start}") == within


@pytest.mark.parametrize("table", EVENTS)
def test_references_to_stays_count_what_the_dashboard_counts(
    source: duckdb.DuckDBPyConnection, results: dict[str, Tallied], table: str
) -> None:
    """Visit 0 means no visit to the reader, so it is left out here; most visits that GiBleed names are not in it."""
    named = "t.visit_occurrence_id IS NOT NULL AND t.visit_occurrence_id <> 0"
    lost = direct(source, table, named, "v.visit_occurrence_id IS NULL")
    assert told(results, f"ohdsi.isforeignkey.{table}.visit_occurrence_id") == lost
    assert lost[0] > 0


def test_visits_and_persons_count_what_the_dashboard_counts(
    source: duckdb.DuckDBPyConnection, results: dict[str, Tallied]
) -> None:
    old = source.execute(
        "SELECT count(*) FILTER (visit_start_date < DATE '1950-01-01'), count(*) FROM visit_occurrence"
    ).fetchone()
    assert told(results, "ohdsi.plausiblevaluelow.visit_occurrence.visit_start_date") == old == (28, 1037)
    persons = source.execute("SELECT count(*) FILTER (year_of_birth IS NULL), count(*) FROM person").fetchone()
    assert told(results, "ohdsi.isrequired.person.year_of_birth") == persons


def test_rules_of_sex_count_what_the_dashboard_counts(
    site: Site, source: duckdb.DuckDBPyConnection, results: dict[str, Tallied]
) -> None:
    compared = 0
    for rule in dqd.rules(site.snapshot()):
        _, name, number, _ = rule.check.key.split(".")
        if name != "plausiblegender":
            continue
        wanted = {"female": 8532, "male": 8507}[rule.sex]
        found = source.execute(
            f"""SELECT count(*) FILTER (gender_concept_id <> {wanted}), count(*) FROM (
                SELECT person_id, condition_concept_id AS c FROM condition_occurrence UNION ALL
                SELECT person_id, procedure_concept_id FROM procedure_occurrence) JOIN person USING (person_id)
                WHERE c = {number} AND gender_concept_id IN (8507, 8532)"""
        ).fetchone()
        assert told(results, rule.check.key) == found, rule.check.key
        compared += 1
    assert compared > 0
