"""Every page that the application answers: walked, in light and dark, French and English by turns, wide and narrow.

The pages are those of the application's own routes: one that is neither walked nor named below fails the first test.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.browser.axe import in_the_dark, violations
from tests.browser.captions import SAID
from tests.browser.serving import Portal, Watch, served
from tests.browser.whole_site import PAGES, Whole, whole
from tests.unit.portal.routes import routes

from estran.portal.server import create_app

NO_PAGES = {
    "/healthz": "JSON", "/api/search": "JSON", "/api/status": "JSON", "/api/openapi.json": "JSON", "/transparency/data.json": "JSON",
    "/patients/{patient_id}/events": "JSON, drawn by the page of the patient",
    "/reviews/{list_id}/patients/{patient}/events": "JSON, drawn by the page of the review",
    "/reviews/{list_id}/settle/{patient}/events": "JSON, drawn by the page that settles",
    "/registry.md": "a file", "/projects/{number}/data/files/{file}/lines.csv": "a file", "/airlock/{number}/files/{place}": "a file",
    "/airlock/{number}/look/{place}": "a file", "/originals/{number}/document.pdf": "a file",
    "/sign-in/elsewhere": "sends to the identity provider", "/sign-in/elsewhere/back": "comes back from it",
    "/cohort/counts": "part of /cohort, there when its total is", "/cohort/patients/{patient_id}/why": "part of /cohort/patients: test_building",
    "/concepts": "part of /cohort: test_building", "/concepts/tree": "part of /cohort: test_every_day",
    "/originals/{number}/state": "part of /originals/{number}",
    "/catalogue.ttl": "a file", "/catalogue.jsonld": "a file",
    "/network/catalogue": "of a hub: test_network_catalogue", "/network/catalogue/{kind}/{key:path}": "of a hub: test_network_catalogue",
    "/network/oppositions": "of a hub: test_network_catalogue", "/network/rules": "of a hub: test_network_catalogue", "/network/audit": "of a hub: test_network_catalogue",
    "/transparency/network": "of a hub: test_network_catalogue",
    "/network/sites/{member}": "of a hub: test_network_catalogue",
    "/spaces/{project}/lab": "a frame around a notebook that runs: test_workspace",
}  # fmt: skip
FIRST = 200_000  # bytes of a first page: images, scripts, styles and fonts with it


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    made = whole(tmp_path_factory.mktemp("whole"))
    yield made
    made.site.state.close()


@pytest.fixture(scope="module")
def portal(everything: Whole) -> Iterator[Portal]:
    with served(everything.site) as base:
        yield Portal(base, everything.site)


class Visitors:
    """A browser window for each person, kept open from page to page."""

    def __init__(self, browser: Browser, portal: Portal, everything: Whole) -> None:
        self._browser, self._portal, self._everything = browser, portal, everything
        self._pages: dict[tuple[str, str], Page] = {}
        self.watch = Watch()

    def page(self, login: str, language: str) -> Page:
        """The window of this person; without a name, of somebody who did not sign in."""
        key = (login, "" if login else language)
        if key not in self._pages:
            context = self._browser.new_context(
                locale=language, reduced_motion="reduce", viewport={"width": 1440, "height": 900}
            )
            self._pages[key] = self._opened(context, login)
        if login:
            account = self._portal.site.state.accounts.find(login)
            assert account
            self._portal.site.state.accounts.change(account.id, language=language, theme="light")
        return self._pages[key]

    def _opened(self, context: BrowserContext, login: str) -> Page:
        if login:
            self._everything.enter(context, self._portal.base, login, "fr", "light")
        page = context.new_page()
        self.watch.on(page, self._portal.base)
        return page

    def close(self) -> None:
        """Shut all windows."""
        for page in self._pages.values():
            page.context.close()


@pytest.fixture(scope="module")
def visitors(browser: Browser, portal: Portal, everything: Whole) -> Iterator[Visitors]:
    made = Visitors(browser, portal, everything)
    yield made
    made.close()


def test_no_page_is_forgotten(portal: Portal) -> None:
    answered = {path for method, path, _ in routes(create_app(portal.site)) if method == "GET"}
    assert answered - PAGES.keys() - NO_PAGES.keys() == set(), "walk it in whole_site.PAGES, or say why not in NO_PAGES"
    assert SAID.keys() == PAGES.keys(), "a sentence in captions.SAID for docs/screenshots.md"
    assert (PAGES.keys() | NO_PAGES.keys()) - answered == set(), "these are gone"


@pytest.mark.parametrize("route", PAGES)
def test_page(route: str, visitors: Visitors, everything: Whole, portal: Portal) -> None:
    opened, language = PAGES[route], ("fr", "en")[list(PAGES).index(route) % 2]
    page = visitors.page(opened.login, language)
    page.set_viewport_size({"width": 1440, "height": 900})
    answer = page.goto(portal.base + everything.address(opened))
    page.wait_for_selector(opened.wait)
    assert answer is not None
    assert answer.status == 200
    assert page.url == portal.base + everything.address(opened), "somebody else's page"
    assert page.locator("html").get_attribute("lang") == language
    assert page.locator("h1").count() == 1
    assert len(page.title()) > len(" · ")
    assert page.title().partition(" · ")[0]
    assert violations(page) == []
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400, "scrolls sideways on a phone"
    assert in_the_dark(page) == []
    assert visitors.watch.foreign == [], "asked another host"
    complaints, visitors.watch.complaints = visitors.watch.complaints, []
    assert complaints == []


@pytest.mark.parametrize(("address", "login"), [("/sign-in", ""), ("/", "data_engineer")])
def test_a_first_page_weighs_little(
    address: str, login: str, browser: Browser, portal: Portal, everything: Whole
) -> None:
    """Bytes on the wire as Chromium counts them, with nothing kept from before."""
    context = browser.new_context(locale="fr-FR")
    if login:
        everything.enter(context, portal.base, login, "fr", "light")
    page, sizes = context.new_page(), dict[str, int]()
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.on("Network.loadingFinished", lambda event: sizes.__setitem__(event["requestId"], event["encodedDataLength"]))
    page.goto(portal.base + address, wait_until="networkidle")
    assert len(sizes) >= 4
    assert sum(sizes.values()) < FIRST
    context.close()


def tab_to(page: Page, selector: str, most: int = 120) -> None:
    """Press Tab until the element has the focus: what a person without a mouse does."""
    for _ in range(most):
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{selector} is not reached by Tab")


def test_searching_and_reading_by_keyboard_alone(visitors: Visitors, portal: Portal) -> None:
    page = visitors.page("data_engineer", "fr")
    page.goto(portal.base + "/search")
    tab_to(page, "#q")
    page.keyboard.type("dyspnée")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=*")
    tab_to(page, ".hit h2 a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/documents/*")
    tab_to(page, "main a[href^='/patients/']")
    page.keyboard.press("Enter")
    page.wait_for_selector("patient-timeline[data-painted]")
    tab_to(page, "patient-timeline canvas")
    page.keyboard.press("n")
    expect(page.locator("patient-timeline [role=status]")).not_to_have_text("")


def test_a_project_is_proposed_by_keyboard_alone(visitors: Visitors, portal: Portal) -> None:
    page = visitors.page("researcher", "fr")
    page.goto(portal.base + "/projects")
    tab_to(page, "main a[href='/projects/new']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/projects/new")
    tab_to(page, "#f-propose-title")
    page.keyboard.type("Un projet sans souris")
    tab_to(page, "#f-propose-sites")
    page.keyboard.type("CHU de l’Estran")
    tab_to(page, "main form button.main")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Un projet sans souris")


def test_a_file_is_let_out_by_keyboard_alone(visitors: Visitors, portal: Portal) -> None:
    page = visitors.page("methodologist", "fr")
    page.goto(portal.base + "/airlock")
    tab_to(page, "main a[href='/airlock/1']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/airlock/1")
    tab_to(page, "#reason")
    page.keyboard.type("Arrondi, aucune petite case.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Arrondi, aucune petite case.")).to_be_visible()


def test_a_patient_is_judged_by_keyboard_alone(visitors: Visitors, portal: Portal, everything: Whole) -> None:
    page = visitors.page("anne", "fr")
    page.goto(portal.base + "/reviews")
    tab_to(page, "main a[href='/reviews/1']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/reviews/1")
    tab_to(page, "main a.button.main")
    page.keyboard.press("Enter")
    page.wait_for_url("**/reviews/1/patients/*")
    tab_to(page, "[name=item-failure]")
    page.keyboard.press("Space")
    before = len(everything.site.state.charts.said(1))
    with page.expect_navigation():
        page.keyboard.press("e")
    assert len(everything.site.state.charts.said(1)) == before + 1
