"""Words, areas and families: what is shown, and what is written before it is read."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator

import numpy as np
import pytest
from tests.browser.small_site import Site
from tests.unit.opposing import oppose
from tests.unit.projects.explored import area_of, explored

from estran.cohort.language.text import parse
from estran.model.errors import NotAllowed
from estran.model.perimeter import WHOLE, Perimeter
from estran.portal.pedigree import pedigree
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.cloud import SIZES, WORDS, log_odds
from estran.projects.desk import Desk, ReadingRoom

EVERYBODY, HEARTS = "âge >= 0", "CIM10:I50"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built = explored(tmp_path_factory.mktemp("explored"), patients=160)
    yield built
    built.state.close()


def desk(site: Site, role: Role | None = None) -> Desk:
    if role is None:
        return Desk(ReadingRoom(site), KEY_HOLDER)
    account = site.state.accounts.find(str(role))
    assert account
    return Desk(ReadingRoom(site), Actor.of(account))


def test_log_odds_are_those_of_the_paper() -> None:
    """By hand, for 40 of 50 inside and 60 of 950 outside: prior 10 x 0.1 = 1."""
    inside, outside = np.array([40.0]), np.array([60.0])
    delta = np.log(41 / (50 + 9 - 40)) - np.log(61 / (950 + 9 - 60))
    assert log_odds(inside, outside, (50, 950))[0] == pytest.approx(delta / np.sqrt(1 / 41 + 1 / 61))
    alike = log_odds(np.array([5.0]), np.array([95.0]), (50, 950))[0]
    assert abs(alike) < 0.01


def test_the_words_of_a_cohort_are_what_sets_it_apart(site: Site) -> None:
    found = desk(site).explorer.portrait(parse(HEARTS), words=True).words
    assert found
    codes = [word.concept.code for word in found]
    assert "33762-6" in codes[:3], "NT-proBNP is measured in hearts only"
    assert "I50" not in codes, "what the question names says nothing"
    assert [word.weight for word in found] == sorted((word.weight for word in found), reverse=True)
    assert found[0].size == SIZES and len(found) <= WORDS


@pytest.mark.parametrize("perimeter", [WHOLE, Perimeter(wards=("CARD",)), Perimeter(kinds=("laboratory",), since=dt.date(2022, 1, 1))])
def test_words_count_what_a_question_counts(site: Site, perimeter: Perimeter) -> None:
    """Within a perimeter too, where a pair of bitmaps is made anew."""
    view = ReadingRoom(site).view(perimeter=perimeter)
    for code in ("LOINC:2160-0", "LOINC:33762-6", "CIM10:I10", "CIM10:I50.0"):
        (number,) = view.snapshot.concept_ids(*code.split(":"))
        asked = view.answers.run(parse(code)).patients
        assert view.prevalence.of(number) == len(asked) and view.prevalence.patients(number) == asked


def test_words_of_a_cohort_are_told_as_the_gate_would_tell_them(site: Site) -> None:
    mine = desk(site, Role.RESEARCHER)
    words = mine.explorer.portrait(parse(HEARTS), words=True).words or ()
    assert words
    first = next(word for word in words if word.concept.vocabulary == "LOINC")
    assert mine.count(parse(f"{HEARTS} ET LOINC:{first.concept.code}")).total == first.inside, "the answer to that question"
    again = mine.explorer.portrait(parse(HEARTS), words=True).words
    assert again == words, "asking again tells nothing new"


def test_a_quota_used_up_closes_pictures_too(site: Site) -> None:
    settings = site.settings
    site.settings = dataclasses.replace(settings, count_quota=1)
    try:
        mine = desk(site, Role.TEACHER)
        mine.explorer.portrait(parse(HEARTS), words=False)
        with pytest.raises(NotAllowed, match="used up your questions"):
            mine.explorer.portrait(parse(EVERYBODY), words=True)
    finally:
        site.settings = settings


def test_areas_add_up_for_the_key_holder_and_hide_the_small_ones_from_others(site: Site) -> None:
    everybody = site.snapshot().population()
    exact = desk(site).explorer.portrait(parse(EVERYBODY), words=False).areas
    assert {part: shown.value for part, shown in exact.told if shown.value} == {
        name: count for name in ("35", "29", "22", "elsewhere", "unknown")
        if (count := sum({None: "unknown", "99": "elsewhere"}.get(area_of(p), area_of(p)) == name for p in everybody))
    }  # fmt: skip
    shown = desk(site, Role.RESEARCHER).explorer.portrait(parse(EVERYBODY), words=False).areas
    assert len(shown.parts) == 103
    assert shown.parts["22"] is None and shown.parts["unknown"] is None and shown.parts["974"] is None
    assert [part for part, _ in shown.told] in (["35"], ["35", "29"])


def test_a_family_is_drawn_over_its_generations(site: Site) -> None:
    family = desk(site).explorer.family(22)
    assert family
    assert {m.line.patient_id: m.kinship for m in family.members} == {
        22: "self", 20: "grandmother", 21: "mother", 23: "twin", 24: "sibling",
    }  # fmt: skip
    drawing = pedigree(family)
    place = {one.member.line.patient_id: one for one in drawing.symbols}
    assert place[20].y < place[21].y < place[22].y == place[23].y == place[24].y
    assert {n: place[n].shape for n in (20, 22, 24)} == {20: "circle", 22: "square", 24: "diamond"}
    assert len({one.x for n, one in place.items() if n > 21}) == 3
    assert abs(place[22].x - place[23].x) == 104, "twins side by side"
    assert len(drawing.unsure) == 1


def test_twins_without_a_mother_and_people_without_a_family(site: Site) -> None:
    twins = desk(site).explorer.family(31)
    assert twins and [m.kinship for m in twins.members] == ["self", "twin"]
    drawing = pedigree(twins)
    assert len({one.y for one in drawing.symbols}) == 1 and len(drawing.unsure) == 1
    assert desk(site).explorer.family(5) is None


def test_relatives_are_named_in_the_trail_and_refused_to_who_reads_no_record(site: Site) -> None:
    desk(site, Role.DATA_ENGINEER).explorer.family(20)
    assert site.state.audit.latest(1)[0].patients == (20, 21, 22, 23, 24)
    with pytest.raises(NotAllowed):
        desk(site, Role.RESEARCHER).explorer.family(20)
    assert not site.state.audit.latest(1)[0].allowed


def test_a_patient_is_told_by_what_is_rare_in_the_site(site: Site) -> None:
    mine = desk(site)
    found = mine.timeline(0)
    assert found
    words = mine.explorer.words(found)
    rarest = {word.concept.code for word in words[:2]}
    assert rarest == {"C03CA01", "DZQM006"}, "two patients of the site have them"
    days = {word.concept.code: word.inside.value for word in words}
    assert days["I50.0"] == 2, "on two days"
    assert all(1 <= word.size <= SIZES for word in words)


def test_who_opposed_is_in_no_family(tmp_path_factory: pytest.TempPathFactory) -> None:
    other = explored(tmp_path_factory.mktemp("opposed"))
    oppose(other.warehouse, 21, "research", other.snapshot().date)
    family = desk(other).explorer.family(22)
    assert family and {m.line.patient_id for m in family.members} == {22, 23}
    other.state.close()
