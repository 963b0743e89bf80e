"""Catalogues of the sites at the hub: harvested, validated, searched, and kept when a site fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from tests.network_kit import Network, add_hospital, network

from estran.catalog import measuring
from estran.exchange.dcat_check import checked
from estran.hub.agent.cataloguing import GRAPH, HOLDINGS
from estran.hub.catalogues import VALID, shelf_of
from estran.hub.governance import CharterKind, Sight, beside
from estran.hub.harvest import DAY, CatalogueDesk, Harvest
from estran.hub.wire import File
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.transparency import PUBLIC
from estran.state import AuditFilter


def settle(net: Network, member: str, name: str) -> None:
    """Give a hospital the settings that a catalogue needs, and have its holdings measured."""
    site = net.places[member].site
    assert site is not None
    site.settings = dataclasses.replace(  # type: ignore[misc]
        site.settings, name=name, public_url=f"https://{member}.example.org", dpo_contact=f"dpo@{member}.example.org",
        hdab_contact="hdab@example.org", controller=name,
    )  # fmt: skip
    measuring.measure(site.snapshot(), site.state)


@pytest.fixture(scope="module")
def harvested(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Network, CatalogueDesk]]:
    folder = tmp_path_factory.mktemp("catalogues")
    net = network(folder)
    for member, name in (("angers", "CHU d’Angers"), ("brest", "CHU de Brest")):
        site = add_hospital(net, folder, member)
        settle(net, member, name)
    (folder / "angers" / "services.toml").write_text('[[service]]\nname = "Extraction"\nunit = "jour"\nprice = 600\n')
    desk = CatalogueDesk(site.state, net.house.book, shelf_of(net.house.book), KEY_HOLDER)
    assert desk.harvest() == ["angers", "brest"] and desk.harvest() == []
    net.run("angers", "brest")
    assert desk.harvests.take_in() == 2
    yield net, desk
    desk.harvests.shelf.close()


def test_every_site_is_there_with_protected_counts(harvested: tuple[Network, CatalogueDesk]) -> None:
    net, desk = harvested
    standing = desk.standing()
    assert [(one.member.id, one.old, one.waiting) for one in standing] == [
        ("angers", False, False), ("brest", False, False)
    ]  # fmt: skip
    (angers,) = standing[0].edition.sites if standing[0].edition else ()
    assert (angers.name, angers.services[0]["price"]) == ("CHU d’Angers", 600.0)
    assert angers.patients is not None and angers.patients.value % 5 == 0 and angers.patients.margin
    found = desk.search("CIM10")
    assert {(cell.member, cell.site) for thing in found.things for cell in thing.cells} == {
        ("angers", "CHU d’Angers"), ("brest", "CHU de Brest"),
    }  # fmt: skip
    heart = desk.thing("code", "CIM10:I50.0")
    assert heart is not None and heart.label("fr") == "Insuffisance cardiaque congestive" and len(heart.cells) == 2
    assert desk.thing("code", "CIM10:E85") is None  # fewer patients than may be told have it
    assert all(not cell.patients.below for thing in found.things for cell in thing.cells)
    letters = desk.thing("document", "pmsi")
    assert letters is not None and len(letters.cells[0].years) > 3
    place = net.places["angers"]
    assert place.site is not None
    (line,) = place.site.state.audit.find(AuditFilter(action="hub-catalogue"), 5)
    assert line.allowed and line.login == f"hub:{place.membership.network}"


def test_words_find_codes_whatever_the_accents(harvested: tuple[Network, CatalogueDesk]) -> None:
    _, desk = harvested
    assert [one.key for one in desk.search("creatinine").things] == ["LOINC:2160-0"]
    assert desk.search("100%").total == 0
    assert desk.search("", "document", "brest").total == desk.search("", "document").total > 3
    kinds = {(member, nature): count for member, _, nature, count in desk.coverage()}
    assert kinds["angers", "laboratory"] == kinds["brest", "laboratory"] > 2


def test_the_file_of_all_sites_conforms_and_holds_both(harvested: tuple[Network, CatalogueDesk]) -> None:
    _, desk = harvested
    parts = checked(desk.file("ttl"))
    assert sorted(base.partition("/CHU")[0] for base in parts) == [
        "https://angers.example.org",
        "https://brest.example.org",
    ]
    linked = orjson.loads(desk.file("jsonld"))
    assert {"dcat", "healthdcatap"} <= set(linked["@context"]) and len(linked["@graph"]) > 20


def test_a_site_that_fails_keeps_its_last_catalogue_as_old(harvested: tuple[Network, CatalogueDesk]) -> None:
    net, desk = harvested
    site = net.places["brest"].site
    assert site is not None
    usual = site.settings
    site.settings = dataclasses.replace(usual, hdab_contact="")  # type: ignore[misc]
    desk.harvest(["brest"])
    net.run("brest")
    site.settings = usual  # type: ignore[misc]
    brest = next(one for one in desk.standing() if one.member.id == "brest")
    assert brest.old and brest.last is not None and brest.last.state == "refused"
    assert desk.search("creatinine").things[0].of(("brest", "CHU de Brest")) is not None
    assert [one.state for one in desk.history("brest")] == ["refused", VALID]
    assert desk.harvest(["brest"]) == ["brest"]
    net.run("brest")
    assert not next(one for one in desk.standing() if one.member.id == "brest").old
    assert desk.history("brest")[0].gained == () == desk.history("brest")[0].lost


@pytest.mark.parametrize(
    ("graph", "holdings", "why"),
    [
        (b"@prefix dcat: <http://www.w3.org/ns/dcat#> . <https://a/b#c> a dcat:Catalog .", None, "does not conform"),
        (b"this is no Turtle", None, "cannot be read"),
        (None, b"{}", "cannot be read"),
        (None, b'{"sites": []}', "name no site"),
    ],
)
def test_an_answer_that_is_no_catalogue_is_history_only(
    harvested: tuple[Network, CatalogueDesk], graph: bytes | None, holdings: bytes | None, why: str
) -> None:
    net, desk = harvested
    shelf, book = desk.harvests.shelf, net.house.book
    good = orjson.dumps({"sites": shelf.holdings("angers")})
    files = (File(GRAPH, graph or desk.file("ttl")), File(HOLDINGS, good if holdings is None else holdings))
    job = book.add_job(None, "angers", "catalogue", {}, 1.0, 4e9)
    book.answer("angers", job, "ok", "", {}, files, 2.0)
    assert desk.harvests.take_in() == 1
    (last,) = [one for one in desk.history("angers") if one.came == 2.0][:1]
    assert last.state == "invalid" and why in last.said
    assert desk.search("creatinine").things[0].of(("angers", "CHU d’Angers")) is not None
    shelf.db.write("DELETE FROM edition WHERE job = ?", (job,))
    book.db.write("DELETE FROM file WHERE job = ?", (job,))
    book.db.write("DELETE FROM job WHERE id = ?", (job,))


def test_nobody_speaks_for_another_holder(harvested: tuple[Network, CatalogueDesk]) -> None:
    _, desk = harvested
    text = desk.file("ttl").decode().replace("<https://brest.example.org/", "<https://other.example.org/", 1)
    with pytest.raises(UsageError, match=r"under the address|does not conform"):
        checked(text.encode())


def test_the_clock_harvests_once_per_period(harvested: tuple[Network, CatalogueDesk]) -> None:
    net, desk = harvested
    last = max(job.created for job in net.house.book.of_kind("catalogue"))
    moments = iter([last + 1] * 12)
    early = Harvest(net.house.book, desk.harvests.shelf, lambda: next(moments))
    early.tick()
    before = len(net.house.book.of_kind("catalogue"))
    later = Harvest(net.house.book, desk.harvests.shelf, lambda: last + 8 * DAY)
    later.tick()
    assert len(net.house.book.of_kind("catalogue")) == before + 2
    assert all(one.old is False for one in early.standing()) and all(one.waiting for one in later.standing())
    net.house.book.db.write("DELETE FROM job WHERE created > ?", (last,))


def test_who_may_not_ask_the_network_sees_no_catalogue(harvested: tuple[Network, CatalogueDesk]) -> None:
    net, desk = harvested
    place = net.places["angers"]
    assert place.site is not None
    other = CatalogueDesk(place.site.state, net.house.book, desk.harvests.shelf, Actor("c", Role.CLINICIAN, 1))
    with pytest.raises(NotAllowed):
        other.search("heart")
    researcher = CatalogueDesk(place.site.state, net.house.book, desk.harvests.shelf, Actor("r", Role.RESEARCHER, 2))
    assert researcher.search("creatinine").total == 1
    with pytest.raises(NotAllowed):
        researcher.harvest()


@pytest.fixture
def researcher(harvested: tuple[Network, CatalogueDesk]) -> Iterator[CatalogueDesk]:
    """Somebody before the same catalogues, to whom a third hospital tells what Angers tells, and two things of its own."""
    net, desk = harvested
    state, shelf = desk._state, desk.harvests.shelf
    account = state.accounts.find("researcher")
    assert account is not None
    shelf.db.write("INSERT INTO holding SELECT 'tours', 'CHU de Tours', kind, key, label_fr, label_en, nature, words, body, since "
                   "FROM holding WHERE member = 'angers' AND key <> 'LOINC:2160-0'")  # fmt: skip
    yield CatalogueDesk(state, net.house.book, shelf, Actor.of(account))
    beside(net.house.book).set_sight(Role.RESEARCHER, Sight.SITES)
    state.seats.put(account.id, "")
    shelf.db.write("DELETE FROM holding WHERE member = 'tours'")


def told(desk: CatalogueDesk) -> list[object]:
    """Every number of a site that somebody is shown, whatever way they take."""
    standing = [one.edition for one in desk.standing()]
    history = [edition for one in desk.standing() for edition in desk.history(one.member.id)]
    heads = [
        (head.patients, head.records, head.kinds, head.codes)
        for one in (*standing, *history)
        if one
        for head in one.sites
    ]
    things = [*desk.search("").things, *desk.search("", member="angers").things, desk.thing("code", "CIM10:I50.0")]
    cells = [cell for thing in things if thing for cell in thing.cells]
    changes = [change for one in history for change in (*one.gained, *one.lost)]
    return [*(one for head in heads for one in head if one is not None), *cells, *changes, *desk.coverage()]


def test_who_sees_totals_sees_what_three_sites_hold_and_no_number_of_one(
    harvested: tuple[Network, CatalogueDesk], researcher: CatalogueDesk
) -> None:
    net, desk = harvested
    assert told(researcher)
    beside(net.house.book).set_sight(Role.RESEARCHER, Sight.TOTAL)
    assert told(researcher) == []
    assert [one.edition.sites[0].name for one in researcher.standing() if one.edition] == [
        "CHU d’Angers",
        "CHU de Brest",
    ]
    heart = researcher.thing("code", "CIM10:I50.0")
    assert heart is not None and (heart.sites, heart.cells) == (3, ())
    assert [one.key for one in researcher.search("I50.0").things] == ["CIM10:I50.0"]
    assert (
        researcher.search("creatinine").total == 0 and researcher.thing("code", "LOINC:2160-0") is None
    )  # two hold it
    assert researcher.search("", member="angers").total == 0  # or the search would tell who holds what
    with pytest.raises(NotAllowed, match="single sites"):
        researcher.file("ttl")
    (line,) = desk._state.audit.find(AuditFilter(login="researcher", refused=True), 1)
    assert "single sites" in line.reason
    with pytest.raises(NotAllowed, match="single sites"):  # nobody sees more by signing out
        CatalogueDesk(desk._state, net.house.book, desk.harvests.shelf, PUBLIC).public_file("ttl")
    public = CatalogueDesk(desk._state, net.house.book, desk.harvests.shelf, PUBLIC).public_standing(numbers=True)
    assert [head.patients for one in public if one.edition for head in one.edition.sites] == [None, None]
    assert told(desk)  # the holder of the key sees all


def test_who_sees_the_own_site_sees_that_one_alone(
    harvested: tuple[Network, CatalogueDesk], researcher: CatalogueDesk
) -> None:
    net, _ = harvested
    beside(net.house.book).set_sight(Role.RESEARCHER, Sight.OWN)
    assert told(researcher) == [] and researcher.search("").total == 0  # of no site
    with pytest.raises(NotAllowed):
        researcher.file("ttl")
    researcher._state.seats.put(researcher.actor.account_id or 0, "brest")
    found = researcher.search("creatinine").things[0]
    assert [cell.member for cell in found.cells] == ["brest"] and found.sites == 1
    assert researcher.search("", member="angers").total == 0 < researcher.search("", member="brest").total
    assert {row[0] for row in researcher.coverage()} == {"brest"}
    patients = {one.member.id: one.edition.sites[0].patients for one in researcher.standing() if one.edition}
    assert patients["angers"] is None and patients["brest"] is not None
    assert [one.member.id for one in researcher.compared()] == ["brest"]
    assert [base.partition("/CHU")[0] for base in checked(researcher.file("ttl"))] == ["https://brest.example.org"]


def test_who_has_not_signed_the_charter_sees_no_catalogue(
    harvested: tuple[Network, CatalogueDesk], researcher: CatalogueDesk
) -> None:
    rules = beside(harvested[0].house.book)
    rules.publish(CharterKind.USER, "Ask for care's sake.", "boss")
    try:
        for look in (researcher.standing, lambda: researcher.search(""), lambda: researcher.file("ttl"),
                     lambda: researcher.thing("code", "CIM10:I50.0"), lambda: researcher.history("angers")):  # fmt: skip
            with pytest.raises(NotAllowed, match="charter"):
                look()
        rules.sign(CharterKind.USER, 1, "researcher", "")
        assert told(researcher)
    finally:
        for table in ("charter", "signature"):
            rules.db.write(f"DELETE FROM {table}")


def test_a_site_that_lacks_a_setting_says_which(tmp_path: Path) -> None:
    net = network(tmp_path)
    add_hospital(net, tmp_path, "nantes")
    site = net.places["nantes"].site
    assert site is not None
    measuring.measure(site.snapshot(), site.state)
    desk = CatalogueDesk(site.state, net.house.book, shelf_of(net.house.book), KEY_HOLDER)
    desk.harvest()
    net.run("nantes")
    (nantes,) = desk.standing()
    assert nantes.last is not None and nantes.last.state == "refused" and "public_url" in nantes.last.said
    assert nantes.edition is None and not nantes.old
