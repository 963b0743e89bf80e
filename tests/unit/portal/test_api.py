"""The API: tokens, scopes, the same policy and audit as the pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest
from tests.browser.serving import served
from tests.browser.small_site import Site
from tests.unit.portal.conftest import TRUST, sign_in, token

from estran.projects import tokens
from estran.projects.actors import Actor

COUNT, SEARCH, STATUS = "/api/cohort/count", "/api/search?q=dyspnée", "/api/status"
QUESTION = {"question": "CIM10:I50"}
Caller = Callable[..., httpx.Client]


def text_of(site: Site, login: str, *scope: str) -> str:
    account = site.state.accounts.find(login)
    assert account
    return tokens.make(site.state, Actor.of(account), "test", list(scope), 1)


@pytest.fixture
def caller(site: Site, base: str) -> Caller:
    """A program with a token of somebody."""

    def made(login: str, *scope: str) -> httpx.Client:
        headers = {"authorization": f"Bearer {text_of(site, login, *scope)}"}
        return httpx.Client(base_url=base, trust_env=False, timeout=30, headers=headers, verify=TRUST)

    return made


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer guess"}, {"authorization": "Basic YTpi"}])
def test_without_a_live_token_nothing_answers(client: httpx.Client, headers: dict[str, str]) -> None:
    answers = [client.post(COUNT, json=QUESTION, headers=headers), client.get(SEARCH, headers=headers)]
    for answer in answers:
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json()["error"] == "malformed"


def test_a_cookie_opens_nothing_here_and_a_token_nothing_on_the_pages(signed_in: httpx.Client, caller: Caller) -> None:
    assert signed_in.get(STATUS).status_code == 401
    program = caller("data_engineer", "holdings")
    assert program.get("/").status_code == 303
    assert program.get("/api/openapi.json").status_code == 303


def test_a_question_is_counted_as_on_the_page_and_recorded(caller: Caller, site: Site) -> None:
    exact = caller("data_engineer", "count").post(COUNT, json=QUESTION).json()
    entry = site.state.audit.latest(1)[0]
    assert (entry.login, entry.action, entry.allowed) == ("data_engineer", "count", True)
    assert "By API token" in entry.reason
    assert "I50" in entry.query
    assert exact["patients"]["value"] > 0
    assert exact["snapshot"] == 1
    rounded = caller("researcher", "count").post(COUNT, json=QUESTION).json()
    assert rounded["patients"]["value"] % 5 == 0
    assert caller("researcher", "count").post(COUNT, json={"query": json.loads(entry.query)}).status_code == 200


def test_the_scope_is_all_that_a_token_may_do(caller: Caller) -> None:
    program = caller("data_engineer", "holdings")
    assert program.get(STATUS).json()["patients"]["value"] > 0
    for answer in (program.post(COUNT, json=QUESTION), program.get(SEARCH)):
        assert (answer.status_code, answer.json()["error"]) == (403, "refused")
        assert "token does not include" in answer.json()["what"]


def test_documents_are_listed_to_readers_whose_token_says_so(caller: Caller) -> None:
    counted = caller("data_engineer", "search").get(SEARCH).json()
    assert (counted["hits"], counted["documents"]) == ([], None)
    read = caller("data_engineer", "search", "snippets").get(SEARCH).json()
    assert read["hits"][0].keys() == {"document_id", "title", "kind", "date"}


@pytest.mark.parametrize("body", [{}, {"question": "CIM10:"}, {"question": "a", "query": {}}, {"query": {"x": 1}}, {"other": 1}])
def test_a_question_that_cannot_be_read_is_said_in_json(caller: Caller, body: dict[str, object]) -> None:
    answer = caller("researcher", "count").post(COUNT, json=body)
    assert (answer.status_code, answer.json()["error"]) == (422, "malformed")


def test_counting_listed_patients_is_refused(caller: Caller) -> None:
    answer = caller("researcher", "count").post(COUNT, json={"query": {"version": 1, "query": {"type": "patients", "ids": [1, 2]}}})
    assert answer.status_code == 403


def test_a_revoked_token_is_out_at_once(caller: Caller, site: Site) -> None:
    program = caller("viewer", "holdings")
    assert program.get(STATUS).status_code == 200
    account = site.state.accounts.find("viewer")
    assert account
    site.state.tokens.revoke(account.id)
    assert program.get(STATUS).status_code == 401


def test_a_token_that_asks_too_often_is_told_to_wait(site: Site) -> None:
    slow = replace(site, settings=replace(site.settings, api_requests_per_minute=2))
    headers = {"authorization": f"Bearer {text_of(site, 'viewer', 'holdings')}"}
    with served(slow) as base, httpx.Client(base_url=base, trust_env=False, timeout=30, headers=headers, verify=TRUST) as program:
        answers = [program.get(STATUS) for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert 0 < int(answers[2].headers["retry-after"]) <= 61


def test_the_description_is_for_people_signed_in(client: httpx.Client) -> None:
    assert client.get("/api/openapi.json").status_code == 303
    sign_in(client, "viewer")
    said = client.get("/api/openapi.json").json()
    assert set(said["paths"]) == {"/api/cohort/count", "/api/search", "/api/status"}
    assert said["components"]["securitySchemes"] == {"HTTPBearer": {"type": "http", "scheme": "bearer"}}


def test_a_token_is_shown_once_on_the_page_of_its_owner(client: httpx.Client, base: str) -> None:
    sign_in(client, "clinician")
    csrf = token(client.get("/account/security"))
    made = client.post("/account/security/tokens", data={"csrf": csrf, "name": "R script", "scope": ["count"], "days": "7"})
    text = made.text.split('id="token">')[1].split("<")[0]
    assert httpx.post(base + COUNT, json=QUESTION, headers={"authorization": f"Bearer {text}"}, trust_env=False, timeout=30).status_code == 200
    listed = client.get("/account/security").text
    assert "R script" in listed
    assert text not in listed
