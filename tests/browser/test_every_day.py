"""Every day: a criterion taken from the tree of codes, the cohort saved, starred, followed and shared; by keyboard alone."""

from __future__ import annotations

import re

from playwright.sync_api import expect
from tests.browser.keys import Keys
from tests.browser.serving import Opener, Portal
from tests.browser.test_pages import serious

from estran.projects.desk import ReadingRoom
from estran.projects.following import run_due


def test_a_question_is_browsed_saved_followed_and_shared(open_page: Opener, portal: Portal) -> None:
    page = open_page("/cohort", login="methodologist")
    keys = Keys(page)
    keys.press("#add-code-1")
    keys.press(page.get_by_role("button", name="Parcourir"))
    page.wait_for_selector("concept-tree [role=treeitem]")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("[data-code='I50']")
    assert serious(page) == []
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    expect(page.locator("[data-code='I50']")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("[data-code='I50.0']")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-code='I50.0']")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#tree")).to_contain_text("Insuffisance cardiaque")
    keys.press("#save")
    keys.write("#cohort-name", "Insuffisances à suivre")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Insuffisances à suivre")).to_be_visible()
    keys.press(page.get_by_role("button", name="Favori : Insuffisances à suivre"))
    expect(page.get_by_role("button", name="Favori : Insuffisances à suivre")).to_have_attribute("aria-pressed", "true")
    keys.press(page.locator("summary", has_text="Suivre et partager"))
    keys.choose(page.get_by_label("Reposer cette question"), "daily")
    keys.go(page.get_by_role("button", name="Reposer : Insuffisances à suivre"))
    expect(page.get_by_text("chaque jour").first).to_be_visible()
    assert run_due(ReadingRoom(portal.site)) >= 1
    keys.press(page.locator("summary", has_text="Suivre et partager"))
    keys.write(page.get_by_label("Un collègue"), "dim_physician")
    page.keyboard.press("Enter")
    expect(page.get_by_text("partagée").first).to_be_visible()
    assert serious(page) == []
    told = open_page("/notices", login="dim_physician", language="en", theme="dark")
    expect(told.get_by_role("row", name=re.compile("Insuffisances à suivre"))).to_contain_text("shares this cohort")
    assert serious(told) == []
