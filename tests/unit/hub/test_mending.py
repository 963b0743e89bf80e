"""What would lose a job, show a wrong count or let something in: hubs restored, sites that lie, parcels made up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.network_kit import KEY, Network
from tests.unit.hub.test_answering import HEART, ask, stand, states

from estran.hub.agent import parcel
from estran.hub.agent.counting import _together
from estran.hub.book import HubBook
from estran.hub.database import Database
from estran.hub.gathering import OPENED, advance, after_answer, gather
from estran.hub.office import answer_to, reply_to, utc
from estran.hub.server import Door
from estran.hub.turns import Turns
from estran.hub.wire import File, Message, Refused, seal
from estran.model.errors import StoreError
from estran.projects.gate import Shown


def lose_answers(book: HubBook, question: str) -> None:
    """What a hub restored from a backup of before the answers knows of them."""
    with book.db.writing():
        book.db.write("DELETE FROM file WHERE job IN (SELECT id FROM job WHERE question = ?)", (question,))
        book.db.write("UPDATE job SET state = 'queued', answer = '{}', digest = '' WHERE question = ?", (question,))


def test_what_a_restored_hub_has_lost_is_answered_again(net: Network) -> None:
    question = ask(net, HEART, "brest")
    net.run("brest")
    before = stand(net, question).sites[0]
    lose_answers(net.house.book, question)
    later = ask(net, "CIM10:E11", "brest")
    net.run("brest")
    after = stand(net, question).sites[0]
    assert (after.state, after.shown, after.has) == ("answered", before.shown, before.has) and "tokens" in after.has
    assert states(net, later) == {"brest": "answered"}


def test_an_answer_that_the_hub_will_never_take_does_not_hold_up_the_others(net: Network) -> None:
    forgotten = ask(net, HEART, "brest")
    agent = net.agent("brest")
    assert agent._fetch(0.0)
    with net.house.book.db.writing():
        net.house.book.db.write("DELETE FROM job WHERE question = ?", (forgotten,))
    question = ask(net, HEART, "brest")
    agent.once()
    agent.close()
    assert states(net, question) == {"brest": "answered"}
    assert ("brest", "unasked", 1) in net.house.book.refusals()


def test_who_is_taken_out_of_the_network_is_given_nothing_any_more(net: Network) -> None:
    question, place = ask(net, HEART, "brest"), net.places["brest"]
    now = utc()
    asking = Message("nextjob", place.membership.network, "brest", "hub", 10**6, now, now, {})
    waits = net.office.take(seal(asking, place.identity.key), None)
    assert net.house.book.withdraw("brest")
    with pytest.raises(Refused, match="not known"):
        reply_to(net.office, waits)
    assert states(net, question) == {"brest": "expired"}
    net.house.book.db.write("UPDATE member SET state = 'active' WHERE id = 'brest'")
    assert net.house.book.next_job("brest", (), time.time()) is None


@pytest.mark.parametrize("body", [
    {"count": 120, "margin": 32, "floor": "many", "unknown": 3, "entities": 7, "elapsed_ms": []},
    {"count": 120, "margin": 32, "floor": -5, "unknown": [[]], "entities": [{"name": 4, "count": "x", "below": {}}, "y"]},
])  # fmt: skip
def test_a_site_that_sends_nonsense_harms_only_itself(net: Network, body: dict[str, object]) -> None:
    question, book = ask(net, "âge>=0"), net.house.book
    net.run("angers")
    (job,) = (job for job in book.jobs(question) if job.member == "brest")
    nonsense = (File("sketch", b"no sketch"), File("tokens", b"no tokens"))
    assert book.answer("brest", job.id, "ok", "", body, nonsense, time.time()) == "kept"
    found = stand(net, question)
    assert {site.member: site.state for site in found.sites} == {"angers": "answered", "brest": "answered"}
    assert advance(book, question)
    net.run("linkage")
    assert stand(net, question).total.method == "bounds"  # no total of tokens that nobody can tell whose they are
    assert all(isinstance(one["count"], int) for site in stand(net, question).sites for one in site.entities)
    net.run("brest")


def test_the_hub_cannot_make_up_sites(net: Network) -> None:
    """It has the unit's public key, as everybody; but not the linkage key, nor a parcel of another site."""
    question = ask(net, "âge>=0", "angers")
    net.run("angers")
    (job,) = net.house.book.jobs(question, "tokens")
    (own,) = (one.data for one in net.house.book.files(job.id, "answer") if one.name == "tokens")
    unit, where = net.places["linkage"].identity, parcel.sealed_place(net.office.network, question)
    made_up = parcel.make(bytes(32), unit.public, bytes(32), where, "nowhere")
    copied = parcel.make(bytes(32), unit.public, KEY, where, "brest")
    for other in (made_up, own, copied, own[:32] + made_up[32:], b""):
        now = time.time()
        files = (File("tokens/angers", own), File("tokens/nowhere", other))
        link = net.house.book.add_job(question, "linkage", "link", {"floor": 10}, now, now + 60, files)
        net.run("linkage")
        found = net.house.book.db.one("SELECT state FROM job WHERE id = ?", (link,))
        assert found is not None and found["state"] == "refused"
    opened = parcel.open_all({"angers": own, "brest": copied}, unit, where)
    assert len(opened) == 2 and opened[1] == bytes(32)


