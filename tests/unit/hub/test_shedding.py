"""What was taken back of a catalogue, or was a key of tokens, is in no page of the file, free or not, and not in its log."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from estran.hub.book import FILE_NAME as HUB_FILE
from estran.hub.book import HubBook, Question
from estran.hub.catalogues import FILE_NAME, CatalogueBook
from estran.hub.file_table import LONG
from estran.hub.gathering import tidy
from estran.hub.harvest import Harvest
from estran.hub.wire import File
from estran.model.errors import StoreError

SECRET = b"unspoken"


def site(name: str, word: str, size: int, dice: random.Random) -> dict[str, Any]:
    lines = [
        {"key": f"CIM10:{word}{dice.randrange(10**6)}", "fr": f"{word} {'x' * dice.randrange(120)}", "en": word, "nature": "diagnosis",
         "patients": [15, 0, 4], "rows": [20, 0, 4], "first": "", "last": ""} for _ in range(size)
    ]  # fmt: skip
    return {
        "name": name, "homepage": f"https://{name}.example.org", "controller": word, "day": "2026-01-01", "snapshot": 1, "first": "",
        "last": "", "via": [], "patients": [100, 0, 4], "records": [200, 0, 4], "kinds": [], "codes": lines, "services": [],
    }  # fmt: skip


def filled(folder: Path) -> CatalogueBook:
    """Editions of three members come in turns, each longer than the one before: rows move from page to page."""
    shelf, dice = CatalogueBook(folder), random.Random(1)
    for number in range(4):
        for member, word in (("a", "spoken"), ("m", SECRET.decode()), ("z", "spoken")):
            told = site(member, word, 800 + 200 * number, dice)
            shelf.keep(member, f"{member}{number}", 1.0, float(number), [told], {f"https://{member}": word * 2_000})
    return shelf


def lies(folder: Path) -> bytes:
    return b"".join(one.read_bytes() for one in folder.glob(f"{FILE_NAME}*"))


def test_nothing_of_what_was_taken_back_stays_in_the_file(tmp_path: Path) -> None:
    shelf = filled(tmp_path)
    assert SECRET in lies(tmp_path)
    shelf.withdraw("m")
    assert shelf.shed() and SECRET not in lies(tmp_path)
    assert shelf.latest("m") is None and len(shelf.holdings("a")[0]["codes"]) == 1_400
    shelf.close()


def test_nothing_of_one_site_of_a_hub_below_stays_either(tmp_path: Path) -> None:
    shelf, dice = filled(tmp_path), random.Random(2)
    shelf.withdraw("m")
    sites = [site("inner", SECRET.decode(), 900, dice), site("other", "spoken", 900, dice)]
    shelf.keep(
        "z", "both", 1.0, 9.0, sites, {"https://inner.example.org/inner": SECRET.decode(), "https://z": "spoken"}
    )
    shelf.take_back("z", {"inner": "1"})
    assert shelf.shed() and SECRET not in lies(tmp_path)
    assert [one["name"] for one in shelf.holdings("z")] == ["other"] and set(shelf.parts("z")) == {"https://z"}
    shelf.close()


def test_the_clock_sheds_as_soon_as_nobody_reads(tmp_path: Path) -> None:
    shelf = filled(tmp_path)
    with closing(HubBook(tmp_path)) as book, closing(sqlite3.connect(tmp_path / FILE_NAME)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM holding").fetchone()
        shelf.withdraw("m")
        Harvest(book, shelf).tick()
        assert SECRET in lies(tmp_path), "who reads is not disturbed"
        reader.rollback()
        shelf.close()
        shelf = CatalogueBook(tmp_path)  # what is owed is in the file, whoever was killed meanwhile
        Harvest(book, shelf).tick()
        assert SECRET not in lies(tmp_path)
        size = (tmp_path / FILE_NAME).stat().st_mtime_ns
        Harvest(book, shelf).tick()
        assert (tmp_path / FILE_NAME).stat().st_mtime_ns == size, "once is enough"
    shelf.close()


def test_a_file_of_version_1_is_brought_up_and_shed(tmp_path: Path) -> None:
    filled(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as raw:  # as a release did that overwrote nothing
        raw.executescript(
            "DROP TABLE withdrawal; DROP TABLE unshed; PRAGMA user_version = 1; PRAGMA secure_delete = OFF;"
            "DELETE FROM holding WHERE member = 'm'; DELETE FROM known WHERE member = 'm'; DELETE FROM part WHERE member = 'm';"
            "UPDATE edition SET state = 'withdrawn', digest = '', sites = '[]', gained = '[]', lost = '[]', data = NULL WHERE member = 'm'"
        )
    assert SECRET in lies(tmp_path)
    with closing(CatalogueBook(tmp_path)) as shelf:
        assert shelf.shed() and SECRET not in lies(tmp_path)
        assert len(shelf.holdings("a")[0]["codes"]) == 1_400 and shelf.take_back("a", {"x": "1"})


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    CatalogueBook(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as raw:
        raw.execute("PRAGMA user_version = 3")
    with pytest.raises(StoreError, match="later version"):
        CatalogueBook(tmp_path)


def test_while_somebody_writes_it_is_left_to_the_next_time(tmp_path: Path) -> None:
    with closing(filled(tmp_path)) as shelf:
        shelf.withdraw("m")
        with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert not shelf.shed()
            other.execute("ROLLBACK")
        assert shelf.shed() and SECRET not in lies(tmp_path)


def answered(folder: Path) -> tuple[HubBook, set[bytes]]:
    """Forty questions to thirty sites, most of them forgotten again in between; the keys of the long files."""
    book, dice, keys = HubBook(folder), random.Random(3), set()
    book.db.write("INSERT INTO member (id, name, kind, state, invited) VALUES ('m', 'M', 'site', 'active', 1)")
    for number in range(40):
        question = f"q{number}"
        book.ask(Question(question, 1.0, "anne", "", "q", {}), [("m", "count", {})] * 30, 4e9)
        for job in book.jobs(question):
            tokens = File("tokens", bytes(dice.choice([300, 2_000, 5_000, LONG, LONG])))
            book.answer("m", job.id, "ok", "", {}, [tokens, File("sketch", b"k" * dice.randrange(50, 300))], 2.0)
        keys |= {row[0].split()[2].encode() for row in book.db.rows("SELECT data FROM file WHERE typeof(data) = 'text'")}
        if number % 2:
            book.forget_files(f"q{number - dice.randrange(2)}", "tokens")
    return book, keys


def test_no_key_of_a_file_that_went_stays_at_the_hub(tmp_path: Path) -> None:
    book, keys = answered(tmp_path)
    assert len(keys) > 400
    for number in range(40):
        book.forget_files(f"q{number}", "tokens")
    tidy(book)
    told = b"".join(one.read_bytes() for one in tmp_path.glob(f"{HUB_FILE}*"))
    assert len(told) > 100_000 and [key for key in keys if key in told] == []
    book.close()


def test_what_a_file_is_written_anew_from_goes_to_no_temporary_folder(tmp_path: Path) -> None:
    with closing(HubBook(tmp_path)) as book:
        row = book.db.one("PRAGMA temp_store")
        assert row is not None and row[0] == 2, "2 is memory"
