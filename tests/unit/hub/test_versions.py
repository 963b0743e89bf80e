"""Files of the hub and of an agent as the first version wrote them (`version_1`, by its own program: every file in its row):
brought up in place, at once or not at all; and a later version's file is refused."""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from estran.hub import book as hub_book
from estran.hub.agent.ledger import Ledger
from estran.hub.book import HubBook
from estran.hub.database import Database
from estran.hub.file_table import LONG
from estran.hub.wire import File
from estran.model.errors import StoreError

LONG_ONE = b"0123456789abcdef" * 4096


def put(folder: Path, name: str) -> Path:
    """A file of version 1."""
    path = folder / f"{name}.sqlite"
    path.write_bytes(gzip.decompress((Path(__file__).parent / "version_1" / f"{name}.sqlite.gz").read_bytes()))
    assert version(path) == 1
    return path


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as raw:
        return int(raw.execute("PRAGMA user_version").fetchone()[0])


def indexes(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as raw:
        return {str(row[0]) for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql <> ''")}


def test_a_hub_of_version_1_is_brought_up_in_place(tmp_path: Path) -> None:
    path = put(tmp_path, "hub")
    book = HubBook(tmp_path)
    assert version(path) == 2 and book.meta("name") == "Essai"
    (job,) = book.jobs("q")
    assert [(one.name, one.data) for one in book.files(job.id, "answer")] == [
        ("tokens", LONG_ONE),
        ("sketch", b"short"),
    ]
    assert len(LONG_ONE) == LONG and not (tmp_path / "files").exists(), "what is in its row stays there"
    again = book.add_job("q", "brest", "link", {}, 1.0, 4e9, [File("tokens", LONG_ONE)])
    assert len(list((tmp_path / "files").iterdir())) == 1 and book.files(again, "job")[0].data == LONG_ONE
    book.forget_files("q", "tokens")
    assert not list((tmp_path / "files").iterdir()) and [one.name for one in book.files(job.id, "answer")] == ["sketch"]
    book.close()
    (tmp_path / "new").mkdir()
    HubBook(tmp_path / "new").close()
    assert indexes(path) == indexes(tmp_path / "new" / "hub.sqlite")


def test_an_agent_of_version_1_is_brought_up_in_place(tmp_path: Path) -> None:
    path = put(tmp_path, "agent")
    ledger = Ledger(tmp_path)
    assert version(path) == 2
    (held,) = ledger.held()
    assert held.job.body == {"a": 1} and held.job.file("asked") == LONG_ONE
    ledger.close()


def test_what_goes_wrong_leaves_the_first_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "hub")
    before = indexes(path)
    with monkeypatch.context() as broken:
        broken.setattr(hub_book, "_STEPS", {1: f"{hub_book._STEPS[1]};\nINSERT INTO nowhere VALUES (1)"})
        with pytest.raises(StoreError, match="nowhere"):
            HubBook(tmp_path)
    assert version(path) == 1 and indexes(path) == before
    HubBook(tmp_path).close()
    assert version(path) == 2


@pytest.mark.parametrize("opened", [HubBook, Ledger])
def test_a_file_of_a_later_version_is_refused(tmp_path: Path, opened: Any) -> None:
    made = opened(tmp_path)
    path = made.db.path
    made.db.write("PRAGMA user_version = 3")
    made.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="later version"):
        opened(tmp_path)
    assert path.read_bytes() == before


def test_the_first_version_refuses_what_this_one_writes(tmp_path: Path) -> None:
    HubBook(tmp_path).close()
    Ledger(tmp_path).close()
    for name in ("hub", "agent"):
        with pytest.raises(StoreError, match="later version"):
            Database(tmp_path / f"{name}.sqlite", "", 1)
