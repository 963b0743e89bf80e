"""Counts go first; tokens follow in a message of their own, once and only where they were announced."""

from __future__ import annotations

import time

import pytest
from tests.network_kit import Network
from tests.unit.hub.test_answering import Torn, ask, stand

from estran.hub.agent.agent import Agent
from estran.hub.book import HubBook
from estran.hub.gathering import LATE_AFTER, advance, after_answer, gather
from estran.hub.wire import File, Refused

ALL = "âge>=0"


def one_job(book: HubBook, question: str) -> str:
    (job,) = (one.id for one in book.jobs(question, "count"))
    return job


def test_the_hub_shows_a_count_before_its_tokens_are_there(net: Network) -> None:
    question, book = ask(net, ALL), net.house.book
    net.run("angers")
    agent = net.agent("brest", Torn(net.local(), "/task/parcel"))
    with pytest.raises(ConnectionError):
        agent.once()
    agent.close()
    book.db.write(
        "DELETE FROM file WHERE job IN (SELECT id FROM job WHERE question = ? AND member = 'brest')", (question,)
    )
    book.db.write(
        """UPDATE job SET answer = json_set(answer, '$.parcel', json('["tokens"]')) WHERE question = ? AND member = 'brest'""",
        (question,),
    )  # as if the message had been lost, not the reply
    found = stand(net, question)
    assert found.answered == 2 and [site.owes for site in found.sites] == [False, True] and not found.settled
    assert found.total.method == "bounds" and book.expected(question, time.time() - LATE_AFTER)
    (job,) = (one.id for one in book.jobs(question) if one.member == "brest")
    after_answer(book, job)
    assert advance(book, question) is None  # the tokens may come any moment
    net.run("brest")  # another agent, as after a kill: what was in memory is made again
    assert stand(net, question).sites[1].has >= {"tokens"} and not stand(net, question).sites[1].owes
    after_answer(book, job)
    net.run("linkage")
    assert stand(net, question).total.method == "linkage" and stand(net, question).settled


def test_who_owes_its_tokens_for_long_is_not_waited_for(net: Network) -> None:
    question, book = ask(net, ALL), net.house.book
    net.run("angers", "brest")
    (job,) = (one for one in book.jobs(question) if one.member == "brest")
    book.db.write("UPDATE job SET answer = json_set(answer, '$.parcel', json('[\"tokens\"]')) WHERE id = ?", (job.id,))
    assert advance(book, question) is None
    later = time.time() + 2 * LATE_AFTER
    assert gather(book, question, lambda: later).sites[1].owes
    assert advance(book, question, lambda: later) is not None
    net.run("linkage")
    after_answer(book, job.id)
    assert book.sizes(question, "tokens") > 0  # kept for as long as more may come
    assert not gather(book, question, lambda: job.expires + 1).sites[1].owes


def test_only_what_was_announced_is_kept_and_only_once(net: Network) -> None:
    question, book = ask(net, ALL, "brest"), net.house.book
    job = one_job(book, question)
    with pytest.raises(Refused, match="no such answer"):
        book.follow("brest", job, (File("tokens", b"early"),))
    net.run("brest")
    kept = book.files(job, "answer")
    assert [one.name for one in kept][-1] == "tokens"
    assert book.follow("brest", job, (File("tokens", b"other"),)) == "again"
    assert book.follow("brest", job, (File("another", b"x"),)) == "again"
    assert book.files(job, "answer") == kept
    with pytest.raises(Refused, match="no such answer"):
        book.follow("angers", job, (File("tokens", b"of another"),))
    book.db.write("UPDATE job SET state = 'expired' WHERE id = ?", (job,))
    assert book.follow("brest", job, (File("tokens", b"late"),)) == "late"


def test_a_parcel_that_cannot_be_made_ends_and_holds_nothing_up(net: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    question, agent = ask(net, ALL, "brest"), net.agent("brest")
    monkeypatch.setattr("estran.hub.agent.agent._TRIES", 2)
    monkeypatch.setattr("estran.hub.agent.parcel.make", _broken)
    agent.once()
    assert stand(net, question).sites[0].owes and len(agent.ledger.owed()) == 1
    agent.once()
    assert agent.ledger.owed() == []
    agent.close()
    monkeypatch.undo()
    assert _asked_again(net, net.agent("brest"))


def _asked_again(net: Network, agent: Agent) -> bool:
    question = ask(net, ALL, "brest")
    agent.once()
    agent.close()
    return "tokens" in stand(net, question).sites[0].has


def _broken(*_: object) -> bytes:
    raise OSError
