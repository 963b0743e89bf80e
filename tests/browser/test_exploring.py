"""Pictures of a cohort and of a patient, and the original of a document: by keyboard, light and dark, no violation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect
from tests.browser.keys import Keys
from tests.browser.serving import Opener, Portal, served
from tests.browser.test_pages import serious
from tests.unit.projects.explored import explored

from estran.model.perimeter import Perimeter

WHY = "Bilan avant une chirurgie en urgence"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    site = explored(tmp_path_factory.mktemp("explored"), "fr", 160)
    with served(site) as base:
        yield Portal(base, site)
    site.state.close()


@pytest.fixture(scope="module")
def cookies() -> dict[str, object]:
    return {}


def test_a_cohort_and_a_patient_are_pictures_that_lead_on(open_page: Opener, portal: Portal) -> None:
    page = open_page("/cohort/portrait")
    expect(page.get_by_role("heading", name="Où ils habitent")).to_be_visible()
    expect(page.locator(".areas .level5")).to_contain_text("35")
    expect(page.get_by_role("row", name="Ille-et-Vilaine 35")).to_contain_text("≈")
    assert serious(page) == []
    page.goto(portal.base + "/patients/22")
    expect(page.locator(".pedigree .symbol")).to_have_count(5)
    assert serious(page) == []
    Keys(page).go(page.get_by_role("link", name="P21, mère"))
    expect(page).to_have_url(portal.base + "/patients/21")
    word = page.locator(".cloud button").first
    code = (word.get_attribute("value") or "").partition("|")[2]
    Keys(page).go(word)
    expect(page).to_have_url(portal.base + "/cohort")
    expect(page.locator("#tree")).to_contain_text(code)
    page.goto(portal.base + "/patients/0")
    expect(page.locator(".pedigree")).to_have_count(0)
    assert serious(open_page("/patients/22", language="en", theme="dark")) == []
    page = open_page("/cohort/portrait", login="researcher", language="en", theme="dark")
    assert serious(page) == []
    Keys(page).go(page.get_by_role("link", name="Show the words"))
    expect(page.get_by_role("heading", name="What sets these patients apart")).to_be_visible()


def test_an_original_is_asked_for_with_a_reason(open_page: Opener, portal: Portal) -> None:
    clinician = portal.site.state.accounts.find("clinician")
    assert clinician
    portal.site.state.perimeters.put(clinician.id, Perimeter(patients=(0, 1, 2)), "test")
    page = open_page("/documents/0/original", login="clinician")
    assert serious(page) == []
    Keys(page).write(page.get_by_label("Pourquoi les soins"), "urgence vitale du patient" + WHY)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Original du document 0")).to_be_visible()
    expect(page.get_by_text("Le processus qui détient la clé")).to_be_visible()
    (asked,) = portal.site.state.originals.waiting()
    portal.site.state.originals.fail(asked.id, "This document did not come as a PDF.")
    expect(page.get_by_text("n’est pas arrivé en PDF")).to_be_visible()
    assert serious(page) == []
