"""Compaction changes files and not content; erasure leaves nothing of a patient in any file."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests import fresh
from tests.unit.warehouse.warehouse_rows import SMALL, Hospital, first_load, keys, one, rows

from estran.text.parse import parse
from estran.warehouse import Changes, Warehouse, digest

ERASED = "xylophoniste"  # a word that only the erased patient's text holds


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five more commits with new versions; patient 12 has a rare word, and documents under 3 before a merge."""
    hospital = Hospital()
    warehouse = fresh.warehouse(tmp_path_factory.mktemp("history") / "w", SMALL)
    with warehouse.writer() as writer:
        writer.commit(first_load(hospital))
        for n in range(4):
            given = [
                {"patient": p, "key": 1, "facts": [{"concept_id": 1 + n, "value": 1.5}], "text": f"suivi {n}"}
                for p in range(n, 25, 5)
            ]
            writer.commit(hospital.documents(*given))
        writer.commit(hospital.documents({"patient": 12, "key": 9, "facts": [{"concept_id": 3}], "text": ERASED}))
        writer.commit(
            hospital.documents({"patient": 3, "identity": 12, "key": 30, "facts": [{"concept_id": 3}], "text": ERASED})
        )
        writer.commit(
            hospital.documents({"patient": 12, "identity": 12, "key": 30, "facts": [{"concept_id": 3}], "text": ERASED})
        )
        links = rows(
            "relation",
            [{"patient_id": 1, "other_id": 12, "kind": "mother"}, {"patient_id": 1, "other_id": 2, "kind": "mother"}],
        )
        writer.commit(Changes(append={"relation": links}))
    return warehouse.directory


@pytest.fixture
def grown(history: Path, tmp_path: Path) -> Warehouse:
    """A copy of `history` of one's own."""
    shutil.copytree(history, tmp_path / "grown")
    return Warehouse.open(tmp_path / "grown", SMALL)


def size(warehouse: Warehouse) -> int:
    return sum(p.stat().st_size for p in warehouse.directory.rglob("*") if p.is_file() and "_delta_log" not in p.parts)


def test_compaction_keeps_content_and_shrinks_files(grown: Warehouse) -> None:
    before, bytes_before = digest(grown.snapshot(), keys("p"), keys("s")), size(grown)
    assert len(grown.snapshot().retired(0)) > 0
    done = grown.compact(keep=1)
    snapshot = grown.snapshot()
    assert done.files_after < done.files_before and size(grown) < bytes_before and done.freed > 0
    assert digest(snapshot, keys("p"), keys("s")) == before
    assert grown.check() == [] and not snapshot.retired(0) and snapshot.counts["retired"] == 0
    for bucket in snapshot.buckets:
        for table in ("fact", "fact_by_concept", "document", "text"):
            assert len(snapshot.files(table, bucket)) == 1
        assert len(snapshot.record.text[bucket]) == 1
    assert one(snapshot, "SELECT count(*) FROM fact") == one(snapshot, "SELECT count(*) FROM raw_fact")


def test_compacting_twice_finds_nothing_to_do(grown: Warehouse) -> None:
    grown.compact()
    named = {ref.path for ref in grown.snapshot().record.named()}
    done = grown.compact()
    assert {ref.path for ref in grown.snapshot().record.named()} == named and done.files_before == done.files_after


def test_vacuum_sweeps_what_a_crash_left_without_a_name(grown: Warehouse) -> None:
    left = [grown.directory / folder / ".half.json.0a1b2c3d" for folder in ("snapshots", "tables/fact/_delta_log")]
    for path in left:
        path.write_bytes(b"{")
    grown.vacuum()
    assert not any(path.exists() for path in left) and grown.check() == []


def test_a_reader_survives_compaction_while_its_snapshot_is_kept(grown: Warehouse) -> None:
    reader = grown.snapshot()
    with reader.connect() as connection:
        count = connection.execute("SELECT count(*) FROM fact").fetchone()
        grown.compact(keep=5)
        assert connection.execute("SELECT count(*) FROM fact").fetchone() == count


def test_compaction_builds_a_lost_text_index_again(loaded: Warehouse) -> None:
    for ref in loaded.snapshot().record.text[1]:
        for path in (loaded.directory / ref.path).iterdir():
            path.unlink()
    assert {f.code for f in loaded.check()} == {"file"}
    loaded.compact()
    assert loaded.check() == [] and len(loaded.snapshot().text.all_documents()) == 25


