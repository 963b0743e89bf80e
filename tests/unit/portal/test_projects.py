"""Pages of projects without a browser: what is refused, and how."""

from __future__ import annotations

import httpx
import pytest
from tests.browser.small_site import Site
from tests.unit.portal.conftest import sign_in, token

from estran.portal.sealing import post_waiting


@pytest.fixture
def researcher(client: httpx.Client) -> httpx.Client:
    sign_in(client, "researcher")
    return client


def propose(client: httpx.Client, title: str = "A <b>bold</b> question") -> str:
    csrf = token(client.get("/projects/new"))
    data = {"csrf": csrf, "title": title, "kind": "research", "sites": "Rennes", "call": ""}
    answer = client.post("/projects", data=data)
    assert answer.status_code == 303
    return answer.headers["location"]


def test_a_project_is_proposed_and_what_people_type_is_escaped(researcher: httpx.Client) -> None:
    page = researcher.get(propose(researcher))
    assert page.status_code == 200
    assert "A &lt;b&gt;bold&lt;/b&gt; question" in page.text
    assert "<b>bold" not in researcher.get("/projects").text


def test_a_step_without_the_token_is_forged_and_an_unknown_one_is_missing(researcher: httpx.Client) -> None:
    where = propose(researcher)
    assert researcher.post(f"{where}/say", data={"text": "Hello"}).status_code == 403
    csrf = token(researcher.get(where))
    assert researcher.post(f"{where}/jump", data={"csrf": csrf}).status_code == 404
    assert researcher.post(f"{where}/propose", data={"csrf": csrf}).status_code == 404
    assert researcher.post(f"{where}/say", data={"csrf": csrf, "text": "Hello"}).status_code == 303
    assert researcher.get("/projects/1999-001").status_code == 404
    assert researcher.get(f"{where}/committee").status_code == 404, "no session was called"


def test_a_step_out_of_turn_or_of_others_is_refused_in_words(researcher: httpx.Client) -> None:
    where = propose(researcher)
    csrf = token(researcher.get(where))
    early = researcher.post(f"{where}/submit", data={"csrf": csrf})
    assert early.status_code == 422 and "A letter of intent is asked for first." in early.text
    theirs = researcher.post(f"{where}/preselect", data={"csrf": csrf, "reason": "Mine"})
    assert theirs.status_code == 403 and "does not include" in theirs.text


@pytest.mark.parametrize("login", ["teacher", "viewer", "industrial_partner", "committee_member", "expert"])
def test_who_is_not_concerned_sees_neither_the_project_nor_its_title(
    client: httpx.Client, base: str, login: str
) -> None:
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as other:
        sign_in(other, "researcher")
        where = propose(other, "Something discreet")
    sign_in(client, login)
    assert client.get(where).status_code == 403
    board = client.get("/projects")
    assert board.status_code == 200 and "Something discreet" not in board.text


@pytest.mark.parametrize("login", ["administrator", "auditor", "hub_operator"])
def test_roles_that_have_nothing_to_do_with_projects_see_no_board(client: httpx.Client, login: str) -> None:
    sign_in(client, login)
    assert client.get("/projects").status_code == 403
    assert 'href="/projects"' not in client.get("/").text


def test_an_address_is_kept_or_refused(researcher: httpx.Client, site: Site) -> None:
    csrf = token(researcher.get("/projects"))
    assert researcher.post("/projects/notices", data={"csrf": csrf, "address": "x"}).status_code == 422
    assert researcher.post("/projects/notices", data={"csrf": csrf, "address": "r@chu.example"}).status_code == 303
    account = site.state.accounts.find("researcher")
    assert account and site.state.notices.address(account.id) == "r@chu.example"


def test_the_portal_sends_nothing_when_no_mail_server_is_named(researcher: httpx.Client, site: Site) -> None:
    propose(researcher)
    before = len(site.state.notices.waiting())
    post_waiting(site)
    assert len(site.state.notices.waiting()) == before > 0
