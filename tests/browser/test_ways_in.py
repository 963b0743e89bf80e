"""Passkeys with Chromium's own authenticator and one-time codes, in a browser."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.keys import Keys
from tests.browser.serving import Portal, Watch, sign_in
from tests.browser.small_site import PASSWORD
from tests.browser.test_pages import serious

from estran.projects.second_factor import PERIOD, code_at

HERE = "/account/security"
AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


@pytest.fixture
def page(portal: Portal, browser: Browser, watch: Watch) -> Iterator[Page]:
    """A page of somebody who has not signed in; passkeys need a name, an address of numbers is none."""
    context = browser.new_context(locale="en-GB")
    opened = context.new_page()
    watch.on(opened, portal.base.replace("127.0.0.1", "localhost"))
    yield opened
    context.close()
    for login in ("teacher", "auditor"):
        account = portal.site.state.accounts.find(login)
        assert account
        portal.site.state.passkeys.remove(account.id)
        portal.site.state.second_factors.remove(account.id)


def test_a_passkey_is_added_then_signs_in_and_a_copy_of_it_does_not(portal: Portal, page: Page, watch: Watch) -> None:
    base = portal.base.replace("127.0.0.1", "localhost")
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    number = device.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})["authenticatorId"]
    sign_in(page, base, "teacher")
    page.goto(base + HERE)
    page.fill("#passkey-name", "Chromium")
    page.click("passkey-door button")
    expect(page.get_by_role("rowheader", name="Chromium")).to_be_visible()
    page.context.clear_cookies()
    page.goto(base + "/sign-in?back=/account/security")
    page.click("passkey-door button")
    page.wait_for_url(base + HERE)
    assert "teacher" in page.inner_text("#account")
    assert watch.complaints == []
    (held,) = device.send("WebAuthn.getCredentials", {"authenticatorId": number})["credentials"]
    device.send("WebAuthn.clearCredentials", {"authenticatorId": number})
    device.send("WebAuthn.addCredential", {"authenticatorId": number, "credential": {**held, "signCount": 0}})
    page.context.clear_cookies()
    page.goto(base + "/sign-in")
    page.click("passkey-door button")
    expect(page.get_by_role("status")).to_have_text("The passkey was not accepted.")
    assert watch.foreign == []


def test_one_time_codes_are_set_up_from_the_picture_and_asked(portal: Portal, page: Page) -> None:
    sign_in(page, portal.base, "auditor")
    keys = Keys(page)
    page.goto(portal.base + HERE)
    keys.go(f"form[action='{HERE}/codes'] button")
    box = page.locator(".qr svg").bounding_box()
    assert box is not None
    assert box["width"] == box["height"] > 100
    assert serious(page) == []
    shown = page.inner_text("p.secret").replace(" ", "")
    secret = base64.b32decode(shown + "=" * (-len(shown) % 8))
    keys.write("#code", code_at(secret, int(time.time() // PERIOD)))
    keys.go("main .button.main")
    expect(page.locator("#recovery li")).to_have_count(8)
    page.context.clear_cookies()
    page.goto(portal.base + "/sign-in")
    keys.write("#login", "auditor")
    keys.write("#password", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#code")).to_be_visible()
    assert serious(page) == []
    # The next code fits already; with the one before, typing would have to end before this half minute does.
    keys.write("#code", code_at(secret, int(time.time() // PERIOD) + 1))
    page.keyboard.press("Enter")
    page.wait_for_url(portal.base + "/")
