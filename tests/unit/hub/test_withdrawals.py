"""What a site takes back of its catalogue is gone at its next visit, at every hub above, in their histories too. A site that
says nothing, since it cannot be reached, keeps its last catalogue as an old one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.network_kit import add_hospital, add_region, network
from tests.unit.hub.test_catalogues import settle

from estran.hub.agent.rules import FILE_NAME, Rules, SiteRules, write_rules
from estran.hub.agent.standing import standing
from estran.hub.catalogues import GONE, VALID, CatalogueBook, shelf_of
from estran.hub.governance import Sight, beside
from estran.hub.harvest import DAY, CatalogueDesk, Harvest
from estran.hub.withdrawals import hear
from estran.projects.actors import KEY_HOLDER, Role

CLOSED = Rules(answer=("count",))
CODE = "CIM10:I50.0"
LEVELS = ("west", "france", "europe")


class Union:
    """Three hubs, one above the other, and two hospitals at the lowest, whose catalogues are known everywhere."""

    def __init__(self, folder: Path) -> None:
        europe = network(folder, name="Europe")
        france = add_region(europe, folder, "france")
        west = add_region(france, folder, "west")
        for name in ("angers", "brest"):
            add_hospital(west, folder, name)
            settle(west, name, name.capitalize())
        self.nets = {"west": west, "france": france, "europe": europe}
        self.shelves = {name: shelf_of(net.house.book) for name, net in self.nets.items()}
        self.harvest()

    def harvest(self) -> None:
        """Each hub asks its own, from the lowest up."""
        for name, members in (("west", ("angers", "brest")), ("france", ("west",)), ("europe", ("france",))):
            work = Harvest(self.nets[name].house.book, self.shelves[name])
            work.ask()
            self.nets[name].run(*members)
            work.take_in()

    def visit(self, *members: str) -> None:
        """Members come, and nothing was asked of them."""
        above = {"angers": "west", "brest": "west", "west": "france", "france": "europe"}
        for member in members:
            self.nets[above[member]].run(member)

    def rule(self, level: str, member: str, rules: Rules) -> None:
        write_rules(self.nets[level].places[member].folder, rules)

    def told(self, level: str) -> dict[str, int]:
        """Sites of which a hub has anything, and how many editions name them; nothing else of theirs may be there."""
        shelf = self.shelves[level]
        names = [
            str(row[0])
            for row in shelf.db.rows("SELECT json_extract(one.value, '$.name') FROM edition, json_each(sites) AS one")
        ]
        for place in ("holding", "known"):
            assert {str(row[0]) for row in shelf.db.rows(f"SELECT site FROM {place}")} <= set(names)
        return {name: names.count(name) for name in sorted(set(names))}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Union:
    return Union(tmp_path_factory.mktemp("union"))


@pytest.fixture
def union(made: Union) -> Iterator[Union]:
    """Everything is told, before and after."""
    yield made
    for level, member in (("west", "angers"), ("west", "brest"), ("france", "west"), ("europe", "france")):
        made.rule(level, member, Rules())
    made.visit("angers", "brest", "west", "france")
    made.harvest()
    assert all(set(made.told(level)) == {"Angers", "Brest"} for level in LEVELS)


def held(shelf: CatalogueBook) -> set[str]:
    return {cell.site for cell in shelf.thing("code", CODE).cells}


def takes_back(union: Union, site: str) -> None:
    """What the hub in the west would say at a visit."""
    hear(union.nets["france"].house.book, "west", {"answers": ["catalogue"], "withdrawn": {site: "1"}})


def test_a_site_that_answers_no_harvest_is_withdrawn_at_its_next_visit(union: Union) -> None:
    west, shelf = union.nets["west"], union.shelves["west"]
    site = west.places["angers"].site
    assert site is not None
    desk = CatalogueDesk(site.state, west.house.book, shelf, KEY_HOLDER)
    before = shelf.digest()
    union.rule("west", "angers", CLOSED)
    union.visit("angers")  # nobody asked it
    assert held(shelf) == {"Brest"} and set(union.told("west")) == {"Brest"}
    assert shelf.digest() != before, "the public file is made anew"
    angers, brest = desk.standing()
    assert angers.edition is None and not angers.old and angers.last is not None and angers.last.state == GONE
    assert brest.edition is not None and not brest.old
    history = desk.history("angers")
    assert {one.state for one in history} == {GONE} and all(one.came for one in history)
    assert not any(one.sites or one.gained or one.lost for one in history)
    assert b"angers" not in desk.file("ttl") and shelf.holdings("angers") == []
    jobs = [one for one in west.house.book.of_kind("catalogue") if one.member == "angers"]
    assert jobs and all(one.answer == {} for one in jobs), "nor does the book say how many codes there were"
    desk.harvest(["angers"])
    union.visit("angers")
    assert next(one for one in desk.standing() if one.member.id == "angers").last.state == "refused"  # type: ignore[union-attr]


def test_what_a_site_takes_back_goes_at_every_level(union: Union) -> None:
    for level in LEVELS:
        assert set(union.told(level)) == {"Angers", "Brest"} == held(union.shelves[level])
    union.rule("west", "angers", CLOSED)
    union.visit("angers", "west", "france")
    for level in LEVELS:
        shelf = union.shelves[level]
        assert set(union.told(level)) == {"Brest"} == held(shelf), level
        assert all("angers" not in base and "angers" not in part for base, part in shelf.parts().items())
        assert [one["name"] for one in shelf.holdings("west") + shelf.holdings("france")] == ["Brest"] * (
            level != "west"
        )
    top = union.shelves["europe"]
    assert top.latest("france") is not None, "the other hospital's catalogue stays, and is not old"
    assert not any(one.old for one in Harvest(union.nets["europe"].house.book, top).standing())
    assert not any(one.gained or one.lost for one in top.history("france"))
    union.rule("west", "angers", Rules())
    union.visit("angers")
    union.harvest()
    assert held(top) == {"Angers", "Brest"}, "told again, it is there again"
    count = union.told("europe")["Angers"]
    union.visit("angers", "west", "france")
    assert count == 1 == union.told("europe")["Angers"], "what came before is not, and what came since stays"


def test_a_hub_that_was_away_meanwhile_takes_it_back_all_the_same(union: Union) -> None:
    union.rule("west", "brest", CLOSED)
    union.visit("brest")
    union.rule("west", "brest", Rules())
    union.visit("brest")  # open again, before the hub in the middle was heard of above
    assert "Brest" in union.told("france")
    union.visit("west", "france")
    assert set(union.told("france")) == set(union.told("europe")) == {"Angers"}


def test_a_hub_whose_rule_is_narrowed_says_so_at_its_next_visit(union: Union) -> None:
    beside(union.nets["france"].house.book).set_sight(Role.RESEARCHER, Sight.TOTAL)
    union.visit("france")
    beside(union.nets["france"].house.book).set_sight(Role.RESEARCHER, Sight.SITES)
    assert union.told("europe") == {} and set(union.told("france")) == {"Angers", "Brest"}
    assert {one.state for one in union.shelves["europe"].history("france")} == {GONE}


def test_when_the_last_of_a_member_goes_nothing_told_before_comes_back(union: Union) -> None:
    union.rule("west", "angers", CLOSED)
    union.rule("west", "brest", CLOSED)
    union.visit("angers", "brest", "west", "france")
    assert [union.told(level) for level in LEVELS] == [{}] * 3
    assert union.shelves["europe"].parts() == {} and union.shelves["europe"].latest("france") is None


def test_a_site_that_cannot_be_reached_stays_old(union: Union) -> None:
    book, shelf = union.nets["west"].house.book, union.shelves["west"]
    later = Harvest(book, shelf, lambda: time.time() + 30 * DAY)
    later.ask()
    book.db.write("UPDATE job SET expires = 1 WHERE state = 'queued'")
    later.take_in()
    assert [(one.old, one.edition is not None) for one in later.standing()] == [(True, True)] * 2
    assert held(shelf) == {"Angers", "Brest"}


def test_an_answer_that_nobody_looked_at_yet_is_not_kept_either(union: Union) -> None:
    west, shelf = union.nets["west"], union.shelves["west"]
    work = Harvest(west.house.book, shelf)
    (job,) = work.ask(["angers"]) and [one for one in west.house.book.of_kind("catalogue") if one.state == "queued"]
    union.visit("angers")
    assert west.house.book.files(job.id, "answer") and not shelf.knows(job.id)
    union.rule("west", "angers", CLOSED)
    union.visit("angers")
    assert not west.house.book.files(job.id, "answer") and work.take_in() == 0
    (row,) = shelf.db.rows("SELECT state, sites FROM edition WHERE job = ?", (job.id,))
    assert tuple(row) == (GONE, "[]") and "Angers" not in union.told("west")


def test_what_is_back_from_a_backup_goes_at_the_next_look_of_the_clock(union: Union) -> None:
    west, shelf = union.nets["west"], union.shelves["west"]
    with closing(shelf_of(west.house.book)) as copy:
        copies = {table: copy.db.rows(f"SELECT * FROM {table}") for table in ("edition", "part", "holding", "known")}
    union.rule("west", "angers", CLOSED)
    union.visit("angers")
    for table, rows in copies.items():
        shelf.db.write(f"DELETE FROM {table}")
        for row in rows:
            shelf.db.write(f"INSERT INTO {table} VALUES ({', '.join('?' * len(tuple(row)))})", tuple(row))
    assert held(shelf) == {"Angers", "Brest"}
    Harvest(west.house.book, shelf).take_in()
    assert held(shelf) == {"Brest"} and set(union.told("west")) == {"Brest"}


def test_a_part_under_another_address_takes_the_others_of_its_member_along(union: Union) -> None:
    shelf = union.shelves["france"]
    shelf.db.write("UPDATE part SET base = 'https://else.example.org/x' WHERE base LIKE '%angers%'")
    takes_back(union, "Angers")
    assert shelf.parts() == {} and held(shelf) == {"Brest"}


def test_a_report_on_an_invalid_edition_goes_too(union: Union) -> None:
    shelf = union.shelves["france"]
    shelf.failed("west", "x", 1.0, 2.0, "invalid", "Angers has 15 patients")
    takes_back(union, "Angers")
    assert [one.said for one in shelf.history("west") if one.state == "invalid"] == [""]
    shelf.db.write("DELETE FROM edition WHERE job = 'x'")


@pytest.mark.parametrize("body", [{}, {"answers": "count"}, {"answers": None, "withdrawn": {"Angers": "3"}}])
def test_who_says_nothing_of_it_is_left_as_it_is(union: Union, body: dict[str, object]) -> None:
    hear(union.nets["france"].house.book, "west", body)
    assert held(union.shelves["france"]) == {"Angers", "Brest"}


@pytest.mark.parametrize("marks", [None, [1], "x", {"Angers": None, "Nobody": {"a": 1}}])
def test_marks_that_are_none_harm_nothing(union: Union, marks: object) -> None:
    hear(union.nets["france"].house.book, "west", {"answers": ["catalogue"], "withdrawn": marks})
    assert held(union.shelves["france"]) >= {"Brest"}


def test_what_a_member_says(union: Union) -> None:
    west = union.nets["west"]
    place = west.places["angers"]
    assert standing(place) == {"answers": ["catalogue", "count", "learning", "linkage", "pool", "statistics"]}
    (place.folder / FILE_NAME).write_text('answer = ["count", "catalogue"]\n[entity.A]\nunits = ["A"]\nanswer = ["count"]\n'
                                          '[entity.B]\nunits = ["B"]\n')  # fmt: skip
    assert "catalogue" not in standing(place)["answers"] and "count" in standing(place)["answers"]
    (place.folder / FILE_NAME).write_text("answer = ")
    assert standing(place) == {}, "rules that cannot be read take nothing back"
    assert standing(west.places["linkage"]) == {}
    assert SiteRules(Rules(answer=(), approve=("catalogue",))).answered() == ["catalogue"]


def test_an_edition_of_before_keeps_the_sites_that_stay(union: Union) -> None:
    shelf = union.shelves["france"]
    number = len([one for one in shelf.history("west") if one.state == VALID])
    assert number > 1
    takes_back(union, "Brest")
    left = [one for one in shelf.history("west") if one.state == VALID]
    assert all({site.name for site in one.sites} == {"Angers"} for one in left)
