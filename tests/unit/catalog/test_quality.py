"""Each check on a small hospital where its fault was planted; OHDSI's rules on the same tables."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from tests.engines.tables import dataset

from estran.catalog import dqd, quality
from estran.catalog.checks import CHECKS
from estran.catalog.dqd_page import markdown
from estran.state import Tallied
from estran.warehouse import Snapshot

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "quality.md"


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    data = dataset(
        patients="""
            patient | sex | born    | died       | area
            1       | F   | 1950-03 | 2020-06-01 | 35238
            2       | M   | 1960-05 |            | 35238
            3       | M   | 1990-01 | 1980-01-01 |
            4       |     | 1850-01 |            |
            5       | F   |         |            |
            """,
        units="unit | code\n1 | CARD",
        stays="""
            stay | patient | kind  | start            | end              | unit
            1    | 1       | venue | 2020-01-01       | 2020-01-05       | 1
            2    | 1       | venue | 2020-01-03       | 2020-01-08       | 1
            3    | 2       | venue | 2020-02-10       | 2020-02-01       | 1
            4    | 2       | venue | 2020-03-01 10:00 | 2020-03-01 08:00 | 9
            5    | 1       | venue | 2020-07-01       |                  |
            6    | 3       |       |                  |                  | 1
            """,
        movements="""
            movement | stay | patient | unit | start      | end
            1        | 1    | 1       | 1    | 2020-01-01 | 2020-01-05
            2        | 2    | 1       | 1    | 2019-12-31 | 2020-01-04
            3        | 77   | 2       | 1    | 2020-02-10 | 2020-02-09
            """,
        documents="doc | patient | stay | start | kind\n500 | 1 | 1 | 2020-01-02 | discharge\n501 | 2 | 88 | 2020-02-10 | letter",
        concepts="code",
        facts="""
            patient | stay | code         | start      | value | unit
            1       | 1    | CIM10:O80    | 2020-01-02 |       |
            2       | 3    | CIM10:O80    | 2020-02-05 |       |
            1       | 2    | CIM10:C61    | 2020-01-04 |       |
            1       |      | CIM10:I50    | 2020-12-01 |       |
            1       | 1    | LOINC:2160-0 | 2020-01-20 | 3     | mg/L
            3       | 99   | LOCAL/X:abc  | 1985-01-01 |       |
            1       | 1    | LOINC:4548-4 | 2020-01-02 | 140   | %
            2       |      | LOINC:2160-0 |            | 3     |
            """,
    )
    for row in data.rows["concept"]:
        row["kind"] = "laboratory" if row["vocabulary"] == "LOINC" else "diagnosis"
    data.rows["fact"][3] |= {"end_date": dt.date(2020, 11, 1)}
    data.rows["fact"][4] |= {"low": 5.0, "high": 1.0, "value": -3.0}
    return data.write(tmp_path_factory.mktemp("site") / "w")


@pytest.fixture(scope="module")
def results(snapshot: Snapshot) -> dict[str, Tallied]:
    return {one.key: one for one in quality.run(snapshot).results}


PLANTED = {  # rows that violate, among how many
    "sex-known": (1, 5), "birth-known": (1, 5), "residence-known": (3, 5), "age-possible": (1, 4),
    "death-after-birth": (1, 2), "stay-unit-known": (1, 5), "stay-kind-known": (1, 6), "stay-dated": (1, 6),
    "stay-ended": (1, 5), "stay-in-ward": (1, 5), "stay-documented": (1, 4), "stay-ends-after-start": (2, 4),
    "stay-before-death": (1, 3), "stays-apart": (1, 3), "movement-stay-known": (1, 3), "movement-ends-after-start": (1, 3),
    "movement-within-stay": (1, 2), "document-stay-known": (2, 8), "fact-stay-known": (1, 6), "fact-standard-code": (1, 8),
    "fact-dated": (1, 8), "value-has-unit": (1, 3), "female-code": (1, 2), "male-code": (1, 1), "limits-in-order": (1, 1),
    "value-not-negative": (1, 3), "percentage-in-range": (1, 1), "fact-before-death": (2, 6), "fact-within-stay": (2, 5),
    "fact-ends-after-start": (1, 1), "fact-after-birth": (1, 7), "report-has-text": (2, 2), "value-near-limits": (1, 1),
    "birth-not-future": (0, 4), "stay-not-future": (0, 5), "fact-concept-known": (0, 8), "sex-of-list": (0, 5),
}  # fmt: skip


@pytest.mark.parametrize("key", PLANTED)
def test_a_check_finds_what_was_planted(results: dict[str, Tallied], key: str) -> None:
    assert (results[key].violated, results[key].applicable) == PLANTED[key]


def test_a_check_fails_above_its_threshold_only() -> None:
    assert quality.failed(Tallied("x", 100, 6, 1, 5))
    assert not quality.failed(Tallied("x", 100, 5, 1, 5))
    assert not quality.failed(Tallied("x", 0, 0, 0, 0))


def test_the_rows_behind_a_failure_are_those_that_violate_it(snapshot: Snapshot, results: dict[str, Tallied]) -> None:
    columns, rows = quality.rows_behind(snapshot, "stay-ends-after-start")
    assert columns[:2] == ["patient_id", "stay_id"]
    assert sorted(row["stay_id"] for row in rows) == [3, 4]
    for key, one in results.items():
        assert len(quality.rows_behind(snapshot, key)[1]) == min(one.violated, 200), key
    with pytest.raises(KeyError):
        quality.rows_behind(snapshot, "no-such-check")


def test_keys_and_conditions_are_told_apart() -> None:
    keys = [check.key for check in (*CHECKS, *dqd.ohdsi())]
    assert len(keys) == len(set(keys))


def test_each_rule_of_the_dashboard_makes_a_check_or_says_why_not() -> None:
    assert len(dqd.lines()) == 1364
    assert all((line.check is None) == bool(line.reason) for line in dqd.lines())
    assert sum(line.check is not None for line in dqd.lines()) >= 400


def test_the_page_of_the_reference_is_made_from_the_code() -> None:
    assert PAGE.read_text("utf-8") == markdown(), "estran quality rules > docs/reference/quality.md"
