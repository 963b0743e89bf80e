"""What a source says, takes back and says again: the last word stands, whatever came first."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from tests.spec.site_kit import digest, findings, load, make, rows

PATIENT = {
    "resourceType": "Patient", "id": "p1", "identifier": [{"system": "urn:oid:1.2.3", "value": "90017"}],
    "name": [{"family": "KERGUELEN", "given": ["Armelle"]}], "birthDate": "1950-03-02",
}  # fmt: skip


def _observation(value: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": "o1", "status": "final", "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "2345-7"}]}, "effectiveDateTime": "2025-01-10T08:00:00Z",
        "valueQuantity": {"value": value, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
    }  # fmt: skip


def _encounter(end: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter", "id": "e1", "status": "finished", "subject": {"reference": "Patient/p1"},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "period": {"start": "2025-01-09T08:00:00Z", "end": end},
    }  # fmt: skip


def _history(path: Path, day: int, *resources: dict[str, Any]) -> Path:
    when = f"2025-02-{day:02}T10:00:00Z"
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"},
         "response": {"status": "200", "lastModified": when}}
        for one in resources
    ]  # fmt: skip
    path.write_text(json.dumps({"resourceType": "Bundle", "type": "history", "entry": entries}))
    return path


@pytest.fixture
def said(tmp_path: Path) -> list[Path]:
    first, second = (_observation(5), _encounter("2025-01-12T08:00:00Z")), (_observation(7), _encounter("2025-01-15T08:00:00Z"))
    return [_history(tmp_path / f"{n}.json", n, PATIENT, *what) for n, what in enumerate((first, second, first), start=1)]


def test_the_last_word_stands_in_any_order(tmp_path: Path, said: list[Path]) -> None:
    digests = set()
    for number, order in enumerate(itertools.permutations(said)):
        site = make(tmp_path / str(number))
        for path in order:
            report = load(site, "fhir", path)
            assert report.total("read") == sum(report.total(n) for n in ("loaded", "superseded", "quarantined")) == 3
        assert rows(site, "select value from fact join document using (document_id)") == [(5.0,)]
        assert rows(site, "select end_date::varchar from stay") == [("2025-01-12",)]
        assert findings(site) == []
        digests.add(digest(site))
    assert len(digests) == 1


def test_the_same_files_again_change_nothing(tmp_path: Path, said: list[Path]) -> None:
    site = make(tmp_path / "site")
    for path in said:
        load(site, "fhir", path)
    before, events = digest(site), rows(site, "select count(*) from raw_stay_event")
    for path in said:
        assert load(site, "fhir", path).total("superseded") == 3
    assert (digest(site), rows(site, "select count(*) from raw_stay_event")) == (before, events)
