"""Attacks on the doors: what holds for every route, whoever asks."""

from __future__ import annotations

import re

import httpx
import pytest
from tests.browser.small_site import PASSWORD, Site
from tests.unit.portal.conftest import sign_in, token
from tests.unit.portal.routes import routes

from estran.model.errors import StoreError, UsageError
from estran.portal.security import HEADERS, LARGEST_BODY
from estran.portal.server import create_app
from estran.projects import federation, passwords
from estran.projects import sign_in as doorkeeper
from estran.projects.sign_in import ADDRESS_FAILURES, LOGIN_FAILURES
from estran.text.parse import parse

PUBLIC = {"/sign-in", "/healthz", "/sign-in/elsewhere", "/sign-in/elsewhere/back", "/transparency", "/transparency/data.json",
          "/transparency/network"}
XSS = "<script>alert(1)</script>'\"><img src=x onerror=alert(1)>{{7*7}}${7*7}"
NASTY = [
    "' OR 1=1 --", "x'; DROP TABLE account; --", "1) UNION SELECT login FROM account --", "%' OR '%'='", "\\", "%00", "\x00",
    "document_id:0", "kind:letter", "patient_id:[0 TO *]", "*", "?", "/.*/", '"' * 50, "(" * 300, "a" * 900, "é" * 300, "-" * 100,
    "$(touch x)", "; ls", "../../../etc/passwd", "%0d%0aSet-Cookie: a=b", "\r\nX-Evil: 1", "=cmd|' /C calc'!A0", XSS,
]  # fmt: skip


def checked(answer: httpx.Response) -> None:
    """The headers that every answer carries, and none that a page's words put in."""
    for name, value in HEADERS.items():
        assert answer.headers[name] == value, (name, answer.url)
    assert answer.headers["cache-control"] in ("no-store", "no-cache") or "immutable" in answer.headers["cache-control"]
    assert "x-evil" not in answer.headers and "server" not in answer.headers and "x-powered-by" not in answer.headers
    if answer.content:
        assert answer.headers["content-type"].split(";")[0] in (
            "text/html",
            "application/json",
            "text/css",
            "image/svg+xml",
            "text/javascript",
            "text/plain",
            "text/markdown",
            "text/turtle",
            "application/ld+json",
        )


def test_a_stranger_gets_nothing_by_any_route_and_every_answer_carries_the_headers(
    client: httpx.Client, site: Site
) -> None:
    seen = 0
    for method, path, address in routes(create_app(site)):
        answer = client.request(method, address)
        checked(answer)
        if path in PUBLIC:
            continue
        if method == "GET" and not path.startswith(("/api", "/sign-in")):
            assert (answer.status_code, answer.content) == (303, b""), path
            assert answer.headers["location"].startswith("/sign-in?back="), path
        else:
            assert answer.status_code in (303, 401, 403, 404, 422), (method, path)
            assert "location" not in answer.headers or answer.headers["location"].startswith("/sign-in"), path
        seen += 1
    assert seen >= 50


def test_every_post_needs_the_token_of_a_page(signed_in: httpx.Client, site: Site) -> None:
    posts = [(path, address) for method, path, address in routes(create_app(site)) if method not in ("GET", "HEAD")]
    before = site.state.audit.last()
    for path, address in posts:
        for headers, form in (({}, {}), ({"x-csrf-token": "guess"}, {"csrf": ""})):
            answer = signed_in.post(address, headers=headers, data=form)
            checked(answer)
            wanted = (401,) if path.startswith("/api") else (403, 422) if path.startswith("/sign-in") else (403,)
            assert answer.status_code in wanted, path
    assert len(posts) >= 30
    assert site.state.audit.last() == before, "nothing was even decided"


def test_every_page_of_somebody_signed_in_carries_the_headers_and_no_inline_script(
    signed_in: httpx.Client, site: Site
) -> None:
    for method, _, address in routes(create_app(site)):
        if method == "GET" and address != "/account/security/codes":
            answer = signed_in.get(address)
            checked(answer)
            assert answer.status_code < 500, address
            assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|javascript:", answer.text), address


@pytest.mark.parametrize("status", [404, 405, 413, 422])
def test_errors_carry_the_headers(client: httpx.Client, status: int) -> None:
    answers = {
        404: lambda: client.get("/nowhere"), 405: lambda: client.request("TRACE", "/"),
        413: lambda: client.post("/sign-in", content=b"x" * (LARGEST_BODY + 1)),
        422: lambda: client.post("/sign-in/passkey", json={"no": 1}, headers={"x-csrf-token": "x"}),
    }  # fmt: skip
    answer = answers[status]()
    assert answer.status_code in (status, 403), status
    checked(answer)


