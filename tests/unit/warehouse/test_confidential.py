"""What is confidential is in no read of scope research, and in every read of scope care."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap
from tests import fresh
from tests.unit.warehouse.warehouse_rows import SMALL, Hospital, one, rows

from estran.settings import Settings
from estran.text.parse import parse
from estran.warehouse import LIVE, Changes, Scope, Snapshot, Warehouse, check
from estran.warehouse.confidential import Closed
from estran.warehouse.presence import Presence
from estran.warehouse.presence_scope import ScopedPresence

VIEWS = ("document", "text", "fact", "fact_by_concept", "fact_attribute", "media", "stay_link")
# Documents: 0 open; 1 flagged; 2 of the flagged stay 21; 3 of the flagged patient 3; 4 linked to stay 21;
# 5 of a stay of that number that nobody introduced; 6 of the cancelled and flagged stay 23.
CLOSED, OPEN = {1, 2, 3, 4, 6}, {0, 5}


def hospital_rows() -> Changes:
    hospital = Hospital()
    a, b = {"concept_id": 1}, {"concept_id": 2, "local_concept_id": 9}
    changes = hospital.documents(
        {"patient": 1, "key": 1, "stay": 20, "facts": [a], "text": "fièvre ouverte"},
        {"patient": 1, "key": 2, "stay": 20, "facts": [a, b], "text": "fièvre protégée", "confidential": True},
        {"patient": 2, "key": 3, "stay": 21, "facts": [a], "text": "fièvre du séjour"},
        {"patient": 3, "key": 4, "stay": 22, "facts": [a], "text": "fièvre du patient"},
        {"patient": 2, "key": 5, "facts": [{"concept_id": 4}], "text": "fièvre codée"},
        {"patient": 2, "key": 6, "stay": 29, "facts": [{"concept_id": 5}], "text": "fièvre sans séjour"},
        {"patient": 2, "key": 7, "stay": 23, "facts": [{"concept_id": 5}], "text": "fièvre annulée"},
    )
    media = [{"document_id": d, "patient_id": p, "uri": "x"} for d, p in enumerate((1, 1, 2, 3, 2, 2, 2))]
    links = pa.table({"stay_id": [21, 20], "document_id": [4, 0], "kind": ["rss"] * 2, "patient_id": [2, 1]})
    events = rows("stay_event", [{"stay_id": s, "identity_id": 1} for s in (20, 21, 22)])
    changes.append |= {
        "media": rows("media", media), "stay_link": links, "concept": hospital.concepts(1, 2, 4, 5, 9),
        "stay_event": events.append_column("patient_id", pa.array([1, 2, 3], pa.int32())),
        "relation": rows("relation", [{"patient_id": 1, "other_id": 3, "kind": "twin"},
                                      {"patient_id": 1, "other_id": 2, "kind": "child"}]),
    }  # fmt: skip
    changes.upsert["patient"] = pa.concat_tables([hospital.patients(1, 2), hospital.patients(3, confidential=True)])
    changes.upsert["stay"] = pa.concat_tables(
        [hospital.stays((20, 1), (22, 3)), hospital.stays((21, 2), confidential=True),
         hospital.stays((23, 2), confidential=True, status="cancelled")]
    )  # fmt: skip
    changes.upsert["movement"] = rows(
        "movement", [{"movement_id": s, "stay_id": s, "patient_id": s - 19, "status": "active"} for s in (20, 21, 22)]
    )
    return changes


def filled(directory: Path) -> Warehouse:
    warehouse = fresh.warehouse(directory / "w", SMALL)
    with warehouse.writer() as writer:
        writer.commit(hospital_rows())
    return warehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return filled(tmp_path)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """The same, for tests that only read."""
    return filled(tmp_path_factory.mktemp("still"))


def column(snapshot: Snapshot, query: str) -> set[Any]:
    with snapshot.connect() as connection:
        return {row[0] for row in connection.execute(query).fetchall()}


def test_documents_and_what_hangs_from_them(still: Warehouse) -> None:
    research, care = still.snapshot(), still.snapshot(scope=Scope.CARE)
    for table in VIEWS:
        linked = table == "stay_link"
        assert column(research, f"SELECT document_id FROM {table}") == ({0} if linked else OPEN), table
        assert column(care, f"SELECT document_id FROM {table}") == ({0, 4} if linked else OPEN | CLOSED), table
        assert column(research, f"SELECT document_id FROM raw_{table}") >= ({4} if linked else CLOSED), table
    assert set(research.unseen_documents()) == set(research.unseen_documents(0)) == CLOSED - {3}
    assert not care.unseen_documents() and not care.unseen_documents(0) and not research.hidden_documents()


def test_patients_and_stays(still: Warehouse) -> None:
    research, care = still.snapshot(), still.snapshot(scope=Scope.CARE)
    assert (research.population(), care.population()) == (BitMap([1, 2]), BitMap([1, 2, 3]))
    assert (research.known_stays(), care.known_stays()) == (BitMap([20]), BitMap([20, 21, 22]))
    for table in ("stay", "movement", "stay_event"):
        assert column(research, f"SELECT stay_id FROM {table}") == {20}, table
        assert column(care, f"SELECT stay_id FROM {table}") == {20, 21, 22}, table
    assert column(research, "SELECT patient_id FROM patient") == {1, 2}
    assert column(research, "SELECT other_id FROM relation") == {2} and column(care, "SELECT other_id FROM relation") == {2, 3}


def test_the_short_ways_to_rows(still: Warehouse) -> None:
    research, care = still.snapshot(), still.snapshot(scope=Scope.CARE)
    for snapshot, facts, stays in ((research, [{0}, {5}, set()], [{20}, set(), set()]),
                                   (care, [{0, 1}, {2, 4, 5, 6}, {3}], [{20}, {21}, {22}])):  # fmt: skip
        for patient, documents, known in zip((1, 2, 3), facts, stays, strict=True):
            assert set(snapshot.patient_facts(patient).column("document_id").to_pylist()) == documents
            assert set(snapshot.patient_rows("document", patient).column("document_id").to_pylist()) == documents
            for table in ("stay", "movement"):
                assert set(snapshot.patient_rows(table, patient, ["stay_id"]).column(0).to_pylist()) == known
        sliced = snapshot.fact_slice([1, 2, 4, 5], 0, ["document_id"])
        assert set(sliced.column(0).to_pylist()) == set.union(*facts)


def test_texts(still: Warehouse) -> None:
    research, care = still.snapshot(), still.snapshot(scope=Scope.CARE)
    assert set(research.text.documents(parse("fièvre"))) == set(research.text.all_documents()) == OPEN
    assert set(care.text.documents(parse("fièvre"))) == OPEN | CLOSED
    assert set(research.text.patients(parse("fièvre"))) == {1, 2} and 3 in care.text.patients(parse("fièvre"))
    assert not research.text.documents(parse("protégée")) and care.text.documents(parse("protégée"))


def test_presence_loses_only_what_nothing_else_supports(still: Warehouse) -> None:
    research, care = still.snapshot().presence(0), still.snapshot(scope=Scope.CARE).presence(0)
    assert research.patients([1]) & BitMap([1, 2]) == BitMap([1]) and care.patients([1]) == BitMap([1, 2, 3])
    assert research.stays([1]) & BitMap([20, 21]) == BitMap([20]) and care.stays([1]) == BitMap([20, 21, 22])
    assert not research.patients([2, 9]) and not research.stays([2, 9])  # under the local code as under the standard
    assert care.patients([9]) == BitMap([1]) and care.stays([9]) == BitMap([20])
    assert research.patients([5]) == BitMap([2]) and not research.patients([4])
    assert research.held().tolist() == [1, 5] and care.held().tolist() == [1, 2, 4, 5, 9]
    assert research.pair(2) == (BitMap(), BitMap()) == research.pair(77) and care.pair(2) == (BitMap([1]), BitMap([20]))
    assert type(care) is Presence and still.snapshot().stored_presence(0) is care
    assert isinstance(research, ScopedPresence) and still.snapshot().presence(0) is research


def test_nothing_is_overlaid_where_nothing_is_confidential(loaded: Warehouse) -> None:
    snapshot = loaded.snapshot()
    assert all(type(snapshot.presence(bucket)) is Presence for bucket in (0, 1, 2, 7))
    assert not snapshot.closed().documents and not snapshot.unseen_documents()


def test_snapshots_are_kept_by_version_and_scope(warehouse: Warehouse) -> None:
    research, care = warehouse.snapshot(), warehouse.snapshot(scope=Scope.CARE)
    assert research is warehouse.snapshot() and care is warehouse.snapshot(scope=Scope.CARE) and research is not care
    assert (research.scope, care.scope, warehouse.snapshot(0, Scope.CARE).scope) == (Scope.RESEARCH, Scope.CARE, Scope.CARE)
    assert research.scoped(Scope.RESEARCH) is research and research.scoped(Scope.CARE).population() == care.population()
    with warehouse.writer() as writer:
        assert writer.snapshot.known_stays() == BitMap([20, 21, 22])  # who writes must know every stay
        assert writer.commit(Changes(counters={"load": 1})).known_stays() == BitMap([20])


def test_opposition_hides_in_scope_care_too(warehouse: Warehouse) -> None:
    opposed = [{"patient_id": p, "scope": "research", "kind": "opposition", "from_date": dt.date(2020, 1, 1)} for p in (1, 3)]
    with warehouse.writer() as writer:
        writer.commit(Changes(append={"permission": rows("permission", opposed)}))
    care = warehouse.snapshot(scope=Scope.CARE)
    assert care.population() == BitMap([2]) and care.opposed() == BitMap([1, 3])
    assert column(care, "SELECT DISTINCT patient_id FROM fact") == {2} == set(care.text.patients(parse("fièvre")))
    assert warehouse.snapshot().population() == BitMap([2]) and warehouse.check() == []


def test_the_stored_bitmaps_go_on_holding_everything(warehouse: Warehouse) -> None:
    hospital = Hospital(document=50)
    more = hospital.documents({"patient": 2, "key": 50, "facts": [{"concept_id": 1}, {"concept_id": 2}]})
    with warehouse.writer() as writer:
        writer.commit(more)
        snapshot = writer.commit(Changes(retire=more.retire, upsert={"stay": hospital.stays((21, 2))}))  # opened
    assert snapshot.stored_presence(0).patients([1]) == BitMap([1, 2, 3])
    assert snapshot.stored_presence(0).patients([9]) == BitMap([1])  # a commit wrote the bitmaps anew
    assert snapshot.known_stays() == BitMap([20, 21]) and set(snapshot.unseen_documents()) == {1, 6}
    assert warehouse.check() == []
    warehouse.compact()
    assert warehouse.check() == [] and set(warehouse.snapshot().unseen_documents()) == {1, 6}
    assert one(warehouse.snapshot(scope=Scope.CARE), "SELECT count(*) FROM text WHERE text LIKE 'fièvre%'") == 7


def test_an_erased_patient_leaves_confidential_documents_behind_no_more(warehouse: Warehouse) -> None:
    snapshot = warehouse.erase([2])
    assert column(snapshot, "SELECT document_id FROM raw_document") == {0, 1, 3} and warehouse.check() == []


def test_what_is_confidential_today_is_closed_in_older_snapshots(loaded: Warehouse, hospital: Hospital) -> None:
    newer = hospital.documents({"patient": 7, "key": 1, "stay": 7, "text": "corrigé", "confidential": True})
    old = newer.retire[0][0]
    newer.upsert = {"patient": hospital.patients(3, confidential=True), "stay": hospital.stays((4, 4), confidential=True)}
    with loaded.writer() as writer:
        writer.commit(newer)
    research, care = loaded.snapshot(1), loaded.snapshot(1, Scope.CARE)
    assert care.population() - research.population() == BitMap([3])
    assert care.known_stays() - research.known_stays() == BitMap([3, 4])
    assert old in care.text.all_documents() and old not in research.text.all_documents()
    assert one(research, "SELECT count(*) FROM document WHERE patient_id = 4") == 1 and loaded.check(1) == []


def test_check_says_what_is_shown_and_must_not(still: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    assert still.check() == []
    monkeypatch.setattr(Closed, "_flagged", lambda self, table, key: BitMap())
    monkeypatch.setattr(Closed, "documents", {})
    leaking = Snapshot(still.directory, still.settings, still.snapshot().record)
    assert {(f.code, f.where, f.count) for f in check.check(leaking)} == {
        ("confidential", "document_id", 4), ("confidential", "patient_id", 1), ("confidential", "stay_id", 1),
    }  # fmt: skip


def test_check_says_where_the_overlay_is_wrong(still: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScopedPresence, "lost", {})
    wrong = check.check(Snapshot(still.directory, still.settings, still.snapshot().record))
    assert {f.code for f in wrong} == {"confidential"} and {f.where for f in wrong} == {"bitmaps of bucket 0"}


# Any hospital

FACT = st.fixed_dictionaries({"concept_id": st.integers(0, 3), "local_concept_id": st.sampled_from([None, 4, 5]),
                              "context": st.sampled_from([0, 0, 0, 1])})  # fmt: skip
DOCUMENT = st.fixed_dictionaries({
    "patient": st.integers(0, 5), "key": st.integers(0, 3), "has_stay": st.booleans(),
    "confidential": st.sampled_from([False, False, True]), "status": st.sampled_from([0, 0, 0, 2]),
    "facts": st.lists(FACT, max_size=4), "text": st.just("fièvre"),
})  # fmt: skip
FLAGS = st.sets(st.integers(0, 5), max_size=3)


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.reuse, Phase.generate])
@given(loads=st.lists(st.lists(DOCUMENT, min_size=1, max_size=8), min_size=1, max_size=2), patients=FLAGS, stays=FLAGS)
def test_every_read_agrees_with_sql(loads: list[list[dict[str, Any]]], patients: set[int], stays: set[int]) -> None:
    with TemporaryDirectory() as directory:
        warehouse = fresh.warehouse(Path(directory) / "w", Settings(bucket_patients=3))
        hospital = Hospital()
        with warehouse.writer() as writer:
            people = [{"patient_id": i, "confidential": i in patients} for i in range(6)]
            places = [{"stay_id": i, "patient_id": i, "status": "active", "confidential": i in stays} for i in range(5)]
            writer.commit(Changes(upsert={"patient": rows("patient", people), "stay": rows("stay", places)},
                                  append={"concept": hospital.concepts(*range(6))}))  # fmt: skip
            for load in loads:
                writer.commit(hospital.documents(*_last_of_each(load)))
        for scope in Scope:
            _agree(warehouse.snapshot(scope=scope), patients, stays)
        assert warehouse.check() == []


def _last_of_each(load: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One version of a document per commit; stays are those of the patients."""
    last = {(document["patient"], document["key"]): document for document in load}
    return [{**document, "stay": document["patient"] if document["has_stay"] else None} for document in last.values()]


