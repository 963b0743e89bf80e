"""Long files of the queue: beside the database, sealed, gone with their row; nothing lost and nothing kept by whatever ends a process."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from tests.network_kit import Network
from tests.unit.hub.test_answering import ask, stand
from tests.unit.hub.test_mending import run

from estran.hub import file_table
from estran.hub.agent.ledger import Answer, Job, Ledger
from estran.hub.book import FILE_NAME, HubBook, Question
from estran.hub.file_table import LONG
from estran.hub.gathering import advance, after_answer, tidy
from estran.hub.server import Door
from estran.hub.wire import File
from estran.keeping import backup
from estran.model.errors import StoreError

DATA = secrets.token_bytes(LONG)
ALL = "âge>=0"


def beside(folder: Path) -> list[Path]:
    return sorted((folder / "files").glob("*"))


@pytest.fixture
def book(tmp_path: Path) -> HubBook:
    """A question, and the long tokens that a site answered to it."""
    made = HubBook(tmp_path)
    made.db.write("INSERT INTO member (id, name, kind, state, invited) VALUES ('brest', 'Brest', 'site', 'active', 1)")
    made.ask(Question("q", 1.0, "somebody", "", "", {}), [("brest", "tokens", {})], 4e9)
    answered(made)
    return made


def answered(book: HubBook) -> None:
    (job,) = book.jobs("q", "tokens")
    assert book.answer("brest", job.id, "ok", "", {}, [File("tokens", DATA), File("sketch", b"short")], 2.0) == "kept"


def files(book: HubBook) -> list[tuple[str, bytes]]:
    (job,) = book.jobs("q", "tokens")
    return [(one.name, one.data) for one in book.files(job.id, "answer")]


BOTH = [("tokens", DATA), ("sketch", b"short")]


def test_a_long_file_is_sealed_and_goes_with_its_key(book: HubBook, tmp_path: Path) -> None:
    (path,) = beside(tmp_path)
    assert files(book) == BOTH and book.sizes("q", "tokens") == LONG and book.sizes("q", "sketch") == 5
    assert DATA[:64] not in path.read_bytes() and path.stat().st_mode & 0o077 == 0
    found = book.db.one("SELECT data FROM file WHERE name = 'tokens'")
    assert found is not None and path.stem in found[0]
    key = found[0].split()[-1].encode()
    book.db.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    assert key in (tmp_path / FILE_NAME).read_bytes()
    book.forget_files("q", "tokens")
    book.db.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    assert files(book) == [("sketch", b"short")] and not beside(tmp_path)
    assert key not in (tmp_path / FILE_NAME).read_bytes()


def test_what_is_taken_back_leaves_no_file_and_takes_none(book: HubBook, tmp_path: Path) -> None:
    (job,) = book.jobs("q")
    kept = beside(tmp_path)
    with pytest.raises(ZeroDivisionError), book.db.writing():
        book.forget_files("q", "tokens")
        book.add_job("q", "brest", "link", {}, 1.0, 2.0, [File("x", DATA)])
        assert len(beside(tmp_path)) == 2
        raise ZeroDivisionError
    assert beside(tmp_path) == kept and files(book) == BOTH
    with book.db.writing():
        with contextlib.suppress(ZeroDivisionError), book.db.part():
            book.drop_files(job.id, "answer")
            book.add_job("q", "brest", "link", {}, 1.0, 2.0, [File("x", DATA)])
            raise ZeroDivisionError
        book.set_meta({"and": "so on"})
    assert beside(tmp_path) == kept and files(book) == BOTH


def test_what_a_kill_leaves_goes_at_the_next_start(
    book: HubBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr("estran.hub.file_table._unlink", lambda path: None)  # before it came to that
        book.forget_files("q", "tokens")
    (tmp_path / "files" / f"{'0' * 32}.passing").write_bytes(b"half")  # before its row was written
    assert len(beside(tmp_path)) == 2
    HubBook(tmp_path).close()
    assert not beside(tmp_path) and files(book) == [("sketch", b"short")]


def test_a_disk_that_is_full_keeps_nothing_of_an_answer(
    book: HubBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    kept = beside(tmp_path)
    monkeypatch.setattr("estran.hub.file_table.os.fsync", full)
    with pytest.raises(StoreError, match="cannot be kept"):
        book.add_job("q", "brest", "link", {}, 1.0, 2.0, [File("x", DATA)])
    assert beside(tmp_path) == kept and len(book.jobs("q")) == 1


def test_a_hub_restored_without_its_files_asks_for_the_answer_again(book: HubBook, tmp_path: Path) -> None:
    link = book.add_job("q", "brest", "link", {}, 1.0, 4e9)
    work = book.add_job("q", "brest", "other", {}, 1.0, 4e9, [File("x", DATA)])
    for path in beside(tmp_path):
        path.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        files(book)
    HubBook(tmp_path).close()
    found = book.job(work)
    assert book.job(link) is None and found is not None and found.state == "expired"
    given = book.next_job("brest", (), 3.0)
    assert given is not None and given[0].kind == "tokens"
    answered(book)
    assert files(book) == BOTH


def test_an_agent_that_lost_a_file_is_given_the_job_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for number in ("one", "two", "three"):
        ledger.take(Job(number, "link", {}, files=(File("tokens/brest", DATA),)), b"")
    ledger.answer("two", Answer("approval"))
    ledger.told("two")
    ledger.answer("three", Answer("ok", files=(File("tokens", DATA),)))
    assert [len(one.files) for one in ledger.waiting()] == [1] and next(ledger.untold())[1].files[0].data == DATA
    assert sorted(Ledger(tmp_path).holding()) == ["one", "three", "two"]  # killed, and nothing lost
    for path in beside(tmp_path):
        path.write_bytes(b"")  # what a power failure makes of a file that nobody forced to the disk
    after = Ledger(tmp_path)
    assert after.holding() == ["two"] and not after.waiting() and not beside(tmp_path)
    assert [(job, one.state) for job, one in after.untold()] == [("two", "failed")]


def test_answers_that_wait_for_the_hub_are_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that carries a long package has many pieces that wait while the hub above cannot be reached."""
    ledger, opened = Ledger(tmp_path), []
    for number in ("one", "two"):
        ledger.take(Job(number, "pool-life", {}), b"")
        ledger.answer(number, Answer("ok", files=(File("parcel", DATA),)))
    read = file_table.FileTable.open
    monkeypatch.setattr(file_table.FileTable, "open", lambda self, kept: opened.append(kept) or read(self, kept))
    assert [(job, len(opened)) for job, _ in ledger.untold()] == [("one", 1), ("two", 2)]
    ledger.close()


