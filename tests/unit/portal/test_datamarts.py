"""The pages of the datamarts, without a browser."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from tests.browser.small_site import Site
from tests.unit.portal.conftest import sign_in

from estran.identity.keys import SiteKey
from estran.projects.actors import KEY_HOLDER
from estran.projects.datamarts.shelf import Datamarts, Workshop
from estran.state.datamarts import DatamartRow

SPEC = {
    "project": "2026-014", "name": "heart", "cohort": "CIM10:I50", "demographics": ["sex", "age"], "formats": ["parquet"],
    "variables": [
        {"name": "creatinine", "codes": ["LOINC:2160-0"], "window": [-365, None], "justification": "kidney <function>"},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def made(site: Site, tmp_path_factory: pytest.TempPathFactory) -> DatamartRow:
    folder: Path = tmp_path_factory.mktemp("datamarts")
    shelf = Datamarts(site, KEY_HOLDER, Workshop(SiteKey("k", bytes(32)), folder, site.warehouse.snapshot))
    return shelf.build(SPEC, "researcher", "committee of 3 May, project 2026-014").row


def test_the_recipient_reads_what_the_datamart_holds(client: httpx.Client, site: Site, made: DatamartRow) -> None:
    sign_in(client, "researcher")
    listed = client.get("/datamarts").text
    assert f"/datamarts/{made.id}" in listed and "available" in listed
    page = client.get(f"/datamarts/{made.id}")
    assert page.status_code == 200
    for said in (
        "CIM10:I50",
        "LOINC:2160-0",
        "kidney &lt;function&gt;",
        "shifted by whole weeks",
        "-365 to …",
        "patients.parquet",
    ):
        assert said in page.text
    line = site.state.audit.latest(1)[0]
    assert (line.login, line.action, line.target) == ("researcher", "datamarts", f"datamart:{made.id}")


def test_nobody_else_does_but_the_data_centre(client: httpx.Client, made: DatamartRow) -> None:
    sign_in(client, "clinician")
    assert "No datamart was made for you" in client.get("/datamarts").text
    assert client.get(f"/datamarts/{made.id}").status_code == 403
    assert client.get("/datamarts/999").status_code == 422
    sign_in(client, "data_engineer")
    assert client.get(f"/datamarts/{made.id}").status_code == 200
    sign_in(client, "auditor")
    assert client.get("/datamarts").status_code == 403
