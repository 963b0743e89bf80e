"""A site is taken out of a pool while the machine is in trouble: nothing of it is in a datamart, and what is told is true."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.pool_kit import Pooling, full, number_of, pooling, site_ids

from estran.hub.agent import pooling as agent
from estran.hub.pooling import dropping, handing
from estran.hub.pooling.copies import Copies
from estran.hub.pooling.pieces import Pieces
from estran.hub.pooling.routes import jobs_of
from estran.model.errors import UsageError

SITES = ("angers", "brest")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pooling:
    return pooling(tmp_path_factory.mktemp("trouble"), *SITES)


@pytest.fixture
def pool(made: Pooling) -> str:
    """A pool with what two sites sent."""
    pool = made.ask("umol/L")
    made.net.run(*SITES)
    assert made.settle(pool, *SITES).taken == list(SITES)
    return pool


@pytest.fixture
def alone(made: Pooling) -> str:
    """A pool of two sites of which one has sent nothing."""
    pool = made.ask("umol/L")
    made.net.run("angers")
    assert made.settle(pool, "angers").taken == ["angers"]
    return pool


@pytest.mark.parametrize(("where", "name"), [(Pieces, "files"), (Copies, "remove"), (handing, "assemble")])
def test_whatever_fails_no_datamart_and_no_comparison_keeps_the_site(
    made: Pooling, pool: str, monkeypatch: pytest.MonkeyPatch, where: Any, name: str
) -> None:
    first = number_of(made, pool)
    with monkeypatch.context() as broken:
        broken.setattr(where, name, full)
        with pytest.raises(OSError, match="No space"):
            made.keeper.drop(pool, "brest", "a test")
    assert not made.mart(first).exists() and made.rows(pool)["brest"] == "dropped"
    assert made.keeper.find(pool).datamart is None and made.keeper.find(pool).differences == {}
    made.keeper.gather(pool)
    assert not list(made.mart(number_of(made, pool)).rglob("site=brest"))
    assert [bool(one.certificate) for one in made.keeper.book.drops(pool)] == [True]
    made.keeper.close(pool, "end")


def test_a_pass_that_cannot_finish_a_drop_makes_no_datamart_with_the_site(
    made: Pooling, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other site sends something new meanwhile; so does the one that was dropped, and keeps that."""
    with monkeypatch.context() as broken:
        broken.setattr(Pieces, "files", full)
        for step in range(3):
            with pytest.raises(OSError, match="No space"):
                made.keeper.drop(pool, "brest", "a test") if step == 0 else made.keeper.gather(pool)
            if step == 0:
                made.keeper.ask_again(pool, ("angers",))
            made.net.run("angers")
            assert not list((made.hub.folder / "datamarts").rglob("site=brest"))
        made.keeper.ask_again(pool, ("brest",))
        made.net.run("brest")
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                made.keeper.gather(pool)
            made.net.run("brest")
    place = made.folder(pool) / next(one.folder for one in made.keeper.book.parts(pool, "accepted") if one.member == "brest")
    made.keeper.gather(pool)
    assert list(place.iterdir()) and list(made.mart(number_of(made, pool)).rglob("site=brest"))
    assert [bool(one.certificate) for one in made.keeper.book.drops(pool)] == [True]
    made.keeper.close(pool, "end")


def test_a_datamart_without_the_site_stays(
    made: Pooling, alone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"angers,{one},person-{n}" for n, one in enumerate(site_ids(made, alone, "angers")[:5])]
    (tmp_path / "links.csv").write_text("\n".join(["site,record,person", *rows]), "utf-8")
    made.keeper.link(alone, tmp_path / "links.csv")
    made.keeper.gather(alone)
    with monkeypatch.context() as broken:
        broken.setattr(dropping.Dropping, "_unlink", full)
        with pytest.raises(OSError, match="No space"):
            made.keeper.drop(alone, "brest", "a test")
    assert made.mart(number_of(made, alone)).exists()
    made.keeper.gather(alone)
    assert made.mart(number_of(made, alone)).exists()
    made.keeper.close(alone, "end")


def test_the_certificate_names_no_datamart_that_the_site_was_not_in(made: Pooling, alone: str) -> None:
    first = number_of(made, alone)
    made.keeper.ask_again(alone, ("angers",))
    made.net.run("angers")
    made.settle(alone, "angers")
    assert number_of(made, alone) != first
    assert made.keeper.drop(alone, "brest", "a test")["copies"] == []
    made.keeper.close(alone, "end")


