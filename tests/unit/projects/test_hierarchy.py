"""The tree of codes: level by level, every code listed, counts through the gate and the same as the picker's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.browser.small_site import Site, build

from estran.model.errors import NotAllowed
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.desk import Desk, ReadingRoom


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built = build(tmp_path_factory.mktemp("site"), patients=60)
    yield built
    built.state.close()


def test_levels_hold_what_is_directly_below(site: Site) -> None:
    desk = Desk(ReadingRoom(site), KEY_HOLDER)
    assert desk.vocabularies() == (("CIM10", 8), ("ATC", 2), ("CCAM", 1), ("LOINC", 5)), "those with a hierarchy first"
    assert [n.concept.code for n, _ in desk.branches("ATC", "")[0]] == ["A10BA02", "C03CA01"], "the others are one level"
    top, total = desk.branches("CIM10", "")
    assert [(n.concept.code, n.open) for n, _ in top] == [
        ("E11", True), ("E85", False), ("I10", False), ("I50", True), ("K74.6", False)
    ]  # fmt: skip
    assert total == 5
    below, _ = desk.branches("CIM10", "I50")
    assert [n.concept.code for n, _ in below] == ["I50.0", "I50.1"]
    assert desk.branches("CIM10", "nothing") == ([], 0)
    counts = {c.concept.code: c.patients for c in desk.concepts("I50")}
    assert {n.concept.code: shown for n, shown in top}["I50"] == counts["I50"]


def test_counts_are_protected_and_the_look_is_recorded(site: Site) -> None:
    account = site.state.accounts.find("researcher")
    assert account
    desk = Desk(ReadingRoom(site), Actor.of(account))
    shown = {n.concept.code: count for n, count in desk.branches("CIM10", "")[0]}
    assert shown["K74.6"].below == 10, "few patients, or none, are not told apart"
    assert shown["I50"].margin > 0
    assert site.state.audit.latest(1)[0].target == "below:CIM10:"
    expert = site.state.accounts.find(str(Role.EXPERT))
    assert expert
    with pytest.raises(NotAllowed):
        Desk(ReadingRoom(site), Actor.of(expert)).branches("CIM10", "")
