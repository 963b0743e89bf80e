"""One site is taken out of a pool by a person: all that it sent goes, the others stay, and nothing made before comes back."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import orjson
import pyarrow.parquet as pq
import pytest
from tests.browser.serving import served
from tests.pool_kit import Pooling, full, number_of, patients, pooling, site_ids, states
from tests.unit.hub.test_leaving import refuse

from estran.hub.agent import pooling as agent
from estran.hub.agent.ledger import Ledger
from estran.hub.pooling import book as books
from estran.hub.pooling import delivery, dropping, handing, pieces
from estran.hub.pooling.copies import Copies
from estran.hub.pooling.keeper import PoolKeeper
from estran.hub.pooling.keys import PoolKeys
from estran.hub.pooling.pieces import Pieces
from estran.model.errors import NotAllowed, UsageError
from estran.portal.visitor import COOKIE
from estran.projects import rights
from estran.projects.actors import Actor, Role
from estran.projects.datamarts.shelf import Datamarts
from estran.projects.sign_in import opened
from estran.state import AuditFilter, Place
from estran.state.transactions import now

SITES = ("angers", "brest")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pooling:
    return pooling(tmp_path_factory.mktemp("dropping"), *SITES)


@pytest.fixture
def pool(made: Pooling) -> str:
    """A pool with what two sites sent."""
    pool = made.ask("umol/L")
    made.net.run(*SITES)
    assert made.settle(pool, *SITES).taken == list(SITES)
    return pool


def recipients(made: Pooling, site: str) -> set[str]:
    return {one.name for one in made.sites[site].state.rights.recipients()}


def test_all_of_one_site_goes_and_the_others_stay(made: Pooling, pool: str) -> None:
    first, name = number_of(made, pool), agent.recipient_of(made.net.places["brest"], pool)
    other = patients(made.mart(first), "angers")
    assert name in recipients(made, "brest")
    certificate = made.keeper.drop(pool, "brest", "  its committee withdrew its word ")
    mart = made.mart(number_of(made, pool))
    assert number_of(made, pool) != first and not made.mart(first).exists()
    assert patients(mart, "angers") == other and not list(mart.rglob("site=brest"))
    assert not (made.folder(pool) / "sites/brest").exists() or not list((made.folder(pool) / "sites/brest").iterdir())
    assert {one["what"]: bool(one["files"]) for one in certificate["copies"]} == {"partition": True, "datamart": True}
    assert certificate["site"] == "brest" and certificate["why"] == "its committee withdrew its word"
    assert certificate["by"] and certificate["site_project"] == made.projects["brest"]
    assert states(made, pool) == {"angers": ("accepted", ""), "brest": ("dropped", "its committee withdrew its word")}
    told = orjson.loads((mart / "manifest.json").read_bytes())["pool"]
    assert [one["site"] for one in told["sites"]] == ["angers"]
    assert [(one["site"], bool(one["at"])) for one in told["dropped"]] == [("brest", True)]
    cells = made.keeper.find(pool).differences["cells"]
    assert {one["site"] for one in cells} == {"angers"}
    made.net.run(*SITES)
    assert made.keeper.gather(pool).silent == []
    (drop,) = made.keeper.book.drops(pool)
    assert drop.own["member"] == "brest" and name not in recipients(made, "brest"), "the site hears, and forgets"
    assert orjson.loads((made.net.places["brest"].folder / "pools" / f"{pool}.json").read_bytes())["members"] == ""
    assert made.keeper.drop(pool, "brest", "again") == certificate and len(made.keeper.book.drops(pool)) == 1
    made.keeper.close(pool, "end")


def test_it_is_decided_and_recorded_before_anything_goes(made: Pooling, pool: str) -> None:
    state = made.hub.state
    lead = state.accounts.find("researcher")
    assert lead is not None
    house = made.net.house
    theirs = PoolKeeper(house.folder, house.book, Datamarts(made.hub, Actor("researcher", Role.RESEARCHER, lead.id)), b"s" * 32)
    with pytest.raises(NotAllowed):
        theirs.drop(pool, "brest", "not mine to say")
    for site, why, said in (("tours", "why", "not in this pool"), ("brest", "  ", "Say why")):
        with pytest.raises(UsageError, match=said):
            made.keeper.drop(pool, site, why)
    assert made.rows(pool) == dict.fromkeys(SITES, "accepted") and made.keeper.book.drops(pool) == []
    lines = state.audit.find(AuditFilter(action="run-pools"), 9, 0)
    assert [(one.login, one.allowed) for one in lines if one.target == f"drop brest from pool:{pool} not mine to say"] == [
        ("researcher", False)
    ]
    made.keeper.close(pool, "end")
    with pytest.raises(UsageError, match="closed"):
        made.keeper.drop(pool, "brest", "too late")


def test_a_killed_drop_is_finished_by_the_same_command_or_the_next_pass(
    made: Pooling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever step it was killed at."""
    steps: tuple[tuple[Any, str], ...] = (
        (Pieces, "files"), (dropping.Dropping, "_empty_mail"), (Copies, "remove"), (handing, "assemble"), (dropping.PoolBook, "end_drop"),
        (dropping, "put"),
    )  # fmt: skip
    for number, (where, name) in enumerate(steps):
        pool = made.ask("umol/L")
        made.net.run(*SITES)
        made.settle(pool, *SITES)
        with monkeypatch.context() as broken:
            broken.setattr(where, name, cut)
            with pytest.raises(KeyboardInterrupt):
                made.keeper.drop(pool, "brest", "a test")
        if number % 2:
            assert made.keeper.drop(pool, "brest", "another word")["why"] == "a test"
        else:
            assert made.keeper.gather(pool).dropped == ["brest"]
        assert made.rows(pool) == {"angers": "accepted", "brest": "dropped"}
        copies = made.keeper.book.copies(pool)
        assert [one.place for one in copies if not one.certificate and "brest" in one.place] == []
        assert all(one.certificate["why"] == "a test" for one in copies if one.place.startswith("sites/brest"))
        assert not list(made.mart(number_of(made, pool)).rglob("site=brest"))
        assert [bool(one.certificate) for one in made.keeper.book.drops(pool)] == [True]
        made.net.run("brest")
        made.keeper.gather(pool)
        assert made.keeper.book.drops(pool)[0].own["member"] == "brest"
        made.keeper.close(pool, "end")


