"""The network's own rules: who sees which numbers, charters, the committee across sites, the trail of every question."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import fresh
from tests.network_kit import Network
from tests.unit.projects.life.play import REASON, Play, today

from estran.cohort.language.text import parse
from estran.hub.book import HubBook
from estran.hub.desk import HubDesk
from estran.hub.gathering import Gathered, SiteAnswer, Total
from estran.hub.governance import CharterKind, Governance, GovernanceBook, Sight, beside, seen
from estran.hub.oversight import Oversight
from estran.hub.studies import Studies
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.gate import Shown
from estran.projects.life.machine import Stage, Step
from estran.state import AuditFilter, StateDatabase


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDatabase]:
    made = fresh.state(tmp_path / "state.sqlite")
    yield made
    made.close()


@pytest.fixture
def rules(tmp_path: Path) -> Iterator[GovernanceBook]:
    made = GovernanceBook(tmp_path)
    yield made
    made.close()


def person(state: StateDatabase, login: str, role: Role) -> Actor:
    return Actor(login, role, state.accounts.add(login, "hash", str(role)).id)


def answers(*members: str, method: str = "linkage") -> Gathered:
    sites = tuple(
        SiteAnswer(one, one, "answered", seconds=0.1, shown=Shown(100, margin=20), elapsed_ms=3.0, unknown=("X",), members=())
        for one in members
    )  # fmt: skip
    return Gathered(sites, Total(method, members, 150, 190, Shown(170, margin=20)))


def numbers(found: Gathered) -> dict[str, bool]:
    return {one.member: one.shown is not None for one in found.sites}


def test_who_sees_totals_sees_no_site_and_no_total_of_two() -> None:
    three = seen(answers("a", "b", "c"), Sight.TOTAL, "a")
    assert numbers(three) == {"a": False, "b": False, "c": False}
    assert three.total.shown == Shown(170, margin=20) and {one.state for one in three.sites} == {"answered"}
    assert all(one.elapsed_ms is None and one.unknown == () for one in three.sites)
    assert seen(answers("a", "b"), Sight.TOTAL, "a").total == Total("withheld", (), 0, 0)
    part = answers("a", "b", "c")
    part = dataclasses.replace(part, total=dataclasses.replace(part.total, covers=("a", "b")))
    assert seen(part, Sight.TOTAL, "").total.method == "withheld"  # a total of two sites, beside a third


def test_who_sees_the_own_site_sees_nothing_else() -> None:
    own = seen(answers("a", "b", "c"), Sight.OWN, "b")
    assert numbers(own) == {"a": False, "b": True, "c": False} and own.total.method == "withheld"
    assert numbers(seen(answers("a", "b"), Sight.OWN, "")) == {"a": False, "b": False}
    assert seen(answers("a"), Sight.SITES, "") == answers("a")


def test_a_question_is_seen_as_the_network_decided(net: Network, state: StateDatabase) -> None:
    book = net.house.book
    rules = Governance(state, book, beside(book), KEY_HOLDER)
    anna = person(state, "anna", Role.RESEARCHER)
    desk = HubDesk(state, book, anna)
    question = desk.ask(parse("CIM10:I10"))
    net.run("angers", "brest")
    assert all(one.shown for one in desk.stand(question).sites)
    rules.set_sight("researcher", "own")
    rules.seat("anna", "angers")
    try:
        assert {one.member: one.shown is not None for one in desk.stand(question).sites} == {
            "angers": True,
            "brest": False,
        }
        assert all(one.shown for one in HubDesk(state, book, KEY_HOLDER).stand(question).sites)
        assert rules.sights()[Role.RESEARCHER] is Sight.OWN and rules.seats() == {"anna": "angers"}
    finally:
        rules.set_sight("researcher", "sites")
    with pytest.raises(UsageError, match="no such role"):
        rules.set_sight("researcher", "everything")
    with pytest.raises(UsageError, match="no such site"):
        rules.seat("anna", "rennes")
    with pytest.raises(NotAllowed):
        desk.governance.set_sight("researcher", "sites")


def test_who_has_not_signed_the_charter_of_users_asks_nothing(net: Network, state: StateDatabase) -> None:
    shelf = beside(net.house.book)
    desk = HubDesk(state, net.house.book, person(state, "bob", Role.RESEARCHER))
    boss = Governance(state, net.house.book, shelf, KEY_HOLDER)
    assert boss.publish("user", "Ask for care's sake.") == 1
    try:
        with pytest.raises(NotAllowed, match="charter"):
            desk.ask(parse("CIM10:I10"))
        (line,) = state.audit.find(AuditFilter(login="bob", refused=True), 5)
        assert "charter" in line.reason
        with pytest.raises(UsageError, match="newer one"):
            desk.governance.sign("user", 2)
        with pytest.raises(UsageError, match="for a site"):
            boss.publish("producer", "We answer for our data.")
            desk.governance.sign("producer", 1)
        desk.governance.sign("user", 1)
        desk.ask(parse("CIM10:I10"))
        assert [(one.kind, one.version, one.login) for one in boss.signatures()] == [(CharterKind.USER, 1, "bob")]
        boss.publish("user", "Ask for care's sake, and say why.")
        with pytest.raises(NotAllowed, match="charter"):  # a new version is signed anew
            desk.ask(parse("CIM10:I10"))
        assert [one.version for one in boss.charters() if one.kind is CharterKind.USER] == [2, 1]
    finally:
        for table in ("charter", "signature"):
            shelf.db.write(f"DELETE FROM {table}")


def test_the_committee_of_a_network_project_has_members_of_two_sites(state: StateDatabase) -> None:
    play = Play(state)
    call = play.desk("max").publish("Network 2027", today(), 3, 1, (("Originality", 10),))
    number = play.propose(sites="Angers\nBrest\nNantes", call=call)
    play.letter(number)
    play.submit(number)
    play.take(number, "max", Step.ADVISE, opinion="favourable", text="Sound.")
    play.take(number, "max", Step.ASK, expert=["eve"], due="2099-01-01")
    play.take(number, "eve", Step.OPINE, opinion="favourable", text="Useful.", scores=["8"])
    for name in ("m1", "m2", "m3"):
        state.seats.put(play.id[name], "angers")
    with pytest.raises(UsageError, match="at least two sites"):
        play.call(number)
    state.seats.put(play.id["m2"], "brest")
    assert play.call(number, quorum=2).stage is Stage.COMMITTEE
    play.vote(number, m1="accept", m3="accept")
    with pytest.raises(UsageError, match="votes from at least two sites"):
        play.take(number, "m1", Step.ACCEPT, reason=REASON)
    play.vote(number, m2="accept")
    assert play.take(number, "m1", Step.ACCEPT, reason=REASON).stage is Stage.ACCEPTED
    assert state.seats.of(play.id["m2"]) == "brest" and state.seats.of(None) == ""
    state.seats.put(play.id["m2"], "")
    assert play.id["m2"] not in state.seats.all()


def test_every_question_is_listed_with_the_line_that_let_it_pass(net: Network, state: StateDatabase) -> None:
    book: HubBook = net.house.book
    desk = HubDesk(state, book, person(state, "carla", Role.RESEARCHER))
    question = desk.ask(parse("CIM10:E11"), "Diabetes")
    net.run("angers")
    studies = Studies(net.house.folder)
    watcher = Oversight(state, book, studies, person(state, "dan", Role.DATA_PROTECTION_OFFICER))
    first = watcher.questions()[0]
    assert (first.question.id, first.question.login, first.count("ok"), first.count("queued", "taken")) == (
        question, "carla", 1, 1,
    )  # fmt: skip
    assert first.line is not None and state.audit.find(AuditFilter(login="carla"), 1)[0].id == first.line
    book.db.write("UPDATE question SET query = 'CIM10:E10' WHERE id = ?", (question,))
    assert watcher.questions()[0].line is None  # the book was changed: nothing in the trail let this pass
    with pytest.raises(NotAllowed):
        Oversight(state, book, studies, desk.actor).questions()
    studies.close()
