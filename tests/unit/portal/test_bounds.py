"""Perimeters and opening for care on the pages and the API."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from tests.browser.small_site import Site
from tests.unit.portal.conftest import sign_in, token

from estran.model.perimeter import WHOLE, Perimeter
from estran.projects import tokens
from estran.projects.actors import Actor

REASON = "Seen tonight in the emergency ward with chest pain."
MINE = Perimeter(patients=(0,))


@pytest.fixture
def bounded(client: httpx.Client, site: Site, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Somebody who may see patient 0 only."""
    account = site.state.accounts.find(getattr(request, "param", "clinician"))
    assert account
    site.state.perimeters.put(account.id, MINE, "test")
    sign_in(client, account.login)
    yield client
    site.state.openings.close(account.id)
    site.state.perimeters.put(account.id, WHOLE, "test")


@pytest.mark.parametrize("bounded", ["clinician", "data_engineer"], indirect=True)
def test_no_page_shows_anybody_from_outside(bounded: httpx.Client, site: Site) -> None:
    outside = {d for (d, p) in _documents(site) if p != 0}
    for path in (
        "/patients/1",
        "/patients/1/events",
        "/cohort/patients/1/why",
        *(f"/documents/{d}" for d in sorted(outside)[:5]),
    ):
        assert bounded.get(path).status_code == 403, path
    for path in ("/feeds", "/audit"):
        assert bounded.get(path).status_code == 403, path
    for path in ("/", "/search", "/search?q=insuffisance", "/search?q=amylose", "/cohort/patients", "/cohort/counts", "/cohorts",
                 "/concepts?q=insuf", "/patients/0", "/documents/0"):  # fmt: skip
        page = bounded.get(path)
        assert page.status_code == 200, path
        named = {int(n) for n in re.findall(r"/documents/(\d+)", page.text)}
        people = {int(n) for n in re.findall(r"/patients/(\d+)", page.text)}
        assert not named & outside and people <= {0}, path
    assert "in your perimeter only" in bounded.get("/").text
    assert "hl7v2/labo" not in bounded.get("/").text


def _documents(site: Site) -> list[tuple[int, int]]:
    with site.snapshot().connect() as connection:
        return connection.execute("SELECT document_id, patient_id FROM document").fetchall()


@pytest.mark.parametrize("bounded", ["data_engineer"], indirect=True)
def test_a_token_is_bounded_as_its_owner(bounded: httpx.Client, base: str, site: Site) -> None:
    account = site.state.accounts.find("data_engineer")
    assert account
    text = tokens.make(site.state, Actor.of(account), "bounded", ["count", "search", "snippets", "holdings"], 1)
    with httpx.Client(
        base_url=base, trust_env=False, timeout=30, headers={"authorization": f"Bearer {text}"}
    ) as program:
        assert program.get("/api/status").json()["patients"] == {"value": 0, "below": 10, "margin": 0}
        found = program.get("/api/search?q=insuffisance").json()
        assert {hit["document_id"] for hit in found["hits"]} <= {d for d, p in _documents(site) if p == 0}
        counted = program.post("/api/cohort/count", json={"question": "LOINC:2160-0"}).json()
        assert counted["population"]["below"] == counted["patients"]["below"] == 10


def test_a_clinician_opens_one_record_and_the_officer_is_told(bounded: httpx.Client, base: str, site: Site) -> None:
    refused = bounded.get("/patients/1")
    assert "Nothing of this number lies within your perimeter" in refused.text
    csrf = token(refused)
    short = bounded.post("/care", data={"csrf": csrf, "patient": "P1", "reason": "urgent"})
    assert (short.status_code, "in a sentence" in short.text) == (422, True)
    opened = bounded.post("/care", data={"csrf": csrf, "patient": "P1", "reason": REASON + "<script>"})
    assert opened.headers["location"] == "/patients/1"
    page = bounded.get("/patients/1")
    assert page.status_code == 200 and "Opened for care until" in page.text
    assert bounded.get("/patients/2").status_code == 403
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as officer:
        sign_in(officer, "data_protection_officer")
        told = officer.get("/audit")
        assert REASON + "&lt;script&gt;" in told.text
        number = re.search(r"/audit/openings/(\d+)", told.text)
        assert number
        assert officer.post(number[0], data={"csrf": token(told)}).status_code == 303
        assert number[0] not in officer.get("/audit").text
    assert bounded.post("/care/close", data={"csrf": csrf}).status_code == 303
    assert bounded.get("/patients/1").status_code == 403


def test_an_administrator_sets_a_perimeter_on_the_page_of_a_person(client: httpx.Client, site: Site) -> None:
    account = site.state.accounts.find("teacher")
    assert account
    sign_in(client, "administrator")
    csrf = token(client.get("/people/teacher"))
    given = {
        "csrf": csrf,
        "wards": "CARD, HEP",
        "since": "2020-01-01",
        "kinds": ["discharge", "letter"],
        "listed": "1",
        "patients": "P3 4",
    }
    assert client.post("/people/teacher/perimeter", data=given).status_code == 303
    wanted = Perimeter(
        wards=("CARD", "HEP"),
        kinds=("discharge", "letter"),
        since=Perimeter.from_json('{"since":"2020-01-01"}').since,
        patients=(3, 4),
    )
    assert site.state.perimeters.of(account.id) == wanted
    line = next(e for e in site.state.audit.latest(5) if "perimeter:" in e.target)
    assert (line.login, line.action) == ("administrator", "accounts")
    page = client.get("/people/teacher").text
    assert 'value="CARD, HEP"' in page and ">3, 4</textarea>" in page
    for wrong in ({"wards": "NOWHERE"}, {"since": "soon"}, {"kinds": ["selfie"]}, {"listed": "1", "patients": "Anne"}):
        answer = client.post("/people/teacher/perimeter", data={"csrf": csrf, **wrong})
        assert answer.status_code == 422 and 'role="alert"' in answer.text, wrong
    assert site.state.perimeters.of(account.id) == wanted, "nothing changed"
    assert client.post("/people/teacher/perimeter", data={"csrf": csrf}).status_code == 303
    assert site.state.perimeters.of(account.id).whole
    own = client.post("/people/administrator/perimeter", data={"csrf": csrf, "wards": "CARD"})
    assert own.status_code == 403, "nobody sets their own"


@pytest.mark.parametrize("login", ["researcher", "data_engineer", "data_protection_officer"])
def test_the_page_of_care_is_for_those_who_care(client: httpx.Client, login: str) -> None:
    sign_in(client, login)
    assert client.get("/care").status_code == 403
    assert 'href="/care"' not in client.get("/").text