def _agree(snapshot: Snapshot, patients: set[int], stays: set[int]) -> None:
    """Stay 5 was never introduced: whatever one thinks of it, it closes nothing."""
    closed = (patients, stays - {5}) if snapshot.scope is Scope.RESEARCH else (set(), set())
    assert set(snapshot.population()) == set(range(6)) - closed[0]
    assert set(snapshot.known_stays()) == set(range(5)) - closed[0] - closed[1]
    flag = "NOT d.confidential" if snapshot.scope is Scope.RESEARCH else "true"
    hidden = ", ".join(map(str, [-1, *snapshot.hidden_documents()]))
    gone = [", ".join(map(str, [-1, *ids])) for ids in closed]
    visible = f"""FROM raw_document d WHERE {flag} AND document_id NOT IN ({hidden}) AND patient_id NOT IN ({gone[0]})
                  AND (stay_id IS NULL OR stay_id NOT IN ({gone[1]}))"""
    documents = column(snapshot, f"SELECT document_id {visible}")
    assert column(snapshot, "SELECT document_id FROM document") == documents == set(snapshot.text.all_documents())

    def pairs(member: str, facts: str) -> set[Any]:
        return column(snapshot, " UNION ".join(
            f"SELECT ({concept}, {member}) {facts} AND {concept} IS NOT NULL AND {member} IS NOT NULL AND "
            f"({member} < 5 OR '{member}' <> 'stay_id')" for concept in ("concept_id", "local_concept_id")))  # fmt: skip

    facts = f"FROM raw_fact WHERE document_id IN (SELECT document_id {visible}) AND {LIVE}"
    found = [snapshot.presence(bucket) for bucket in (0, 1)]
    people, known = snapshot.population(), snapshot.known_stays()
    assert {(c, p) for one in found for c in range(6) for p in one.patients([c]) & people} == pairs("patient_id", facts)
    assert {(c, s) for one in found for c in range(6) for s in one.stays([c]) & known} == pairs("stay_id", facts)
    for bucket in (0, 1):
        sliced = snapshot.fact_slice(range(6), bucket, ["concept_id", "document_id"]).to_pylist()
        assert {(row["concept_id"], row["document_id"]) for row in sliced} == column(
            snapshot, f"SELECT (concept_id, document_id) {facts} AND bucket = {bucket}"
        )
