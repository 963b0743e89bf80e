"""A pool over two levels: sites of a hub that is a member send to the hub above, and the hub between carries what it cannot read."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap
from tests.network_kit import Hospital, Network, add_hospital, add_region
from tests.pool_kit import (
    WILLING,
    Pooling,
    asked,
    number_of,
    open_project,
    own_ids,
    patients,
    pooling,
    shelf_of,
    states,
)
from tests.unit.opposing import oppose

from estran.hub.agent import carrying
from estran.hub.agent import pooling as agent
from estran.hub.agent.agent import Agent
from estran.hub.agent.ledger import Ledger
from estran.hub.agent.rules import Rules, write_rules
from estran.hub.book import ASK_AGAIN, JobRecord
from estran.hub.database import Database
from estran.hub.gathering import tidy
from estran.hub.pooling import delivery, pieces
from estran.model.errors import UsageError
from estran.projects import rights
from estran.release.rekey import ProjectKey
from estran.state import AuditFilter

FAR = ("west.angers", "west.brest")


@dataclass
class Nation:
    """A national hub that pools, a hospital of its own (tours), and a regional hub with two (angers, brest)."""

    top: Pooling
    west: Network

    def say_yes(self, *names: str) -> None:
        """Somebody there says yes to every job that waits for it."""
        for name in names:
            net = self.top.net if name in self.top.net.places else self.west
            ledger = Ledger(net.places[name].folder)
            for one in ledger.held():
                ledger.decide(one.job.id, yes=True)
            ledger.close()

    def carry(self) -> None:
        """Jobs go down, and their answers up."""
        self.top.net.run("west")
        self.west.run("angers", "brest")
        self.top.net.run("west")

    def sent(self, *sites: str) -> str:
        """A pool to which these sites have sent; nobody has looked at what came."""
        pool = self.top.ask("umol/L", *sites)
        self.top.net.run("west")
        self.say_yes("west")
        self.carry()
        self.say_yes("angers", "brest")
        self.carry()
        return pool

    def at_the_courier(self) -> str:
        """A pool to which brest has sent; the package lies at the hub between."""
        pool = self.top.ask("umol/L", "west.brest")
        self.top.net.run("west")
        self.say_yes("west")
        self.carry()
        self.say_yes("brest")
        self.west.run("brest")
        return pool

    def taken(self, pool: str) -> list[str]:
        """Who was taken in two passes, the sites being asked in between who left."""
        first = self.top.keeper.gather(pool)
        self.carry()
        self.top.net.run("tours")
        second = self.top.keeper.gather(pool)
        assert not first.quarantined and not second.quarantined
        return sorted([*first.taken, *second.taken])


@pytest.fixture(scope="module")
def nation(tmp_path_factory: pytest.TempPathFactory) -> Nation:
    folder = tmp_path_factory.mktemp("nation")
    top = pooling(folder, "tours")
    west = add_region(top.net, folder, "west", Rules(approve=("pool",)))
    for name in ("angers", "brest"):
        site = add_hospital(west, folder, name, rules=WILLING)
        top.sites[f"west.{name}"], top.projects[f"west.{name}"] = site, open_project(site)
        top.built[f"west.{name}"] = shelf_of(site).build(asked(top.projects[f"west.{name}"]), "researcher", "")
    return Nation(top, west)


@pytest.fixture(scope="module")
def shared(nation: Nation) -> str:
    """A pool of all three."""
    pool = nation.sent("tours", *FAR)
    nation.top.net.run("tours")
    assert nation.taken(pool) == ["tours", *FAR]
    return pool


def test_nothing_is_sent_before_hub_and_site_say_yes(nation: Nation) -> None:
    """Though the site lets the network that it joined pool without asking."""
    top, pool = nation.top, nation.top.ask("umol/L", "west.angers")
    nation.carry()
    assert nation.west.house.book.of_kind("pool") == [], "the hub between has not said yes"
    assert states(top, pool)["west.angers"][0] == "approval"
    nation.say_yes("west")
    nation.carry()
    waiting = nation.west.house.book.of_kind("pool")[0]
    assert waiting.state == "approval" and waiting.body["for"] == "Essai" and "to" not in waiting.body
    assert waiting.body["path"] == [one.house.book.meta("network") for one in (top.net, nation.west)]
    assert states(top, pool)["west.angers"][0] == "approval"
    courier = Agent(top.net.places["west"], top.net.local())
    (job,) = courier.ledger.waiting()
    assert courier._next_look() == 0.5
    courier._since[job.id] -= 1_000.0
    assert 50.0 <= courier._next_look() < 51.0, "somebody may take days to say yes"
    courier.close()
    ledger = Ledger(nation.west.places["angers"].folder)
    assert ledger.decide(waiting.id, yes=False, said="Not this project.")
    ledger.close()
    nation.carry()
    assert states(top, pool)["west.angers"] == ("refused", "Not this project.")
    top.keeper.close(pool, "nobody sends")


def test_sites_of_both_levels_make_one_datamart(nation: Nation, shared: str) -> None:
    mart = nation.top.mart(number_of(nation.top, shared))
    ids = {site: patients(mart, site) for site in ("tours", *FAR)}
    assert all(ids.values()) and len({one for held in ids.values() for one in held}) == sum(map(len, ids.values()))
    assert all(state == "accepted" for state, _ in states(nation.top, shared).values())
    site = nation.top.sites["west.angers"]
    name = agent.recipient_of(nation.west.places["angers"], shared, "Essai")
    assert name in {one.name for one in site.state.rights.recipients()} and name.endswith(", Essai")
    trail = site.state.audit.find(AuditFilter(action="hub-pool"), 9)
    assert any("for:Essai" in one.target for one in trail)
    west = nation.top.net.places["west"].site
    assert west is not None
    assert any("carried to angers" in one.target for one in west.state.audit.find(AuditFilter(action="hub-pool"), 99))


def test_a_way_that_a_job_did_not_come_is_refused(nation: Nation) -> None:
    """And the hub between says who asks, whatever the hub above calls itself."""
    book, pool = nation.top.net.house.book, nation.top.ask("umol/L", "west.angers")
    job = next(one for one in book.of_kind("pool") if one.body["pool"] == pool)
    false = {"path": ["elsewhere"]}
    other = book.add_job(None, "west", "pool", job.body | false, job.created, job.expires)
    book.db.write("UPDATE job SET body = json_set(body, '$.for', 'Another hub') WHERE id = ?", (job.id,))
    nation.top.net.run("west")
    nation.say_yes("west")
    nation.carry()
    refused = book.job(other)
    assert refused is not None and "another way" in refused.said
    assert [one.body["for"] for one in nation.west.house.book.of_kind("pool") if one.body["pool"] == pool] == ["Essai"]
    nation.top.keeper.close(pool, "nobody sends")


def test_the_courier_reads_nothing_and_keeps_nothing(nation: Nation) -> None:
    pool = nation.at_the_courier()
    book = nation.west.house.book
    job = next(one for one in book.of_kind("pool") if one.body["pool"] == pool)
    (package,) = book.files(job.id, "answer")
    held = package.data + b"".join(path.read_bytes() for path in nation.west.house.folder.rglob("*") if path.is_file())
    assert (
        not any(one.encode() in held for one in own_ids(nation.top, "west.brest")) and b"creatinine" not in package.data
    )
    nation.top.net.run("west")
    assert book.files(job.id, "answer") == (), "dropped once the hub above has it"
    assert nation.taken(pool) == ["west.brest"]
    nation.top.keeper.close(pool, "end")


def refuse(site: Hospital, nation: Nation, place: int) -> int:
    patient = int(BitMap.deserialize(nation.top.built["west.angers"].row.members)[place])
    oppose(site.warehouse, patient, "hub", dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1))
    rights.catch_up(site.state, site.snapshot())
    return patient


def test_who_refuses_two_levels_below_is_out_and_the_site_hears_so(nation: Nation, shared: str) -> None:
    site = nation.top.sites["west.angers"]
    name = agent.recipient_of(nation.west.places["angers"], shared, "Essai")
    before = patients(nation.top.mart(number_of(nation.top, shared)), "west.angers")
    patient = refuse(site, nation, 3)
    assert len(rights.due(site.state, name)) == 1
    nation.top.keeper.ask_who_left(shared, "west.angers")
    nation.carry()
    assert nation.top.keeper.gather(shared).withdrawn == {"west.angers": 1}
    assert len(rights.due(site.state, name)) == 1, "not before the hub above has done it"
    nation.carry()
    assert rights.due(site.state, name) == ()
    after = patients(nation.top.mart(number_of(nation.top, shared)), "west.angers")
    own = ProjectKey(nation.top.projects["west.angers"], site.secret(f"project:{nation.top.projects['west.angers']}"))
    assert len(after) == len(before) - 1 and set(after) < set(before) and own.pseudonyms(BitMap([patient]))


def test_a_silent_site_two_levels_below_is_named(nation: Nation, shared: str) -> None:
    hub, book = nation.top.net.house.book, nation.top.keeper.book
    nation.carry()
    nation.top.keeper.gather(shared)
    nation.top.keeper.ask_who_left(shared, "west.brest")
    hub.db.write("UPDATE job SET created = created - 90000 WHERE kind = 'pool-life' AND state = 'queued'")
    hub.db.write("UPDATE job SET answered = answered - 172800 WHERE kind = 'pool-life'")
    book.db.write("UPDATE part SET at = at - 172800")
    assert nation.top.keeper.gather(shared).silent == ["west.brest"]
    nation.carry()
    assert nation.top.keeper.gather(shared).silent == []


def test_a_package_signed_with_another_key_is_set_aside(nation: Nation) -> None:
    pool = nation.sent("west.brest")
    book = nation.top.net.house.book
    job = next(one for one in book.of_kind("pool") if one.body["pool"] == pool)
    other = nation.west.places["angers"].identity.public.key.public_bytes_raw().hex()
    book.db.write("UPDATE job SET answer = json_set(answer, '$.signer', ?) WHERE id = ?", (other, job.id))
    nation.top.keeper.gather(pool)
    nation.carry()
    assert "not signed by the site" in nation.top.keeper.gather(pool).quarantined["west.brest"]
    nation.top.keeper.close(pool, "end")


def test_a_site_that_came_back_with_another_key_does_not_wait_for_ever(nation: Nation) -> None:
    """Its lists are set aside like its package: one that waited for a list would never be looked at."""
    pool, book = nation.sent("west.brest"), nation.top.net.house.book
    assert nation.taken(pool) == ["west.brest"]
    assert nation.top.keeper.ask_again(pool) == ["west.brest"]
    for name in ("west", "brest"):
        nation.carry()
        nation.say_yes(name)
    nation.carry()
    job = last(nation.top.net, pool, "pool")
    other = nation.west.places["angers"].identity.public.key.public_bytes_raw().hex()
    book.db.write("UPDATE job SET answer = json_set(answer, '$.signer', ?) WHERE id = ?", (other, job.id))
    assert "another key" in nation.top.keeper.gather(pool).quarantined["west.brest"]
    assert states(nation.top, pool)["west.brest"][0] == "quarantined"
    nation.top.keeper.close(pool, "end")


def test_a_hub_itself_has_no_rows_and_names_need_a_way(nation: Nation) -> None:
    top = nation.top
    top.projects["west"] = "2026-001"
    pool = top.ask("umol/L", "west")
    del top.projects["west"]
    nation.say_yes("west")
    nation.carry()
    nation.say_yes("west")
    nation.carry()
    assert "no rows of patients" in states(top, pool)["west"][1]
    top.keeper.close(pool, "nobody sends")
    for wrong in ("nobody.angers", "west.", "west..brest"):
        with pytest.raises(UsageError, match="Name members"):
            top.keeper.ask(asked(top.project), "researcher", {wrong: "2026-001"}, "")
    pool = nation.sent(*FAR[:1])
    write_rules(top.net.places["west"].folder, Rules(approve=("pool",), detail="total"))
    other = nation.sent(*FAR[:1])
    write_rules(top.net.places["west"].folder, Rules(approve=("pool",)))
    assert "totals only" in states(top, other)["west.angers"][1]
    for one in (pool, other):
        top.keeper.close(one, "end")


def test_the_end_has_a_certificate_of_every_copy(nation: Nation, shared: str) -> None:
    nation.top.keeper.close(shared, "the end")
    nation.carry()
    nation.top.net.run("tours")
    nation.top.keeper.gather(shared)
    copies = nation.top.keeper.book.copies(shared)
    assert {one.place for one in copies if one.what == "site"} == {"tours", *FAR}
    assert all(one.certificate for one in copies) and not any(one.certificate.get("none") for one in copies)
    theirs = next(one.certificate for one in copies if one.place == "west.angers")
    assert theirs["member"] == "angers" and theirs["pool"] == shared
    sent: Path = nation.west.places["angers"].folder / "pools" / f"{shared}.json"
    assert b'"members":""' in sent.read_bytes()


def lost(nation: Nation, kind: str, pool: str) -> JobRecord:
    """The hub above is back from a backup that was made before its last job of this kind was answered; the job."""
    hub = nation.top.net.house.book
    job = last(nation.top.net, pool, kind)
    assert job.state == "ok"
    with hub.db.writing():
        hub.drop_files(job.id, "answer")
        hub.db.write(f"{ASK_AGAIN} WHERE id = ?", (job.id,))
    return job


def last(net: Network, pool: str, kind: str = "pool-life") -> JobRecord:
    return [one for one in net.house.book.of_kind(kind) if one.body["pool"] == pool][-1]


def test_a_hub_above_that_lost_an_answer_gets_one_with_its_files(nation: Nation) -> None:
    """An answer without them would say that the site sent nothing, and leave who refused in the pool."""
    pool, hub = nation.sent("west.angers"), nation.top.net.house.book
    package = lost(nation, "pool", pool)
    for name in ("west", "angers"):
        nation.carry()
        nation.say_yes(name)
    nation.carry()
    assert [one.name for one in hub.files(package.id, "answer")] == ["parcel"]
    assert nation.taken(pool) == ["west.angers"]
    refuse(nation.top.sites["west.angers"], nation, 5)
    nation.top.keeper.ask_who_left(pool, "west.angers")
    nation.carry()
    lost(nation, "pool-life", pool)
    nation.carry()
    assert nation.top.keeper.gather(pool).withdrawn == {"west.angers": 1}
    nation.top.keeper.close(pool, "end")


@pytest.mark.parametrize("how", ["killed", "not taken"])
def test_what_is_carried_stays_no_longer_than_its_job(
    nation: Nation, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    pool = nation.at_the_courier()
    west, job = nation.west.house.book, last(nation.west, pool, "pool")
    assert west.holds(job.id)
    with monkeypatch.context() as broken:
        if how == "killed":
            broken.setattr(carrying, "told", cut)
            with pytest.raises(KeyboardInterrupt):
                nation.top.net.run("west")
        else:  # the hub above is back from a backup made before it asked
            top = nation.top.net.house.book.db
            top.write("UPDATE job SET member = 'tours' WHERE json_extract(body, '$.pool') = ?", (pool,))
            nation.top.net.run("west")
    if how == "killed":
        tidy(west, lambda: job.expires + 1)
    assert not west.holds(job.id)
    nation.top.keeper.close(pool, "end")


def cut(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_courier_that_is_given_a_job_twice_still_waits_for_its_site(nation: Nation) -> None:
    """Its agent's file is back from a backup, or gone; the jobs that it handed on are not."""
    pool = nation.top.ask("umol/L", "west.brest")
    nation.top.net.run("west")
    nation.say_yes("west")
    nation.carry()
    agents = Database(nation.top.net.places["west"].folder / "agent.sqlite", "", 2)
    agents.write("DELETE FROM job WHERE id = ?", (last(nation.top.net, pool, "pool").id,))
    agents.close()
    nation.carry()
    nation.say_yes("west", "brest")
    nation.carry()
    assert states(nation.top, pool)["west.brest"][0] == "answered"
    nation.top.keeper.close(pool, "end")


