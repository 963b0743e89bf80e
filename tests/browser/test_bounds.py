"""Pages of perimeters and of opening a record for care: accessible in both themes, and walked by keyboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from tests.browser.serving import Portal, sign_in
from tests.browser.test_pages import serious

from estran.model.perimeter import WHOLE, Perimeter


@pytest.fixture
def clinician(portal: Portal) -> Iterator[str]:
    account = portal.site.state.accounts.find("clinician")
    assert account
    portal.site.state.perimeters.put(account.id, Perimeter(patients=(0,), wards=("CARD",)), "test")
    yield account.login
    portal.site.state.openings.close(account.id)
    portal.site.state.perimeters.put(account.id, WHOLE, "test")


def test_a_record_is_opened_for_care_by_keyboard(portal: Portal, browser: Browser, clinician: str) -> None:
    context = browser.new_context(locale="en-GB", color_scheme="dark")
    page = context.new_page()
    sign_in(page, portal.base, clinician)
    page.goto(portal.base + "/patients/2")
    assert serious(page) == []
    page.focus("#reason")
    page.keyboard.type("Seen tonight in the emergency ward with chest pain.")
    page.keyboard.press("Tab")
    with page.expect_navigation(url=portal.base + "/patients/2"):
        page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_have_class("notice some")
    assert serious(page) == []
    context.close()


def test_a_perimeter_is_set_on_an_accessible_page(portal: Portal, browser: Browser) -> None:
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    sign_in(page, portal.base, "administrator")
    page.goto(portal.base + "/people/teacher")
    assert serious(page) == []
    page.fill("#wards", "CARD")
    with page.expect_navigation():
        page.get_by_role("button", name="perimeter").or_(page.get_by_role("button", name="périmètre")).click()
    expect(page.locator("#wards")).to_have_value("CARD")
    account = portal.site.state.accounts.find("teacher")
    assert account
    portal.site.state.perimeters.put(account.id, WHOLE, "test")
    context.close()