def test_a_drop_that_was_cut_short_is_over_when_the_pool_is_closed(
    made: Pooling, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(Pieces, "files", full)
        with pytest.raises(OSError, match="No space"):
            made.keeper.drop(pool, "brest", "a test")
    with monkeypatch.context() as broken:
        broken.setattr(dropping.Dropping, "over", full)
        with pytest.raises(OSError, match="No space"):
            made.keeper.close(pool, "end")
    made.keeper.gather(pool)
    (drop,) = made.keeper.book.drops(pool)
    assert all(one["destroyed"] for one in drop.certificate["copies"])
    assert {one["what"] for one in drop.certificate["copies"]} == {"partition", "datamart"}


def test_no_datamart_is_made_of_a_pool_that_is_over(made: Pooling, pool: str) -> None:
    first = number_of(made, pool)
    made.keeper.book.change(pool, expires=1_000.0)
    with pytest.raises(UsageError, match="over"):
        made.keeper.drop(pool, "brest", "a test")
    assert number_of(made, pool) == first and made.keeper.book.drops(pool) == []
    assert made.keeper.gather(pool).closed and not made.mart(first).exists()


def test_a_site_that_could_not_do_it_is_told_again(
    made: Pooling, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of an earlier release, which does not know the word."""
    place, site = made.net.places["brest"], made.sites["brest"]
    made.keeper.drop(pool, "brest", "a test")
    with monkeypatch.context() as older:
        older.delitem(agent._DUTIES, "dropped")
        made.net.run("brest")
    for _ in range(2):
        made.keeper.gather(pool)
    hub = made.net.house.book
    said = [one for one in hub.of_kind("pool-life") if one.body["pool"] == pool and one.body["what"] == "dropped"]
    assert [one.state for one in said] == ["unsupported"] and made.keeper.book.drops(pool)[0].own == {}
    hub.db.write("UPDATE job SET created = created - 90000 WHERE id = ?", (said[0].id,))
    made.keeper.gather(pool)
    made.net.run("brest")
    made.keeper.gather(pool)
    assert made.keeper.book.drops(pool)[0].own["member"] == "brest"
    assert agent.recipient_of(place, pool) not in {one.name for one in site.state.rights.recipients()}
    made.keeper.close(pool, "end")


def test_a_list_that_waits_sealed_is_in_the_certificate(made: Pooling, pool: str) -> None:
    made.keeper.ask_who_left(pool, "brest")
    made.net.run("brest")
    (sealed,) = [one for one in made.keeper.drop(pool, "brest", "a test")["copies"] if one["what"] == "sealed"]
    assert sealed["files"][0]["sha256"]
    made.keeper.close(pool, "end")


def test_a_package_set_aside_that_is_back_from_a_backup_goes_again(
    made: Pooling, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as wrong:
        wrong.setattr(agent, "later", lambda _: "2020-01-01T00:00:00+00:00")
        pool = made.ask("umol/L", "brest")
        made.net.run("brest")
        made.settle(pool, "brest")
    assert made.rows(pool) == {"brest": "quarantined"} and list(made.folder(pool).rglob("*.parcel"))
    shutil.copytree(made.folder(pool), tmp_path / "backup")
    made.keeper.drop(pool, "brest", "a test")
    shutil.copytree(tmp_path / "backup", made.folder(pool), dirs_exist_ok=True)
    made.keeper.gather(pool)
    assert not list(made.folder(pool).rglob("*.parcel"))
    made.keeper.close(pool, "end")


def test_a_linkage_that_comes_later_brings_nothing_of_the_site_back(made: Pooling, pool: str, tmp_path: Path) -> None:
    rows = [f"{site},{one},person-{n}" for site in SITES for n, one in enumerate(site_ids(made, pool, site)[:5])]
    (tmp_path / "links.csv").write_text("\n".join(["site,record,person", *rows]), "utf-8")
    made.keeper.drop(pool, "brest", "a test")
    assert made.keeper.link(pool, tmp_path / "links.csv") == 5
    links = made.folder(pool) / "links.parquet"
    assert set(pq.read_table(links).column("member").to_pylist()) == {"angers"}
    (tmp_path / "none.csv").write_text("\n".join(["site,record,person", *rows[5:]]), "utf-8")
    assert made.keeper.link(pool, tmp_path / "none.csv") == 0 and made.keeper.gather(pool).datamart
    made.keeper.ask_again(pool, ("brest",))
    assert made.keeper.link(pool, tmp_path / "links.csv") == 10, "it is to send again"
    with made.keeper._alone(pool), pytest.raises(UsageError, match="Another process"):
        made.keeper.link(pool, tmp_path / "links.csv")
    made.keeper.close(pool, "end")


def test_a_pass_looks_through_the_jobs_only_for_sites_that_are_to_hear(
    made: Pooling, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = list[str]()

    def counted(hub: Any, kind: str, of: str) -> Any:
        looked.append(kind)
        return jobs_of(hub, kind, of)

    monkeypatch.setattr(dropping, "jobs_of", counted)
    made.keeper.gather(pool)
    assert looked == []
    made.keeper.drop(pool, "brest", "a test")
    made.net.run("brest")
    made.keeper.gather(pool)
    looked.clear()
    made.keeper.gather(pool)
    assert looked == [] and made.keeper.book.drops(pool)[0].own
    made.keeper.close(pool, "end")