def test_a_large_package_crosses_in_pieces(nation: Nation, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (delivery, agent, pieces):
        monkeypatch.setattr(module, "PIECE", 8_000)
    pool = nation.sent("west.brest")
    assert len(last(nation.top.net, pool, "pool").answer["pieces"]) > 2
    assert nation.top.keeper.gather(pool).taken == [], "the others are asked for"
    nation.carry()
    assert nation.taken(pool) == ["west.brest"]
    nation.carry()
    kept = nation.west.places["brest"].folder / "pools" / f"{pool}.parcel"
    west = nation.west.house.book
    jobs = [one for kind in ("pool", "pool-life") for one in west.of_kind(kind) if one.body["pool"] == pool]
    assert not kept.exists() and not any(west.holds(one.id) for one in jobs)
    nation.top.keeper.close(pool, "end")


def test_neither_an_old_list_nor_none_is_word_of_a_site(nation: Nation) -> None:
    """A hub between could hide so that a site wants somebody out, and the site would not be called silent."""
    pool, hub, west = nation.sent("west.angers"), nation.top.net.house.book, nation.west.house.book
    assert nation.taken(pool) == ["west.angers"]
    heard = last(nation.top.net, pool)
    nation.top.keeper.ask_who_left(pool, "west.angers")
    nation.top.net.run("west")
    nation.west.run("angers")
    old = last(nation.west, pool)
    files = west.files(old.id, "answer")
    nation.carry()
    nation.top.keeper.gather(pool)
    nation.top.keeper.ask_who_left(pool, "west.angers")
    nation.top.net.run("west")
    new = last(nation.west, pool)
    west.answer("angers", new.id, "ok", "", old.answer, files, time.time())
    nation.top.net.run("west")
    assert "another asking" in nation.top.keeper.gather(pool).quarantined["west.angers"]
    nation.top.keeper.ask_who_left(pool, "west.angers")
    empty = last(nation.top.net, pool)
    hub.answer("west", empty.id, "ok", "", {"pool": pool}, (), time.time())
    assert nation.top.keeper.gather(pool).silent == []
    hub.db.write("UPDATE job SET created = created - 90000 WHERE id = ?", (empty.id,))
    hub.db.write("UPDATE job SET answered = answered - 172800 WHERE created <= ?", (heard.created + 1_000_000,))
    nation.top.keeper.book.db.write("UPDATE part SET at = at - 172800")
    assert nation.top.keeper.gather(pool).silent == ["west.angers"]
    nation.top.keeper.close(pool, "end")


def test_a_pool_has_one_key(nation: Nation) -> None:
    """A hub between knows the number of a pool: by it, it would be given the same ids as the hub above."""
    pool, west = nation.sent("west.brest"), nation.west.house.book
    other = {**last(nation.west, pool, "pool").body, "key": "09".ljust(64, "0")}
    job = west.add_job(None, "brest", "pool", other, time.time(), time.time() + 900)
    nation.west.run("brest")
    nation.say_yes("brest")
    nation.west.run("brest")
    found = west.job(job)
    assert found is not None and found.state == "refused" and "another key" in found.said
    nation.top.keeper.close(pool, "end")


def test_three_levels(nation: Nation, tmp_path: Path) -> None:
    top, name = nation.top, "west.sub.cher"
    sub = add_region(nation.west, tmp_path, "sub", Rules(approve=("pool",)))
    site = add_hospital(sub, tmp_path, "cher", rules=WILLING)
    top.sites[name], top.projects[name] = site, open_project(site)
    top.built[name] = shelf_of(site).build(asked(top.projects[name]), "researcher", "")
    hops = ((top.net, "west"), (nation.west, "sub"), (sub, "cher"))

    def carry() -> None:
        for net, member in (*hops, *reversed(hops)):
            net.run(member)

    pool = top.ask("umol/L", name)
    for net, member in hops:
        carry()
        assert states(top, pool)[name][0] in ("waiting", "approval")
        ledger = Ledger(net.places[member].folder)
        assert [ledger.decide(one.job.id, yes=True) for one in ledger.held() if one.job.body["pool"] == pool] == [True]
        ledger.close()
    carry()
    top.keeper.gather(pool)
    carry()
    assert top.keeper.gather(pool).taken == [name]
    top.keeper.close(pool, "end")
    carry()
    top.keeper.gather(pool)
    own = next(one.certificate for one in top.keeper.book.copies(pool) if one.what == "site")
    assert own["member"] == "cher"
    del top.sites[name], top.projects[name], top.built[name]


def test_of_a_site_that_left_the_hub_between_nothing_stays(nation: Nation) -> None:
    """Last: angers does not come back."""
    pool = nation.sent(*FAR)
    assert nation.taken(pool) == list(FAR)
    nation.west.house.book.withdraw("angers")
    nation.top.keeper.ask_who_left(pool, "west.angers")
    nation.top.net.run("west")
    nation.top.keeper.gather(pool)
    told = {site: state for site, (state, _) in states(nation.top, pool).items()}
    assert told == {"west.angers": "left", "west.brest": "accepted"}
    mart = nation.top.mart(number_of(nation.top, pool))
    assert not (mart / "parquet/patients/site=west.angers").exists() and patients(mart, "west.brest")
    nation.top.keeper.close(pool, "end")
    nation.top.net.run("west")
    nation.top.keeper.gather(pool)
    own = next(one.certificate for one in nation.top.keeper.book.copies(pool) if one.place == "west.angers")
    assert own["none"], "that it destroyed nothing is not said to be a certificate"
