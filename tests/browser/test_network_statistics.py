"""The network's statistics: asked on a page, followed round by round, shown as tables and pictures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.axe import violations
from tests.browser.keys import Keys
from tests.browser.serving import Watch, served, sign_in
from tests.browser.small_site import Site, build
from tests.network_kit import Network, add_hospital, network

from estran.hub.agent.rules import Rules

SITES = {"angers": "CARD", "brest": "DIAB", "nantes": "URG", "tours": "HEP"}


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Network, Site, str]]:
    folder = tmp_path_factory.mktemp("statistics")
    made = network(folder)
    for name, unit in SITES.items():
        add_hospital(made, folder, name, rules=Rules(answer=("count", "statistics"), approve=(), units=(unit,)))
    hub = build(folder / "portal")
    with served(hub, made.house.book) as base:
        yield made, hub, base
    hub.state.close()


def ask(page: Page, base: str, method: str, **given: str) -> None:
    page.goto(base + "/network/statistics")
    keys = Keys(page)
    keys.choose("#method", method)
    for name, value in given.items():
        field = page.locator(f"#{name}")
        act = keys.choose if field.evaluate("node => node.tagName") == "SELECT" else keys.write
        act(field, value)
    keys.go("main form button.main")
    page.wait_for_selector("#study")


def play(made: Network, page: Page, title: str) -> None:
    """Have the sites answer until the page shows a result."""
    for _ in range(60):
        made.run(*SITES)
        page.wait_for_timeout(100)
        if page.locator("#study:not([hx-get]) table").count():
            break
    expect(page.locator("h1")).to_have_text(title)
    expect(page.locator("#study .badge.good")).to_have_count(4)


@pytest.mark.parametrize(("language", "theme"), [("fr", "light"), ("en", "dark")])
def test_a_study_is_asked_followed_and_shown(
    net: tuple[Network, Site, str], browser: Browser, watch: Watch, language: str, theme: str
) -> None:
    made, hub, base = net
    account = hub.state.accounts.find("researcher")
    assert account is not None
    hub.state.accounts.change(account.id, language=language, theme=theme)
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    watch.on(page, base)
    sign_in(page, base, "researcher")
    page.goto(base + "/network/statistics")
    assert violations(page) == []
    page.select_option("#method", "survival")
    expect(page.locator("#horizon")).to_be_visible()
    expect(page.locator("#outcome")).to_be_hidden()
    ask(
        page,
        base,
        "survival",
        text="CIM10:I10",
        variables="sex",
        event="CIM10:E11",
        horizon="900",
        group="sex",
        title="Suivi",
    )
    expect(page.locator("#study .badge.some")).to_have_count(4)
    play(made, page, "Suivi")
    expect(page.locator("figure.drawn svg path.line")).to_have_count(2)
    assert violations(page) == []
    expect(page.locator("#study")).to_contain_text({"fr": "survie", "en": "survival"}[language])
    given = {"variables": "age\nsex\nheart = CIM10:I50", "outcome": "heart", "term": "age"}
    ask(page, base, "meta", text="âge>=0", title="Forest", **given)
    play(made, page, "Forest")
    expect(page.locator("figure.drawn svg rect.mark")).to_have_count(4)
    assert violations(page) == []
    page.goto(base + "/network/statistics")
    page.fill("#text", "âge>=0")
    page.fill("#variables", "surname")
    page.click("main form button.main")
    expect(page.locator(".notice.bad")).to_contain_text("surname")
    page.close()
    assert watch.foreign == [] and [one for one in watch.complaints if "422" not in one] == []
