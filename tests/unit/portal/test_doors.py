"""Headers, sessions, tokens, errors: what holds for every page."""

from __future__ import annotations

import httpx
import pytest
from tests.browser.small_site import Site
from tests.unit.portal.conftest import sign_in, token

from estran.portal.security import LARGEST_BODY
from estran.portal.visitor import local_path
from estran.state.verifying import verify

PAGES = ["/", "/search", "/cohort", "/cohort/counts", "/cohort/patients", "/cohorts", "/concepts", "/documents/0",
         "/patients/0", "/patients/0/events", "/account/security", "/people", "/api/openapi.json"]  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_shown_to_a_stranger(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?back=")
    assert answer.content == b""


@pytest.mark.parametrize("path", ["/sign-in", "/healthz", "/static/estran.css", "/nowhere"])
def test_every_answer_carries_the_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert "unsafe" not in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "cache-control" in headers


def test_healthz_says_that_the_site_answers_and_no_more(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok", "snapshot": 1}


def test_there_are_no_generated_api_pages(client: httpx.Client) -> None:
    assert {client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")} == {404}


def test_the_session_cookie_is_closed_to_scripts_and_other_sites(client: httpx.Client) -> None:
    answer = sign_in(client, "viewer")
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


def test_signing_in_needs_the_token_of_the_form(client: httpx.Client) -> None:
    client.get("/sign-in")
    answer = client.post("/sign-in", data={"csrf": "guess", "login": "viewer", "password": "x"})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/cohort/edit", "/cohort/undo", "/cohort/save", "/account", "/sign-out", "/cohorts/open",
                                  "/account/security/codes", "/account/security/tokens", "/people", "/people/viewer/role"])
def test_a_post_without_its_token_is_refused(signed_in: httpx.Client, path: str) -> None:
    assert signed_in.post(path, data={"op": "add"}).status_code == 403
    assert signed_in.post(path, headers={"x-csrf-token": "guess"}).status_code == 403


def test_a_post_from_another_site_is_refused_even_with_the_token(signed_in: httpx.Client) -> None:
    csrf = token(signed_in.get("/"))
    for headers in ({"origin": "http://elsewhere.example"}, {"sec-fetch-site": "cross-site"}):
        assert signed_in.post("/account", data={"csrf": csrf, "theme": "dark"}, headers=headers).status_code == 403
    assert signed_in.post("/account", data={"csrf": csrf, "theme": "light"}).status_code == 303


def test_a_large_body_is_refused(client: httpx.Client) -> None:
    assert client.post("/sign-in", content=b"x" * (LARGEST_BODY + 1)).status_code == 413


def test_a_disabled_account_is_out_at_once(client: httpx.Client, site: Site) -> None:
    sign_in(client, "viewer")
    account = site.state.accounts.find("viewer")
    assert account
    assert client.get("/").status_code == 200
    site.state.accounts.change(account.id, disabled=True)
    assert client.get("/").status_code == 303
    site.state.accounts.change(account.id, disabled=False)


@pytest.mark.parametrize(
    ("back", "kept"),
    [("/cohort", "/cohort"), ("//evil.example", "/"), ("https://evil.example", "/"), ("/\\evil", "/"), ("/a\nb", "/")],
)
def test_going_back_never_leaves_the_portal(back: str, kept: str) -> None:
    assert local_path(back) == kept


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nowhere", 404), ("/documents/999999", 404), ("/documents/x", 422), ("/patients/999999", 404),
     ("/cohorts/compare?v=1", 422), ("/cohorts/compare?v=998&v=999", 404)],
)  # fmt: skip
def test_errors_are_pages_that_can_be_read(signed_in: httpx.Client, path: str, status: int) -> None:
    answer = signed_in.get(path)
    assert answer.status_code == status
    assert 'role="alert"' in answer.text


@pytest.mark.parametrize(
    ("login", "path"),
    [("viewer", "/cohort/counts"), ("viewer", "/search?q=a"), ("researcher", "/documents/0"), ("clinician", "/patients/0"),
     ("researcher", "/cohort/patients"), ("researcher", "/cohort/patients/0/why")],
)  # fmt: skip
def test_a_role_without_the_right_is_refused_and_recorded(client: httpx.Client, site: Site, login: str, path: str) -> None:
    sign_in(client, login)
    answer = client.get(path)
    assert answer.status_code == 403
    assert "Not allowed" in answer.text or "Accès refusé" in answer.text
    assert site.state.audit.latest(1)[0].allowed is False


def test_every_read_is_recorded(signed_in: httpx.Client, site: Site) -> None:
    signed_in.get("/documents/0")
    assert site.state.audit.latest(1)[0].target == "document:0"
    signed_in.get("/search?q=insuffisance")
    assert [e.action for e in site.state.audit.latest(2)] == ["snippets", "search"]
    signed_in.get("/cohort/counts")
    assert site.state.audit.latest(1)[0].query.startswith("{")
    assert verify(site.state.engine, []).whole
