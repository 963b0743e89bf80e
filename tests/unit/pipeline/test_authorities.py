"""Feeds of one hospital meet, however each writes who gave a number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import fresh
from tests.unit.pipeline.test_promises import result, values

from estran.model.errors import UsageError
from estran.settings import Settings
from estran.sources.pipeline.authorities import read_authorities
from estran.sources.pipeline.run import ingest

OID = "1.2.250.1.71.4.2.2"
PATIENT = {
    "resourceType": "Patient", "id": "p", "name": [{"family": "KERGUELEN", "given": ["Armelle"]}],
    "identifier": [{"system": f"urn:oid:{OID}", "value": "1", "type": {"coding": [{"code": "PI"}]}}],
}  # fmt: skip


@pytest.mark.parametrize(("setting", "authority"), [("", OID), (f"{OID} = CHU", "CHU"), (f"urn:oid:{OID}=CHU,x=y", "CHU")])
def test_a_number_of_fhir_is_that_of_hl7(tmp_path: Path, setting: str, authority: str) -> None:
    site = fresh.site(tmp_path / "site", Settings(authorities=setting))
    (tmp_path / "p.json").write_text(json.dumps(PATIENT))
    message = result("20250102080000", "PID|||1^^^" + authority + "^PI", "5")  # a number alone introduces nobody
    (tmp_path / "r.hl7").write_text(message + "\r", newline="")
    with site.loading() as parts:
        assert ingest(parts, "hl7v2", [tmp_path / "r.hl7"]).total("quarantined") == 1
        assert ingest(parts, "fhir", [tmp_path / "p.json"]).replayed == 1
    assert values(site) == [5.0]



def test_a_setting_that_names_nothing_is_refused() -> None:
    assert read_authorities(" ") == {}
    for wrong in ("CHU", "= CHU", "a=b, c="):
        with pytest.raises(UsageError, match="names no authority"):
            read_authorities(wrong)
