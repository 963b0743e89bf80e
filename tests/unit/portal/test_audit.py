"""The officer's page, without a browser; and the portal's own checkpoints."""

from __future__ import annotations

import dataclasses
import datetime as dt

import httpx
import pytest
from tests.browser.small_site import Site
from tests.unit.portal.conftest import sign_in, token

from estran.model.errors import CheckFailed
from estran.portal.sealing import seal_if_due
from estran.projects.actors import KEY_HOLDER
from estran.projects.officer import Officer
from estran.projects.sealing import Sealing, last_checkpoint, prove
from estran.state import AuditFilter

NOW = dt.datetime.now(dt.UTC)


def test_the_page_tells_the_state_of_the_chain_and_the_lines(signed_in: httpx.Client, site: Site) -> None:
    signed_in.get("/patients/0")
    page = signed_in.get("/audit")
    assert page.status_code == 200
    assert "There is no checkpoint yet" not in page.text
    assert "patient:0" in page.text
    assert site.state.audit.latest(1)[0].target == "lines:0-50"


def test_who_read_a_patient_is_told_and_asking_is_not_reading(signed_in: httpx.Client, site: Site) -> None:
    signed_in.get("/patients/3")
    before = site.state.audit.count(AuditFilter(patients=(3,)))
    page = signed_in.get("/audit?patient=P3&action=&since=&login=")
    assert "Who read patient P3" in page.text
    assert site.state.audit.count(AuditFilter(patients=(3,))) == before >= 2, "the page, and whose relative the patient is"
    assert "Nobody read this patient" in signed_in.get("/audit?patient=59").text


def test_every_page_that_shows_patients_says_whom_it_shows(signed_in: httpx.Client, site: Site) -> None:
    def patients(path: str) -> tuple[int, ...]:
        assert signed_in.get(path).status_code == 200
        return site.state.audit.latest(1)[0].patients

    signed_in.post("/cohort/reset", data={"csrf": token(signed_in.get("/"))})  # everybody, whatever was built before
    document = patients("/documents/0")
    assert document == (0,)
    assert patients("/patients/7") == (7,)
    assert patients("/patients/7/events") == (7,)
    assert patients("/search?q=insuffisance") != ()
    assert len(patients("/cohort/patients")) == 50
    assert patients("/cohort/patients/4/why") == (4,)
    assert patients("/cohort/counts") == ()
    refused = signed_in.get("/patients/99999999999999999999")
    assert refused.status_code == 404
    assert site.state.audit.latest(1)[0].patients == ()


def test_filters_pages_and_nonsense(signed_in: httpx.Client) -> None:
    assert "No line answers" in signed_in.get("/audit?login=nobody").text
    assert "No line answers" not in signed_in.get("/audit?login=data_engineer&action=sign-in&since=2020-01-01").text
    assert signed_in.get("/audit?page=99999999999999").status_code == 200
    for path in ("/audit?patient=x", "/audit?patient=99999999999", "/audit?since=yesterday"):
        assert signed_in.get(path).status_code == 422


def test_the_trail_is_proved_on_the_page(signed_in: httpx.Client) -> None:
    page = signed_in.get("/audit?now=1")
    assert "the trail is whole" in page.text
    assert 'role="status"' in page.text


def test_a_review_is_acknowledged_on_the_page(signed_in: httpx.Client, site: Site) -> None:
    number = Officer(site, KEY_HOLDER).review(NOW - dt.timedelta(days=7), NOW).id
    page = signed_in.get("/audit")
    assert f"/audit/reviews/{number}" in page.text
    assert signed_in.post(f"/audit/reviews/{number}").status_code == 403, "without the token of the form"
    answer = signed_in.post(f"/audit/reviews/{number}", data={"csrf": token(page), "note": "<b>seen</b>"})
    assert answer.status_code == 303
    page = signed_in.get("/audit")
    assert f"/audit/reviews/{number}" not in page.text
    assert "&lt;b&gt;seen" in page.text
    assert signed_in.post(f"/audit/reviews/{number}", data={"csrf": token(page)}).status_code == 422


@pytest.mark.parametrize("login", ["researcher", "clinician", "viewer"])
def test_only_who_may_read_the_trail_sees_the_page(client: httpx.Client, login: str) -> None:
    sign_in(client, login)
    assert client.get("/audit").status_code == 403
    assert 'href="/audit"' not in client.get("/").text


def test_the_portal_seals_with_its_own_key_what_it_wrote(signed_in: httpx.Client, site: Site) -> None:
    portal = Sealing.of_portal(site)
    assert portal is not None
    seal_if_due(site)
    sealed = last_checkpoint(site)
    assert sealed is not None and sealed.line < site.state.audit.last(), "not due yet"
    settings = site.settings
    site.settings = dataclasses.replace(settings, audit_checkpoint_minutes=0)
    seal_if_due(site)
    site.settings = settings
    made = prove(site).sealed
    assert made is not None
    assert (made.signer, made.line) == (portal.signer.public, site.state.audit.last())


def test_a_broken_trail_goes_to_the_log_and_is_not_signed(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_self: Sealing) -> None:
        raise CheckFailed("The audit trail is broken.", where="line 7")

    monkeypatch.setattr(Sealing, "due", lambda _self: True)
    monkeypatch.setattr(Sealing, "seal", broken)
    seal_if_due(site)
    assert "line 7" in caplog.text
