"""Breaking the glass: one record, a reason, a while; recorded first, told to the officer, in each review."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.browser.small_site import Site
from tests.unit.projects import bounded
from tests.unit.projects.bounded import actor, written

from estran.model.errors import NotAllowed, UsageError
from estran.model.perimeter import Perimeter
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.officer import Officer
from estran.projects.policy import Action, decide
from estran.projects.tokens import OFFERED
from estran.projects.unusual import look

REASON = "Seen tonight in the emergency ward with chest pain."
BOUNDS = Perimeter(patients=(0,))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = written(tmp_path_factory.mktemp("care"), bounded.rows())
    yield made
    made.state.close()


@pytest.fixture(scope="module")
def room(site: Site) -> ReadingRoom:
    return ReadingRoom(site)


@pytest.fixture
def clinician(room: ReadingRoom) -> Desk:
    desk = Desk(room, actor(room.site, Role.CLINICIAN, BOUNDS))  # type: ignore[arg-type]
    desk.care.close()
    return desk


def test_a_record_opens_whole_and_closes(clinician: Desk, room: ReadingRoom) -> None:
    with pytest.raises(NotAllowed):
        clinician.timeline(5)
    clinician.care.open(5, REASON)
    whole = Desk(room, KEY_HOLDER).timeline(5)
    assert clinician.timeline(5) == whole
    assert whole is not None
    document = next(e.document_id for e in whole.events if e.document_id is not None)
    assert clinician.document(document) == Desk(room, KEY_HOLDER).document(document)
    clinician.care.close()
    for ask in (lambda: clinician.timeline(5), lambda: clinician.document(document)):
        with pytest.raises(NotAllowed):
            ask()


def test_only_one_record_is_open_at_a_time_and_nothing_else_widens(clinician: Desk) -> None:
    before = clinician.holdings()
    clinician.care.open(5, REASON)
    clinician.care.open(6, REASON)
    assert clinician.timeline(6) is not None
    with pytest.raises(NotAllowed):
        clinician.timeline(5)
    assert clinician.holdings() == before
    assert [
        hit.document.patient_id for hit in clinician.search("dyspnée", {}, 50, 0).hits if hit.document.patient_id != 0
    ] == []


def test_it_is_recorded_before_it_opens_and_at_each_read(clinician: Desk, site: Site) -> None:
    with pytest.raises(UsageError, match="in a sentence"):
        clinician.care.open(7, "urgent")
    tried = site.state.audit.latest(1)[0]
    assert (tried.action, tried.target, tried.query, tried.patients) == ("care", "open patient:7", "urgent", (7,))
    assert clinician.care.current() is None
    clinician.care.open(7, REASON)
    clinician.timeline(7)
    read, opened = site.state.audit.latest(2)
    assert (opened.target, opened.query, opened.allowed) == ("open patient:7", REASON, True)
    assert (read.action, read.target, read.patients) == ("care", "patient:7", (7,))


def test_it_closes_by_itself(clinician: Desk, site: Site) -> None:
    account = clinician.actor.account_id
    assert account is not None
    site.state.openings.open(account, 5, REASON, dt.timedelta(seconds=-1))
    assert clinician.care.current() is None
    with pytest.raises(NotAllowed):
        clinician.timeline(5)


def test_one_person_s_opening_opens_nothing_to_another(clinician: Desk, room: ReadingRoom, site: Site) -> None:
    clinician.care.open(5, REASON)
    with pytest.raises(NotAllowed):
        Desk(room, actor(site, Role.DATA_ENGINEER, BOUNDS)).timeline(5)
    actor(site, Role.DATA_ENGINEER, Perimeter())


@pytest.mark.parametrize("patient", [10_000, -1, 2**40])
def test_nobody_is_opened_who_is_not_there(clinician: Desk, patient: int) -> None:
    with pytest.raises(UsageError, match="no such patient"):
        clinician.care.open(patient, REASON)


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.CLINICIAN, Role.OWNER)])
def test_only_clinicians_within_a_perimeter_open_records(role: Role) -> None:
    assert not decide(Actor("x", role, 1, perimeter=BOUNDS), Action.CARE).allowed
    assert not decide(Actor("x", Role.CLINICIAN, 1), Action.CARE).allowed
    assert Action.CARE not in OFFERED, "no token reaches it"


def test_the_officer_sees_and_acknowledges_each_opening_and_reviews_name_them(clinician: Desk, site: Site) -> None:
    clinician.care.open(9, REASON)
    officer = Officer(site, KEY_HOLDER)
    newest = officer.openings()[0]
    assert (newest.login, newest.patient_id, newest.reason, newest.acknowledged) == ("clinician", 9, REASON, None)
    officer.acknowledge_opening(newest.id)
    with pytest.raises(UsageError, match="waits"):
        officer.acknowledge_opening(newest.id)
    assert next(o for o in officer.openings() if o.id == newest.id).acknowledged_by == "key-holder"
    moment = dt.datetime.now(dt.UTC)
    found = look(site, moment - dt.timedelta(days=1), moment + dt.timedelta(minutes=1)).findings
    assert [(f.rule, f.login) for f in found if f.rule == "opened_for_care"] == [("opened_for_care", "clinician")]
    quiet = replace(site, settings=replace(site.settings, audit_care_openings=10_000))
    assert "opened_for_care" not in {f.rule for f in look(quiet, moment - dt.timedelta(days=1), moment).findings}
