"""The page of the feeds: health, quarantine, loads taken back by whoever may."""

from __future__ import annotations

from playwright.sync_api import expect
from tests.browser.keys import Keys
from tests.browser.serving import Opener, Watch
from tests.browser.test_pages import serious


def test_the_feeds_are_shown_with_their_loads(open_page: Opener) -> None:
    page = open_page("/feeds")
    expect(page.get_by_role("heading", name="Santé des flux")).to_be_visible()
    assert page.locator("#health ~ .scroll tbody tr, section:has(#health) tbody tr").count() >= 1
    expect(page.locator("svg.spark").first).to_be_visible()
    assert serious(page) == []


def test_work_asked_for_on_the_page_waits_for_who_holds_the_key(open_page: Opener) -> None:
    page = open_page("/feeds", language="en")
    source = page.locator("section:has(#loads) tbody tr td").first.inner_text()
    Keys(page).press(page.get_by_role("button", name=f"Read all of {source} again"))
    page.wait_for_url("**/feeds**")
    row = page.locator("section:has(#jobs) tbody tr").first
    expect(row).to_contain_text("waiting")
    expect(row).to_contain_text("data_engineer")


def test_a_researcher_does_not_see_the_feeds(open_page: Opener, watch: Watch) -> None:
    page = open_page("/", login="researcher")
    expect(page.get_by_role("link", name="Flux")).to_have_count(0)
    page.goto(page.url + "feeds")
    expect(page.get_by_role("alert")).to_contain_text("Accès refusé")
    watch.complaints.clear()