def test_no_backup_holds_long_files(book: HubBook, tmp_path: Path) -> None:
    assert beside(tmp_path) and list(backup._files(tmp_path)) == [FILE_NAME]


# What is deleted is in no page and in no log


def anywhere(folder: Path, name: str, word: bytes) -> bool:
    """Whether bytes are in a database or in its log."""
    return any(word in path.read_bytes() for path in folder.glob(f"{name}*"))


@pytest.mark.parametrize("long", [1, LONG])
def test_deleted_tokens_are_in_no_page_and_in_no_log(net: Network, monkeypatch: pytest.MonkeyPatch, long: int) -> None:
    monkeypatch.setattr("estran.hub.file_table.LONG", long)
    book, question = net.house.book, ask(net, ALL)
    net.run("angers", "brest")
    rows = book.db.rows(
        "SELECT data FROM file JOIN job ON job.id = job WHERE question = ? AND name = 'tokens'", (question,)
    )
    kept = [row[0].split()[-1].encode() if long == 1 else row[0][:48] for row in rows]  # keys, or tokens
    assert len(kept) == 2 and all(anywhere(net.house.folder, FILE_NAME, one) for one in kept)
    assert advance(book, question)
    net.run("linkage")
    advance(book, question)
    assert book.sizes(question, "tokens") == 0
    assert not any(anywhere(net.house.folder, FILE_NAME, one) for one in kept)


