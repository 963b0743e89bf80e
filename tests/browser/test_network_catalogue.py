"""The catalogue of a network in a browser: hospitals compared, a code, a hospital with its prices and history."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from tests.browser.axe import COLOURS, violations
from tests.browser.serving import Watch, served, sign_in
from tests.browser.small_site import Site, build
from tests.network_kit import Network, add_hospital, add_region, network
from tests.unit.hub.test_catalogues import settle

from estran.hub.agent.rules import Rules, write_rules
from estran.hub.catalogues import shelf_of
from estran.hub.governance import Sight, beside
from estran.hub.harvest import Harvest
from estran.projects.actors import Role

PAGES = ("/network/catalogue", "/network/catalogue?q=I50", "/network/catalogue/code/CIM10:I50.0",
         "/network/catalogue/document/pmsi", "/network/sites/angers", "/network/sites/brest", "/network/sites/ouest",
         "/network/rules", "/transparency/network", "/network")  # fmt: skip


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Network, Site, str]]:
    """Three members: one valid, one whose last harvest was refused, one a hub with a hospital behind it."""
    folder = tmp_path_factory.mktemp("catalogues")
    made = network(folder, name="Ouest DataHub")
    for member, name in (("angers", "CHU d’Angers"), ("brest", "CHU de Brest")):
        add_hospital(made, folder, member)
        settle(made, member, name)
    region = add_region(made, folder, "ouest")
    add_hospital(region, folder, "tours")
    settle(region, "tours", "CHU de Tours")
    (folder / "angers" / "services.toml").write_text(
        '[[service]]\nname = "Extraction pour un projet"\nunit = "jour"\nprice = 600\n'
        '[[service]]\nname = "Étude de faisabilité"\nnote = "Pour les équipes du réseau : sans frais."\nprice = 0\n'
    )
    shelf = shelf_of(region.house.book)
    Harvest(region.house.book, shelf).ask()
    region.run("tours")
    Harvest(region.house.book, shelf).take_in()
    hub = build(folder / "portal")
    with served(hub, made.house.book) as base:
        top = Harvest(made.house.book, shelf_of(made.house.book))
        top.ask()
        made.run("angers", "brest", "ouest")
        top.take_in()
        brest = made.places["brest"].site
        assert brest is not None
        object.__setattr__(brest.settings, "hdab_contact", "")  # it refuses its next harvest, since that is missing
        top.ask(["brest"])
        made.run("brest")
        yield made, hub, base
    hub.state.close()


@pytest.mark.parametrize(("language", "theme"), [("fr", "light"), ("en", "dark")])
def test_every_page_of_the_catalogue(
    net: tuple[Network, Site, str], browser: Browser, watch: Watch, language: str, theme: str
) -> None:
    _, hub, base = net
    account = hub.state.accounts.find("hub_operator")
    assert account is not None
    hub.state.accounts.change(account.id, language=language, theme=theme)
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    watch.on(page, base)
    sign_in(page, base, "hub_operator")
    for address in PAGES:
        answer = page.goto(base + address)
        assert answer is not None and answer.status == 200
        assert violations(page, COLOURS if theme == "dark" else ()) == []
        assert page.locator(".brand img").bounding_box()["height"] == 32  # type: ignore[index]
    page.goto(base + "/network/catalogue?q=creatinine")
    row = page.locator("table.matrix tbody tr")
    expect(row).to_have_count(1)
    expect(row.locator("td.n")).to_have_count(3)
    brest = page.locator("section:has(#sites) tbody tr", has_text="CHU de Brest").or_(
        page.locator("section:has(#sites) tbody tr", has_text="brest")
    )
    expect(brest.first.locator(".badge.some")).to_be_visible()  # its last harvest was refused: old
    page.goto(base + "/network/sites/angers")
    expect(page.get_by_text("600 €")).to_be_visible()
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(base + "/network/catalogue")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.close()
    assert watch.foreign == [] and watch.complaints == []


def test_a_charter_is_published_and_signed_and_sights_are_kept(
    net: tuple[Network, Site, str], browser: Browser, watch: Watch
) -> None:
    _, hub, base = net
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    watch.on(page, base)
    for login in ("hub_operator", "data_protection_officer"):
        account = hub.state.accounts.find(login)
        assert account is not None
        hub.state.accounts.change(account.id, language="fr", theme="light")
    sign_in(page, base, "hub_operator")
    page.goto(base + "/network/rules")
    page.get_by_label("Texte").fill("Je pose mes questions pour la recherche, et je ne cherche à reconnaître personne.")
    page.get_by_role("button", name="Publier").click()
    expect(page.get_by_text("non signée par vous")).to_be_visible()
    page.get_by_role("button", name="Je l’ai lue et je signe").click()
    expect(page.get_by_text("signée par vous", exact=True)).to_be_visible()
    page.get_by_label("Chercheur").select_option("total")
    with page.expect_navigation():
        page.locator("form", has=page.get_by_label("Chercheur")).get_by_role("button").click()
    expect(page.get_by_label("Chercheur")).to_have_value("total")
    page.goto(base + "/network")
    page.fill("#text", "CIM10:I10")
    page.click("main form button.main")
    expect(page.locator("#answers tbody tr")).to_have_count(3)
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    officer = context.new_page()
    sign_in(officer, base, "data_protection_officer")
    officer.goto(base + "/audit")
    officer.get_by_role("link", name="Audit du réseau").click()
    expect(officer.locator("section:has(#questions) tbody > tr")).to_have_count(1)
    assert violations(officer) == []
    officer.get_by_role("button", name="Vérifier maintenant").click()
    expect(officer.get_by_role("status")).to_be_visible()
    context.close()
    page.close()
    assert watch.foreign == [] and watch.complaints == []


def test_the_file_is_for_members_until_the_hub_publishes_it(net: tuple[Network, Site, str], browser: Browser) -> None:
    made, hub, base = net
    page = browser.new_page()
    assert "sign-in" in page.request.get(base + "/catalogue.ttl").url
    object.__setattr__(hub.settings, "catalogue_public", True)
    rules, column = beside(made.house.book), "Données des années"
    rules.set_sight(Role.RESEARCHER, Sight.TOTAL)  # as long as somebody sees less, nothing of it is public
    assert "sign-in" in page.request.get(base + "/catalogue.ttl").url
    assert column not in page.request.get(base + "/transparency/network?lang=fr").text()
    rules.set_sight(Role.RESEARCHER, Sight.SITES)
    assert column in page.request.get(base + "/transparency/network?lang=fr").text()
    answer = page.request.get(base + "/catalogue.ttl")
    assert answer.ok and answer.text().count("a dcat:Catalog") == 3
    assert page.request.get(base + "/catalogue.jsonld").json()["@context"]["dcat"]
    object.__setattr__(hub.settings, "catalogue_public", False)
    page.close()


def test_a_catalogue_that_was_taken_back_is_on_no_page(
    net: tuple[Network, Site, str], browser: Browser, watch: Watch
) -> None:
    made, hub, base = net
    account = hub.state.accounts.find("hub_operator")
    assert account is not None
    hub.state.accounts.change(account.id, language="fr", theme="light")
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    watch.on(page, base)
    sign_in(page, base, "hub_operator")
    page.goto(base + "/network/catalogue?q=creatinine")
    holders = page.locator("table.matrix thead th").count()
    write_rules(made.places["angers"].folder, Rules(answer=("count",)))
    made.run("angers")  # it comes; nobody asked it
    page.reload()
    expect(page.locator("table.matrix thead th")).to_have_count(holders - 1)
    row = page.locator("section:has(#sites) tbody tr", has_text="angers")
    expect(row.locator(".badge.bad")).to_have_text("retiré")
    expect(row.locator("td.n")).to_have_count(0)
    page.goto(base + "/network/sites/angers")
    expect(page.get_by_text("retiré").first).to_be_visible()
    assert violations(page) == [] and "CHU d’Angers" not in page.locator("main").inner_text()
    page.close()
    assert watch.foreign == [] and watch.complaints == []
