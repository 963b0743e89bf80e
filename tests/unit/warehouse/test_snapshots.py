"""Readers keep what they opened; the lock lets one writer in; opposition hides at once."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
from unittest.mock import Mock

import pyarrow as pa
import pytest
from pyroaring import BitMap
from tests.unit.warehouse.warehouse_rows import SMALL, Hospital, one, rows

from estran.model.errors import StoreError
from estran.model.tables import TABLES
from estran.warehouse import Changes, Scope, Warehouse
from estran.warehouse.snapshot import opposed_on

COUNT = "SELECT count(*) FROM fact"


def oppose(patient: int, **columns: object) -> Changes:
    row = {
        "patient_id": patient,
        "scope": "research",
        "kind": "opposition",
        "from_date": dt.date(2020, 1, 1),
        **columns,
    }
    return Changes(append={"permission": rows("permission", [row])})


def test_a_reader_keeps_its_snapshot_while_others_write(loaded: Warehouse, hospital: Hospital) -> None:
    reader = Warehouse.open(loaded.directory, SMALL).snapshot()
    connection = reader.connect()
    before = connection.execute(COUNT).fetchone()
    with loaded.writer() as writer:
        writer.commit(hospital.documents({"patient": 1, "key": 1, "facts": [{"concept_id": 3}] * 1}))
        assert connection.execute(COUNT).fetchone() == before
    assert connection.execute(COUNT).fetchone() == before
    assert 1 in reader.presence(0).patients([2]) and 1 not in loaded.snapshot().presence(0).patients([2])
    assert Warehouse.open(loaded.directory, SMALL).snapshot().version == 2


def test_an_older_snapshot_reads_as_it_was(loaded: Warehouse, hospital: Hospital) -> None:
    with loaded.writer() as writer:
        writer.commit(hospital.documents({"patient": 1, "key": 1, "facts": [], "text": "autre"}))
    assert [info.version for info in loaded.versions()] == [0, 1, 2]
    assert [one(loaded.snapshot(v), COUNT) for v in (0, 1, 2)] == [0, 75, 73]
    assert len(loaded.snapshot(1).text.all_documents()) == 25
    with pytest.raises(StoreError, match="no snapshot 9"):
        loaded.snapshot(9)


def test_a_view_is_there_for_whoever_names_it_first(loaded: Warehouse) -> None:
    """Every view, filtered ones over patients who are opposed too, asked for by eight threads at once."""
    with loaded.writer() as writer:
        writer.commit(oppose(2))
    snapshot, found = loaded.snapshot(), []

    def read() -> None:
        with snapshot.connect() as connection:
            sizes = [connection.execute(f"select COUNT(*) FROM {table.upper()}").fetchall()[0][0] for table in TABLES]
            raw = [connection.sql(f"select count(*) from raw_{table}").fetchall()[0][0] for table in TABLES]
            found.append((tuple(sizes), tuple(raw)))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1
    for table, *sizes in zip(TABLES, *found[0], strict=True):  # both named by the first question
        with loaded.snapshot().scoped(Scope.CARE).connect() as connection:
            both = f"SELECT (SELECT count(*) FROM {table}), (SELECT count(*) FROM raw_{table})"
            assert connection.execute(both).fetchone() == tuple(sizes), table
    shown, stored = (dict(zip(TABLES, sizes, strict=True)) for sizes in found[0])
    assert (stored["patient"] - shown["patient"], stored["fact"] - shown["fact"]) == (1, 3)


def test_a_reader_goes_on_when_its_snapshot_was_let_go(loaded: Warehouse) -> None:
    snapshot = loaded.snapshot()
    connection = snapshot.connect()
    snapshot.close()
    assert connection.execute(COUNT).fetchall() == [(75,)]


def test_a_view_that_could_not_be_made_is_made_by_the_next_question(
    loaded: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loaded.writer() as writer:
        writer.commit(oppose(2))
    with loaded.snapshot().connect() as connection:
        with monkeypatch.context() as broken, pytest.raises(MemoryError):
            broken.setattr("estran.warehouse.views.members", Mock(side_effect=MemoryError))
            connection.execute(COUNT)
        assert connection.execute(COUNT).fetchall() == [(72,)]


def test_threads_read_one_snapshot(loaded: Warehouse) -> None:
    snapshot, found = loaded.snapshot(), []

    def read() -> None:
        with snapshot.connect() as connection:
            found.append((connection.execute(COUNT).fetchall()[0][0], len(snapshot.presence(1).patients([4]))))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(75, 10)] * 8


def test_a_second_writer_is_refused_until_the_first_ends(loaded: Warehouse) -> None:
    other = Warehouse.open(loaded.directory, SMALL)
    with loaded.writer(), pytest.raises(StoreError, match="writing"), other.writer():
        pass
    with other.writer() as writer:
        writer.commit(Changes(counters={"load": 1}))
    with loaded.writer() as writer:
        assert writer.counter("load") == 1


def test_the_lock_of_a_dead_process_does_not_stay(loaded: Warehouse) -> None:
    code = f"""