def cut(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("where", "name"), [(handing, "assemble"), (dropping.Dropping, "_unlink")])
def test_a_full_disk_leaves_no_datamart_with_the_site(
    made: Pooling, pool: str, monkeypatch: pytest.MonkeyPatch, where: Any, name: str
) -> None:
    first = number_of(made, pool)
    with monkeypatch.context() as broken:
        broken.setattr(where, name, full)
        with pytest.raises(OSError, match="No space"):
            made.keeper.drop(pool, "brest", "a test")
    assert not made.mart(first).exists() and made.rows(pool)["brest"] == "dropped"
    made.keeper.gather(pool)
    assert made.mart(number_of(made, pool)).exists() and number_of(made, pool) != first
    assert {one["what"] for one in made.keeper.drop(pool, "brest", "a test")["copies"]} == {"partition", "datamart"}
    made.keeper.close(pool, "end")


def test_sealed_packages_and_those_set_aside_go_as_well(made: Pooling, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (delivery, agent, pieces):
        monkeypatch.setattr(module, "PIECE", 40_000)
    pool, hub = made.ask("umol/L", "brest"), made.net.house.book
    made.net.run("brest")
    made.keeper.gather(pool)
    made.net.run("brest")
    made.keeper.gather(pool)  # all pieces are here, and wait for a list
    jobs = [one.id for kind in ("pool", "pool-life") for one in hub.of_kind(kind) if one.body["pool"] == pool]
    assert any(hub.holds(one) for one in jobs)
    certificate = made.keeper.drop(pool, "brest", "a test")
    assert not any(hub.holds(one) for one in jobs)
    (sealed,) = certificate["copies"]
    assert sealed["what"] == "sealed" and len(sealed["files"]) > 1 and all(one["sha256"] for one in sealed["files"])
    made.net.run("brest")
    assert made.settle(pool, "brest").taken == [] and made.rows(pool) == {}
    assert not (made.net.places["brest"].folder / "pools" / f"{pool}.parcel").exists(), "the site keeps none either"
    monkeypatch.undo()
    monkeypatch.setattr(agent, "later", lambda _: "2020-01-01T00:00:00+00:00")
    made.keeper.ask_again(pool, ("brest",))
    made.net.run("brest")
    made.settle(pool, "brest")
    assert made.rows(pool) == {"brest": "quarantined"} and list(made.folder(pool).rglob("*.parcel"))
    assert [one["what"] for one in made.keeper.drop(pool, "brest", "again")["copies"]] == ["quarantine"]
    assert not list(made.folder(pool).rglob("*.parcel"))
    made.keeper.close(pool, "end")


def test_what_was_asked_before_is_not_sent_any_more(made: Pooling, pool: str) -> None:
    """Somebody says yes after the site was dropped."""
    made.keeper.ask_again(pool, ("brest",))
    asked = made.net.house.book.of_kind("pool")[-1]
    place = made.net.places["brest"]
    ledger = Ledger(place.folder)
    with pytest.MonkeyPatch.context() as held:  # as if the agent had been away since it took the job
        held.setattr("estran.hub.agent.agent.Agent._handled", lambda *_: None)
        made.net.run("brest")
    assert [one.id for one in ledger.waiting()] == [asked.id]
    made.keeper.drop(pool, "brest", "a test")
    ledger.close()
    made.net.run("brest")  # the packing comes first, and its answer too late; then it hears
    made.net.run("brest")
    made.keeper.gather(pool)
    assert made.rows(pool)["brest"] == "dropped" and made.keeper.book.drops(pool)[0].own
    assert agent.recipient_of(place, pool) not in recipients(made, "brest"), "nobody of its patients is waited for"
    kept = orjson.loads((place.folder / "pools" / f"{pool}.json").read_bytes())
    assert asked.id in kept["refused"] and kept["members"] == ""
    made.keeper.close(pool, "end")


def test_a_dropped_site_is_asked_again_by_name_only_and_its_new_package_is_taken(
    made: Pooling, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it has forgotten all, and its clock was put back; who refuses afterwards goes out as ever."""
    made.keeper.drop(pool, "brest", "a test")
    made.net.run(*SITES)
    made.keeper.gather(pool)
    (made.net.places["brest"].folder / "pools" / f"{pool}.json").unlink()
    monkeypatch.setattr(agent, "now", lambda: now() - dt.timedelta(days=1))
    assert made.keeper.ask_again(pool) == ["angers"]
    assert made.keeper.ask_again(pool, ("brest",)) == ["brest"] and states(made, pool)["brest"][0] == "waiting"
    made.net.run(*SITES)
    assert made.settle(pool, *SITES).taken == list(SITES)
    assert patients(made.mart(number_of(made, pool)), "brest") and states(made, pool)["brest"] == ("accepted", "")
    assert agent.recipient_of(made.net.places["brest"], pool) in recipients(made, "brest")
    site = made.sites["brest"]
    gone = refuse(made, pool, 6, "brest")
    assert len(rights.due(site.state, agent.recipient_of(made.net.places["brest"], pool))) == 1
    made.keeper.ask_who_left(pool, "brest")
    made.net.run("brest")
    assert made.keeper.gather(pool).withdrawn == {"brest": 1}
    assert gone not in patients(made.mart(number_of(made, pool)), "brest")
    certificate = made.keeper.drop(pool, "brest", "once more")
    assert [one.why for one in made.keeper.book.drops(pool)] == ["a test", "once more"]
    before = {one["place"] for one in made.keeper.book.drops(pool)[0].certificate["copies"]}
    assert {one["what"] for one in certificate["copies"]} == {"partition", "datamart"}
    assert not before & {one["place"] for one in certificate["copies"]}
    assert not any(one.ids for one in made.keeper.book.withdrawals(pool) if one.member == "brest")
    made.keeper.close(pool, "end")


def test_a_package_made_before_the_drop_does_not_answer_a_later_asking(
    made: Pooling, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed, signed and newer than what was taken: as somebody between who kept it could give it."""
    hub = made.net.house.book
    made.keeper.ask_again(pool, ("brest",))
    made.net.run("brest")
    old = hub.of_kind("pool")[-1]
    files = hub.files(old.id, "answer")
    made.keeper.drop(pool, "brest", "a test")
    made.keeper.ask_again(pool, ("brest",))
    new = hub.of_kind("pool")[-1]
    hub.answer("brest", new.id, "ok", "", old.answer, files, new.created)
    # The site has not heard of the drop yet, and still knows what it sent.
    monkeypatch.setitem(agent._DUTIES, "dropped", lambda _, __, kept, ___: agent.Answer("ok", "", {"pool": kept.pool}))
    assert "another asking" in made.settle(pool, "brest").quarantined["brest"]
    made.keeper.close(pool, "end")


def test_a_site_that_heard_late_keeps_what_it_sent_since(made: Pooling, pool: str) -> None:
    made.keeper.drop(pool, "brest", "a test")
    hub = made.net.house.book
    word = next(one for one in hub.of_kind("pool-life") if one.body["pool"] == pool and one.body["what"] == "dropped")
    hub.db.write("UPDATE job SET state = 'expired' WHERE id = ?", (word.id,))
    made.keeper.ask_again(pool, ("brest",))
    made.net.run("brest")
    made.keeper.gather(pool)  # tells it once more
    made.net.run("brest")
    assert made.keeper.gather(pool).taken == ["brest"]
    kept = orjson.loads((made.net.places["brest"].folder / "pools" / f"{pool}.json").read_bytes())
    assert kept["members"] and agent.recipient_of(made.net.places["brest"], pool) in recipients(made, "brest")
    made.keeper.close(pool, "end")


def test_a_hub_that_is_back_from_a_backup_hears_of_the_drop(made: Pooling, pool: str) -> None:
    made.keeper.drop(pool, "brest", "a test")
    made.net.run("brest")
    book = made.keeper.book
    book.db.write("DELETE FROM dropped WHERE pool = ?", (pool,))
    place = f"sites/brest/{book.parts(pool)[0].job}"
    (made.folder(pool) / place).mkdir(parents=True)
    book.db.write("UPDATE part SET state = 'accepted', folder = ? WHERE pool = ? AND member = 'brest'", (place, pool))
    made.keeper.ask_who_left(pool, "brest")
    made.net.run("brest")
    made.keeper.gather(pool)
    assert states(made, pool)["brest"] == ("left", "The site holds the certificate that it was taken out of this pool.")
    assert not (made.folder(pool) / place).exists()
    made.keeper.close(pool, "end")


def test_its_patients_go_from_the_linkage(made: Pooling, pool: str, tmp_path: Path) -> None:
    ids = {site: site_ids(made, pool, site)[:20] for site in SITES}
    rows = [f"{site},{one},person-{place}" for site in SITES for place, one in enumerate(ids[site])]
    (tmp_path / "links.csv").write_text("\n".join(["site,record,person", *rows]), "utf-8")
    assert made.keeper.link(pool, tmp_path / "links.csv") == 40
    made.keeper.gather(pool)
    made.keeper.drop(pool, "brest", "a test")
    left = set(pq.read_table(made.folder(pool) / "links.parquet").column("record").to_pylist())
    keys = PoolKeys.open(made.folder(pool), b"s" * 32)
    assert left == set(keys.of_site("angers", "patient", ids["angers"]))
    links = made.folder(pool) / "links.parquet"
    pq.write_table(pq.read_table(links).drop_columns(["member"]), links)  # as earlier releases wrote it
    made.keeper.drop(pool, "angers", "a test")
    assert pq.read_table(links).num_rows == 0
    made.keeper.close(pool, "end")


@pytest.mark.parametrize(("language", "said"), [("fr", "Retiré le "), ("en", "Taken out on ")])
def test_the_page_says_that_it_was_taken_out_and_when(made: Pooling, pool: str, language: str, said: str) -> None:
    """Also after the site has sent again."""
    state, account = made.hub.state, made.hub.state.accounts.find("researcher")
    assert account is not None
    state.accounts.change(account.id, language=language)
    token = opened(state, account, Place("127.0.0.1", "test"), made.hub.settings, "password").token
    with served(made.hub, made.net.house.book) as base, httpx.Client(base_url=base, trust_env=False, timeout=30) as client:
        client.cookies.set(COOKIE, token)
        assert said not in client.get(f"/pools/{pool}").text
        made.keeper.drop(pool, "brest", "its committee withdrew its word")
        page = unescape(client.get(f"/pools/{pool}").text)
        assert said in page and "its committee withdrew its word" in page
        made.keeper.ask_again(pool, ("brest",))
        page = unescape(client.get(f"/pools/{pool}").text)
        assert said in page
    made.keeper.close(pool, "end")


def test_a_pool_without_sites_has_no_datamart(made: Pooling) -> None:
    pool = made.ask("umol/L", "brest")
    made.net.run("brest")
    assert made.settle(pool, "brest").taken == ["brest"]
    made.keeper.drop(pool, "brest", "a test")
    assert made.keeper.find(pool).datamart is None and made.keeper.find(pool).differences == {}
    assert not list(made.folder(pool).rglob("*.parquet"))
    made.keeper.close(pool, "end")
    assert states(made, pool)["brest"] == ("dropped", "a test")


def test_a_file_of_pools_of_the_version_before_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / books.FILE_NAME
    with closing(sqlite3.connect(path)) as old:
        old.executescript(books._SCHEMA.replace(books._DROPPED, "") + "; PRAGMA user_version = 1")
    book = books.PoolBook(tmp_path)
    assert book.drops("none") == [] and book.judged("none") == set()
    book.close()
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (2,)