def test_an_unforeseen_error_tells_nothing_and_carries_the_headers(
    signed_in: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("SELECT secret FROM vault")

    monkeypatch.setattr("estran.projects.desk.Desk.holdings", broken)
    answer = signed_in.get("/")
    assert answer.status_code == 500
    assert "vault" not in answer.text and "Traceback" not in answer.text
    checked(answer)


def test_over_tls_cookies_are_secure_and_the_host_is_kept_to_tls(client: httpx.Client) -> None:
    """A proxy on the loopback says how people came."""
    client.headers["x-forwarded-proto"] = "https"
    page = client.get("/sign-in")
    assert page.headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"
    assert "secure" in page.headers["set-cookie"].lower() and "samesite=strict" in page.headers["set-cookie"].lower()
    form = {"csrf": token(page), "login": "viewer", "password": PASSWORD}
    answer = client.post("/sign-in", data=form, headers={"cookie": page.headers["set-cookie"].split(";")[0]})
    session = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("estran_session="))
    assert {"httponly", "secure", "samesite=lax"} <= {part.strip().lower() for part in session.split(";")}
    assert "strict-transport-security" not in httpx.get(str(page.url), trust_env=False).headers


def test_a_session_planted_before_signing_in_is_not_the_one_that_opens(client: httpx.Client) -> None:
    client.cookies.set("estran_session", "planted")
    answer = sign_in(client, "viewer")
    opened = answer.cookies["estran_session"]
    assert opened != "planted" and len(opened) >= 40
    again = sign_in(client, "viewer").cookies["estran_session"]
    assert again != opened
    client.cookies.clear()
    client.cookies.set("estran_session", opened)
    assert client.get("/").status_code == 303, "the token of before is dead"


def test_signing_out_kills_the_session_and_what_the_browser_kept(signed_in: httpx.Client) -> None:
    kept = signed_in.cookies["estran_session"]
    answer = signed_in.post("/sign-out", data={"csrf": token(signed_in.get("/"))})
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    signed_in.cookies.set("estran_session", kept)
    assert signed_in.get("/").status_code == 303


@pytest.mark.parametrize(
    "back",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "/\t/evil",
        "\r\nX-Evil: 1",
        "/%0d%0aX-Evil:1",
    ],
)
def test_no_door_leads_to_another_host(client: httpx.Client, back: str) -> None:
    page = client.get("/sign-in", params={"back": back})
    form = {"csrf": token(page), "login": "viewer", "password": PASSWORD, "back": back}
    answer = client.post("/sign-in", data=form)
    where = answer.headers["location"]
    assert where.startswith("/") and not where.startswith(("//", "/\\"))
    posted = client.post("/account", data={"csrf": token(client.get("/")), "theme": "auto", "back": back})
    assert posted.headers["location"].startswith("/") and not posted.headers["location"].startswith(("//", "/\\"))
    checked(posted)


def test_a_forged_host_is_not_followed(client: httpx.Client) -> None:
    answer = client.get("/cohort", headers={"host": "evil.example"})
    assert answer.headers["location"] == "/sign-in?back=%2Fcohort"


@pytest.mark.parametrize("words", NASTY)
def test_what_is_typed_is_never_more_than_words(signed_in: httpx.Client, site: Site, words: str) -> None:
    accounts = len(site.state.accounts.all())
    for path, name in (("/search", "q"), ("/concepts", "q"), ("/documents/0", "q"), ("/search", "unit"), ("/audit", "login"), ("/audit", "action"),
                       ("/audit", "patient"), ("/sign-in", "back"), ("/feeds", "source")):  # fmt: skip
        params = {name: words} if name == "q" else {"q": "insuffisance", name: words}
        answer = signed_in.get(path, params=params)
        assert answer.status_code in (200, 422), (path, words)
        assert "<img src=x" not in answer.text and "<script>alert" not in answer.text, path
        if words == XSS and path == "/sign-in":  # its token is random, and holds a 49 once in a hundred times
            assert "49" not in answer.text.replace(token(answer), "")
        checked(answer)
    csrf = token(signed_in.get("/cohort"))
    for path, given in (
        ("/cohort/text", {"text": words}),
        ("/cohort/save", {"name": words, "note": words}),
        ("/cohort/edit", {"op": words, "step": words}),
    ):
        answer = signed_in.post(path, data={"csrf": csrf, **given})
        assert answer.status_code in (200, 303, 422), (path, words)
        assert "<img src=x" not in answer.text and "<script>alert" not in answer.text, path
        checked(answer)
    shown = signed_in.get("/cohorts").text
    assert "<img src=x" not in shown
    assert len(site.state.accounts.all()) == accounts


