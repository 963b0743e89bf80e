"""The officer's page: who read a patient, the trail proved, a review acknowledged, by keyboard alone."""

from __future__ import annotations

import datetime as dt

from playwright.sync_api import expect
from tests.browser.serving import Opener, Portal
from tests.browser.test_pages import serious

from estran.projects.actors import KEY_HOLDER
from estran.projects.officer import Officer


def test_an_officer_follows_a_patient_and_acknowledges_a_review(open_page: Opener, portal: Portal) -> None:
    moment = dt.datetime.now(dt.UTC)
    number = Officer(portal.site, KEY_HOLDER).review(moment - dt.timedelta(days=7), moment).id
    open_page("/search?q=patient")  # a line of the trail with several patients
    page = open_page("/patients/0")
    page.get_by_role("link", name="Audit").click()
    page.get_by_label("Patient", exact=True).fill("P0")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Qui a lu le patient P0")).to_be_visible()
    expect(page.locator("h3#readers + .scroll tbody tr").first).to_contain_text("data_engineer")
    page.get_by_label(f"Note sur la revue {number}").fill("vu")
    page.keyboard.press("Enter")
    expect(page.locator("section:has(#reviews) tbody tr").first).to_contain_text("data_engineer")
    page.get_by_role("button", name="Vérifier maintenant").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("le journal est intègre")
    assert serious(page) == []
    dark = open_page("/audit", language="en", theme="dark")
    expect(dark.locator("td.targets a").nth(1)).to_be_visible()
    expect(dark.get_by_role("heading", name="State of the chain")).to_be_visible()
    assert serious(dark) == []
