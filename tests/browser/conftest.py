"""A real portal on a real small site, driven by Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.browser.hub_site import SITES, hub_site
from tests.browser.serving import ARGUMENTS, PATIENCE, Opener, Portal, Watch, chromium, served, sign_in
from tests.browser.small_site import PATIENTS, build
from tests.browser.visitors import Visitors
from tests.browser.whole_site import Whole, whole


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    site = build(tmp_path_factory.mktemp("site"))
    with served(site) as base:
        yield Portal(base, site)
    site.state.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        expect.set_options(timeout=PATIENCE)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """A site in which every part holds something."""
    made = whole(tmp_path_factory.mktemp("whole"))
    yield made
    made.site.state.close()


@pytest.fixture(scope="session")
def hall(everything: Whole) -> Iterator[Portal]:
    with served(everything.site) as base:
        yield Portal(base, everything.site)


@pytest.fixture(scope="session")
def visitors(browser: Browser, hall: Portal, everything: Whole) -> Iterator[Visitors]:
    made = Visitors(browser, hall, everything)
    yield made
    made.close()


@pytest.fixture(scope="session")
def estuaries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """The portal of a hub of which every page holds something."""
    made = hub_site(tmp_path_factory.mktemp("estuaries"), dict.fromkeys(SITES, PATIENTS))
    yield made
    made.site.state.close()


@pytest.fixture(scope="session")
def hub_visitors(browser: Browser, estuaries: Whole) -> Iterator[Visitors]:
    with served(estuaries.site, estuaries.hub) as base:
        made = Visitors(browser, Portal(base, estuaries.site), estuaries)
        yield made
        made.close()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture(scope="session")
def cookies(portal: Portal, browser: Browser) -> dict[str, object]:
    """Session cookies by login, so that each test need not sign in."""
    return {}


@pytest.fixture
def open_page(portal: Portal, browser: Browser, watch: Watch, cookies: dict[str, object]) -> Iterator[Opener]:
    """Open a page as somebody, in a language and a theme; everything is watched, and must be clean at the end."""
    contexts: list[BrowserContext] = []

    def opened(
        path: str = "/", login: str = "data_engineer", language: str = "fr", theme: str = "light", width: int = 1440,
        height: int = 900,
    ) -> Page:
        account = portal.site.state.accounts.find(login)
        assert account is not None
        portal.site.state.accounts.change(account.id, language=language, theme=theme)
        context = browser.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        page = context.new_page()
        watch.on(page, portal.base)
        if login not in cookies:
            sign_in(page, portal.base, login)
            cookies[login] = context.cookies()
        context.add_cookies(cookies[login])  # type: ignore[arg-type]
        page.goto(portal.base + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert watch.foreign == [], "a page asked another host"
    assert watch.complaints == [], "a page complained on its console"
