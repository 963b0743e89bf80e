"""A hub of hubs: a question, and the catalogues, cross two levels; nothing is added up, nothing goes in a circle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.network_kit import Network, add_hospital, add_region, network
from tests.unit.hub.test_catalogues import settle

from estran.cohort.language import json as question_json
from estran.cohort.language.text import parse
from estran.hub.agent.relaying import _answer
from estran.hub.agent.rules import Rules, write_rules
from estran.hub.catalogues import shelf_of
from estran.hub.desk import HubDesk
from estran.hub.gathering import Gathered, SiteAnswer, Total, gather
from estran.hub.governance import Sight, beside
from estran.hub.harvest import CatalogueDesk
from estran.projects.actors import KEY_HOLDER, Role
from estran.projects.gate import Shown
from estran.state import AuditFilter, StateDatabase


@dataclass
class Nation:
    """A national hub, two regional ones, two hospitals in each."""

    net: Network
    west: Network
    east: Network

    @property
    def state(self) -> StateDatabase:
        site = self.net.places["west"].site
        assert site is not None
        return site.state

    def ask(self, text: str) -> str:
        return HubDesk(self.state, self.net.house.book, KEY_HOLDER).ask(parse(text))

    def stand(self, question: str) -> Gathered:
        return gather(self.net.house.book, question)

    def of(self, question: str, member: str) -> SiteAnswer:
        return next(one for one in self.stand(question).sites if one.member == member)


@pytest.fixture(scope="module")
def nation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nation]:
    folder = tmp_path_factory.mktemp("nation")
    net = network(folder, name="France")
    west, east = add_region(net, folder, "west"), add_region(net, folder, "east")
    for region, names in ((west, ("angers", "brest")), (east, ("nancy", "metz"))):
        for name in names:
            add_hospital(region, folder, name, first=300)
    yield Nation(net, west, east)


def away(region: Network, member: str, seconds: float) -> None:
    region.house.book.db.write("UPDATE member SET seen = ? WHERE id = ?", (time.time() - seconds, member))


def rules(nation: Nation, member: str, given: Rules) -> None:
    write_rules(nation.net.places[member].folder, given)


@pytest.mark.usefixtures("in_no_hurry")
def test_a_question_crosses_two_levels_and_is_never_a_sum(nation: Nation) -> None:
    away(nation.east, "metz", 3_600)  # down for an hour
    question = nation.ask("âge>=0")
    nation.net.run("west", "east")
    assert {one.state for one in nation.stand(question).sites} == {"waiting"}  # their own sites are asked first
    nation.west.run("angers", "brest")
    nation.east.run("nancy")
    nation.net.run("west")
    nation.west.run("linkage")  # it counts once both have sent their tokens
    nation.net.run("west", "east")
    west, east = nation.of(question, "west"), nation.of(question, "east")
    assert (west.state, west.method, [one.state for one in west.members]) == ("answered", "linkage", ["answered"] * 2)
    assert (east.state, east.method) == ("answered", "one") and east.said == "1 of 2 sites answered."
    assert {one.name: one.state for one in east.members} == {"nancy": "answered", "metz": "down"}
    assert west.shown is not None and all(one.shown is not None for one in west.members)
    apart = sum(one.shown.value for one in west.members if one.shown)
    assert west.shown.value < apart - 200  # 300 patients are known to both
    total = nation.stand(question).total
    assert total.method == "bounds" and total.low <= west.shown.value + west.shown.margin
    own = nation.west.house.book.questions()[0]
    assert own.login == f"hub:{nation.net.house.book.meta('network')}" and own.title == "France"
    jobs = nation.west.house.book.jobs(own.id, "count")
    above = nation.net.house.book.jobs(question, "count")
    assert all(job.expires <= above[0].expires for job in jobs)
    assert jobs[0].body["path"] == [one.house.book.meta("network") for one in (nation.net, nation.west)]
    site = nation.net.places["east"].site
    assert site is not None and site.state.audit.find(AuditFilter(action="hub-count"), 5)[0].target.endswith(
        "passed on"
    )


def test_a_region_that_is_down_is_shown_as_down(nation: Nation) -> None:
    away(nation.net, "east", 3_600)
    question = nation.ask("CIM10:I10")
    nation.net.run("west")
    nation.west.run("angers", "brest")
    nation.net.run("west")
    nation.west.run("linkage")
    nation.net.run("west")
    assert {one.member: one.state for one in nation.stand(question).sites} == {"west": "answered", "east": "down"}
    assert nation.stand(question).total.method == "one" and nation.stand(question).answered == 1


@pytest.mark.parametrize(("path", "why"), [("own", "through this hub already"), ("deep", "through too many hubs")])
def test_circles_and_depths_are_refused(nation: Nation, path: str, why: str) -> None:
    book = nation.net.house.book
    came = [nation.west.house.book.meta("network")] if path == "own" else ["a", "b", "c"]
    body = {"cohort": {}, "path": came}
    now = time.time()
    before = len(nation.west.house.book.questions())
    jobs = [book.add_job(None, "west", kind, body | query, now, now + 60) for kind, query in _KINDS.items()]
    nation.net.run("west")
    for job in jobs:
        found = book.db.one("SELECT state, said FROM job WHERE id = ?", (job,))
        assert found is not None and found["state"] == "refused" and why in found["said"]
    assert len(nation.west.house.book.questions()) == before


_KINDS = {"count": {"cohort": question_json.to_object(parse("âge>=0"))}, "catalogue": {}}


@pytest.mark.usefixtures("in_no_hurry")
def test_a_hub_answers_with_what_there_is_when_its_patience_ends(nation: Nation) -> None:
    question = nation.ask("CIM10:E11")
    nation.net.run("west")
    nation.west.run("angers")
    away(nation.west, "brest", 0)
    nation.net.run("west")
    assert nation.of(question, "west").state == "waiting"
    rules(nation, "west", Rules(patience=0))
    nation.net.run("west")
    rules(nation, "west", Rules())
    west = nation.of(question, "west")
    assert west.state == "answered" and west.said == "1 of 2 sites answered."
    assert {one.name: one.state for one in west.members} == {"angers": "answered", "brest": "waiting"}


def test_a_hub_that_tells_totals_only_needs_three_sites(nation: Nation) -> None:
    rules(nation, "west", Rules(detail="total"))
    question = nation.ask("CIM10:I50")
    nation.net.run("west")
    nation.west.run("angers", "brest")
    nation.net.run("west")
    nation.west.run("linkage")
    nation.net.run("west")
    west = nation.of(question, "west")
    assert west.state == "refused" and "totals only" in west.said and not west.members
    book = nation.net.house.book
    job = book.add_job(None, "west", "catalogue", {"path": []}, time.time(), time.time() + 60)
    nation.net.run("west")
    rules(nation, "west", Rules())
    found = book.db.one("SELECT said FROM job WHERE id = ?", (job,))
    assert found is not None and "totals only" in found["said"]


def test_the_hub_above_has_a_quota(nation: Nation) -> None:
    rules(nation, "east", Rules(quota=1))
    question = nation.ask("CIM10:E85")
    nation.net.run("east")
    rules(nation, "east", Rules())
    assert nation.of(question, "east").state == "refused"


def test_catalogues_cross_two_levels(nation: Nation, tmp_path: Path) -> None:
    for region, member in ((nation.west, "angers"), (nation.west, "brest")):
        settle(region, member, member.capitalize())
    west = CatalogueDesk(nation.state, nation.west.house.book, shelf_of(nation.west.house.book), KEY_HOLDER)
    top = CatalogueDesk(nation.state, nation.net.house.book, shelf_of(nation.net.house.book), KEY_HOLDER)
    west.harvest()
    nation.west.run("angers", "brest")
    west.standing()
    top.harvest(["west"])
    nation.net.run("west")
    standing = {one.member.id: one for one in top.standing()}
    edition = standing["west"].edition
    assert edition is not None and standing["east"].edition is None
    assert [(one.name, one.via) for one in edition.sites] == [("Angers", ("West",)), ("Brest", ("West",))]
    heart = top.thing("code", "CIM10:I50.0")
    assert heart is not None and [(one.member, one.site) for one in heart.cells] == [
        ("west", "Angers"),
        ("west", "Brest"),
    ]
    assert top.file("ttl").count(b"a dcat:Catalog") == 2
    shelf, file = shelf_of(nation.net.house.book), nation.net.house.folder / "catalogue.sqlite"
    assert shelf.shed() and shelf.db.shed() and b"CIM10:I50.0" in file.read_bytes()
    beside(nation.west.house.book).set_sight(Role.RESEARCHER, Sight.TOTAL)  # nobody sees more by way of a hub
    top.harvest(["west"])
    nation.net.run("west")
    beside(nation.west.house.book).set_sight(Role.RESEARCHER, Sight.SITES)
    west_now = next(one for one in top.standing() if one.member.id == "west")
    assert west_now.last is not None and west_now.last.state == "refused" and "totals only" in west_now.last.said
    assert west_now.edition is None and top.thing("code", "CIM10:I50.0") is None, "what it told before is not kept"
    assert b"a dcat:Catalog" not in top.file("ttl")
    assert shelf.holdings("west") == [] and shelf.coverage() == [], "nor is a third hub told of it"
    told = {one.state for one in top.history("west")}
    assert (
        "withdrawn" in told and "valid" not in told and not any(one.sites or one.gained for one in top.history("west"))
    )
    assert shelf.shed() and b"CIM10:I50.0" not in file.read_bytes()
    top.harvest(["west"])
    nation.net.run("west")
    west_now = next(one for one in top.standing() if one.member.id == "west")
    assert west_now.edition is not None and top.thing("code", "CIM10:I50.0") is not None, "until the rule is wide again"
    for member in ("angers", "brest"):
        shelf_of(nation.west.house.book).withdraw(member)
    top.harvest(["west"])
    nation.net.run("west")
    assert next(one for one in top.standing() if one.member.id == "west").edition is None, "nothing is there any more"


def test_no_site_is_told_of_below_the_floor_of_its_hub() -> None:
    sites = tuple(
        SiteAnswer(name, name, "answered", shown=shown)
        for name, shown in (("a", Shown(15, margin=4)), ("b", Shown(0, below=10)), ("c", Shown(90, margin=4)))
    )
    body = _answer(Gathered(sites, Total("linkage", ("a", "b"), 0, 9, Shown(0, below=10))), Rules(floor=30)).body
    assert [(one["count"], one["below"]) for one in body["members"]] == [(0, 30), (0, 30), (90, 0)]
    assert (body["count"], body["below"]) == (0, 30)