def test_an_erasure_cut_short_is_finished_by_the_next_vacuum(grown: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("estran.warehouse.compaction.vacuum", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            grown.erase([12])
    assert len(grown.versions()) > 1
    grown.vacuum(keep=5)
    assert len(grown.versions()) == 1
    assert_no_trace(grown, 12)


def everything_stored(directory: Path) -> tuple[list[pa.Table], bytes]:
    """Rows of every Parquet file and the bytes of every file, named by a snapshot or not."""
    tables = [pq.ParquetFile(path).read() for path in directory.rglob("*.parquet") if "_delta_log" not in path.parts]
    return tables, b"".join(p.read_bytes() for p in directory.rglob("*") if p.is_file())


def assert_no_trace(warehouse: Warehouse, patient: int) -> None:
    tables, content = everything_stored(warehouse.directory)
    for table in tables:
        names = {"patient_id", "identity_id", "other_id"} & set(table.column_names)
        if "given_by" in table.column_names:
            continue  # the dated trace of the erasure itself
        for name in names:
            assert patient not in table.column(name).to_pylist()
        if "text" in table.column_names:
            assert not any(ERASED in text for text in table.column("text").to_pylist())
    assert ERASED[:6].encode() not in content.lower()
    snapshot = warehouse.snapshot()
    for bucket in snapshot.buckets:
        assert patient not in snapshot.presence(bucket).patients(snapshot.presence(bucket).concepts)
    assert not snapshot.text.documents(parse(ERASED))


def test_erasure_leaves_no_trace_in_any_file(grown: Warehouse) -> None:
    assert len(grown.snapshot().text.documents(parse(ERASED))) == 2
    grown.erase([12])
    assert_no_trace(grown, 12)
    snapshot = grown.snapshot()
    assert len(grown.versions()) == 1 and grown.check() == []
    assert one(snapshot, "SELECT count(*) FROM patient") == 24 and one(snapshot, "SELECT count(*) FROM relation") == 1
    assert (
        3 in snapshot.presence(0).patients([1, 2, 3, 4])
        and one(snapshot, "SELECT count(*) FROM fact WHERE patient_id = 3") > 0
    )
    today = dt.datetime.now(dt.UTC).date()
    with snapshot.connect() as connection:
        assert connection.execute("SELECT patient_id, kind, to_date, proof FROM raw_permission").fetchall() == [
            (12, "erasure", today, None)
        ]


def test_a_demanded_erasure_hides_at_once_and_is_done_by_compaction(grown: Warehouse) -> None:
    asked = {
        "patient_id": 12,
        "scope": "warehouse",
        "kind": "erasure",
        "from_date": dt.date(2024, 1, 1),
        "proof": "lettre",
    }
    with grown.writer() as writer:
        snapshot = writer.commit(Changes(append={"permission": rows("permission", [asked])}))
    assert 12 not in snapshot.population()
    assert grown.compact().erased == [12]
    assert_no_trace(grown, 12)
    assert grown.compact().erased == [] and grown.check() == []


def test_digest_ignores_ids_order_buckets_and_history(tmp_path: Path, grown: Warehouse) -> None:
    """The same content under other ids, in one commit, with one large bucket."""
    from estran.settings import Settings

    source = grown.snapshot()
    shift = 40
    with source.connect() as connection:
        tables = {
            t: connection.sql(f"SELECT * FROM {t}").to_arrow_table()
            for t in ("patient", "stay", "document", "fact", "text", "fact_attribute", "concept", "relation")
        }
    moved = {}
    for name, table in tables.items():
        table = table.drop_columns(["bucket"]) if "bucket" in table.column_names else table
        for column in ("patient_id", "stay_id", "document_id", "other_id"):
            if column in table.column_names:
                field = table.column_names.index(column)
                values = pa.compute.add(table.column(column), pa.scalar(shift, pa.int32()))
                table = table.set_column(field, column, values)
        order = np.random.default_rng(1).permutation(len(table))
        moved[name] = table.take(pa.array(order))
    upsert = {name: moved.pop(name) for name in ("patient", "stay")}
    other = fresh.warehouse(tmp_path / "other", Settings(bucket_patients=1000))
    with other.writer() as writer:
        writer.commit(Changes(append=moved, upsert=upsert))
    shifted = [{i + shift: v for i, v in keys(kind).items()} for kind in "ps"]
    assert digest(other.snapshot(), *shifted) == digest(source, keys("p"), keys("s"))
    with other.writer() as writer:
        writer.commit(
            Changes(upsert={"patient": upsert["patient"].slice(0, 1).set_column(1, "sex", pa.array(["other"]))})
        )
    assert digest(other.snapshot(), *shifted) != digest(source, keys("p"), keys("s"))
