"""The board of projects, its calls and its forms; a whole project is played in test_whole_project.py."""

from __future__ import annotations

import datetime as dt

import pytest
from playwright.sync_api import expect
from tests.browser.serving import Opener, Portal
from tests.browser.test_pages import serious

SOON = (dt.date.today() + dt.timedelta(days=20)).isoformat()


@pytest.mark.parametrize(("language", "theme"), [("en", "dark"), ("fr", "light")])
def test_the_board_and_its_forms_are_accessible(open_page: Opener, portal: Portal, language: str, theme: str) -> None:
    page = open_page("/projects", "methodologist", language=language, theme=theme)
    assert serious(page) == []
    page.locator("summary", has_text="Publier un appel" if language == "fr" else "Publish a call").click()
    page.locator("#call-title").fill(f"GIRCI {theme}")
    page.locator("#call-deadline").fill(SOON)
    page.locator("#call-grid").fill("Originality=10\nFeasibility=10")
    page.locator("form[action='/projects/calls'] button").click()
    expect(page.get_by_role("rowheader", name=f"GIRCI {theme}")).to_be_visible()
    page.locator("#address").fill("max@chu.example")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.locator("#address")).to_have_value("max@chu.example")
    page.goto(portal.base + "/projects/new")
    assert serious(page) == []
