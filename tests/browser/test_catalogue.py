"""Catalogue, quality, official figures and steering in a browser: found, read, noted, sent."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from tests.browser.serving import Opener, Portal, Watch

from estran.catalog import measuring


@pytest.fixture(autouse=True)
def measured(portal: Portal) -> None:
    snapshot = portal.site.snapshot()
    measuring.measure(snapshot, portal.site.state)
    if not portal.site.state.catalogue.runs():
        measuring.check(snapshot, portal.site.state)


def test_a_variable_is_looked_up_and_a_problem_noted(open_page: Opener) -> None:
    page = open_page("/catalogue", login="dim_physician")
    page.get_by_label("Mots ou code d’une variable").fill("creatinine")
    page.get_by_role("button", name="Chercher").click()
    page.get_by_role("link", name="Créatinine").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Créatinine")
    page.get_by_label("Un problème à faire connaître").fill("En mg/L avant 2019.")
    page.get_by_role("button", name="Noter").click()
    expect(page.get_by_text("En mg/L avant 2019.")).to_be_visible()
    page.get_by_role("button", name="Clore la note").click()
    expect(page.get_by_text("résolu", exact=True)).to_be_visible()


def test_rows_behind_a_failure_lead_to_the_patient(open_page: Opener) -> None:
    page = open_page("/quality", login="dim_physician", language="en")
    page.get_by_role("link", name="The area of residence is known").click()
    page.get_by_role("link", name="Show rows that violate it now").click()
    page.locator("section:has(#rows) tbody a").first.click()
    page.wait_for_url("**/patients/**")


def test_official_figures_are_sent_and_their_faults_told(open_page: Opener, watch: Watch) -> None:
    page = open_page("/official", login="dim_physician", language="en")
    page.set_input_files(
        "#file", {"name": "f.csv", "mimeType": "text/csv", "buffer": b"month;figure;code;value\n2023-99;stays;;3\n"}
    )
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("line 2")
    watch.complaints.clear()
    page.set_input_files(
        "#file", {"name": "f.csv", "mimeType": "text/csv", "buffer": b"month;figure;code;value\n2023-05;stays;;1\n"}
    )
    page.get_by_role("button", name="Send").click()
    expect(page.locator("section:has(#all) tbody tr")).to_have_count(1)


def test_a_researcher_sees_the_catalogue_and_neither_rows_nor_steering(open_page: Opener, watch: Watch) -> None:
    page = open_page("/quality/checks/residence-known", login="researcher", language="en")
    expect(page.get_by_role("heading", name="Rows behind")).to_have_count(0)
    expect(page.get_by_role("link", name="Steering")).to_have_count(0)
    base = page.url.split("/quality")[0]
    for path in ("/steering", "/official", "/quality/checks/residence-known?rows=1"):
        page.goto(base + path)
        expect(page.get_by_role("alert")).to_be_visible()
    watch.complaints.clear()
