"""A person before the linkages of a hub."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.network_kit import Network

from estran.cohort.language.text import parse
from estran.hub.linkage_desk import LinkageDesk, Outcome, Pair, _outcome
from estran.hub.matching import Linkages
from estran.hub.wire import File
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.release.disclosure import Shown
from estran.state import AuditFilter

NAMES = {"a": "Angers", "b": "Brest", "c": "Tours"}


def told(value: int, below: int = 0) -> dict[str, int]:
    return {"value": value, "below": below, "margin": 32}


def test_who_runs_the_network_asks_two_hospitals_for_a_project_and_every_look_is_recorded(net: Network) -> None:
    site = net.places["angers"].site
    assert site is not None
    runs = Linkages(net.house.book, net.house.folder)
    desk, query = LinkageDesk(site.state, net.house.book, runs, KEY_HOLDER), parse("âge>=0")
    for project, sites in ((" ", ("angers", "brest")), ("INSUF", ("angers", "angers"))):
        with pytest.raises(UsageError):
            desk.ask(project, query, sites)
    run = desk.ask("INSUF", query, ("angers", "brest"), 0.95, "Authorisation 2026-001")
    seen = desk.look(run)
    assert seen is not None and seen.open and (seen.ready, seen.waits) == (0, 2) and desk.again(run) == seen
    assert [part.state for part in seen.sites] == ["queued", "queued"] and seen.outcome is None and not seen.hidden
    assert (seen.asked.sure, seen.asked.ins_authorisation) == (0.95, "Authorisation 2026-001")
    with pytest.raises(UsageError, match="two hospitals have sent"):
        desk.go_on(run)
    assert run in [one.run.id for one in desk.all()] and desk.look("none") is None
    looks = [line.target for line in site.state.audit.find(AuditFilter(action="run-hub"), 50, 0)]
    assert looks.count(f"linkage:{run}") == 2  # the second before going on; `again` leaves none
    rita = LinkageDesk(site.state, net.house.book, runs, Actor("rita", Role.RESEARCHER, 1))
    for refused in (rita.members, rita.all, lambda: rita.look(run), lambda: rita.again(run), lambda: rita.go_on(run)):
        with pytest.raises(NotAllowed):
            refused()
    for job in (*runs.jobs(run)[0],):  # the network is shared by the tests of this file
        net.house.book.give_up(job.id)
    stopped = desk.again(run)
    assert stopped is not None and stopped.run.state == "stopped" and not stopped.open
    runs.close()


def test_without_a_unit_a_linkage_waits_and_its_page_is_told(
    net: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, book = net.places["angers"].site, net.house.book
    assert site is not None
    runs = Linkages(book, tmp_path)  # of this test alone: the network is shared
    desk = LinkageDesk(site.state, book, runs, KEY_HOLDER)
    run = desk.ask("INSUF", parse("âge>=0"), ("angers", "brest"))
    known = book.members
    monkeypatch.setattr(book, "members", lambda *kind, **which: [] if kind == ("linkage",) else known(*kind, **which))
    for job in runs.jobs(run)[0]:
        book.answer(job.member, job.id, "ok", "", {"floor": 10}, (File("records", b"sealed"),), time.time())
    seen = desk.look(run)
    assert seen is not None and seen.ready == 2 and not runs.jobs(run)[1]
    assert run in [one.run.id for one in desk.all()]
    for job in runs.jobs(run)[0]:
        book.drop_files(job.id, "answer")
    runs.close()


def test_what_the_unit_counted_is_read_with_the_names_of_the_sites() -> None:
    shared = [
        {"sites": ["a", "b"], **told(300)},
        {"sites": ["c", "a"], **told(90)},
        {"sites": ["b", "c"], "value": "x"},
    ]
    found = _outcome({"distinct": told(700), "review": told(10), "shared": shared}, NAMES)
    assert found == Outcome(
        Shown(700, 0, 32),
        Shown(10, 0, 32),
        (Pair("Angers", "Brest", Shown(300, 0, 32)), Pair("Tours", "Angers", Shown(90, 0, 32))),
    )
    assert found.sites == ["Angers", "Brest", "Tours"] and found.shared("Angers", "Tours") == Shown(90, 0, 32)
    assert found.doubt == 10 / 400 and [found.shade(pair.shown) for pair in found.pairs] == [3, 1]
    assert found.shared("Brest", "Tours") is None and found.shade(None) == 0
    assert _outcome(None, NAMES) is None and _outcome({"distinct": 7}, NAMES) is None


def test_no_share_is_told_of_linked_pairs_that_are_too_few() -> None:
    small = [{"sites": ["a", "b"], **told(0, below=10)}]
    bound = _outcome(
        {"distinct": told(700), "review": told(0, below=10), "shared": [{"sites": ["a", "b"], **told(190)}]}, NAMES
    )
    assert bound is not None and bound.doubt == 10 / 200
    found = _outcome({"distinct": told(700), "review": told(10), "shared": small}, NAMES)
    hidden = _outcome({"distinct": told(700), "review": told(10), "shared": []}, NAMES)
    assert found is not None and found.doubt is None and found.shade(found.pairs[0].shown) == 0
    assert hidden is not None and hidden.doubt is None and hidden.sites == []
