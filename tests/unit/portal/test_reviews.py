"""The doors of chart review, without a browser."""

from __future__ import annotations

import httpx
import pytest
from tests.browser.small_site import Site
from tests.unit.portal.conftest import sign_in, token

from estran.cohort.language.text import parse
from estran.projects.actors import Actor
from estran.projects.charts.manager import Wanted
from estran.projects.desk import Desk, ReadingRoom
from estran.state import ListRecord


@pytest.fixture(scope="module")
def made(site: Site) -> ListRecord:
    account = site.state.accounts.find("methodologist")
    assert account
    desk = Desk(ReadingRoom(site), Actor.of(account))
    version = desk.save("For review", parse("CIM10:I50"), "")
    return desk.reviews.make(Wanted("Doors", version.id, {"clinician": 1}, sample=3))


def patients(site: Site, made: ListRecord) -> list[int]:
    return [one.patient_id for one in site.state.charts.patients(made.id)]


def test_a_clinician_reads_the_patients_given_and_nothing_else(
    client: httpx.Client, site: Site, made: ListRecord
) -> None:
    sign_in(client, "clinician")
    mine = patients(site, made)
    page = client.get(f"/reviews/{made.id}/patients/{mine[0]}")
    assert page.status_code == 200
    assert client.get(f"/reviews/{made.id}/patients/{mine[0]}/events").status_code == 200
    assert site.state.audit.latest(1)[0].patients == (mine[0],)
    other = next(number for number in range(60) if number not in mine)
    for path in (
        f"/reviews/{made.id}/patients/{other}", f"/reviews/{made.id}/patients/{other}/events", f"/patients/{mine[0]}",
        f"/reviews/{made.id}/settle", f"/reviews/{made.id}/settle/{mine[0]}", f"/reviews/{made.id}/figures", "/reviews/new",
        f"/reviews/{made.id}/documents/1", f"/reviews/{made.id}/settle-text/1", "/reviews/forms",
    ):  # fmt: skip
        assert client.get(path).status_code == 403, path
    assert client.get("/reviews/999").status_code == 403, "as one that is not theirs"


def test_a_decision_needs_the_token_of_the_page(client: httpx.Client, site: Site, made: ListRecord) -> None:
    sign_in(client, "clinician")
    where = f"/reviews/{made.id}/patients/{patients(site, made)[0]}"
    assert client.post(where, data={"verdict": "include"}).status_code == 403
    csrf = token(client.get(where))
    assert client.post(where, data={"csrf": csrf, "verdict": "maybe"}).status_code == 422
    assert client.post(where, data={"csrf": csrf, "verdict": "include", "comment": "<b>"}).status_code == 303
    page = client.get(f"/reviews/{made.id}")
    assert "&lt;b&gt;" in page.text
    assert client.post(f"/reviews/{made.id}/undo", data={"csrf": csrf}).headers["location"] == where


def test_roles_without_reviews_are_refused(client: httpx.Client) -> None:
    sign_in(client, "viewer")
    for path in ("/reviews", "/reviews/1", "/reviews/new", "/reviews/1/settle"):
        assert client.get(path).status_code == 403, path