def test_two_entities_of_fewer_than_ten_patients_may_have_eighteen() -> None:
    assert _together([Shown(0, below=10), Shown(0, below=10)]) == Shown(0, below=19)


def test_who_hangs_up_is_soon_called_down_and_who_comes_back_is_not(net: Network) -> None:
    net.run("brest")
    question = ask(net, HEART, "brest")
    start = net.house.book.jobs(question)[0].created
    net.house.book.left("brest", start)
    seen = [gather(net.house.book, question, lambda s=s: start + s).sites[0].state for s in (1.0, 4.0)]
    assert seen == ["waiting", "down"]
    net.house.book.db.write("UPDATE member SET seen = ? WHERE id = 'brest'", (start + 1,))
    assert gather(net.house.book, question, lambda: start + 4).sites[0].state == "late"
    net.run("brest")


async def open_and_close(net: Network) -> None:
    """A hub that starts, and ends once its door is open."""
    is_open = asyncio.Event()
    door = asyncio.create_task(Door(net.office, lambda _: None).serve("127.0.0.1", 0, lambda _: is_open.set()))
    await asyncio.wait_for(is_open.wait(), 30)
    door.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await door


@pytest.mark.parametrize(("every", "patience"), [(0.0, 45.0), (60.0, 180.0)])
def test_who_had_a_job_and_is_not_back_after_the_hub_started_anew_is_called_down(
    net: Network, every: float, patience: float
) -> None:
    book = net.house.book
    net.run("angers", "brest")
    question = ask(net, HEART, "angers", "brest")
    book.db.write("UPDATE member SET every = ? WHERE id = 'brest'", (every,))
    for member in ("angers", "brest"):
        given = book.next_job(member, (), time.time())
        assert given is not None and given[0].question == question
    asked = time.time()
    assert [site.state for site in gather(book, question, lambda: asked + 600).sites] == ["late", "late"], "at work"
    run(lambda: open_and_close(net))
    opened = float(book.meta(OPENED))
    book.db.write("UPDATE member SET seen = ? WHERE id = 'angers'", (opened + 1,))  # it came, and is at work

    def states_at(moment: float) -> list[str]:
        return [site.state for site in gather(book, question, lambda: moment).sites]

    before, after = opened + patience - 1, opened + patience + 1
    assert opened >= asked and [states_at(before), states_at(after)] == [["late", "late"], ["late", "down"]]
    net.run("angers", "brest")
    assert states_at(after) == ["answered", "answered"]