def test_a_search_reaches_the_words_of_texts_only() -> None:
    """A field's name in a search is a word like others: the index has other fields, which no search names."""
    for text in ("patient_id:0", "document_id:0", "kind:letter"):
        try:
            asked = repr(parse(text))
        except UsageError:
            continue
        assert "Field" not in asked


@pytest.mark.parametrize("path", [
    "/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py", "/static/....//server.py", "/static//etc/passwd",
    "/static/%2fetc%2fpasswd", "/static/vendor/../../pages.py", "/static/..%5c..%5cserver.py", "/static/", "/static/vendor", "/.git/config",
    "/state.sqlite", "/portal.key", "/static/%00",
])  # fmt: skip
def test_no_path_leaves_the_folder_of_static_files(client: httpx.Client, path: str) -> None:
    answer = client.send(client.build_request("GET", httpx.URL(str(client.base_url)).copy_with(raw_path=path.encode())))
    assert answer.status_code in (404, 405, 400, 303), path
    assert "import" not in answer.text and "root:" not in answer.text


def test_a_form_sets_what_it_is_for_and_nothing_else(client: httpx.Client, site: Site) -> None:
    sign_in(client, "viewer")
    extra = {"role": "owner", "disabled": "0", "login": "root", "account_id": "1", "is_admin": "1"}
    client.post("/account", data={"csrf": token(client.get("/")), "theme": "dark", **extra})
    account = site.state.accounts.find("viewer")
    assert account and account.role == "viewer" and account.theme == "dark"
    assert site.state.accounts.find("root") is None


def test_a_file_where_words_are_expected_is_refused(signed_in: httpx.Client) -> None:
    csrf = token(signed_in.get("/cohort"))
    files = {"text": ("x.zip", b"PK\x03\x04" + b"0" * 1000, "application/zip")}
    assert signed_in.post("/cohort/text", data={"csrf": csrf}, files=files).status_code == 422
    assert signed_in.post("/cohort/edit", data={"csrf": csrf}, files={"op": files["text"]}).status_code == 422


@pytest.mark.parametrize(
    "headers", [{"transfer-encoding": "chunked"}, {"content-length": "-5"}, {"content-length": "9" * 20}]
)
def test_a_body_of_unknown_or_absurd_size_is_refused(base: str, headers: dict[str, str]) -> None:
    import socket

    host, port = base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as plain:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        plain.sendall(f"POST /sign-in HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n0\r\n\r\n".encode())
        status = int(plain.recv(200).split()[1])
    assert status in (400, 413)


def test_many_failures_lock_a_login_and_an_address_and_say_no_more(client: httpx.Client, site: Site) -> None:
    csrf = token(client.get("/sign-in"))
    for _ in range(LOGIN_FAILURES):
        wrong = client.post("/sign-in", data={"csrf": csrf, "login": "committee_member", "password": "wrong"})
    unknown = client.post("/sign-in", data={"csrf": csrf, "login": "nobody-at-all", "password": "wrong"})
    assert wrong.status_code == unknown.status_code == 401
    locked = client.post("/sign-in", data={"csrf": csrf, "login": "committee_member", "password": PASSWORD})
    assert locked.status_code == 429 and "estran_session" not in locked.cookies
    for subject in ("login:committee_member", "login:nobody-at-all", "address:127.0.0.1"):
        site.state.lockouts.clear(subject)
    assert LOGIN_FAILURES <= 5 < ADDRESS_FAILURES <= 30


def test_an_unknown_login_costs_as_much_as_a_known_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in hashes, not in seconds: one argon2 verification with the same parameters, whoever asks."""
    done: list[str] = []
    hasher = passwords._hasher

    class Counting:
        def verify(self, kept: str, given: str) -> bool:
            done.append("$".join(kept.split("$")[:4]))  # algorithm, version, memory, time and lanes
            return hasher.verify(kept, given)

        def __getattr__(self, name: str) -> object:
            return getattr(hasher, name)

    monkeypatch.setattr(passwords, "_hasher", Counting())
    outcomes = [doorkeeper.sign_in(site.state, login, "wrong", "10.9.9.9") for login in ("expert", "nobody-knows", "")]
    assert len({(o.token, o.refusal) for o in outcomes}) == 1
    assert len(done) == 3 and len(set(done)) == 1
    site.state.lockouts.clear("login:expert")


@pytest.mark.parametrize("issuer", [
    "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:6379/_", "http://[::1]:8000",
    "http://10.0.0.1", "http://localhost.evil.example", "http://127.0.0.1.evil.example", "dict://x", "", "http://0/",
])  # fmt: skip
def test_the_identity_provider_is_no_way_to_other_services(issuer: str) -> None:
    with pytest.raises(StoreError):
        federation.discover(issuer)
