"""What every engine tells beside the patients."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from pyroaring import BitMap
from tests import fresh
from tests.engines.asking import Hospital, each_engine
from tests.engines.tables import ZONE, dataset

from estran.cohort.engines import ENGINES, Breakdown, Match, Outcome, Step
from estran.cohort.language.text import parse
from estran.cohort.query import CohortRef, IdList, resolve
from estran.model.errors import UsageError
from estran.settings import Settings
from estran.warehouse import Changes


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    return Hospital(
        patients="""
            patient | sex | born
            0       | F   | 1950-06
            1       | F   | 1958-01
            4       | M   |
            7       | M   | 1920-01
        """,
        facts="""
            patient | code | start            | value
            0       | V:a  | 2020-05-31       | 1
            0       | V:a  | 2021-01-01 08:30 | 2
            1       | V:a  | 2021-01-01       | 3
            4       | V:a  | 2019-01-01       |
            7       | V:a  |                  |
            1       | V:b  | 2020-01-01       |
        """,
    )


def _left(found: Outcome) -> list[tuple[str, int]]:
    return [(step.path, step.patients) for step in found.attrition]


@each_engine
def test_counts_and_attrition(hospital: Hospital, engine: str) -> None:
    found = hospital.ask(engine, "V:a ET sexe:F ET NON V:b")
    assert dict(found.counts) == {"0": 1, "0.0": 4, "0.1": 2, "0.2": 3, "0.2.0": 1}
    assert _left(found) == [("", 4), ("0.0", 4), ("0.1", 2), ("0.2", 1)]
    assert _left(hospital.ask(engine, "V:b")) == [("", 4), ("0", 1)]
    assert len(found) == 1
    assert found.elapsed_ms > 0
    assert found.version == hospital.snapshot.version


@each_engine
def test_breakdown_by_sex_age_and_year_of_index(hospital: Hospital, engine: str) -> None:
    found = hospital.ask(engine, "V:a")
    assert found.breakdown == Breakdown(
        {("female", 60): 2, ("male", None): 1, ("male", 90): 1}, {2019: 1, 2020: 1, 2021: 1}
    )


@each_engine
def test_evidence_of_a_patient(hospital: Hospital, engine: str) -> None:
    found = hospital.ask(engine, "V:a ET NON V:b ET MÈRE DE(V:a) ET sexe:F").evidence(0)
    assert found == {
        "0.0": [
            Match("fact", dt.date(2020, 5, 31), None, None, 1000, 0, None, 0),
            Match("fact", dt.date(2021, 1, 1), 510, None, 1001, 1, None, 0),
        ],
        "0.1.0": [],
    }
    assert hospital.ask(engine, "V:a").evidence(77) == {"0": []}


@each_engine
def test_a_cohort_is_looked_up_before_the_question_runs(hospital: Hospital, engine: str) -> None:
    question = parse("cohorte:mienne ET V:a")
    with pytest.raises(UsageError, match="mienne"):
        hospital.engine(engine).run(question)
    known = resolve(question, lambda name: IdList((0, 7)) if name == "mienne" else CohortRef(name))
    assert list(hospital.engine(engine).run(known).patients) == [0, 7]


@each_engine
def test_within_some_patients_there_are_no_others(hospital: Hospital, engine: str) -> None:
    within = ENGINES[engine](hospital.snapshot, BitMap([0, 4]))  # type: ignore[call-arg]
    assert list(within.run(parse("NON V:b")).patients) == [0, 4]
    assert within.run(parse("tous()")).attrition[0] == Step("", BitMap([0, 4]))


@each_engine
def test_replaced_documents_and_opposed_patients_are_not_seen(engine: str, tmp_path: Path) -> None:
    warehouse = fresh.warehouse(tmp_path / "w", Settings(bucket_patients=3, zone=ZONE))
    first = dataset(facts="""
        patient | code | start
        1       | V:a  | 2020-01-01
        2       | V:a  | 2020-01-01
        5       | V:a  | 2020-01-01
    """)  # fmt: skip
    before = _commit(warehouse, first)
    second = dataset(permissions="""
        patient | kind       | scope
        5       | opposition | warehouse
    """)  # fmt: skip
    second.rows.pop("patient")
    after = _commit(warehouse, second, np.array([[1000, 1]]))
    assert list(ENGINES[engine](after).run(parse("V:a[2x] OU V:a>0 OU V:a[2020] OU V:a")).patients) == [2]
    assert list(ENGINES[engine](before).run(parse("V:a")).patients) == [1, 2, 5]


def _commit(warehouse, data, retire=None):
    upsert = {n: t for n, t in data.tables().items() if n in ("patient", "concept")}
    append = {n: t for n, t in data.tables().items() if n not in upsert}
    with warehouse.writer() as writer:
        return writer.commit(Changes(append=append, upsert=upsert, retire=retire))