def test_while_sites_come_late_the_linkage_unit_counts_now_and_then(net: Network) -> None:
    question, book = ask(net, "âge>=0"), net.house.book
    net.run("angers")
    start = stand(net, question).sites[0].seconds
    assert start is not None
    (job,) = (job for job in book.jobs(question, "count") if job.member == "angers")
    after_answer(book, job.id)
    assert not book.jobs(question, "link")  # brest may answer any moment
    net.run("brest")
    after_answer(book, job.id)
    assert len(book.jobs(question, "link")) == 1
    net.run("linkage")


def test_tokens_go_once_they_have_served(net: Network) -> None:
    question, book = ask(net, "âge>=0"), net.house.book
    net.run("angers", "brest")
    assert advance(book, question) and book.sizes(question, "tokens") > 0
    net.run("linkage")
    total = stand(net, question).total
    (link,) = book.jobs(question, "link")
    assert advance(book, question) is None  # a hub that was killed over the answer sees to it when somebody looks
    assert book.sizes(question, "tokens") == 0 and book.files(link.id, "job") == ()
    after_answer(book, link.id)
    assert stand(net, question).total == total and total.method == "linkage"


def test_files_of_questions_that_are_over_go_with_the_next_question(net: Network) -> None:
    over = ask(net, HEART, "brest")
    net.run("brest")
    net.house.book.db.write("UPDATE job SET expires = 1 WHERE question = ?", (over,))
    ask(net, HEART, "brest")
    assert net.house.book.sizes(over, "tokens") == 0 and states(net, over) == {"brest": "answered"}
    net.run("brest")


def test_too_many_tokens_for_one_message_give_bounds(net: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    question = ask(net, "âge>=0")
    net.run("angers", "brest")
    with monkeypatch.context() as small:
        small.setattr("estran.hub.gathering._LARGEST", 1_000)
        assert advance(net.house.book, question) is None
    assert stand(net, question).total.method == "bounds"


def test_a_refusal_after_reading_is_counted(net: Network) -> None:
    place, now = net.places["brest"], utc()
    dance = Message("dance", place.membership.network, "brest", "hub", 2 * 10**6, now, now, {})
    assert answer_to(net.office, seal(dance, place.identity.key), None)[0] is False
    assert ("brest", "kind", 1) in net.house.book.refusals()


def test_numbers_set_aside_are_not_given_again_after_a_kill(net: Network) -> None:
    first = net.agent("brest").ledger
    given = [first.next_sequence() for _ in range(3)]
    after = net.agent("brest").ledger
    assert given == list(range(given[0], given[0] + 3)) and after.next_sequence() > given[-1]


T = TypeVar("T")


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """In a thread of its own: a browser that another test left open keeps a loop in this one."""
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(lambda: asyncio.run(work())).result()


def test_work_of_one_turn_is_one_transaction_and_one_failure_is_one_s_own(tmp_path: Path) -> None:
    db = Database(tmp_path / "turns.sqlite", "CREATE TABLE said (word TEXT NOT NULL)", 1)

    def say(word: str) -> str:
        db.write("INSERT INTO said VALUES (?)", (word,))
        if word == "no":
            raise Refused("kind", "no")
        return word

    async def all_at_once() -> list[str | BaseException]:
        turns: Turns[str] = Turns(db)
        return await asyncio.gather(*(turns.do(lambda w=w: say(w)) for w in ("a", "no", "b")), return_exceptions=True)

    found = run(all_at_once)
    assert found[0] == "a" and isinstance(found[1], Refused) and found[2] == "b"
    assert [row[0] for row in db.rows("SELECT word FROM said")] == ["a", "b"]


def test_when_the_disk_fails_nobody_is_told_that_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = Database(tmp_path / "turns.sqlite", "CREATE TABLE said (word TEXT NOT NULL)", 1)

    def fail() -> None:
        raise StoreError("The disk is full.")

    async def all_at_once() -> list[int | BaseException]:
        turns: Turns[int] = Turns(db)
        write = "INSERT INTO said VALUES ('x')"
        return await asyncio.gather(turns.do(lambda: db.write(write)), turns.do(lambda: 1), return_exceptions=True)

    monkeypatch.setattr(db, "_commit", fail)
    assert all(isinstance(one, StoreError) for one in run(all_at_once))
