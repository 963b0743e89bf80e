"""The desk of rights and the public page, without a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from tests.browser.small_site import Site
from tests.unit.portal.conftest import sign_in, token

from estran.projects.actors import KEY_HOLDER
from estran.projects.transparency import put
from estran.state import PublicProject

ASKED = {"kind": "access", "scope": "warehouse", "name": "Yseult Dupratelle", "contact": "y@x.fr", "message": "<b>?</b>"}


@pytest.fixture
def officer(client: httpx.Client) -> Iterator[httpx.Client]:
    sign_in(client, "data_protection_officer")
    yield client


def test_the_public_page_needs_no_account_and_tells_no_small_count(client: httpx.Client, site: Site) -> None:
    put(site.state, KEY_HOLDER, PublicProject("P1", "Heart & kidney", "To understand", "MR-004", "open", outputs="doi:1"))
    page = client.get("/transparency")
    assert page.status_code == 200 and "Heart &amp; kidney" in page.text and "MR-004" in page.text
    assert len(page.content) < 40_000 and "<script" not in page.text and "style=" not in page.text
    assert 'lang="fr"' in client.get("/transparency?lang=fr").text
    told = client.get("/transparency/data.json").json()
    assert "doi:1" in [one["outputs"] for one in told["projects"]] and told["held"]["patients"]["value"] % 5 == 0


def test_the_answer_is_the_same_whoever_asks(client: httpx.Client, site: Site) -> None:
    form = token(client.get("/transparency"))

    def said(name: str) -> str:
        answer = client.post("/transparency", data=ASKED | {"csrf": form, "name": name})
        assert answer.status_code == 200
        return re.sub(r"R\d{4}-\w{8}", "", answer.text)

    assert said("Yseult Dupratelle") == said("Personne Inconnue")
    assert "Dupratelle" not in said("Yseult Dupratelle")
    assert len([one for one in site.state.requests.open() if one.origin == "public"]) == 3


def test_the_form_is_guarded(client: httpx.Client) -> None:
    assert client.post("/transparency", data=ASKED).status_code == 403, "without the token of the form"
    form = token(client.get("/transparency"))
    missing = client.post("/transparency", data=ASKED | {"csrf": form, "contact": " "})
    assert missing.status_code == 422 and "Yseult" in missing.text, "what was typed is not lost"
    statuses = [client.post("/transparency", data=ASKED | {"csrf": form}).status_code for _ in range(7)]
    assert statuses[-1] == 429
    foreign = client.post("/transparency", data=ASKED | {"csrf": form}, headers={"Origin": "https://elsewhere"})
    assert foreign.status_code == 403


def test_the_officer_enters_reads_and_closes_a_request(officer: httpx.Client, site: Site) -> None:
    page = officer.get("/rights")
    assert page.status_code == 200 and 'href="/rights"' in page.text
    sent = {"csrf": token(page), "kind": "opposition", "scope": "industry", "number": "8001234", "channel": "letter"}
    answer = officer.post("/rights", data=sent)
    assert answer.status_code == 303
    shown = officer.get(answer.headers["location"])
    assert "being looked for" in shown.text and "8001234" not in shown.text
    number = int(answer.headers["location"].rpartition("/")[2])
    job = site.state.jobs.recent(1)[0]
    assert (job.kind, job.argument) == ("find-person", str(number))
    site.state.requests.answered(number, 3)  # as the process that holds the key does
    found = officer.get(f"/rights/{number}")
    assert "P3" in found.text and "/carry-out" in found.text
    assert officer.post(f"/rights/{number}/carry-out", data={"csrf": token(found)}).status_code == 303
    assert site.state.jobs.recent(1)[0].kind == "carry-out"
    assert officer.post(f"/rights/{number}/close", data={"csrf": token(found), "outcome": "done"}).status_code == 303
    assert officer.post(f"/rights/{number}/close", data={"csrf": token(found), "outcome": "again"}).status_code == 422
    assert officer.get("/rights/999999").status_code == 404


def test_the_registry_sheet_is_shown_and_downloaded(officer: httpx.Client) -> None:
    page = officer.get("/registry")
    assert page.status_code == 200 and "R16" in page.text and "for the hospital to state" in page.text
    assert officer.get("/registry.md").text.startswith("# Registry sheet")


@pytest.mark.parametrize("login", ["researcher", "data_engineer", "viewer", "administrator"])
def test_others_see_neither(client: httpx.Client, login: str) -> None:
    sign_in(client, login)
    assert [client.get(path).status_code for path in ("/rights", "/rights/1", "/registry", "/registry.md")] == [403] * 4
    assert 'href="/rights"' not in client.get("/account/security").text
