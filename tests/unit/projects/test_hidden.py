"""What no desk may show: opposition, and what is confidential."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from tests.browser.small_site import Site, build

from estran.cohort.query import Everyone
from estran.model.tables import PATIENT, PERMISSION
from estran.projects.actors import KEY_HOLDER
from estran.projects.desk import Desk, ReadingRoom
from estran.warehouse import Changes


def commit(site: Site, changes: Changes) -> None:
    with site.warehouse.writer() as writer:
        writer.commit(changes)


def test_an_opposed_patient_disappears_from_every_page(tmp_path: Path) -> None:
    site = build(tmp_path, patients=6)
    room = ReadingRoom(site)
    assert Desk(room, KEY_HOLDER).document(0) is not None
    row = {"patient_id": 0, "scope": "warehouse", "kind": "opposition", "from_date": site.snapshot().date}
    commit(site, Changes(append={"permission": pa.Table.from_pylist([row], PERMISSION)}))
    desk = Desk(room, KEY_HOLDER)
    assert desk.holdings().patients.value == 5
    assert desk.document(0) is None
    assert desk.timeline(0) is None
    assert desk.count(Everyone()).total.value == 5
    assert desk.search("orthopnée", {}, 5, 0).documents.value == 0
    site.state.close()


def test_a_confidential_patient_is_not_read(tmp_path: Path) -> None:
    site = build(tmp_path, patients=6)
    row = {"patient_id": 0, "sex": "female", "staff": False, "confidential": True}
    commit(site, Changes(upsert={"patient": pa.Table.from_pylist([row], PATIENT)}))
    desk = Desk(ReadingRoom(site), KEY_HOLDER)
    assert desk.document(0) is None
    assert desk.timeline(0) is None
    assert desk.search("orthopnée", {}, 5, 0).documents.value == 0
    assert desk.evidence(Everyone(), 0) == {}
    assert desk.patients(Everyone(), 10, 0).total == 5
    assert 0 not in [p.patient_id for p in desk.patients(Everyone(), 10, 0).patients]
    site.state.close()
