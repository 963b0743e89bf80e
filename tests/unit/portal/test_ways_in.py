"""One-time codes, passkeys, sessions and accounts, through the pages."""

from __future__ import annotations

import base64
import datetime as dt
import re
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from tests.browser.serving import served
from tests.browser.small_site import PASSWORD, Site
from tests.unit.portal.conftest import sign_in, token
from tests.unit.projects.device import Device

from estran.portal.visitor import COOKIE
from estran.projects.second_factor import PERIOD, code_at
from estran.state.schema import session as session_table

HERE = "/account/security"


def post(client: httpx.Client, path: str, **form: object) -> httpx.Response:
    return client.post(path, data={"csrf": token(client.get(HERE)), **form})


def code(secret: str, ahead: int = 0) -> str:
    """Of this step, or of the next, which fits already; one of the step before may be too old once it arrives."""
    return code_at(base64.b32decode(secret + "=" * (-len(secret) % 8)), int(time.time() // PERIOD) + ahead)


def enrol(client: httpx.Client) -> tuple[str, httpx.Response]:
    page = post(client, HERE + "/codes")
    shown = re.search(r'class="secret"[^>]*>([A-Z2-7 ]+)<', page.text)
    assert shown
    assert "<svg" in page.text
    assert "style=" not in page.text
    secret = shown[1].replace(" ", "")
    return secret, post(client, HERE + "/codes/confirm", code=code(secret))


@pytest.fixture
def person(site: Site, client: httpx.Client) -> Iterator[httpx.Client]:
    """A teacher signed in, whose ways in are taken back afterwards."""
    sign_in(client, "teacher")
    yield client
    account = site.state.accounts.find("teacher")
    assert account
    site.state.second_factors.remove(account.id)
    site.state.passkeys.remove(account.id)
    site.state.tokens.revoke(account.id)
    site.state.sessions.revoke_all(account.id)


def test_codes_are_set_up_then_asked(person: httpx.Client, base: str) -> None:
    secret, shown = enrol(person)
    assert len(re.findall(r"<li>\d-[A-Z2-9]{5}-[A-Z2-9]{5}</li>", shown.text)) == 8
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as other:
        asked = sign_in(other, "teacher")
        assert asked.status_code == 200
        assert COOKIE not in other.cookies
        wrong = other.post("/sign-in/code", data={"csrf": token(asked), "code": "nonsense"})
        assert (wrong.status_code, COOKIE in other.cookies) == (401, False)
        entered = other.post("/sign-in/code", data={"csrf": token(asked), "code": code(secret, 1), "back": "//evil.example"})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        assert other.get("/").status_code == 200


def test_setting_codes_up_gives_the_session_a_new_token_and_ends_the_others(person: httpx.Client, base: str) -> None:
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as other:
        sign_in(other, "teacher")
        before = person.cookies[COOKIE]
        enrol(person)
        assert person.cookies[COOKIE] != before
        assert person.get("/").status_code == 200
        assert other.get("/").status_code == 303
        assert httpx.get(base + "/", cookies={COOKIE: before}, trust_env=False, timeout=30).status_code == 303


def test_signing_in_anew_ends_the_session_that_the_browser_had(person: httpx.Client, base: str) -> None:
    before = person.cookies[COOKIE]
    sign_in(person, "teacher")
    assert person.cookies[COOKIE] != before
    assert httpx.get(base + "/", cookies={COOKIE: before}, trust_env=False, timeout=30).status_code == 303


def test_ways_in_are_changed_only_soon_after_signing_in(person: httpx.Client, site: Site) -> None:
    account = site.state.accounts.find("teacher")
    assert account
    csrf = token(person.get(HERE))
    with site.state.engine.begin() as connection:
        mine = session_table.c.account_id == account.id
        old = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=16)
        connection.execute(session_table.update().where(mine).values(created=old))
    for path in ("/codes", "/codes/remove", "/passkeys/begin", "/tokens", "/passkeys/1/remove"):
        answer = person.post(HERE + path, data={"csrf": csrf, "name": "x", "scope": "count"})
        assert (answer.status_code, answer.headers["location"][:9]) == (303, "/sign-in?"), path


def test_a_site_may_require_a_second_factor(site: Site) -> None:
    strict = replace(site, settings=replace(site.settings, second_factor="required"))
    with served(strict) as base, httpx.Client(base_url=base, trust_env=False, timeout=30) as client:
        sign_in(client, "expert")
        for path in ("/", "/search", "/api/openapi.json"):
            assert client.get(path).headers.get("location") == HERE, path
        assert "asks for a second factor" in client.get(HERE).text
        enrol(client)
        assert client.get("/").status_code == 200
    account = site.state.accounts.find("expert")
    assert account
    site.state.second_factors.remove(account.id)


def test_a_passkey_registers_and_signs_in(person: httpx.Client, base: str) -> None:
    device = Device(origin=base, rp="127.0.0.1")
    headers = {"x-csrf-token": token(person.get(HERE))}
    options = person.post(HERE + "/passkeys/begin", headers=headers).text
    done = person.post(HERE + "/passkeys", headers=headers, json={"answer": device.create(options), "name": "Key"})
    assert done.json() == {"go": HERE}
    assert "Key" in person.get(HERE).text
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as other:
        door = {"x-csrf-token": token(other.get("/sign-in"))}
        answer = device.get(other.post("/sign-in/passkey/begin", headers=door).text)
        entered = other.post("/sign-in/passkey", headers=door, json={"answer": answer, "back": "/search"})
        assert entered.json() == {"go": "/search"}
        assert other.get("/").status_code == 200
        assert other.post("/sign-in/passkey", headers=door, json={"answer": answer}).status_code == 403


@pytest.mark.parametrize("path", ["/sign-in/passkey/begin", "/sign-in/passkey", "/sign-in/code"])
def test_the_door_asks_for_the_token_of_its_page(client: httpx.Client, path: str) -> None:
    client.get("/sign-in")
    assert client.post(path, json={"answer": "{}"}).status_code == 403


def test_sessions_are_listed_and_ended(person: httpx.Client, base: str) -> None:
    with httpx.Client(base_url=base, trust_env=False, timeout=30, headers={"user-agent": "Other Browser"}) as other:
        sign_in(other, "teacher")
        page = person.get(HERE).text
        assert "Other Browser" in page
        number = re.search(r"/sessions/(\d+)/revoke", page)
        assert number
        assert post(person, f"{HERE}/sessions/{number[1]}/revoke").status_code == 303
        assert other.get("/").status_code == 303


def test_a_new_password_needs_the_current_one(person: httpx.Client) -> None:
    refused = post(person, HERE + "/password", current="guess", new="another long password")
    assert (refused.status_code, "current password is wrong" in refused.text) == (422, True)
    assert post(person, HERE + "/password", current=PASSWORD, new="short").status_code == 422
    assert post(person, HERE + "/password", current=PASSWORD, new=PASSWORD).status_code == 303


def test_an_administrator_makes_and_shuts_an_account(client: httpx.Client, base: str) -> None:
    sign_in(client, "administrator")
    assert post(client, "/people", login="Nina", password=PASSWORD, role="researcher").headers["location"] == "/people/nina"
    assert "taken" in post(client, "/people", login="nina", password=PASSWORD, role="viewer").text
    assert post(client, "/people", login="king", password=PASSWORD, role="owner").status_code == 403
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as nina:
        assert sign_in(nina, "nina").status_code == 303
        post(client, "/people/nina/role", role="viewer")
        assert nina.get("/").status_code == 303
        sign_in(nina, "nina")
        post(client, "/people/nina/disable")
        assert nina.get("/").status_code == 303
        assert sign_in(nina, "nina").status_code == 401
    assert "disabled" in client.get("/people").text
    assert post(client, "/people/administrator/role", role="data_engineer").status_code == 403
    assert post(client, "/people/nobody/disable").status_code == 404


@pytest.mark.parametrize("login", ["data_engineer", "researcher", "auditor", "viewer"])
def test_nobody_else_sees_accounts(client: httpx.Client, login: str) -> None:
    sign_in(client, login)
    assert client.get("/people").status_code == 403
    assert client.get("/people/viewer").status_code == 403
    assert post(client, "/people/viewer/disable").status_code == 403


def test_without_a_provider_nobody_signs_in_elsewhere(client: httpx.Client) -> None:
    assert client.get("/sign-in/elsewhere").status_code == 404
    assert client.get("/sign-in/elsewhere/back?state=&code=x").status_code == 401
