"""The page of linkages: asked by keyboard, one hospital late, the unit, the ids, the protected counts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.axe import in_the_dark, violations
from tests.browser.keys import Keys
from tests.browser.serving import Watch, served, sign_in
from tests.network_kit import _joined, add_hospital, network

from estran.hub.agent.rules import Rules

SITES = ("angers", "brest")


def clean(page: Page) -> None:
    """Nothing for axe to say in light, in dark, or on a phone."""
    assert violations(page) == []
    assert in_the_dark(page) == []
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.set_viewport_size({"width": 1440, "height": 1000})


def test_a_linkage_is_asked_followed_and_counted(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser, watch: Watch
) -> None:
    folder = tmp_path_factory.mktemp("linkage")
    made = network(folder)
    sites = [
        add_hospital(made, folder, name, first=300, rules=Rules(answer=("linkage",), approve=())) for name in SITES
    ]
    _joined(made, folder / "tours", "tours", "site", b"site")  # joined, and never comes
    with served(sites[0], made.house.book) as base:
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(15_000)
        watch.on(page, base)
        sign_in(page, base, "hub_operator")
        page.goto(base + "/network/linkages")
        assert violations(page) == []
        keys = Keys(page)
        keys.write("#project", "Insuffisance cardiaque")
        keys.write("#text", "âge>=0")
        keys.go("main form button.main")
        expect(page.locator("h1")).to_contain_text("Insuffisance cardiaque")
        rows = page.locator("#linkage tbody tr")
        expect(rows).to_have_count(3)
        made.run(*SITES)
        page.reload()
        expect(rows.locator(".badge.good")).to_have_count(2)
        keys.go("#linkage form button")  # tours is waited for no longer
        expect(rows.nth(2).locator(".badge.bad")).to_have_count(1)
        made.run("linkage")
        page.reload()
        expect(page.locator("#linkage .figures dd.big").first).to_contain_text("≈")
        expect(page.locator("#linkage table.shared tbody tr")).to_have_count(1)
        made.run(*SITES)
        page.reload()
        expect(page.locator("#linkage[hx-get]")).to_have_count(0)
        expect(rows.filter(has_text="angers").last.locator(".badge.good")).to_have_count(2)
        expect(page.locator("#linkage form")).to_have_count(0)
        clean(page)
        page.close()
    assert watch.foreign == [] and watch.complaints == []
