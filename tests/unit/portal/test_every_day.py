"""Stars, shares, followed questions and notices, without a browser."""

from __future__ import annotations

import httpx
import pytest
from tests.browser.small_site import Site
from tests.unit.portal.conftest import sign_in, token

from estran.identity.boxes import Opener
from estran.projects.desk import ReadingRoom
from estran.projects.following import run_due


@pytest.fixture
def cohort(signed_in: httpx.Client, site: Site) -> int:
    csrf = token(signed_in.get("/cohort"))
    signed_in.post("/cohort/text", data={"csrf": csrf, "text": "CIM10:I50"})
    signed_in.post("/cohort/save", data={"csrf": csrf, "name": "Heart <b>failure</b>"})
    account = site.state.accounts.find("data_engineer")
    assert account
    return site.state.cohorts.owned_by(account.id)[0].id


def test_a_cohort_is_starred_followed_and_shared_on_its_page(signed_in: httpx.Client, site: Site, cohort: int) -> None:
    csrf = token(signed_in.get("/cohorts"))
    for what, data in (("star", {"on": "1"}), ("follow", {"every": "weekly"}), ("share", {"login": "methodologist"})):
        assert signed_in.post(f"/cohorts/{cohort}/{what}", data={"csrf": csrf, **data}).status_code == 303
        assert signed_in.post(f"/cohorts/{cohort}/{what}", data=data).status_code == 403, "without the token of the form"
    page = signed_in.get("/cohorts").text
    assert 'aria-pressed="true"' in page
    assert "every week" in page
    assert "Share Heart &lt;b&gt;failure&lt;/b&gt; no more with methodologist" in page
    assert run_due(ReadingRoom(site)) == 1
    assert "Last asked" in signed_in.get("/cohorts").text
    (share,) = site.state.shares.of([cohort])
    assert signed_in.post(f"/cohorts/{cohort}/unshare", data={"csrf": csrf, "share": share.id}).status_code == 303
    assert site.state.shares.of([cohort]) == []


def test_the_receiver_is_told_and_opens_a_copy(client: httpx.Client, signed_in: httpx.Client, site: Site, cohort: int) -> None:
    csrf = token(signed_in.get("/cohorts"))
    signed_in.post(f"/cohorts/{cohort}/share", data={"csrf": csrf, "role": "researcher"})
    signed_in.post(f"/cohorts/{cohort}/share", data={"csrf": csrf, "login": "researcher"})
    signed_in.post("/sign-out", data={"csrf": csrf})
    sign_in(client, "researcher")
    assert "1 new" in client.get("/").text
    notices = client.get("/notices")
    assert "A colleague shares this cohort" in notices.text
    csrf = token(notices)
    assert client.post("/notices/seen", data={"csrf": csrf}).status_code == 303
    assert "1 new" not in client.get("/").text
    assert "of data_engineer" in client.get("/cohorts").text
    version = site.state.cohorts.cohort(cohort)
    assert version
    opened = client.post("/cohorts/open", data={"csrf": csrf, "version": version.versions[0].id})
    assert opened.headers["location"] == "/cohort"
    for (share_id,) in [(s.id,) for s in site.state.shares.of([cohort])]:
        site.state.shares.unshare(cohort, share_id)
    assert client.get("/cohort").status_code == 200, "what was opened is a copy"
    assert client.post("/cohorts/open", data={"csrf": csrf, "version": version.versions[0].id}).status_code == 403


def test_nonsense_is_refused(signed_in: httpx.Client, cohort: int) -> None:
    csrf = token(signed_in.get("/cohorts"))
    for what, data in (("follow", {"every": "hourly"}), ("share", {}), ("share", {"role": "viewer"}), ("star", {})):
        code = 422 if what != "star" else 303
        assert signed_in.post(f"/cohorts/{cohort}/{what}", data={"csrf": csrf, **data}).status_code == code
    assert signed_in.post("/cohorts/999999/star", data={"csrf": csrf}).status_code == 422


def test_who_opens_no_cohort_has_no_notices(client: httpx.Client) -> None:
    sign_in(client, "auditor")
    assert 'href="/notices"' not in client.get("/").text


def test_a_list_of_numbers_is_handed_in_sealed(signed_in: httpx.Client, site: Site) -> None:
    site.state.patient_lists.door.put(Opener(bytes(32)).public)
    csrf = token(signed_in.get("/lists"))
    files = {"file": ("numbers.csv", b"ipp\nIPP-SECRET-1\n", "text/csv")}
    data = {"csrf": csrf, "name": "Trial", "kind": "number"}
    assert signed_in.post("/lists", data=data, files=files).status_code == 303
    assert "waiting" in signed_in.get("/lists").text
    (one,) = site.state.patient_lists.waiting()
    assert b"SECRET" not in (one.sealed or b"")
    assert b"SECRET" in Opener(bytes(32)).open(one.sealed or b"")
    answer = signed_in.post("/lists", data=data, files={"file": ("x.csv", b"no number here\n", "text/csv")})
    assert answer.status_code == 422 and "no number here" not in answer.text
    assert signed_in.post("/lists", data={**data, "csrf": "x"}, files=files).status_code == 403


def test_who_may_not_import_sees_no_lists(client: httpx.Client) -> None:
    sign_in(client, "methodologist")
    assert client.get("/lists").status_code == 403
    assert 'href="/lists"' not in client.get("/cohorts").text
