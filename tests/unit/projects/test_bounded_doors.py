"""Every other door of the desk within a perimeter: what is about the whole site is closed, the rest reads inside."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pyroaring import BitMap
from tests.browser.small_site import Site
from tests.unit.opposing import oppose
from tests.unit.projects import bounded
from tests.unit.projects.bounded import PATIENTS, actor, written

from estran.cohort.language.text import parse
from estran.cohort.query import Everyone, IdList
from estran.model.errors import NotAllowed
from estran.model.perimeter import WHOLE, Perimeter
from estran.projects.actors import Actor, Role
from estran.projects.charts.export import Exporter
from estran.projects.charts.manager import Wanted
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.following import run_due
from estran.projects.registry import sheet
from estran.projects.rows import fetch
from estran.projects.screening import treats
from estran.projects.workspaces.spaces import provide
from estran.state import AuditFilter, ListRecord
from estran.state.transactions import now

MINE = Perimeter(wards=("CARD",))
HEART = parse("CIM10:I50")
FORM = 'name = "Heart"\ndocuments = ["discharge"]\n[[label]]\nid = "sign"\nlabel = "Sign"\n'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = written(tmp_path_factory.mktemp("doors"), bounded.rows())
    made.state.accounts.add("owner", "no password", "owner")
    yield made
    made.state.close()


@pytest.fixture(scope="module")
def room(site: Site) -> ReadingRoom:
    return ReadingRoom(site)


@pytest.fixture
def within(site: Site) -> Iterator[Callable[[Role, Perimeter], Actor]]:
    """Bounds somebody for one test."""
    yield lambda role, bounds: actor(site, role, bounds)
    for account in site.state.accounts.all():
        site.state.perimeters.put(account.id, WHOLE, "test")


Bounding = Callable[[Role, Perimeter], Actor]
CLOSED: dict[str, Callable[[Desk], object]] = {
    "catalogue": lambda desk: desk.steward.overview(),
    "variables": lambda desk: desk.steward.find("i"),
    "card": lambda desk: desk.steward.card("table", "fact"),
    "known problems": lambda desk: desk.steward.add_note("table", "fact", "late"),
    "curves": lambda desk: desk.steward.curves("ward"),
    "checks": lambda desk: desk.steward.results(1),
    "rows behind a check": lambda desk: desk.steward.behind("x"),
    "official figures": lambda desk: desk.steward.reconcile(),
    "stays behind a figure": lambda desk: desk.steward.behind_figure("2024-01", "stays", ""),
    "steering": lambda desk: desk.steward.steering("occupancy"),
    "datamarts": lambda desk: desk.datamarts.all(),
    "trace of a datamart": lambda desk: desk.datamarts.trace(Path("x.csv")),
    "rights": lambda desk: desk.rights.board(),
    "request of a patient": lambda desk: desk.rights.read(1),
    "review lists": lambda desk: desk.reviews.lists(),
    "disputes": lambda desk: desk.adjudicator.disputes(1),
    "audit": lambda desk: desk.officer.lines(AuditFilter()),
    "registry": lambda desk: sheet(desk._room.site, desk.actor),
    "workspace": lambda desk: provide(desk._room.site, desk.actor, "2026-001"),
}


def test_what_is_of_the_whole_site_or_found_by_others_is_closed(site: Site, room: ReadingRoom, within: Bounding) -> None:
    made = review_of(room, [0, 1])
    desk = Desk(room, within(Role.OWNER, MINE))
    for name, ask in CLOSED.items():
        with pytest.raises(NotAllowed, match="whole site"):
            ask(desk)
        line = site.state.audit.latest(1)[0]
        assert (line.login, line.allowed) == ("owner", False), name
    with pytest.raises(NotAllowed, match="whole site"):
        Exporter(room, desk.actor).forms(made.id, Path("x.csv"))


def review_of(room: ReadingRoom, patients: list[int]) -> ListRecord:
    """A list of these patients given to the clinician, by somebody who sees them all."""
    maker = Desk(room, actor(room.site, Role.DATA_ENGINEER))  # type: ignore[arg-type]
    name = f"list {len(room.site.state.charts.lists())}"
    version = maker.save(name, IdList(tuple(patients)), "")
    form = maker.reviews.add_form(FORM)
    return maker.reviews.make(Wanted(name, version.id, {"clinician": 1}, (), 1, True, form.id))


def test_a_reviewer_reads_those_of_the_list_who_are_inside(site: Site, room: ReadingRoom, within: Bounding) -> None:
    clinician = within(Role.CLINICIAN, MINE)
    inside = set(Desk(room, clinician)._view.snapshot.population())
    made = review_of(room, list(range(20)))
    listed = {one.patient_id for one in site.state.charts.patients(made.id)}
    desk = Desk(room, clinician).reviewer
    lines = desk.lines(made.id)[1]
    assert {line.patient_id for line in lines} == listed & inside < listed
    assert [one.given for one in desk.lists() if one.record.id == made.id] == [len(listed & inside)]
    outsider = min(listed - inside)
    for ask in (lambda: desk.open(made.id, outsider), lambda: desk.timeline(made.id, outsider),
                lambda: desk.decide(made.id, outsider, "include")):  # fmt: skip
        with pytest.raises(NotAllowed, match="within your perimeter"):
            ask()
        line = site.state.audit.latest(1)[0]
        assert (line.allowed, line.action, line.patients) == (False, "review", (outsider,))


def test_a_reviewer_reads_of_a_patient_what_is_inside(site: Site, room: ReadingRoom, within: Bounding) -> None:
    clinician = within(Role.CLINICIAN, MINE)
    view = room.view_of(clinician.bounded(site.state))
    rows = fetch(room.view().snapshot, "SELECT document_id, patient_id FROM document")
    seen = {row["document_id"] for row in fetch(view.snapshot, "SELECT document_id FROM document")}
    both = {row["patient_id"] for row in rows if row["document_id"] in seen}
    patient = next(p for p in sorted(both) if any(r["patient_id"] == p and r["document_id"] not in seen for r in rows))
    made = review_of(room, [patient])
    desk = Desk(room, clinician).reviewer
    opened = desk.open(made.id, patient)
    assert {one.document_id for one in opened.texts} <= seen
    assert opened.timeline == desk.timeline(made.id, patient) == view.timeline(patient) != room.view().timeline(patient)
    for row in rows:
        if row["patient_id"] == patient:
            found = desk.document(made.id, patient, row["document_id"])
            assert (found is not None) == (row["document_id"] in seen)
    hidden = [one for one in site.state.charts.texts(made.id) if one.document_id not in seen]
    assert all(desk.open_text(made.id, one.document_id).document is None for one in hidden)


def test_a_followed_question_is_asked_within_the_perimeter_of_its_owner_that_day(
    site: Site, room: ReadingRoom, within: Bounding
) -> None:
    desk = Desk(room, within(Role.METHODOLOGIST, MINE))
    number = desk.save("everybody", Everyone(), "").cohort_id
    desk.every_day.follow(number, "daily")

    def told() -> set[int]:
        (one,) = site.state.following.of([number]).values()
        site.state.following.ran(number, next_run=now() - dt.timedelta(1), version_id=one.version_id, members=one.members)
        assert run_due(room) == 1
        return set(BitMap.deserialize(site.state.following.of([number])[number].members))

    inside = set(desk._view.snapshot.population())
    site.state.following.ran(number, next_run=now() - dt.timedelta(1))
    run_due(room)
    assert told() == inside < set(range(PATIENTS))
    within(Role.METHODOLOGIST, Perimeter(patients=(min(inside),)))
    assert told() == {min(inside)}, "those outside now are forgotten"
    account = desk.actor.account_id or 0
    with site.state.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE perimeter SET value = 'x' WHERE account_id = ?", (account,))
    site.state.following.ran(number, next_run=now() - dt.timedelta(1))
    run_due(room)
    assert site.state.following.of([number]) == {}, "it is not asked again without knowing its bounds"


def test_a_shared_cohort_shows_no_total_counted_by_others(room: ReadingRoom, within: Bounding) -> None:
    owner = Desk(room, within(Role.DATA_ENGINEER, WHOLE))
    version = owner.save("shared", HEART, "")
    owner.every_day.share(version.cohort_id, "clinician", "")
    desk = Desk(room, within(Role.CLINICIAN, MINE))
    found = desk.version(version.id)
    assert found is not None and desk.saved_total(found[1]) is None
    assert owner.saved_total(version) is not None


@pytest.mark.parametrize(("bounds", "ward", "known"), [
    (Perimeter(wards=("CARD",)), "CARD", True), (Perimeter(facilities=("NORD",)), "DIAB", True),
    (Perimeter(facilities=("NORD",), wards=("URG",)), "URG", False), (Perimeter(wards=("CARD",)), "DIAB", False),
    (Perimeter(patients=(1,)), "CARD", False), (WHOLE, "CARD", False),
])  # fmt: skip
def test_a_perimeter_says_whom_one_treats(
    site: Site, within: Bounding, bounds: Perimeter, ward: str, known: bool
) -> None:
    clinician = within(Role.CLINICIAN, bounds).bounded(site.state)
    assert treats(site.snapshot(), clinician, ward).allowed is known


def test_a_use_that_a_patient_refuses_is_refused_within_a_perimeter_too(site: Site, room: ReadingRoom, within: Bounding) -> None:
    oppose(site.warehouse, 3, "teaching", site.snapshot().today())
    for bounds, others in ((WHOLE, PATIENTS), (Perimeter(patients=(2, 3)), 2)):
        teacher = within(Role.DATA_ENGINEER, bounds).bounded(site.state)
        assert 3 in room.view_of(teacher).snapshot.population()
        population = room.view_of(replace(teacher, role=Role.TEACHER)).snapshot.population()
        assert 3 not in population and len(population) == others - 1
