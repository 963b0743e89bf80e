"""The desk on a real small site: what is asked is decided, recorded, answered and gated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pyroaring import BitMap
from tests.browser.small_site import MANY_EVENTS, Site, build

from estran.cohort.language.text import parse
from estran.cohort.query import And, CohortRef, Everyone, IdList, Not
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.gate import ProtectedGate, Shown, rules_of
from estran.projects.patients import LANES

HEART = parse("CIM10:I50")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built = build(tmp_path_factory.mktemp("site"), patients=60)
    yield built
    built.state.close()


@pytest.fixture(scope="module")
def room(site: Site) -> ReadingRoom:
    return ReadingRoom(site)


@pytest.fixture
def desk(room: ReadingRoom) -> Desk:
    return desk_of(room, Role.DATA_ENGINEER)


@pytest.fixture
def owner(room: ReadingRoom) -> Desk:
    """The key holder's, where counts are exact."""
    return Desk(room, KEY_HOLDER)


def desk_of(room: ReadingRoom, role: Role) -> Desk:
    account = room.site.state.accounts.find(str(role))
    assert account
    return Desk(room, Actor.of(account))


def test_holdings_are_totals_of_the_snapshot(owner: Desk) -> None:
    held = owner.holdings()
    assert held.patients == Shown(60)
    assert {s.source for s in held.sources} == {"report", "hl7v2/labo", "fhir", "hl7v2/pmsi"}
    labo = next(s for s in held.sources if s.source == "hl7v2/labo")
    assert (labo.read, labo.loaded + labo.superseded + labo.quarantined, labo.waiting) == (5210, 5210, 12)
    assert sum(n.value for _, n in held.kinds) == held.documents.value


def test_codes_are_found_by_label_code_and_without_accents(owner: Desk) -> None:
    assert [c.concept.code for c in owner.concepts("insuf card")] == ["I50", "I50.0"]
    assert owner.concepts("creat")[0].concept.label("en") == "Creatinine"
    assert owner.concepts("i50.1")[0].patients.value >= 0
    assert owner.concepts("heart fail")[0].concept.code == "I50"
    assert owner.concepts("nothing of the kind") == []
    most = owner.concepts("")
    assert most[0].patients.value >= most[-1].patients.value > 0


def test_a_code_counts_what_is_below_it(owner: Desk) -> None:
    offered = {c.concept.code: c.patients.value for c in owner.concepts("insuffisance")}
    assert owner.count(HEART).total.value == offered["I50"]


def test_counts_by_node_steps_and_breakdowns_agree(owner: Desk) -> None:
    counted = owner.count(parse("CIM10:I50 sauf CIM10:E11"))
    assert counted.counts["0.0"].value + 0 == counted.steps[1].left.value
    assert counted.steps[0].left == counted.population == Shown(60)
    assert counted.steps[-1].left == counted.total
    assert counted.steps[1].gone.value == 60 - counted.steps[1].left.value
    assert sum(n.value for n in counted.women + counted.men) == counted.total.value
    assert sum(n.value for _, n in counted.years) == counted.total.value


@pytest.mark.parametrize("role", [Role.RESEARCHER, Role.DATA_ENGINEER])
def test_every_number_is_gated_at_the_portal(room: ReadingRoom, role: Role) -> None:
    question = parse("CIM10:I50 sauf CIM10:E11")
    counted, again = (desk_of(room, role).count(question) for _ in range(2))
    numbers = [counted.total, counted.population, *counted.counts.values(), *counted.women, *counted.men]
    numbers += [s.left for s in counted.steps] + [n for _, n in counted.years]
    assert all(n.below == 10 or (n.value % 5 == 0 and n.value >= 10 and n.margin == 32) for n in numbers)
    assert (counted.total, counted.women, counted.years) == (again.total, again.women, again.years)


def test_a_cohort_and_the_cohort_without_one_patient_are_shown_alike(room: ReadingRoom) -> None:
    desk = desk_of(room, Role.DATA_ENGINEER)
    whole, without = desk.count(Everyone()), desk.count(And((Everyone(), Not(IdList((7,))))))
    assert (whole.total, whole.women, whole.men) == (without.total, without.women, without.men)


def test_a_used_up_quota_ends_the_counting(room: ReadingRoom) -> None:
    rules = replace(rules_of(room.site.settings), quota=3)
    account = room.site.state.accounts.find("clinician")
    assert account
    gate = ProtectedGate(room.site.state, rules, account.id)
    for first in range(0, 60, 20):
        gate.answers({"": BitMap(range(first, first + 20))})
    with pytest.raises(NotAllowed, match="used up"):
        gate.answers({"": BitMap(range(30))})


def test_a_researcher_may_not_ask_about_listed_patients(room: ReadingRoom) -> None:
    for query in (IdList((0,)), Not(IdList((0,)))):
        with pytest.raises(NotAllowed, match="listed patients"):
            desk_of(room, Role.RESEARCHER).count(query)


