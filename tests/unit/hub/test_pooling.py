"""Datamarts of three sites in one pool: what is sent, what is taken, who can lead back, who leaves, how it ends."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyroaring import BitMap
from tests.pool_kit import (
    Pooling,
    asked,
    full,
    number_of,
    open_project,
    own_ids,
    patients,
    pooling,
    shelf_of,
    site_ids,
    states,
)
from tests.unit.hub import spoiled
from tests.unit.opposing import oppose
from tests.unit.projects.opened import opened, step

from estran.hub.agent import pooling as agent
from estran.hub.agent.rules import Rules, SiteRules
from estran.hub.governance import Governance, beside
from estran.hub.pooling import delivery, handing
from estran.hub.pooling.book import Withdrawal
from estran.hub.pooling.desk import PoolDesk
from estran.hub.pooling.keeper import PoolKeeper
from estran.hub.pooling.keys import PoolKeys
from estran.model.errors import NotAllowed, UsageError
from estran.projects import rights
from estran.projects.actors import Actor, Role
from estran.projects.datamarts.shelf import Datamarts
from estran.projects.following import NewsKind
from estran.projects.workspaces.spaces import provide
from estran.release.pooled import PoolKey
from estran.release.rekey import ProjectKey
from estran.state import AuditFilter

SITES = ("angers", "brest", "tours")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pooling:
    return pooling(tmp_path_factory.mktemp("pooling"), *SITES)


@pytest.fixture(scope="module")
def shared(made: Pooling) -> str:
    """A pool with what three sites sent in another unit; tests leave it open, the last one closes it."""
    pool = made.ask("mmol/L")
    made.net.run(*SITES)
    done = made.settle(pool, *SITES)
    assert not done.quarantined and done.taken == list(SITES)
    return pool


def pooled(made: Pooling, *only: str) -> tuple[str, int]:
    """A pool of its own with what some sites sent, and its datamart."""
    pool = made.ask("umol/L", *only)
    made.net.run(*only)
    done = made.settle(pool, *only)
    assert not done.quarantined and done.datamart is not None
    return pool, done.datamart


def test_three_sites_make_one_datamart_of_the_project(made: Pooling, shared: str) -> None:
    pool, number = shared, number_of(made, shared)
    folder = made.mart(number)
    with duckdb.connect(str(folder / "datamart.duckdb"), read_only=True) as connection:
        connection.execute(f"SET file_search_path = '{folder}'")
        rows = connection.execute(
            "SELECT site, count(*), count(DISTINCT patient), median(creatinine) FROM patients GROUP BY 1 ORDER BY 1"
        ).fetchall()
        stays = connection.execute("SELECT count(stay) FROM facts ANTI JOIN stays USING (stay)").fetchall()
    table = pq.read_table(
        made.sites["angers"].folder / "datamarts" / made.built["angers"].row.folder / "parquet/patients.parquet"
    )
    middle = float(pa.compute.quantile(table.column("creatinine"), 0.5)[0].as_py())
    assert [row[0] for row in rows] == list(SITES) and all(row[1] == row[2] == table.num_rows for row in rows)
    assert all(row[3] == pytest.approx(middle / 1000) for row in rows)
    assert stays == [(0,)], "each fact's stay is among the stays, under the hub's id"
    assert shelf_of(made.hub).verify(number).wrong == ()
    researcher = Actor.of(made.hub.state.accounts.find("researcher"))  # type: ignore[arg-type]
    assert number in [one.row.id for one in shelf_of(made.hub).__class__(made.hub, researcher).all()]
    space = provide(made.hub, shelf_of(made.hub).actor, made.project)
    assert Path(space.datamart) == folder.resolve()
    told = orjson.loads((folder / "manifest.json").read_bytes())["pool"]
    assert [one["site"] for one in told["sites"]] == list(SITES) or {one["site"] for one in told["sites"]} == set(SITES)
    assert all(
        one["converted"] == {"creatinine": "umol/L → mmol/L"} and one["oppositions"]["applied"] for one in told["sites"]
    )
    assert {site: state for site, (state, _) in states(made, pool).items()} == dict.fromkeys(SITES, "accepted")
    jobs = made.net.house.book.of_kind("pool")
    assert not any(made.net.house.book.files(job.id, "answer") for job in jobs), "packages are dropped once taken"


def test_nobody_alone_leads_back(made: Pooling, shared: str) -> None:
    pool, number = shared, number_of(made, shared)
    keys = PoolKeys.open(made.folder(pool), b"s" * 32)
    hub_files = [
        path for root in (made.net.house.folder, made.mart(number)) for path in root.rglob("*") if path.is_file()
    ]
    held = b"".join(path.read_bytes() if path.suffix != ".parquet" else _texts(path) for path in hub_files)
    for site in SITES:
        own, sent, ours = own_ids(made, site), site_ids(made, pool, site), patients(made.mart(number), site)
        # The hub: it never holds the site's pseudonyms, nor the ids that came, and its keys make none of the former.
        assert not any(one.encode() in held for one in own + sent)
        assert not set(keys.of_site(site, "patient", ours)) & set(own + sent)
        # Only both keys together lead from a patient of the site to one of the pool.
        assert set(keys.of_site(site, "patient", sent)) == set(ours)
        # The site: with all of its secrets it makes none of the hub's ids, and the order of the rows tells nothing.
        members = BitMap.deserialize(made.built[site].row.members)
        secrets = [
            made.sites[site].secret(purpose)
            for purpose in (f"pool:{made.net.house.book.meta('network')}/{pool}", f"project:{made.projects[site]}")
        ]
        tried = {
            one
            for secret in secrets
            for key in (PoolKey(secret),)
            for given in (own, sent)
            for one in key.ids("patient", given)
        }
        tried |= {one for secret in secrets for one in ProjectKey("p", secret).pseudonyms(members)}
        assert not tried & set(ours) and ours == sorted(ours)
    assert not set(patients(made.mart(number), "angers")) & set(patients(made.mart(number), "brest")), (
        "nobody is linked"
    )


def _texts(path: Path) -> bytes:
    columns = pq.read_table(path).columns
    return " ".join(
        str(one) for column in columns if pa.types.is_string(column.type) for one in column.to_pylist()
    ).encode()


def test_it_is_set_aside_with_the_reason(made: Pooling, monkeypatch: pytest.MonkeyPatch) -> None:
    def packed(folder: Path, manifest: dict[str, Any], *rest: Any) -> tuple[Path, str]:
        if manifest["member"] == "brest":
            manifest["member"] = "tours"
        else:
            spoiled.names(folder, manifest)
        return delivery.pack(folder, manifest, *rest)

    monkeypatch.setattr(agent, "pack", packed)
    pool = made.ask("umol/L", "angers", "brest")
    made.net.run("angers", "brest")
    done = made.settle(pool, "angers", "brest")
    assert "like an identity" in done.quarantined["angers"] and "of another site" in done.quarantined["brest"]
    assert done.datamart is None and states(made, pool)["angers"] == ("quarantined", done.quarantined["angers"])
    assert [path.parent.name for path in made.folder(pool).rglob("*.parcel")] == ["quarantine"] * 2
    assert not list(made.folder(pool).rglob("*.parquet")) and made.keeper.gather(pool).quarantined == {}
    certificate = made.keeper.close(pool, "end")
    assert {one["what"] for one in certificate["copies"]} >= {"quarantine", "key"} and not made.folder(pool).exists()


def test_a_site_decides(made: Pooling, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = made.ask()
    strict = {"angers": Rules(), "brest": Rules(answer=("count",), approve=())}
    places = made.net.places | {
        name: dataclasses.replace(made.net.places[name], given=SiteRules(rules)) for name, rules in strict.items()
    }
    monkeypatch.setattr(agent, "WHOLE", 10)
    dataclasses.replace(made.net, places=places).run(*SITES)
    found = states(made, pool)
    assert found["angers"][0] == "approval", "by default somebody of the site says yes first"
    assert found["brest"] == ("refused", "The rules of this site do not allow its datamarts to be pooled.")
    assert found["tours"][0] == "refused" and "larger than may be sent" in found["tours"][1]
    monkeypatch.undo()
    made.keeper.close(pool, "end")
    made.net.run(*SITES)  # hears the end
    ledger = made.net.agent("angers")
    waiting = [held.job.id for held in ledger.ledger.held() if held.state == "approval"]
    assert all(ledger.ledger.decide(job, yes=True) for job in waiting)
    ledger.once()
    ledger.close()
    assert states(made, pool)["angers"][0] == "expired", "what comes too late is not kept"
    lines = made.sites["angers"].state.audit.find(AuditFilter(action="hub-pool"), 50, 0)
    assert any(not line.allowed and pool in line.target for line in lines)


def test_a_pool_is_asked_for_as_a_datamart_is(made: Pooling) -> None:
    with pytest.raises(UsageError, match="without the committee"):
        made.keeper.ask(asked(made.project, cohort="CIM10:E11"), "researcher", {"angers": "2019-001"}, "")
    with pytest.raises(UsageError, match="members of the network"):
        made.keeper.ask(asked(made.project), "researcher", {"linkage": "2019-001"}, "")
    named = asked(made.project, variables=[{"name": "site", "codes": ["LOINC:2160-0"], "aggregate": "any"}])
    with pytest.raises(UsageError, match="called 'site'"):
        made.keeper.ask(named, "researcher", {"angers": "2019-001"}, "")


def test_who_may(made: Pooling, shared: str) -> None:
    pool = shared
    book, state = made.keeper.book, made.hub.state

    def desk(login: str, role: Role) -> PoolDesk:
        account = state.accounts.find(login)
        assert account is not None
        return PoolDesk(state, made.net.house.book, book, Actor(login, role, account.id))

    assert desk("researcher", Role.RESEARCHER).one(pool) is not None
    assert pool in [one.id for one in desk("researcher", Role.RESEARCHER).all()]
    assert desk("hub_operator", Role.HUB_OPERATOR).one(pool) is not None
    with pytest.raises(NotAllowed, match="other people"):
        desk("methodologist", Role.METHODOLOGIST).one(pool)
    with pytest.raises(NotAllowed):
        desk("viewer", Role.VIEWER).all()
    other = state.accounts.add("colleague", "!none", Role.RESEARCHER)
    opened(state, [other.id])
    mine = desk("colleague", Role.RESEARCHER)
    assert mine.all() == [], "somebody of another project"
    with pytest.raises(NotAllowed, match="other people"):
        mine.one(pool)
    with pytest.raises(NotAllowed, match="another person"):
        Datamarts(made.hub, mine.actor).one(number_of(made, pool))
    account = Actor.of(other)
    with pytest.raises(NotAllowed):
        PoolKeeper(made.net.house.folder, made.net.house.book, Datamarts(made.hub, account), b"s" * 32).gather(pool)


def test_a_linkage_gives_one_id_to_who_two_sites_know(made: Pooling, shared: str, tmp_path: Path) -> None:
    pool = shared
    ids = {site: site_ids(made, pool, site) for site in ("angers", "brest")}
    rows = [f"{site},{ids[site][place]},person-{place}" for site in ids for place in range(20)]
    (tmp_path / "links.csv").write_text("\n".join(["site,record,person", *rows]), "utf-8")
    assert made.keeper.link(pool, tmp_path / "links.csv") == 40
    number = made.keeper.gather(pool).datamart
    assert number is not None
    shared = set(patients(made.mart(number), "angers")) & set(patients(made.mart(number), "brest"))
    assert len(shared) == 20 and not any(
        one.encode() in _texts(made.folder(pool) / "links.parquet") for one in ids["angers"]
    )
    with pytest.raises(UsageError, match="site, record and person"):
        made.keeper.link(pool, made.folder(pool) / "links.parquet")


def test_who_objects_or_is_erased_vanishes_and_the_site_hears_so(
    made: Pooling, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, first, site = shared, number_of(made, shared), made.sites["tours"]
    objecting, erased = (int(one) for one in list(BitMap.deserialize(made.built["tours"].row.members))[5:7])
    before = patients(made.mart(first), "tours")
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    oppose(site.warehouse, objecting, "hub", yesterday)
    oppose(site.warehouse, erased, "warehouse", yesterday)
    rights.catch_up(site.state, site.snapshot())
    name = agent.recipient_of(made.net.places["tours"], pool)
    assert len(rights.due(site.state, name)) == 2
    made.keeper.ask_who_left(pool, "tours")
    made.net.run("tours")
    with monkeypatch.context() as broken:
        broken.setattr(handing, "assemble", full)
        with pytest.raises(OSError, match="No space"):
            made.keeper.gather(pool)
    assert not made.mart(first).exists(), "rather no datamart than one with them"
    assert made.keeper.gather(pool).datamart not in (None, first)
    after = patients(made.mart(number_of(made, pool)), "tours")
    assert len(before) - len(after) == 2 and set(after) < set(before)
    assert len(rights.due(site.state, name)) == 2, "not before the hub has done it"
    made.net.run("tours")
    assert rights.due(site.state, name) == ()
    old = next(one for one in made.keeper.book.copies(pool) if one.what == "datamart" and one.place == str(first))
    assert old.certificate["destroyed"] and not made.mart(first).exists()
    made.keeper.ask_again(pool, ("tours",))  # sent anew, they are left out at the site
    made.net.run("tours")
    assert made.settle(pool, "tours").taken == ["tours"]
    assert len(patients(made.mart(number_of(made, pool)), "tours")) == len(after)
    assert sorted(part.state for part in made.keeper.book.parts(pool)) == [*["accepted"] * 3, "superseded"]


def test_of_a_site_that_says_nothing_the_operator_hears_once(
    made: Pooling, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, state, book = made.net.house.book, made.hub.state, made.keeper.book
    operator = state.accounts.find("hub_operator")
    assert operator is not None
    desk, found = PoolDesk(state, hub, book, Actor.of(operator)), made.keeper.find(shared)
    made.net.run(*SITES)
    made.keeper.ask_who_left(shared, "brest")
    assert made.keeper.gather(shared).silent == [] and desk.silent([found]) == {}
    yesterday = (
        "UPDATE job SET created = created - 90000 WHERE kind = 'pool-life' AND member = 'brest' AND state = 'queued'"
    )
    assert hub.db.write(yesterday) == 1
    assert desk.silent([found]) == {}, "it spoke since"
    hub.db.write("UPDATE job SET answered = answered - 172800 WHERE kind = 'pool-life' AND member = 'brest'")
    book.db.write("UPDATE part SET at = at - 172800 WHERE member = 'brest'")
    with monkeypatch.context() as broken:
        broken.setattr(handing.Handing, "hand_over", full)
        with pytest.raises(OSError, match="No space"):
            made.keeper.gather(shared)
    assert [one.said for one in state.news.recent(operator.id) if one.kind == NewsKind.SILENT] == [f"{shared} brest"]
    assert [made.keeper.gather(shared).silent for _ in range(2)] == [["brest"]] * 2
    told = [one for one in state.news.recent(operator.id) if one.kind == NewsKind.SILENT]
    assert [one.said for one in told] == [f"{shared} brest"], "once"
    assert [one.account_id for one in state.notices.waiting() if "brest" in one.text].count(operator.id) == 1
    sheet = desk.one(shared)
    assert sheet is not None and [one.member for one in sheet.sites if one.silent] == ["brest"]
    rules = Governance(state, hub, beside(hub), Actor.of(operator))
    rules.set_silence(48)
    assert desk.silent([found]) == {} and rules.silence() == 48
    with pytest.raises(UsageError, match="8760"):
        rules.set_silence(0)
    rules.set_silence(24)
    book.withdraw(Withdrawal("none", shared, "brest", "", (), "quarantined", ""))
    assert book.lists_set_aside() == ["none"] and list(desk.silent([found])) == [shared]
    book.db.write("DELETE FROM withdrawal WHERE job = 'none'")
    made.net.run("brest")
    assert desk.silent([found]) == {}


def test_a_clock_that_was_put_back_withdraws_no_wish() -> None:
    kept = agent.Sent("p", "p", "r", "k", "", {}, None, "2099-01-01T00:00:00+00:00")
    assert agent.later(kept) == "2099-01-01T00:00:00.000001+00:00"
    assert agent.later(dataclasses.replace(kept, made="")) < "2099"


def test_at_the_end_every_copy_has_its_certificate(made: Pooling, shared: str) -> None:
    pool, number = shared, number_of(made, shared)
    folder = made.mart(number)
    step(made.hub.state, made.project, "close")
    try:
        assert made.keeper.gather(pool).closed, "the project is over"
        assert not folder.exists() and not made.folder(pool).exists()
        made.net.run(*SITES)
        made.keeper.gather(pool)
    finally:
        made.project = open_project(made.hub)
    copies = made.keeper.book.copies(pool)
    assert all(one.certificate for one in copies)
    assert {one.what for one in copies} >= {"datamart", "key", "partition", "site"}
    assert all(one.certificate["files"] for one in copies if one.what in ("datamart", "key", "partition"))
    for name, site in made.sites.items():
        assert agent.recipient_of(made.net.places[name], pool) not in {
            one.name for one in site.state.rights.recipients()
        }
        kept = orjson.loads((made.net.places[name].folder / "pools" / f"{pool}.json").read_bytes())
        assert kept["certificate"]["pool"] == pool and kept["members"] == ""
    jobs = [
        job.id
        for kind in ("pool", "pool-life")
        for job in made.net.house.book.of_kind(kind)
        if job.body["pool"] == pool
    ]
    assert not any(made.net.house.book.files(job, "answer") for job in jobs)


def test_of_a_site_that_ends_nothing_stays(made: Pooling) -> None:
    pool, _ = pooled(made, "angers", "brest")
    step(made.sites["brest"].state, made.projects["brest"], "close")
    made.keeper.ask_who_left(pool, "brest")
    made.net.run("brest")
    assert made.keeper.gather(pool).withdrawn == {"brest": len(own_ids(made, "brest"))}
    assert patients(made.mart(number_of(made, pool)), "brest") == []
    for gone in ("angers", "brest"):  # they leave the network
        made.net.house.book.withdraw(gone)
    made.keeper.gather(pool)
    assert made.keeper.find(pool).datamart is None and not list(made.folder(pool).rglob("*.parquet"))
    assert states(made, pool)["angers"] == ("left", "This site left the network.")
    with pytest.raises(UsageError, match="members of the network"):
        made.ask("umol/L", "angers")
    made.keeper.close(pool, "end")
    sheet = PoolDesk(made.hub.state, made.net.house.book, made.keeper.book, shelf_of(made.hub).actor).one(pool)
    assert sheet is not None and sheet.never and not sheet.complete
