"""Wishes of patients: registered, obeyed by every read at once, told on to whoever holds a copy."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa
from pyroaring import BitMap
from tests.browser.small_site import Site, build

from estran.cohort.query import Everyone
from estran.keeping.rights import RightsKeeper
from estran.model.errors import NotAllowed, UsageError
from estran.model.tables import DOCUMENT, PERMISSION
from estran.projects import rights
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.opposition import Declared, declare
from estran.projects.registry import as_row, markdown, sheet
from estran.projects.rights_desk import Asked, RightsDesk, ask_publicly
from estran.projects.transparency import PublicCounts, public_projects, put
from estran.state import PublicProject, StateDatabase, Wish
from estran.state.requests import month_after
from estran.state.schema_rights import right_act, right_request, tombstone
from estran.warehouse import Changes, Warehouse

OFFICER = Actor("dpo", Role.DATA_PROTECTION_OFFICER)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = build(tmp_path_factory.mktemp("rights") / "site", patients=6)
    made.state.close()
    return made


@pytest.fixture
def site(built: Site, tmp_path: Path) -> Iterator[Site]:
    """A copy of it, to be changed."""
    folder = tmp_path / "site"
    shutil.copytree(built.folder, folder)
    warehouse = Warehouse.open(folder / built.warehouse.directory.name, built.settings)
    copy = Site(folder, built.settings, StateDatabase.open(folder / "state.sqlite"), warehouse)
    yield copy
    copy.state.close()


def wish(site: Site, scope: str = "research", **more: object) -> Declared:
    asked = Wish(0, scope, "opposition", site.snapshot().today())
    return declare(site.state, site.warehouse, OFFICER, dataclasses.replace(asked, **more))


def patients(site: Site, role: Role = Role.OWNER) -> BitMap:
    room = ReadingRoom(site)
    return Desk(room, Actor("x", role))._view.snapshot.population()


def test_an_act_is_audited_before_it_is_registered_and_gives_a_number_back(site: Site) -> None:
    done = wish(site, proof="classeur 3", proof_date=dt.date(2026, 1, 5), asked_by="guardian", channel="letter")
    (act,) = site.state.rights.acts([0])
    assert (act.number, act.snapshot, act.asked_by, act.login) == (done.number, done.snapshot, "guardian", "dpo")
    line = site.state.audit.latest(1)[0]
    assert (line.action, line.target, line.patients) == ("rights", "opposition:research", (0,))
    assert done.number.startswith("R20") and len(done.number) == 14


def test_every_read_hides_at_once_and_shows_again(site: Site) -> None:
    room = ReadingRoom(site)

    def seen() -> tuple[bool, bool, int, int]:
        desk = Desk(room, KEY_HOLDER)
        found = desk.search("orthopnée", {}, 5, 0).documents
        return desk.document(0) is not None, desk.timeline(0) is not None, desk.count(Everyone()).total.value, found.value if found else 0

    assert seen() == (True, True, 6, 1)
    wish(site)
    assert seen() == (False, False, 5, 0)
    wish(site, ends=True)
    assert seen() == (True, True, 6, 1)
    assert [act.ends for act in site.state.rights.acts([0])] == [False, True]


def test_the_register_only_grows(site: Site) -> None:
    wish(site)
    for statement in (right_act.update().values(scope="texts"), right_act.delete()):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), site.state.engine.begin() as connection:
            connection.execute(statement)


def test_the_same_wish_twice_is_two_acts_and_one_permission(site: Site) -> None:
    first, second = wish(site), wish(site)
    assert first.number != second.number and first.snapshot == second.snapshot
    wish(site, ends=True)
    wish(site)
    with site.snapshot().connect() as connection:
        rows = connection.execute("select to_date is null from raw_permission order by 1").fetchall()
    assert [row[0] for row in rows] == [False, True], "what was is kept beside what is"


def test_texts_alone_are_hidden(site: Site) -> None:
    desk = Desk(ReadingRoom(site), KEY_HOLDER)
    before = desk.document(0)
    wish(site, "texts")
    desk = Desk(ReadingRoom(site), KEY_HOLDER)
    after = desk.document(0)
    assert before and after and before[0].text and after[0].text == "" and after[0].facts == before[0].facts
    found = desk.search("orthopnée", {}, 5, 0).documents
    assert found is not None and found.value == 0
    assert site.snapshot().patient_rows("text", 0).num_rows == 0
    assert not [one for one in site.warehouse.check() if one.code == "text"]


def test_teaching_and_industry_hide_from_those_only(site: Site) -> None:
    wish(site, "teaching")
    wish(site, "industry", patient_id=1)
    assert patients(site) == BitMap(range(6))
    assert patients(site, Role.TEACHER) == BitMap([1, 2, 3, 4, 5])
    assert patients(site, Role.INDUSTRIAL_PARTNER) == BitMap([0, 2, 3, 4, 5])
    assert rights.excluded(site.snapshot(), ["industry", "project:7"]) == BitMap([1])


def test_genomic_documents_are_closed_until_a_consent(site: Site) -> None:
    with site.snapshot().connect() as connection:
        row = connection.sql("select * from raw_document where document_id = 0").to_arrow_table().to_pylist()[0]
    row = {name: row[name] for name in DOCUMENT.names} | {"document_id": 900_000, "record_key": 900_000, "kind": "genomics"}
    with site.warehouse.writer() as writer:
        writer.commit(Changes(append={"document": pa.Table.from_pylist([row], DOCUMENT)}, counters={"document": 900_001}))
    assert Desk(ReadingRoom(site), KEY_HOLDER).document(900_000) is None
    wish(site, "genetic", kind="consent")
    assert Desk(ReadingRoom(site), KEY_HOLDER).document(900_000) is not None
    wish(site, "genetic")
    assert Desk(ReadingRoom(site), KEY_HOLDER).document(900_000) is None, "an opposition is stronger than a consent"


@pytest.mark.parametrize("role", [Role.RESEARCHER, Role.DATA_ENGINEER, Role.ADMINISTRATOR, Role.AUDITOR, Role.VIEWER])
def test_who_may_not_registers_nothing(site: Site, role: Role) -> None:
    with pytest.raises(NotAllowed):
        declare(site.state, site.warehouse, Actor("x", role), Wish(0, "research", "opposition", dt.date.today()))
    assert site.state.rights.acts() == [] and not site.state.audit.latest(1)[0].allowed


@pytest.mark.parametrize("wrong", [{"scope": "everything"}, {"asked_by": "neighbour"}, {"patient_id": 77}, {"proof": "x" * 121}])
def test_what_cannot_be_asked_is_refused_with_a_sentence(site: Site, wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        wish(site, **wrong)
    assert site.state.rights.acts() == []


# Whoever holds a copy


def test_each_recipient_owes_obedience_within_its_time(site: Site) -> None:
    rights.register(site.state, "mart-7", "datamart", ["research", "project:7"], site.snapshot().version)
    rights.register(site.state, "hub-ouest", "hub", ["research"], site.snapshot().version)
    wish(site)
    wish(site, "project:7", patient_id=1)
    wish(site, "hub", patient_id=2)
    mart, hub = rights.due(site.state, "mart-7"), rights.due(site.state, "hub-ouest")
    assert [(one.patient_id, one.what) for one in mart] == [(0, "hide"), (1, "hide")]
    assert [(one.patient_id, one.what) for one in hub] == [(0, "hide"), (2, "hide")]
    at = site.state.rights.acts([0])[0].at
    assert (mart[0].deadline - at, hub[0].deadline - at) == (dt.timedelta(hours=1), dt.timedelta(hours=24))
    assert rights.acknowledge(site.state, "mart-7", [one.id for one in (*mart, *hub)], "3 rows removed") == 2, "its own only"
    assert rights.due(site.state, "mart-7") == () and len(rights.due(site.state, "hub-ouest")) == 2


def test_what_is_not_acknowledged_in_time_is_an_alarm(site: Site) -> None:
    rights.register(site.state, "mart", "datamart", ["research"], site.snapshot().version)
    wish(site)
    assert rights.standing(site.state).alarms == 0
    with site.state.engine.begin() as connection:
        connection.execute(tombstone.update().values(deadline=dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)))
    now = rights.standing(site.state)
    assert (now.alarms, now.holders[0].late, now.holders[0].waiting) == (1, 1, 1)
    told = RightsKeeper(site.state, site.warehouse).look()
    assert told == ["rights: mart is late with 1 wishes"]
    rights.acknowledge(site.state, "mart", [one.id for one in rights.due(site.state, "mart")])
    assert rights.standing(site.state).alarms == 0
    rights.end(site.state, "mart")
    assert rights.standing(site.state).holders == ()


def test_lifting_restores_only_who_is_not_opposed_otherwise(site: Site) -> None:
    rights.register(site.state, "mart", "datamart", ["research", "industry"], site.snapshot().version)
    wish(site, "research")
    wish(site, "industry")
    wish(site, "industry", ends=True)
    assert [one.what for one in rights.due(site.state, "mart")] == ["hide", "hide"]
    wish(site, "research", ends=True)
    assert [one.what for one in rights.due(site.state, "mart")] == ["hide", "hide", "restore"]


def test_a_copy_of_an_older_snapshot_learns_what_came_since(site: Site) -> None:
    before = site.snapshot().version
    wish(site)
    rights.register(site.state, "late", "datamart", ["research"], before)
    rights.register(site.state, "fresh", "datamart", ["research"], site.snapshot().version)
    assert len(rights.due(site.state, "late")) == 1 and rights.due(site.state, "fresh") == ()
    with pytest.raises(UsageError):
        rights.register(site.state, "x", "cupboard", [], 0)


def test_what_a_source_says_is_registered_and_told_on(site: Site) -> None:
    rights.register(site.state, "mart", "datamart", ["research"], site.snapshot().version)
    row = {"patient_id": 3, "scope": "research", "kind": "opposition", "from_date": site.snapshot().date}
    with site.warehouse.writer() as writer:
        writer.commit(Changes(append={"permission": pa.Table.from_pylist([row], PERMISSION)}))
    keeper = RightsKeeper(site.state, site.warehouse)
    assert keeper.look() == ["rights: 1 wishes registered that sources told"]
    assert keeper.look() == [] and rights.catch_up(site.state, site.snapshot()) == 0
    (act,) = site.state.rights.acts([3])
    assert (act.asked_by, act.channel) == ("source", "feed") and (3,) in [line.patients for line in site.state.audit.latest(5)]
    assert [one.patient_id for one in rights.due(site.state, "mart")] == [3]


def test_an_act_that_was_interrupted_is_finished(site: Site) -> None:
    site.state.rights.declare(Wish(0, "research", "opposition", site.snapshot().date), "dpo")  # and the process dies
    assert rights.standing(site.state).alarms == 1 and 0 in site.snapshot().population()
    assert RightsKeeper(site.state, site.warehouse).look()[0].endswith("carried out")
    assert 0 not in site.snapshot().population() and rights.standing(site.state).alarms == 0


# Requests


def test_a_public_request_is_sealed_followed_and_forgotten(site: Site) -> None:
    number = ask_publicly(site.state, "access", "warehouse", {"name": "Yseult  Dupratelle", "contact": "y@x.fr", "message": "où ?"})
    desk = RightsDesk(site.state, OFFICER)
    (asked,) = desk.board().open
    assert asked.number == number and asked.due == month_after(asked.asked)
    with site.state.engine.connect() as connection:
        assert b"Dupratelle" not in connection.execute(sa.select(right_request.c.sealed)).scalar_one()
    assert all("Dupratelle" not in f"{line.target}{line.query}{line.reason}" for line in site.state.audit.latest(50))
    found = desk.read(asked.id)
    assert found is not None and found.said["name"] == "Yseult Dupratelle" and not found.ready
    desk.close(asked.id, "Copie envoyée.")
    again = desk.read(asked.id)
    assert again is not None and dict(again.said) == {} and again.request.outcome == "Copie envoyée."
    with pytest.raises(UsageError):
        desk.close(asked.id, "encore")


def test_a_request_past_its_month_is_late(site: Site) -> None:
    made = RightsDesk(site.state, OFFICER).enter(Asked("access"))
    with site.state.engine.begin() as connection:
        connection.execute(right_request.update().values(due=dt.datetime.now(dt.UTC) - dt.timedelta(days=1)))
    assert rights.standing(site.state).late_requests == 1
    RightsDesk(site.state, OFFICER).close(made.id, "ok")
    assert rights.standing(site.state).late_requests == 0


def test_a_legal_month_ends_on_the_last_day_of_a_shorter_one() -> None:
    assert month_after(dt.datetime(2026, 1, 31)) == dt.datetime(2026, 2, 28)
    assert month_after(dt.datetime(2026, 12, 5)) == dt.datetime(2027, 1, 5)


def test_the_number_to_be_found_is_in_no_row_in_clear(site: Site) -> None:
    made = RightsDesk(site.state, OFFICER).enter(Asked("opposition", number="8001234"))
    assert site.state.requests.wanted(made.id) == ("", "8001234")
    with site.state.engine.connect() as connection:
        rows = [*connection.execute(sa.select(right_request)), *connection.execute(sa.text("select * from job"))]
    assert not any(b"8001234" in (v if isinstance(v, bytes) else str(v).encode()) for row in rows for v in row)
    assert not any("8001234" in line.target for line in site.state.audit.latest(20))


@pytest.mark.parametrize("role", [Role.DATA_ENGINEER, Role.AUDITOR, Role.CLINICIAN])
def test_others_do_not_read_requests(site: Site, role: Role) -> None:
    desk = RightsDesk(site.state, Actor("x", role))
    for act in (desk.board, lambda: desk.read(1), lambda: desk.enter(Asked("access")), lambda: desk.find(1, "", "7")):
        with pytest.raises(NotAllowed):
            act()


# What the public and the authority are told


PROJECT = PublicProject("P1", "Cœur et rein", "Comprendre la décompensation", "MR-004", "open")


def test_the_public_is_told_projects_and_protected_counts(site: Site) -> None:
    put(site.state, KEY_HOLDER, PROJECT)
    assert public_projects(site) == (PROJECT,)
    with pytest.raises(UsageError):
        put(site.state, KEY_HOLDER, dataclasses.replace(PROJECT, legal_basis=" "))
    with pytest.raises(NotAllowed):
        put(site.state, Actor("x", Role.RESEARCHER), PROJECT)
    counts, before = PublicCounts(site), site.state.audit.last()
    assert counts.held().patients.below == 10, "six patients are fewer than ten, and no more is said"
    counts.held()
    assert site.state.audit.last() == before + 1, "counted once per snapshot, recorded once"


def test_nothing_is_met_without_a_measure(site: Site) -> None:
    def verdicts() -> dict[str, str]:
        return {f"{one.requirement} {one.topic}": str(one.verdict) for one in sheet(site, OFFICER).checklist}

    first = verdicts()
    assert first["R1 Second factor"] == "not met" and first["R12 Genetic data closed by default"] == "met"
    assert first["R12 Opposed patients are not read"] == "for the hospital to state", "nobody is opposed"
    assert first["R10 No match with the national claims base"] == first["R3 Encrypted volumes"] == "for the hospital to state"
    assert {name.split()[0] for name in first} == {f"R{n}" for n in range(1, 17)}
    wish(site)
    site.settings = dataclasses.replace(site.settings, second_factor="required", genetic_data="open", audit_months=24, disk_encryption="LUKS")
    second = verdicts()
    assert second["R12 Opposed patients are not read"] == second["R1 Second factor"] == "met"
    assert second["R12 Genetic data closed by default"] == second["R8 Kept 6 to 12 months"] == "not met"
    assert second["R3 Encrypted volumes"] == "for the hospital to state", "a statement is no measure"


def test_the_sheet_has_every_section_and_is_for_the_officer(site: Site) -> None:
    put(site.state, KEY_HOLDER, PROJECT)
    page = markdown(sheet(site, OFFICER))
    assert "Cœur et rein: Comprendre" in page and "## Transfers\n\n- For the hospital to state." in page
    row = as_row(sheet(site, OFFICER))
    assert sum(row["counts"].values()) == len(row["checklist"])
    with pytest.raises(NotAllowed):
        sheet(site, Actor("x", Role.DATA_ENGINEER))
