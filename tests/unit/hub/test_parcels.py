"""Counts go first: tokens are asked for once nobody's count is expected, and come in an answer of their own."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Iterator

import pytest
from tests.network_kit import Network
from tests.unit.hub.test_answering import ask, desk, stand
from tests.unit.opposing import oppose

from estran.cohort.language.text import parse
from estran.hub.agent.agent import Agent
from estran.hub.agent.ledger import Job
from estran.hub.agent.rules import Rules, SiteRules
from estran.hub.gathering import LATE_AFTER, advance, after_answer, gather
from estran.projects.network import NetworkClerk
from estran.state import AuditFilter

ALL = "âge>=0"


@pytest.fixture
def agents(net: Network, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Agent]]:
    """Agents of a hub where tokens are asked for as at its door: by `after_answer` alone."""
    monkeypatch.setattr("estran.hub.office.ask_for_tokens", lambda *_: None)
    net.run("angers", "brest")  # what other tests left to be answered
    made = {name: net.agent(name) for name in ("angers", "brest")}
    yield made
    for agent in made.values():
        agent.close()


def kinds(net: Network, question: str) -> list[tuple[str, str]]:
    return [(job.kind, job.member) for job in net.house.book.jobs(question)]


def answered(net: Network, question: str) -> None:
    (job, *_) = net.house.book.jobs(question, "count")
    after_answer(net.house.book, job.id)


@pytest.mark.usefixtures("in_no_hurry")
def test_counts_come_first_and_tokens_when_no_count_is_expected(net: Network, agents: dict[str, Agent]) -> None:
    question = ask(net, ALL)
    assert agents["angers"].once() == 1
    answered(net, question)
    assert {kind for kind, _ in kinds(net, question)} == {"count"}  # brest may answer any moment
    assert agents["brest"].once() == 1
    found = stand(net, question)
    assert found.answered == 2 and found.total.method == "bounds" and not any(site.has for site in found.sites)
    answered(net, question)
    answered(net, question)
    assert sorted(kinds(net, question))[2:] == [("tokens", "angers"), ("tokens", "brest")]
    found = stand(net, question)
    assert all(site.owes for site in found.sites) and not found.settled
    assert agents["angers"].once() == 1
    answered(net, question)
    assert advance(net.house.book, question) is None  # those of brest may come any moment
    assert agents["brest"].once() == 1
    answered(net, question)
    net.run("linkage")
    found = stand(net, question)
    assert found.settled and found.total.method == "linkage" and not any(site.owes for site in found.sites)


def test_who_owes_its_tokens_for_long_is_not_waited_for(net: Network, agents: dict[str, Agent]) -> None:
    question, book = ask(net, ALL, "angers", "brest"), net.house.book
    for agent in agents.values():
        agent.once()
    answered(net, question)
    agents["angers"].once()
    later = time.time() + 2 * LATE_AFTER
    assert advance(book, question, lambda: later) is None  # tokens of one site make no total
    agents["brest"].once()
    assert advance(book, question, lambda: later) is not None
    assert gather(book, question, lambda: later).settled
    net.run("linkage")


def test_an_agent_started_anew_counts_again_for_the_tokens(net: Network, agents: dict[str, Agent]) -> None:
    question, place = ask(net, ALL, "brest"), net.places["brest"]
    agents["brest"].once()
    answered(net, question)
    place.kept.answered.clear()
    agents["brest"].once()
    assert "tokens" in stand(net, question).sites[0].has
    job = Job("1" * 32, "tokens", {"cohort": {}}, question)
    kept = dataclasses.replace(place, given=SiteRules(Rules(answer=(), approve=("count",))))
    with pytest.raises(Exception, match="not at hand"):
        net.agent("brest")._kinds["tokens"](kept, job)  # what needed a yes is not counted without one


def test_rules_that_keep_tokens_hold_for_the_hub_that_asks_all_the_same(net: Network) -> None:
    place = dataclasses.replace(net.places["brest"], given=SiteRules(Rules(tokens=False)))
    question = desk(net).ask(parse(ALL), sites=["brest"])
    made = Agent(place, net.local())
    made.once()
    (count,) = net.house.book.jobs(question)
    assert count.kind == "count" and count.answer["tokens"] is False
    net.house.book.add_job(question, "brest", "tokens", count.body, time.time(), count.expires)
    made.once()
    made.close()
    (job,) = net.house.book.jobs(question, "tokens")
    assert job.state == "refused" and not stand(net, question).sites[0].has


def test_tokens_are_in_the_trail_and_who_opposed_meanwhile_is_not_among_them(
    net: Network, agents: dict[str, Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    question, place = ask(net, ALL, "brest"), net.places["brest"]
    agents["brest"].once()
    answered(net, question)
    packed: list[int] = []
    monkeypatch.setattr("estran.hub.agent.counting.pack", lambda records, *_: packed.append(len(records.ins)) or b"")
    assert place.site is not None and place.room is not None and place.actor is not None
    before = len(NetworkClerk(place.room, place.actor, floor=10, quota=0).everybody())
    oppose(place.site.warehouse, 3, "hub", dt.date(2024, 1, 1))
    agents["brest"].once()
    assert packed == [before - 1]
    last = place.site.state.audit.find(AuditFilter(action="hub-count"), 1, 0)[0]
    assert last.target.endswith(f"question:{question} tokens")
