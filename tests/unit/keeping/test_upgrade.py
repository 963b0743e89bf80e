"""A site of the first format is read at once, written to once upgraded, and can go back."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from tests.spec import site_kit as kit
from tests.unit.keeping.conftest import MESSAGES

from estran.app import Site, open_site
from estran.keeping.upgrade import FOLDER, roll_back, upgrade
from estran.model.errors import StoreError


@pytest.fixture
def older(site: Site) -> Site:
    """The same site as the first release left it: an older record, and a vault without its later tables."""
    for path in sorted((site.directory / "warehouse" / "snapshots").glob("*.json")):
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"format": 1}))
    with closing(sqlite3.connect(site.directory / "vault" / "vault.sqlite")) as vault:
        for table in ("whose", "death_review"):
            vault.execute(f"DROP TABLE IF EXISTS {table}")
        vault.commit()
    return open_site(site.directory)


def _again(site: Site) -> int:
    return kit.load(open_site(site.directory), "hl7v2", MESSAGES).total("loaded")


def test_an_older_site_is_read_and_not_written_to(older: Site) -> None:
    assert kit.count_facts(older.directory) > 0
    with pytest.raises(StoreError, match="format 1"):
        _again(older)


def test_an_upgraded_site_holds_the_same_and_goes_on(older: Site) -> None:
    before = kit.digest(older)
    done = upgrade(older.directory, older.key)
    assert (done.before, done.after) == (1, 2)
    again = open_site(older.directory)
    assert kit.digest(again) == before
    assert kit.findings(again) == []
    assert _again(older) == 0  # all of it is there already
    assert upgrade(older.directory, older.key).before == 2  # nothing to do


def test_going_back_gives_the_older_site(older: Site) -> None:
    before = kit.digest(older)
    upgrade(older.directory, older.key)
    roll_back(older.directory)
    again = open_site(older.directory)
    assert again.snapshot().record.format == 1
    assert kit.digest(again) == before
    assert not (older.directory / FOLDER).exists()
    with closing(sqlite3.connect(older.directory / "vault" / "vault.sqlite")) as vault:
        assert vault.execute("SELECT count(*) FROM sqlite_master WHERE name = 'whose'").fetchone() == (0,)
    with pytest.raises(StoreError, match="No upgrade"):
        roll_back(older.directory)
    assert upgrade(older.directory, older.key).after == 2


def test_there_is_no_way_back_once_something_was_loaded(older: Site) -> None:
    upgrade(older.directory, older.key)
    kit.load(open_site(older.directory), "report", kit.SAMPLES / "e3c_fr")
    with pytest.raises(StoreError, match="written to since"):
        roll_back(older.directory)
    assert kit.findings(open_site(older.directory)) == []


def test_an_interrupted_upgrade_goes_on(older: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    before = kit.digest(older)
    monkeypatch.setattr("estran.identity.vault.Vault.upgrade", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        upgrade(older.directory, older.key)
    monkeypatch.undo()
    assert open_site(older.directory).snapshot().record.format == 1
    assert upgrade(older.directory, older.key).after == 2
    roll_back(older.directory)
    assert kit.digest(open_site(older.directory)) == before
