"""The short ways to facts give what SQL gives, over several files and row groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests import fresh
from tests.unit.warehouse.warehouse_rows import Hospital, rows

from estran.model.tables import FACT
from estran.settings import Settings
from estran.warehouse import LIVE, Changes, Snapshot

PATIENTS, FACTS = 60, 9_000


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Two loads of random facts in small row groups, and some retired documents."""
    chance = np.random.default_rng(3)
    warehouse = fresh.warehouse(
        tmp_path_factory.mktemp("slices") / "w", Settings(bucket_patients=40, row_group_rows=1024)
    )
    hospital = Hospital()
    with warehouse.writer() as writer:
        writer.commit(Changes(upsert={"patient": hospital.patients(*range(PATIENTS))}))
        for load in range(2):
            owners = np.sort(chance.integers(0, PATIENTS, 300))
            documents = rows(
                "document", [{"document_id": load * 300 + i, "patient_id": int(p)} for i, p in enumerate(owners)]
            )
            writer.commit(Changes(append={"document": documents, "fact": facts(chance, owners, load * 300)}))
        gone = [(i, int(documents.column("patient_id")[i - 300].as_py())) for i in range(310, 340)]
        writer.commit(Changes(retire=np.array(gone)))
    return warehouse.snapshot()


def facts(chance: np.random.Generator, owners: np.ndarray, first: int) -> pa.Table:
    document = chance.integers(0, len(owners), FACTS)
    values = {
        "patient_id": owners[document],
        "document_id": document + first,
        "concept_id": chance.integers(0, 200, FACTS) ** 2 // 100,
        "fact_no": np.arange(FACTS),
        "start_date": chance.integers(18_000, 19_000, FACTS),
        "start_minute": chance.integers(0, 1440, FACTS),
        "context": chance.random(FACTS) < 0.1,
        "status": chance.integers(0, 7, FACTS),
    }
    columns = []
    for field in FACT:
        if field.name in values:
            columns.append(pa.array(values[field.name].astype(np.int32)).cast(field.type))
        elif field.name == "value":
            columns.append(pa.array(np.round(chance.normal(size=FACTS), 1)))
        else:
            columns.append(
                pa.nulls(FACTS, field.type) if field.nullable else pa.array(np.zeros(FACTS, np.int8)).cast(field.type)
            )
    return pa.Table.from_arrays(columns, schema=FACT)


def in_sql(snapshot: Snapshot, condition: str) -> list[tuple[int, int]]:
    with snapshot.connect() as connection:
        query = f"SELECT document_id, fact_no FROM fact WHERE {condition}"
        return sorted(connection.execute(query).fetchall())


def pairs(table: pa.Table) -> list[tuple[int, int]]:
    return list(zip(table.column("document_id").to_pylist(), table.column("fact_no").to_pylist(), strict=True))


@pytest.mark.parametrize("concepts", [[0], [3, 4, 5, 300], [396, 1], list(range(500)), []])
@pytest.mark.parametrize("live", [True, False])
def test_concepts(snapshot: Snapshot, concepts: list[int], live: bool) -> None:
    for bucket in (0, 1, 2):
        found = snapshot.fact_slice(concepts, bucket, ["document_id", "fact_no"], live)
        given = ", ".join(str(c) for c in concepts) or "-1"
        condition = f"concept_id IN ({given}) AND bucket = {bucket}" + (f" AND {LIVE}" if live else "")
        assert sorted(pairs(found)) == in_sql(snapshot, condition)
        assert found.column_names == ["document_id", "fact_no"]


def test_a_patient_in_order_of_time(snapshot: Snapshot) -> None:
    for patient in (0, 1, 39, 40, 59, 77):
        found = snapshot.patient_facts(patient)
        assert found.schema == FACT and sorted(pairs(found)) == in_sql(snapshot, f"patient_id = {patient}")
        moments = list(
            zip(found.column("start_date").to_pylist(), found.column("start_minute").to_pylist(), strict=True)
        )
        assert moments == sorted(moments)


def test_files_of_a_bucket_and_of_all(snapshot: Snapshot) -> None:
    every = snapshot.files("fact")
    assert every == snapshot.files("fact", 0) + snapshot.files("fact", 1) and all(Path(p).exists() for p in every)
    assert snapshot.files("permission") == snapshot.files("permission", 0) == []
