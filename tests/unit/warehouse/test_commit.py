"""What one commit writes, every read finds; what it replaces, no read finds."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from tests.unit.warehouse.warehouse_rows import DAY, SMALL, Hospital, one, rows

from estran.model.errors import StoreError
from estran.model.tables import TABLES
from estran.settings import Settings
from estran.warehouse import Changes, Warehouse
from estran.warehouse.delta import bucket_folder, create_log, mirror, strays
from estran.warehouse.files import FileRef
from estran.warehouse.record import TableFiles


def test_an_empty_warehouse_answers_every_table(empty: Warehouse) -> None:
    snapshot = empty.snapshot()
    assert snapshot.version == 0 and snapshot.buckets == []
    with snapshot.connect() as connection:
        for table, schema in TABLES.items():
            found = connection.execute(f"SELECT * FROM {table}")
            assert [c[0] for c in found.description][: len(schema)] == schema.names
    assert not snapshot.population() and not snapshot.presence(0).patients([1])
    assert len(snapshot.fact_slice([1], 0)) == 0 and len(snapshot.patient_facts(0)) == 0
    assert empty.check() == []


def test_rows_come_back_as_written(loaded: Warehouse) -> None:
    snapshot = loaded.snapshot()
    assert snapshot.version == 1 and snapshot.buckets == [0, 1, 2]
    assert snapshot.counts["fact"] == 75 and snapshot.counts["document"] == 50
    assert one(snapshot, "SELECT sum(value)::INT FROM fact") == sum(range(25))
    assert one(snapshot, "SELECT count(*) FROM fact_by_concept WHERE bucket = patient_id // 10") == 75
    assert one(snapshot, "SELECT typeof(start_minute) FROM fact LIMIT 1") == "SMALLINT"
    facts = snapshot.patient_facts(7)
    assert facts.schema == TABLES["fact"]
    assert sorted(facts.column("concept_id").to_pylist()) == [2, 4, 5]
    assert loaded.check() == []


def test_facts_are_kept_in_both_orders(loaded: Warehouse) -> None:
    snapshot = loaded.snapshot()
    orders = {"fact": "patient_id, start_date, start_minute", "fact_by_concept": "concept_id, patient_id, start_date"}
    for table, key in orders.items():
        for path in snapshot.files(table):
            query = f"SELECT rowid, row_number() OVER (ORDER BY {key} NULLS FIRST, file_row_number) - 1 AS place"
            with snapshot.connect() as connection:
                source = f"(SELECT *, file_row_number AS rowid FROM read_parquet('{path}', file_row_number = true))"
                found = connection.execute(
                    f"SELECT count(*) FROM ({query} FROM {source}) WHERE rowid <> place"
                ).fetchall()
            assert found == [(0,)], table


def test_other_engines_read_the_same_through_the_delta_log(loaded: Warehouse) -> None:
    snapshot = loaded.snapshot()
    log = DeltaTable(str(snapshot.directory / "tables" / "fact"), version=snapshot.record.tables["fact"].delta)
    assert sorted(Path(p.removeprefix("file://")).name for p in log.file_uris()) == sorted(
        Path(p).name for p in snapshot.files("fact")
    )
    assert log.to_pyarrow_table().num_rows == 75


def test_other_engines_read_a_log_of_hundreds_of_commits(tmp_path: Path) -> None:
    """Written one by one, condensed every hundred, gone on with after a crash that left it ahead."""
    create_log(tmp_path, "fact")
    known = TableFiles()
    for number in range(1, 251):
        names = (f"a{number}.parquet", f"b{number // 7}.parquet")
        refs = tuple(FileRef(f"{bucket_folder('fact', 3)}/{name}", 100 + number, 5) for name in names)
        known = TableFiles(mirror(tmp_path, "fact", known, {3: refs}), {3: refs})
    folder = tmp_path / "tables" / "fact"
    found = [sorted(Path(p).name for p in DeltaTable(str(folder), version=v).file_uris()) for v in (7, 150, 250)]
    assert found == [["a7.parquet", "b1.parquet"], ["a150.parquet", "b21.parquet"], ["a250.parquet", "b35.parquet"]]
    assert len(list(folder.glob("_delta_log/*.checkpoint.parquet"))) == 2
    assert mirror(tmp_path, "fact", TableFiles(248), known.files) == 250, "what is listed already is not said again"
    assert mirror(tmp_path, "fact", TableFiles(248), {}) == 251
    assert DeltaTable(str(folder)).file_uris() == []


def small_log(directory: Path, commits: int, known: TableFiles | None = None) -> TableFiles:
    """The log of a table of one file, another one in each commit: what the last snapshot says of it."""
    create_log(directory, "fact")
    known = known or TableFiles()
    for number in range(known.delta + 1, commits + 1):
        files = {3: (FileRef(f"{bucket_folder('fact', 3)}/a{number}.parquet", 100, 5),)}
        known = TableFiles(mirror(directory, "fact", known, files), files)
    return known


def listed(directory: Path) -> list[str]:
    return [Path(path).name for path in DeltaTable(str(directory / "tables" / "fact")).file_uris()]


def test_a_log_that_was_removed_is_written_anew(tmp_path: Path) -> None:
    known = small_log(tmp_path, 5)
    log = tmp_path / "tables" / "fact" / "_delta_log"
    for left in ([], ["half"]):  # all of it gone; or begun again by a process that died at once
        shutil.rmtree(log)
        for _ in left:
            log.mkdir()
        version = mirror(tmp_path, "fact", known, known.files)
        assert version == 1 and listed(tmp_path) == ["a5.parquet"]
    (log / f"{3:020d}.json").write_bytes(b"{}")
    with pytest.raises(StoreError, match="cannot be read"):
        mirror(tmp_path, "fact", TableFiles(2), known.files)


def test_a_log_that_ran_far_ahead_for_hours_is_brought_back(tmp_path: Path) -> None:
    """A long unload was killed: what it began with is no longer in the log."""
    known = small_log(tmp_path, 50)
    ahead = known
    log = tmp_path / "tables" / "fact" / "_delta_log"
    for commits in (150, 250):
        ahead = small_log(tmp_path, commits, ahead)
        for path in log.iterdir():
            os.utime(path, (0, time.time() - 7200))
    small_log(tmp_path, 300, ahead)
    assert not (log / f"{51:020d}.json").exists() and listed(tmp_path) == ["a300.parquet"]
    assert strays(tmp_path, "fact", known.delta) and not strays(tmp_path, "fact", 300)
    assert mirror(tmp_path, "fact", known, known.files) == 301
    assert listed(tmp_path) == ["a50.parquet"]


def test_a_new_version_hides_the_old_one_everywhere(loaded: Warehouse, hospital: Hospital) -> None:
    old = hospital.current[3, 1][0]
    with loaded.writer() as writer:
        writer.commit(
            hospital.documents({"patient": 3, "key": 1, "facts": [{"concept_id": 2, "value": 99.0}], "text": "rien"})
        )
    snapshot = loaded.snapshot()
    for table in ("document", "text", "fact", "fact_by_concept", "fact_attribute"):
        assert one(snapshot, f"SELECT count(*) FROM {table} WHERE document_id = {old}") == 0, table
        assert one(snapshot, f"SELECT count(*) FROM raw_{table} WHERE document_id = {old}") > 0, table
    assert set(snapshot.patient_facts(3).column("concept_id").to_pylist()) == {2, 5}
    assert 3 not in snapshot.presence(0).patients([1]) and 3 in snapshot.presence(0).patients([2])
    assert old in snapshot.retired(0) and old not in snapshot.text.all_documents()
    assert snapshot.fact_slice([2], 0, ["patient_id", "value"]).to_pydict() == {
        "patient_id": [1, 4, 7, 3],
        "value": [1.0, 4.0, 7.0, 99.0],
    }
    assert snapshot.counts["document"] == 50 and snapshot.counts["retired"] == 1
    assert loaded.check() == []


def test_a_cancelled_document_hides_its_facts(loaded: Warehouse, hospital: Hospital) -> None:
    with loaded.writer() as writer:
        writer.commit(
            hospital.documents({"patient": 4, "key": 1, "status": 2, "facts": [{"concept_id": 2}], "text": "annulé"})
        )
    snapshot = loaded.snapshot()
    assert 4 not in snapshot.presence(0).patients([2, 1, 9])
    assert set(snapshot.patient_facts(4).column("concept_id").to_pylist()) == {5}
    assert one(snapshot, "SELECT count(*) FROM text WHERE patient_id = 4") == 0
    assert loaded.check() == []


def test_a_merge_moves_documents_and_stays_to_another_bucket(loaded: Warehouse, hospital: Hospital) -> None:
    moved = hospital.documents(
        {
            "patient": 21,
            "identity": 3,
            "key": 1,
            "stay": 3,
            "facts": [{"concept_id": 1}, {"concept_id": 4, "local_concept_id": 9}],
            "text": "déplacé",
        },
        {"patient": 21, "identity": 3, "key": 2, "facts": [{"concept_id": 5, "context": 1}]},
    )
    moved.upsert["stay"] = hospital.stays((3, 21))
    moved.remove["patient"] = pa.table({"patient_id": pa.array([3], pa.int32())})
    with loaded.writer() as writer:
        snapshot = writer.commit(moved)
    assert 3 not in snapshot.population() and len(snapshot.retired(0)) == 2
    assert 21 in snapshot.presence(2).patients([1]) and 3 in snapshot.presence(2).stays([9])
    assert 3 not in snapshot.presence(0).patients([1, 4, 9]) and 3 not in snapshot.presence(0).stays([9])
    assert one(snapshot, "SELECT bucket FROM stay WHERE stay_id = 3") == 2
    # both numbers have documents of these keys: it is the pipeline that settles which one holds
    assert [(finding.code, finding.count) for finding in loaded.check()] == [("version", 2)]


def test_upserts_replace_and_removals_remove(loaded: Warehouse, hospital: Hospital) -> None:
    with loaded.writer() as writer:
        writer.commit(
            Changes(
                upsert={
                    "patient": hospital.patients(5, 30, residence_area="35"),
                    "stay": hospital.stays((5, 5), kind="had"),
                }
            )
        )
        quarantined = rows("quarantine", [{"file_no": 0, "record_no": n, "part": "", "reason": "r"} for n in range(3)])
        writer.commit(Changes(upsert={"quarantine": quarantined}))
        writer.commit(Changes(remove={"quarantine": quarantined.select(["file_no", "record_no", "part"]).slice(0, 2)}))
    snapshot = loaded.snapshot()
    assert one(snapshot, "SELECT count(*) FROM patient") == 26
    assert (
        one(
            snapshot,
            "SELECT string_agg(patient_id::VARCHAR, ',' ORDER BY patient_id) FROM patient WHERE residence_area = '35'",
        )
        == "5,30"
    )
    assert one(snapshot, "SELECT kind FROM stay WHERE stay_id = 5") == "had"
    assert one(snapshot, "SELECT record_no FROM quarantine") == 2


def test_stay_events_and_links_go_to_their_patients_bucket(loaded: Warehouse) -> None:
    events = rows("stay_event", [{"stay_id": 5, "identity_id": 15, "event_time": 1, "content": 1}])
    links = rows("stay_link", [{"stay_id": 5, "document_id": 3, "kind": "pmsi"}])
    patient = pa.array([15], pa.int32())
    with loaded.writer() as writer:
        snapshot = writer.commit(
            Changes(
                append={
                    "stay_event": events.append_column("patient_id", patient),
                    "stay_link": links.append_column("patient_id", patient),
                }
            )
        )
    assert one(snapshot, "SELECT bucket FROM stay_event") == 1 and one(snapshot, "SELECT bucket FROM stay_link") == 1


def test_counters_grow_with_commits(loaded: Warehouse) -> None:
    with loaded.writer() as writer:
        assert writer.counter("document") == 50 and writer.counter("load") == 0
        writer.commit(Changes(counters={"load": 7}))
        assert writer.counter("load") == 7 and writer.counter("document") == 50


def test_rows_that_do_not_fit_are_refused_and_nothing_changes(loaded: Warehouse, hospital: Hospital) -> None:
    bad = [
        Changes(append={"nobody": pa.table({"a": [1]})}),
        Changes(append={"fact": pa.table({"patient_id": pa.array([1], pa.int32())})}),
        Changes(append={"fact_by_concept": rows("fact_by_concept", [{}])}),
        Changes(upsert={"document": rows("document", [{}])}),
        Changes(upsert={"patient": pa.concat_tables([hospital.patients(1), hospital.patients(1)])}),
        Changes(append={"stay_event": rows("stay_event", [{}])}),
        Changes(remove={"document": pa.table({"document_id": [1]})}),
    ]
    for changes in bad:
        with loaded.writer() as writer, pytest.raises(StoreError):
            writer.commit(changes)
    assert loaded.snapshot().version == 1 and loaded.check() == []


def test_many_small_commits_keep_few_files(empty: Warehouse, hospital: Hospital) -> None:
    with empty.writer() as writer:
        writer.commit(
            Changes(upsert={"patient": hospital.patients(*range(10))}, append={"concept": hospital.concepts(1)})
        )
        for n in range(20):
            snapshot = writer.commit(
                hospital.documents({"patient": n % 10, "key": n, "facts": [{"concept_id": 1}], "text": f"mot {n}"})
            )
    for table in ("fact", "fact_by_concept", "document", "text"):
        assert len(snapshot.files(table)) < 8, table
    assert sum(len(refs) for refs in snapshot.record.text.values()) < 8
    assert one(snapshot, "SELECT count(*) FROM fact") == 20 and len(snapshot.text.all_documents()) == 20
    assert empty.check() == []


def test_concepts_open_to_their_descendants(loaded: Warehouse) -> None:
    pairs = [
        {"ancestor_id": 1, "descendant_id": 2, "distance": 1},
        {"ancestor_id": 1, "descendant_id": 3, "distance": 2},
    ]
    with loaded.writer() as writer:
        snapshot = writer.commit(Changes(append={"concept_ancestor": rows("concept_ancestor", pairs)}))
    assert snapshot.concept_ids("TEST", "C4") == [4] and snapshot.concept_ids("TEST", "none") == []
    assert snapshot.descendants([1]).tolist() == [1, 2, 3] and snapshot.descendants([2, 5]).tolist() == [2, 5]


def test_retire_takes_a_table_too(loaded: Warehouse, hospital: Hospital) -> None:
    number = hospital.current[3, 2][0]
    pairs = pa.table({"document_id": pa.array([number], pa.int32()), "patient_id": pa.array([3], pa.int32())})
    with loaded.writer() as writer:
        snapshot = writer.commit(Changes(retire=pairs))
    assert number in snapshot.retired(0) and loaded.check() == []


def test_bucket_size_is_fixed(loaded: Warehouse) -> None:
    with pytest.raises(StoreError, match="patients per bucket"):
        Warehouse.open(loaded.directory, Settings(bucket_patients=20))
    assert Warehouse.open(loaded.directory, SMALL).latest() == 1
    with pytest.raises(StoreError):
        Warehouse.create(loaded.directory, SMALL)
    with pytest.raises(StoreError):
        Warehouse.open(loaded.directory / "nowhere", SMALL)


def test_presence_equals_sql_over_random_histories(empty: Warehouse, hospital: Hospital) -> None:
    """Random versions, moves between patients and buckets, cancellations: check() compares every pair."""
    chance = np.random.default_rng(7)
    with empty.writer() as writer:
        writer.commit(
            Changes(
                upsert={"patient": hospital.patients(*range(40))}, append={"concept": hospital.concepts(*range(12))}
            )
        )
        for _ in range(6):
            chosen = chance.choice(120, 30, replace=False)
            given = []
            for key in chosen.tolist():
                facts = [
                    {
                        "concept_id": int(chance.integers(0, 8)),
                        "stay_id": int(chance.integers(0, 15)) if chance.random() < 0.8 else None,
                        "local_concept_id": int(chance.integers(8, 12)) if chance.random() < 0.3 else None,
                        "context": int(chance.random() < 0.2),
                        "status": int(chance.integers(0, 7)),
                        "origin": int(chance.integers(0, 3)),
                    }
                    for _ in range(3)
                ]
                given.append(
                    {
                        "patient": int(chance.integers(0, 40)),
                        "identity": key % 40,
                        "key": key,
                        "facts": facts,
                        "status": int(chance.choice([0, 0, 0, 2])),
                    }
                )
            writer.commit(hospital.documents(*given))
    assert empty.check() == []
    with empty.snapshot().connect() as connection:
        assert DAY in {row[0] for row in connection.execute("SELECT DISTINCT start_date FROM fact").fetchall()}