def test_the_question_is_recorded_before_it_runs(desk: Desk, site: Site) -> None:
    unknown = CohortRef("nobody saved this")
    with pytest.raises(UsageError, match="no saved cohort"):
        desk.count(unknown)
    desk.count(HEART)
    entry = site.state.audit.latest(1)[0]
    assert (entry.action, entry.allowed, entry.snapshot) == ("count", True, 1)
    assert '"I50"' in entry.query


def test_a_saved_cohort_can_be_named_in_another(desk: Desk) -> None:
    saved = desk.save("  Insuffisance   cardiaque ", HEART, "première")
    assert desk.saved_total(saved) == desk.count(HEART).total
    assert desk.count(CohortRef("Insuffisance cardiaque")).total == desk.count(HEART).total
    again = desk.save("Insuffisance cardiaque", CohortRef("Insuffisance cardiaque"), "")
    assert again.number == 2
    with pytest.raises(UsageError, match="circle"):
        desk.count(CohortRef("Insuffisance cardiaque"))
    cohort = desk.cohorts()[0]
    desk.archive(cohort.id)
    assert desk.cohorts() == []


def test_a_saved_version_is_opened_by_its_owner_and_the_data_centre(room: ReadingRoom) -> None:
    version = desk_of(room, Role.RESEARCHER).save("mine", HEART, "")
    with pytest.raises(NotAllowed, match="another person"):
        desk_of(room, Role.CLINICIAN).version(version.id)
    assert desk_of(room, Role.DATA_ENGINEER).version(version.id) is not None
    with pytest.raises(UsageError, match="no such cohort"):
        desk_of(room, Role.CLINICIAN).archive(version.cohort_id)
    assert desk_of(room, Role.DATA_ENGINEER).version(99_999) is None


def test_the_key_holder_has_no_shelf(room: ReadingRoom) -> None:
    desk = Desk(room, KEY_HOLDER)
    assert desk.cohorts() == []
    assert desk.draft() is None
    with pytest.raises(UsageError, match="under an account"):
        desk.save("x", HEART, "")


def test_patients_are_listed_with_their_evidence(room: ReadingRoom, desk: Desk) -> None:
    page = desk.patients(HEART, limit=5, offset=0)
    assert page.total == Desk(room, KEY_HOLDER).count(HEART).total.value
    first = page.patients[0]
    assert first.patient_id == 0
    lines = desk.evidence(HEART, 0)["0"]
    assert lines
    assert lines[0].label_en == "Congestive heart failure"
    assert desk.patients(Everyone(), 10, 55).total == 60


def test_search_gives_hits_facets_and_totals(desk: Desk) -> None:
    found = desk.search("insuffisance cardiaque", {}, 5, 0)
    assert len(found.hits) == 5
    assert found.documents
    assert found.pages == -(-found.documents.value // 5)
    assert sum(f.documents.value for f in found.facets["kind"] if f.documents) == found.documents.value
    one = desk.search("insuffisance cardiaque", {"kind": "consultation", "sex": "male"}, 5, 0)
    assert one.documents
    assert one.documents.value < found.documents.value
    assert desk.search("insufisance", {}, 5, 0).unknown[0].suggestions[0].word == "insuffisance"
    with pytest.raises(UsageError):
        desk.search("a", {"year": "now"}, 5, 0)


def test_search_without_the_right_to_read_counts_only(room: ReadingRoom) -> None:
    found = desk_of(room, Role.RESEARCHER).search("insuffisance", {}, 5, 10)
    assert found.hits == ()
    assert not found.readable
    assert found.documents is None
    assert found.patients.below or found.patients.margin
    assert all(f.documents is None for facet in found.facets.values() for f in facet)


def test_a_document_with_its_facts_marks_and_neighbours(desk: Desk) -> None:
    found = desk.document(0, "dyspnée orthopnee")
    assert found
    document, pieces = found
    assert [p.text for p in pieces if p.marked] == ["Dyspnée", "orthopnée", "dyspnée"]
    assert "".join(p.text for p in pieces) == document.text
    creatinine = next(f for f in document.facts if f.concept.code == "2160-0")
    assert (creatinine.out, creatinine.unit, creatinine.low) == (1, "umol/L", 45.0)
    assert document.age == 69
    assert document.previous is not None
    assert document.following is not None
    assert [v.current for v in document.versions] == [True]
    assert desk.document(10_000_000) is None


def test_a_search_that_cannot_be_read_marks_nothing(desk: Desk) -> None:
    found = desk.document(0, '"dyspnée')
    assert found
    assert not any(piece.marked for piece in found[1])


def test_a_timeline_holds_everything_in_order(desk: Desk) -> None:
    found = desk.timeline(1)
    assert found
    assert len(found.events) >= MANY_EVENTS
    dates = [e.start.date for e in found.events]
    assert dates == sorted(dates)
    assert {LANES[e.lane] for e in found.events} == set(LANES)
    assert desk.timeline(10_000) is None


def test_units_of_values_are_those_of_the_data(desk: Desk) -> None:
    assert desk.value_units([("LOINC", "2160-0")]) == ("umol/L",)
    assert desk.value_units([("LOINC", "none")]) == ()
