"""Every page that the application answers: walked, in light and dark, French and English by turns, wide and narrow.

The pages are those of the application's own routes: one that is neither walked nor named below fails the first test.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser
from tests.browser.axe import in_the_dark, violations
from tests.browser.captions import HUB_SAID, SAID
from tests.browser.hub_site import PAGES as HUB_PAGES
from tests.browser.serving import Portal
from tests.browser.visitors import Visitors
from tests.browser.whole_site import PAGES, Opened, Whole
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
    "/network/{question}/answers": "part of /network/{question}",
    "/network/statistics/{study}/now": "part of /network/statistics/{study}",
    "/network/linkages/{run}/now": "part of /network/linkages/{run}",
    "/network/learning/{name}/now": "part of /network/learning/{name}", "/network/learning/{name}/card.md": "a file", "/network/learning/{name}/card.json": "a file",
    "/spaces/{project}/lab": "a frame around a notebook that runs: test_workspace",
}  # fmt: skip
FIRST = 200_000  # bytes of a first page: images, scripts, styles and fonts with it


def test_no_page_is_forgotten(hall: Portal) -> None:
    answered = {path for method, path, _ in routes(create_app(hall.site)) if method == "GET"}
    walked = PAGES.keys() | HUB_PAGES.keys()
    assert answered - walked - NO_PAGES.keys() == set(), (
        "walk it in whole_site.PAGES or hub_site.PAGES, or say why not in NO_PAGES"
    )
    assert SAID.keys() == PAGES.keys(), "a sentence in captions.SAID for docs/screenshots.md"
    assert HUB_SAID.keys() == HUB_PAGES.keys(), "a sentence in captions.HUB_SAID for docs/screenshots.md"
    assert (walked | NO_PAGES.keys()) - answered == set(), "these are gone"


@pytest.mark.parametrize("route", PAGES)
def test_page(route: str, visitors: Visitors) -> None:
    walk(visitors, PAGES[route], ("fr", "en")[list(PAGES).index(route) % 2])


@pytest.mark.parametrize("route", HUB_PAGES)
def test_page_of_a_hub(route: str, hub_visitors: Visitors) -> None:
    walk(hub_visitors, HUB_PAGES[route], ("fr", "en")[list(HUB_PAGES).index(route) % 2])


def walk(visitors: Visitors, opened: Opened, language: str) -> None:
    """Open a page, and look at all that every page must keep."""
    page, address = visitors.page(opened.login, language), visitors.address(opened)
    page.set_viewport_size({"width": 1440, "height": 900})
    answer = page.goto(address)
    page.wait_for_selector(opened.wait)
    assert answer is not None
    assert answer.status == 200
    assert page.url == address, "somebody else's page"
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


@pytest.mark.parametrize(
    ("address", "login"), [("/sign-in", ""), ("/", "data_engineer"), ("/catalogue", "dim_physician")]
)
def test_a_first_page_weighs_little(
    address: str, login: str, browser: Browser, hall: Portal, everything: Whole
) -> None:
    """Bytes on the wire as Chromium counts them, with nothing kept from before."""
    context = browser.new_context(locale="fr-FR")
    if login:
        everything.enter(context, hall.base, login, "fr", "light")
    page, sizes = context.new_page(), dict[str, int]()
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.on("Network.loadingFinished", lambda event: sizes.__setitem__(event["requestId"], event["encodedDataLength"]))
    page.goto(hall.base + address, wait_until="networkidle")
    assert len(sizes) >= 4
    assert sum(sizes.values()) < FIRST
    context.close()
