"""The network's page: hospitals answer as they come, and who does not is shown as such."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from tests.browser.axe import violations
from tests.browser.keys import Keys
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


def test_a_site_that_is_no_hub_has_no_network(open_page: object, portal: object) -> None:
    page = open_page("/")  # type: ignore[operator]
    assert page.locator('a[href="/network"]').count() == 0