def test_who_reads_meanwhile_is_not_waited_for_and_the_next_tidying_cuts_the_log(book: HubBook, tmp_path: Path) -> None:
    log = tmp_path / f"{FILE_NAME}-wal"
    with book.db.writing():
        assert not book.db.shed(), "not in the middle of what is being written"
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM job").fetchall()
        book.forget_files("q", "tokens")
        tidy(book)
        assert log.stat().st_size > 0 and not book.db.shed()
    assert book.db.one("PRAGMA busy_timeout")[0] == 10_000  # type: ignore[index]
    tidy(book)
    assert log.stat().st_size == 0 and files(book) == [("sketch", b"short")]


def test_an_agent_at_work_cuts_its_log_as_well(net: Network) -> None:
    agent, word = net.agent("linkage"), secrets.token_bytes(48)
    folder = net.places["linkage"].folder
    agent.ledger.take(Job("old", "link", {}, files=(File("tokens/brest", word),)), b"")
    agent.ledger.answer("old", Answer("ok"))
    agent.ledger.told("old")
    assert anywhere(folder, "agent.sqlite", word)

    class Once(threading.Event):
        rounds = iter((False, True))

        def is_set(self) -> bool:
            return next(self.rounds)

    agent.run(Once(), wait=0.0)
    assert not anywhere(folder, "agent.sqlite", word)
    agent.close()


# With a network, all of whose tokens lie beside


@pytest.fixture
def asked(net: Network, monkeypatch: pytest.MonkeyPatch) -> str:
    """A question whose tokens have come."""
    monkeypatch.setattr("estran.hub.file_table.LONG", 1)
    question = ask(net, ALL)
    net.run("angers", "brest")
    return question


def test_lost_tokens_are_sent_again_and_counted(net: Network, asked: str) -> None:
    book = net.house.book
    assert advance(book, asked) and len(beside(net.house.folder)) >= 2
    for path in beside(net.house.folder):
        path.unlink()
    HubBook(net.house.folder).close()
    assert not any("tokens" in site.has for site in stand(net, asked).sites)
    net.run("angers", "brest")
    assert advance(book, asked)
    net.run("linkage")
    (link,) = book.jobs(asked, "link")
    assert stand(net, asked).total.method == "linkage" and len(link.answer["sites"]) == 2
    after_answer(book, link.id)
    assert book.sizes(asked, "tokens") == 0


def test_a_hub_killed_before_it_forgot_forgets_when_its_door_opens(net: Network, asked: str) -> None:
    book, other = net.house.book, ask(net, ALL)
    net.run("angers")
    assert advance(book, asked)
    net.run("linkage")
    assert book.sizes(asked, "tokens") > 0  # the hub was killed here

    async def opened() -> None:
        door = asyncio.create_task(Door(net.office, lambda _: None).serve("127.0.0.1", 0))
        end = time.monotonic() + 20
        while book.sizes(asked, "tokens") and time.monotonic() < end:
            await asyncio.sleep(0.005)
        door.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await door

    run(opened)
    assert book.sizes(asked, "tokens") == 0 and book.sizes(other, "tokens") > 0  # brest has yet to answer
    net.run("brest")
    assert advance(book, other)
    net.run("linkage")
    assert stand(net, asked).total == stand(net, other).total
    tidy(book)
    assert not {asked, other} & set(book.having("tokens"))


def test_tokens_stay_for_a_site_that_is_yet_to_be_asked_for_its_own(net: Network, asked: str) -> None:
    book = net.house.book
    assert advance(book, asked)
    net.run("linkage")
    (link,) = book.jobs(asked, "link")
    book.db.write(
        "DELETE FROM file WHERE job IN (SELECT id FROM job WHERE kind = 'tokens' AND member = 'brest' AND question = ?)",
        (asked,),
    )
    book.db.write("DELETE FROM job WHERE kind = 'tokens' AND member = 'brest' AND question = ?", (asked,))
    tidy(book)
    assert book.sizes(asked, "tokens") > 0
    after_answer(book, link.id)  # asks for them
    assert book.sizes(asked, "tokens") > 0
    net.run("brest")
    tidy(book)
    assert book.sizes(asked, "tokens") == 0  # the unit had counted both
