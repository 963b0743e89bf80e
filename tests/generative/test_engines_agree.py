"""The fast engine answers every question as the memory engine does: random hospitals, random questions."""

from __future__ import annotations

import os
import random
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap
from tests.generative.strategies import queries, random_dataset

from estran.cohort.engines import DuckDBEngine, Engine, MemoryEngine
from estran.cohort.query import Node

SLOW = "ESTRAN_SLOW" in os.environ
DATASETS = 40 if SLOW else 3
EXAMPLES = 20_000 if SLOW else 150
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agree")


@cache
def engines(seed: int) -> tuple[Engine, Engine]:
    snapshot = random_dataset(seed).write(Path(mkdtemp()) / "warehouse")
    return MemoryEngine(snapshot), DuckDBEngine(snapshot)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(seed=st.integers(0, DATASETS - 1), query=queries)
def test_engines_agree(seed: int, query: Node) -> None:
    memory, fast = engines(seed)
    truth, found = memory.run(query), fast.run(query)
    assert found.patients == truth.patients
    assert dict(found.counts) == dict(truth.counts)
    assert (found.stays, found.documents) == (truth.stays, truth.documents)
    assert found.attrition == truth.attrition
    assert found.unknown == truth.unknown
    assert found.index_dates == truth.index_dates
    assert found.breakdown == truth.breakdown
    patient = random.Random(repr(query)).randrange(12)
    assert found.evidence(patient) == truth.evidence(patient)


@settings(max_examples=EXAMPLES // 10, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(query=queries, kept=st.sets(st.integers(0, 11)))
def test_engines_agree_within_some_patients(query: Node, kept: set[int]) -> None:
    snapshot = engines(0)[1].snapshot
    truth = MemoryEngine(snapshot, BitMap(kept)).run(query)
    found = DuckDBEngine(snapshot, BitMap(kept)).run(query)
    assert (found.patients, dict(found.counts)) == (truth.patients, dict(truth.counts))
    assert (found.stays, found.documents) == (truth.stays, truth.documents)