import os, pathlib
from estran.settings import Settings
from estran.warehouse import Warehouse
with Warehouse.open(pathlib.Path({str(loaded.directory)!r}), Settings(bucket_patients=10)).writer():
    os._exit(3)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 3
    with loaded.writer() as writer:
        assert writer.counter("load") == 0


def test_opposition_hides_at_once_and_everywhere(loaded: Warehouse, hospital: Hospital) -> None:
    relation = rows(
        "relation",
        [{"patient_id": 1, "other_id": 7, "kind": "mother"}, {"patient_id": 2, "other_id": 3, "kind": "twin"}],
    )
    link = rows("stay_link", [{"stay_id": 7, "document_id": hospital.current[7, 1][0], "kind": "pmsi"}])
    link = link.append_column("patient_id", pa.array([7], pa.int32()))
    event = rows("stay_event", [{"stay_id": 7, "identity_id": 7}]).append_column(
        "patient_id", pa.array([7], pa.int32())
    )
    with loaded.writer() as writer:
        writer.commit(Changes(append={"relation": relation, "stay_link": link, "stay_event": event}))
        snapshot = writer.commit(oppose(7))
    for table in ("patient", "stay", "document", "text", "fact", "fact_by_concept", "fact_attribute"):
        assert one(snapshot, f"SELECT count(*) FROM {table} WHERE patient_id = 7") == 0, table
        assert one(snapshot, f"SELECT count(*) FROM raw_{table} WHERE patient_id = 7") > 0, table
    assert one(snapshot, "SELECT count(*) FROM relation") == 1
    assert (
        one(snapshot, "SELECT count(*) FROM stay_link") == 0 and one(snapshot, "SELECT count(*) FROM stay_event") == 0
    )
    assert 7 not in snapshot.population() and 7 not in snapshot.known_stays() and snapshot.opposed() == BitMap([7])
    assert len(snapshot.patient_facts(7)) == 0
    assert 7 not in snapshot.fact_slice([1, 2, 3, 4, 5], 0).column("patient_id").to_pylist()
    assert hospital.current[7, 1][0] not in snapshot.text.all_documents()
    assert loaded.check() == []


def test_an_older_snapshot_hides_who_is_opposed_today(loaded: Warehouse) -> None:
    assert 7 in loaded.snapshot(1).population()
    with loaded.writer() as writer:
        writer.commit(oppose(7))
    old = loaded.snapshot(1)
    assert 7 not in old.population() and one(old, "SELECT count(*) FROM fact WHERE patient_id = 7") == 0


def test_which_permissions_hide_on_a_day() -> None:
    base = {"scope": "research", "kind": "opposition", "from_date": dt.date(2024, 1, 10)}
    given = [
        {**base, "patient_id": 1},
        {**base, "patient_id": 2, "to_date": dt.date(2024, 1, 10)},
        {**base, "patient_id": 3, "to_date": dt.date(2024, 1, 9)},
        {**base, "patient_id": 4, "scope": "project:12"},
        {**base, "patient_id": 5, "kind": "consent"},
        {**base, "patient_id": 6, "kind": "erasure", "scope": "project:12"},
        {**base, "patient_id": 7, "scope": "warehouse"},
        {**base, "patient_id": 8, "from_date": dt.date(2024, 1, 11)},
    ]
    assert opposed_on(rows("permission", given), dt.date(2024, 1, 10)) == BitMap([1, 2, 6, 7])


def test_cancelled_stays_are_not_known(loaded: Warehouse, hospital: Hospital) -> None:
    with loaded.writer() as writer:
        snapshot = writer.commit(Changes(upsert={"stay": hospital.stays((3, 3), status="cancelled")}))
    assert 3 not in snapshot.known_stays() and one(snapshot, "SELECT count(*) FROM stay") == 24


def test_vacuum_keeps_the_last_snapshots_and_removes_litter(loaded: Warehouse, hospital: Hospital) -> None:
    with loaded.writer() as writer:
        for n in range(6):
            writer.commit(Changes(upsert={"patient": hospital.patients(1, last_news=dt.date(2024, 1, 1 + n))}))
    litter = loaded.directory / "tables" / "fact" / "bucket=0" / "000000099-litter.parquet"
    litter.write_bytes(b"litter")
    assert loaded.vacuum(keep=2) > 0
    assert [info.version for info in loaded.versions()] == [6, 7] and not litter.exists()
    assert loaded.check() == [] and loaded.check(6) == []
    with pytest.raises(StoreError):
        loaded.snapshot(1)


def test_a_damaged_record_is_told_as_such(loaded: Warehouse) -> None:
    (loaded.directory / "snapshots" / "000000002.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        Warehouse.open(loaded.directory, SMALL)


def test_check_finds_damage(loaded: Warehouse) -> None:
    snapshot = loaded.snapshot()
    path = loaded.directory / snapshot.record.presence[0].path
    path.write_bytes(path.read_bytes() + b"x")
    assert {f.code for f in loaded.check()} == {"file"}
