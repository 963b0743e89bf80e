"""The pages of the data that projects bring: who may do what, and what is told of a file before anything is linked."""

from __future__ import annotations

import datetime as dt

import httpx
import pytest
from tests.browser.small_site import Site
from tests.unit.portal.conftest import sign_in, token

from estran.identity.boxes import Opener
from estran.projects.actors import Actor, Role
from estran.projects.life import ProjectsDesk

CSV = b"ipp;nom;visit;fevg;comment\nIPP1;TREGUIER;V1;35,5;went home\nIPP2;KERLOCH;V1;40;\n"


@pytest.fixture(scope="module")
def project(site: Site) -> str:
    """A project proposed by the researcher, and the door of the key holder."""
    state = site.state
    ids = {str(role): account.id for role in Role if (account := state.accounts.find(str(role)))}
    lead = Actor("researcher", Role.RESEARCHER, ids["researcher"])
    number = ProjectsDesk(state, site.settings, lead).propose(
        {"title": ["Echo"], "kind": ["research"], "sites": ["Rennes"], "members": [], "call": [""]}
    )
    state.own_data.door.put(Opener(bytes(range(32))).public)
    return number


def test_declared_by_the_responsible_and_answered_by_the_centre(
    client: httpx.Client, base: str, project: str, site: Site
) -> None:
    sign_in(client, "researcher")
    page = client.get(f"/projects/{project}/data")
    assert page.status_code == 200 and "brings no data" in page.text
    declared = {
        "csrf": token(page), "title": "Echo registry", "origin": "Cardiology", "formality": "MR-003", "reference": "17",
        "information": "Letter of January", "until": str(dt.date.today() + dt.timedelta(days=90)),
    }  # fmt: skip
    assert client.post(f"/projects/{project}/data", data=declared | {"information": "no"}).status_code == 422
    assert client.post(f"/projects/{project}/data", data=declared).status_code == 303
    (row,) = site.state.own_data.of(project)
    answer = f"/projects/{project}/data/{row.id}/answer"
    assert client.post(answer, data={"csrf": declared["csrf"], "decision": "accept"}).status_code == 403
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as engineer:
        sign_in(engineer, "data_engineer")
        page = engineer.get(f"/projects/{project}/data")
        assert (
            "Echo registry" in page.text
            and engineer.post(f"/projects/{project}/data", data=declared | {"csrf": token(page)}).status_code == 403
        )
        assert engineer.post(answer, data={"csrf": token(page), "decision": "accept"}).status_code == 303
        upload = f"/projects/{project}/data/{row.id}/files"
        sent = engineer.post(upload, data={"csrf": token(page), "form": "csv"}, files={"file": ("x.csv", CSV)})
        assert sent.status_code == 403 and "not open" in sent.text  # its files are read while the project is open
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as other:
        sign_in(other, "teacher")
        assert other.get(f"/projects/{project}/data").status_code == 403
        assert other.post(upload, content=b"x" * 2_000_000).status_code in (403, 422)
        assert other.post("/projects/x/y", content=b"x" * 2_000_000).status_code == 413
