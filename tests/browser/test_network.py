"""The network's pages: hospitals answer as they come, and who does not is shown as such; models that they learn together."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from tests.browser.axe import violations
from tests.browser.keys import Keys
from tests.browser.lesson import Lesson
from tests.browser.serving import Watch, served, sign_in
from tests.browser.small_site import Site, build
from tests.network_kit import Network, add_hospital, network

SITES = ("angers", "brest", "tours")


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Network, Site, str]]:
    folder = tmp_path_factory.mktemp("network")
    made = network(folder)
    for name in SITES:
        add_hospital(made, folder, name, first=300)
    made.house.book.db.write(
        "UPDATE member SET seen = ? WHERE id = 'tours'", (time.time() - 3_600,)
    )  # down for an hour
    hub = build(folder / "portal")
    with served(hub, made.house.book) as base:
        yield made, hub, base
    hub.state.close()


@pytest.mark.parametrize(("language", "theme"), [("fr", "light"), ("en", "dark")])
def test_sites_answer_as_they_come(
    net: tuple[Network, Site, str], browser: Browser, watch: Watch, language: str, theme: str
) -> None:
    made, hub, base = net
    account = hub.state.accounts.find("researcher")
    assert account is not None
    hub.state.accounts.change(account.id, language=language, theme=theme)
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    watch.on(page, base)
    sign_in(page, base, "researcher")
    page.goto(base + "/network")
    assert violations(page) == []
    keys = Keys(page)
    keys.write("#text", "CIM10:I10")
    keys.write("#title", "Hypertension")
    keys.go("main form button.main")
    answered, down = {"fr": ("a répondu", "injoignable"), "en": ("answered", "cannot be reached")}[language]
    rows = page.locator("#answers tbody tr")
    expect(rows).to_have_count(3)
    expect(page.locator("#answers .badge.good")).to_have_count(0)
    expect(rows.nth(2).locator(".badge")).to_have_text(down)
    made.run("angers")
    expect(rows.nth(0).locator(".badge")).to_have_text(answered)
    expect(rows.nth(0)).to_contain_text("≈")
    made.run("brest")
    expect(page.locator("#answers .badge.good")).to_have_count(2)  # who is late is looked for every five seconds
    page.evaluate("document.querySelector('#answers').scrollIntoView()")
    deadline = time.monotonic() + 60
    while made.agent("linkage").once() == 0 and time.monotonic() < deadline:
        page.wait_for_timeout(100)  # the page itself has the linkage unit asked
    expect(page.locator(".total .big")).to_contain_text("≈")
    assert violations(page) == []
    page.close()
    assert watch.foreign == [] and watch.complaints == []


def test_models_that_hospitals_learn_together(
    net: tuple[Network, Site, str], browser: Browser, watch: Watch
) -> None:
    made, hub, base = net
    exposed = {"model": "network", "aggregation": "trimmed", "exposure_accepted": True}
    Lesson(made, hub, "risk", purpose="Whom to see again soon").learn([3, 0])
    Lesson(made, hub, "worse", **exposed).learn([1, 2])
    way = Lesson(made, hub, "under-way")
    account = hub.state.accounts.find("researcher")
    assert account is not None
    hub.state.accounts.change(account.id, language="fr", theme="light")
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(15_000)
    watch.on(page, base)
    sign_in(page, base, "researcher")
    page.goto(base + "/network/learning")
    assert violations(page) == []
    expect(page.locator("main tbody tr")).to_have_count(3)
    page.click("text=under-way")
    expect(page.locator("#model")).to_contain_text("Aucun tour")
    way.learn()
    expect(page.locator("#model svg path.loss")).to_have_count(1)  # the page looks by itself
    page.goto(base + "/network/learning/risk")
    expect(page.locator("#model .badge.good").first).to_have_text("diffusé")
    rows = page.locator("section:has(#rounds) tbody tr")
    expect(page.locator("svg circle.stands, svg circle.fails")).to_have_count(rows.count() + 2)
    expect(rows.nth(0)).to_contain_text("0,6931")
    expect(rows.nth(1)).to_contain_text("brest")
    assert violations(page) == []
    hub.state.accounts.change(account.id, language="en", theme="dark")
    page.goto(base + "/network/learning/worse")
    expect(page.locator(".notice.bad")).to_contain_text("1 of 3 hospitals found it")
    expect(page.locator("dl.protection .badge.bad")).to_have_text("off")
    assert violations(page) == []
    assert "## Limits" in page.request.get(base + "/network/learning/risk/card.md").text()
    assert page.request.get(base + "/network/learning/risk/card.json").json()["performance"]["released"] is True
    assert page.request.get(base + "/network/learning/under-way/card.md").status == 404
    page.close()
    assert watch.foreign == [] and watch.complaints == []


def test_a_site_that_is_no_hub_has_no_network(open_page: object, portal: object) -> None:
    page = open_page("/")  # type: ignore[operator]
    assert page.locator('a[href="/network"]').count() == 0
