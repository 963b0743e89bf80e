"""Orders, samples, plans, forms, relatives, summaries of the PMSI; and what Bundles take back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.spec import site_kit as kit

from estran.settings import Settings
from estran.sources.fhir import FhirReader
from estran.sources.records import Batch, PatientKey
from estran.sources.writing import opaque

WHO = {"reference": "Patient/p1"}
LOINC = {"coding": [{"system": "http://loinc.org", "code": "24627-2", "display": "Scanner du thorax"}]}
SCT = {"coding": [{"system": "http://snomed.info/sct", "code": "119297000"}]}


def batches(path: Path) -> dict[str, Batch]:
    return {batch.part: batch for batch in FhirReader(Settings()).read(path, path.name)}


def written(folder: Path, name: str, *nodes: dict[str, Any]) -> Path:
    path = folder / name
    data = b"\n".join(orjson.dumps(node) for node in nodes)
    path.write_bytes(data if name.endswith(".json") else data + b"\n")
    return path


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def reading(node: dict[str, Any]) -> Batch:
        (batch,) = batches(written(tmp_path, "x.ndjson", {"id": "1", **node})).values()
        assert not batch.refusals, batch.refusals
        return batch

    return reading


def facts(batch: Batch) -> list[tuple[Any, ...]]:
    codes = batch.codes
    return [
        (codes[f["code"]].vocabulary, codes[f["code"]].code, f["status"], f["context"], str(f["start_date"]), f["role"])
        for f in batch.facts.to_pylist()
    ]


def attributes(batch: Batch) -> list[tuple[str, Any]]:
    codes = batch.codes
    return [
        (codes[a["attribute"]].code, a["value_text"] or (a["value_code"] is not None and codes[a["value_code"]].code))
        for a in batch.attributes.to_pylist()
    ]


@pytest.mark.parametrize(
    ("more", "status", "context"),
    [
        ({"intent": "order", "status": "active"}, 2, 0),
        ({"intent": "plan", "status": "active"}, 2, 32),
        ({"intent": "order", "status": "revoked"}, 6, 0),
        ({"intent": "order", "status": "active", "doNotPerform": True}, 2, 1),
    ],
)
def test_orders(read: Any, more: dict[str, Any], status: int, context: int) -> None:
    node = {"resourceType": "ServiceRequest", "subject": WHO, "code": LOINC, "authoredOn": "2024-03-01", **more}
    assert facts(read(node)) == [("LOINC", "24627-2", status, context, "2024-03-01", None)]


def test_specimen(read: Any) -> None:
    taken = {"collectedDateTime": "2024-03-01T08:00:00+01:00", "method": SCT}
    batch = read({"resourceType": "Specimen", "subject": WHO, "type": SCT, "collection": taken})
    assert facts(batch) == [("SNOMED", "119297000", 0, 0, "2024-03-01", None)]
    assert attributes(batch) == [("Specimen.collection.method", "119297000")]


def test_imaging_study_names_its_series_as_dicom_does(read: Any) -> None:
    series = [{"uid": "1.2.3", "modality": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}}]
    node = {"resourceType": "ImagingStudy", "subject": WHO, "started": "2024-03-01", "description": "TDM", "series": series}
    batch = read({**node, "procedureCode": [LOINC]})
    assert facts(batch) == [("LOINC", "24627-2", 0, 0, "2024-03-01", None)]
    assert attributes(batch) == [("ImagingStudy.modality", "CT")]
    (medium,) = batch.media.to_pylist()
    assert (medium["modality"], medium["uri"]) == ("CT", opaque("dicom", "series/1.2.3"))
    assert [d["kind"] for d in batch.documents.to_pylist()] == ["imaging"] and "1.2.3" not in str(batch.media.to_pylist())
    assert facts(read(node))[0][:2] == ("LOCAL/FHIR", "ImagingStudy")


def test_flag_and_plan(read: Any) -> None:
    span = {"start": "2024-03-01", "end": "2024-03-09"}
    flag = read({"resourceType": "Flag", "subject": WHO, "status": "active", "code": SCT, "period": span})
    (fact,) = flag.facts.to_pylist()
    assert (str(fact["start_date"]), str(fact["end_date"])) == ("2024-03-01", "2024-03-09")
    plan = {"resourceType": "CarePlan", "subject": WHO, "category": [SCT], "period": span, "title": "Suivi"}
    batch = read({**plan, "activity": [{"detail": {"code": LOINC}}, {"reference": WHO}]})
    assert [f[1:4] for f in facts(batch)] == [("119297000", 0, 32), ("24627-2", 0, 32)]
    assert batch.documents["text"].to_pylist() == ["Suivi"]


def test_answers(read: Any) -> None:
    items = [
        {"linkId": "1", "text": "Tabac ?", "answer": [{"valueBoolean": True}]},
        {"linkId": "2", "item": [{"linkId": "2.1", "answer": [{"valueDecimal": 4.5}, {"valueCoding": SCT["coding"][0]}]}]},
        {"linkId": "3", "text": "Par qui ?", "answer": [{"valueString": "Mme Martin"}]},
    ]
    node = {"resourceType": "QuestionnaireResponse", "status": "completed", "subject": WHO, "authored": "2024-03-01"}
    batch = read({**node, "questionnaire": "http://chu/form|2", "item": items})
    told = [(batch.codes[f["code"]].code, batch.codes[f["code"]].label, f["value"], f["value_text"]) for f in batch.facts.to_pylist()]
    assert told == [("1", "", 1.0, None), ("2.1", "", 4.5, None), ("2.1", "", None, None), ("3", "", None, "Mme Martin")]
    assert batch.documents["text"].to_pylist() == ["Tabac ?\nPar qui ?"]
    assert batch.codes[0].vocabulary.startswith("LOCAL/")


def test_episode_is_a_dossier_that_stays_are_part_of(tmp_path: Path) -> None:
    episode = {"resourceType": "EpisodeOfCare", "id": "e", "status": "active", "patient": WHO, "period": {"start": "2024"}}
    stay = {"resourceType": "Encounter", "id": "s", "status": "finished", "class": {"code": "IMP"}, "subject": WHO,
            "episodeOfCare": [{"reference": "EpisodeOfCare/e"}]}  # fmt: skip
    found = batches(written(tmp_path, "x.ndjson", episode, stay))
    assert found["EpisodeOfCare"].stay_events["kind"].to_pylist() == ["dossier"]
    (event,) = found["Encounter"].stay_events.to_pylist()
    assert found["Encounter"].stays[event["parent"]].value == "EpisodeOfCare/e"


def test_a_claim_is_read_when_it_is_a_summary(tmp_path: Path) -> None:
    bill = {"resourceType": "Claim", "id": "b", "patient": WHO, "type": {"coding": [{"code": "institutional"}]}}
    role = {"coding": [{"system": "https://interop.esante.gouv.fr/ig/fhir/eds/CodeSystem/PMSIMCODiagType", "code": "DR"}]}
    summary = {**bill, "id": "s", "diagnosis": [{"diagnosisCodeableConcept": SCT, "type": [role]}], "created": "2024-01-01",
               "item": [{"encounter": [{"reference": "Encounter/e"}]}], "status": "cancelled"}  # fmt: skip
    batch = batches(written(tmp_path, "x.ndjson", bill, summary))["Claim"]
    assert [(r.record, r.code) for r in batch.refusals] == [(0, "unknown-type")]
    assert [s.value for s in batch.stays] == ["Encounter/e"] and facts(batch)[0][-1] == "DR"
    assert batch.documents["status"].to_pylist() == [2] and batch.stay_events["status"].to_pylist() == ["cancelled"]


# Relatives -------------------------------------------------------------------------------------------


def _patient(name: str, number: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": name, "identifier": [{"system": "CHU", "value": number}],
            "name": [{"family": "LEROY", "given": ["ANNE"]}], "birthDate": "1980-02-03", **more}  # fmt: skip


def _mother(**more: Any) -> dict[str, Any]:
    return {"resourceType": "RelatedPerson", "id": "r", "patient": {"reference": "Patient/child"},
            "relationship": [{"coding": [{"code": "MTH"}]}], "name": [{"family": "QUEMENEUR", "given": ["SOIZIC"]}],
            **more}  # fmt: skip


def test_the_mother_by_her_number_whichever_comes_first(tmp_path: Path) -> None:
    site = kit.make(tmp_path / "site")
    relation = written(tmp_path, "r.ndjson", _mother(identifier=[{"system": "CHU", "value": "2"}]))
    child, mother = written(tmp_path, "c.ndjson", _patient("child", "1")), written(tmp_path, "m.ndjson", _patient("m", "2"))
    assert kit.load(site, "fhir", relation, child).total("quarantined") == 1
    assert kit.load(site, "fhir", mother).replayed == 1
    ids = [kit.patient_of(site, number) for number in "12"]
    assert kit.rows(site, "select patient_id, other_id, kind from relation") == [(*ids, "mother")]


def test_the_mother_by_the_link_of_her_own_record(tmp_path: Path) -> None:
    link = [{"other": {"reference": "urn:uuid:r"}, "type": "seealso"}]
    entries = [
        {"fullUrl": "urn:uuid:r", "resource": _mother()},
        {"fullUrl": "urn:uuid:child", "resource": _patient("child", "1")},
        {"fullUrl": "urn:uuid:m", "resource": _patient("m", "2", link=link)},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    batch = batches(written(tmp_path, "b.json", bundle))["RelatedPerson"]
    (relation,) = batch.relations
    assert relation.kind == "mother"
    assert [batch.patients[p].value for p in (relation.patient, relation.other)] == ["Patient/child", "Patient/m"]


def test_names_of_relatives_are_masked(tmp_path: Path) -> None:
    site = kit.make(tmp_path / "site")
    family = {"resourceType": "FamilyMemberHistory", "id": "f", "status": "completed", "patient": {"reference": "Patient/child"},
              "name": "Gwenole KERBRAT", "relationship": SCT, "condition": [{"code": LOINC}],
              "note": [{"text": "KERBRAT suivi pour asthme."}]}  # fmt: skip
    note = {"resourceType": "Observation", "id": "o", "status": "final", "code": LOINC, "subject": {"reference": "Patient/child"},
            "note": [{"text": "Vue avec QUEMENEUR Soizic et Kerbrat."}]}  # fmt: skip
    report = kit.load(site, "fhir", written(tmp_path, "x.ndjson", _patient("child", "1"), family, note, _mother()))
    assert report.total("loaded") == report.total("read") == 4
    texts = " ".join(row[0] for row in kit.rows(site, "select text from text")).lower()
    assert "asthme" in texts and not any(name in texts for name in ("kerbrat", "quemeneur", "soizic"))


def test_a_deletion_cancels_the_version_beside_it(tmp_path: Path) -> None:
    weight = {"resourceType": "Observation", "id": "w", "status": "final", "code": LOINC, "subject": {"reference": "Patient/c"},
              "effectiveDateTime": "2024-01-01", "valueQuantity": {"value": 3}}  # fmt: skip
    stay = {"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "IMP"}, "subject": {"reference": "Patient/c"},
            "period": {"start": "2024-01-01"}, "meta": {"lastUpdated": "2024-01-01T00:00:00Z"}}  # fmt: skip

    def entry(node: dict[str, Any] | None, method: str, url: str, when: str) -> dict[str, Any]:
        return {"resource": node, "request": {"method": method, "url": url}, "response": {"lastModified": when}}

    history = {"resourceType": "Bundle", "type": "history", "entry": [
        entry(None, "DELETE", "Observation/w", "2024-02-01T00:00:00Z"),
        entry(None, "DELETE", "Encounter/e", "2024-02-01T00:00:00Z"),
        entry(None, "DELETE", "Patient/c", "2024-02-01T00:00:00Z"),
        entry(None, "DELETE", "Observation/never", "2024-02-01T00:00:00Z"),
        entry(weight, "PUT", "Observation/w", "2024-01-02T00:00:00Z"),
        entry(stay, "POST", "Encounter", "2024-01-02T00:00:00Z"),
        entry(_patient("c", "1"), "POST", "Patient", "2024-01-02T00:00:00Z"),
    ]}  # fmt: skip
    site = kit.make(tmp_path / "site")
    report = kit.load(site, "fhir", written(tmp_path, "h.json", history))
    assert (report.total("read"), report.total("quarantined")) == (7, 2)
    assert sorted(report.reasons.values()) == [1, 1]
    assert kit.rows(site, "select value from fact") == [] and kit.rows(site, "select * from stay") == []
    again = {**weight, "meta": {"lastUpdated": "2024-03-01T00:00:00Z"}}
    kit.load(site, "fhir", written(tmp_path, "again.ndjson", again))
    assert kit.rows(site, "select value from fact") == [(3.0,)]


def test_a_resource_put_without_id_takes_that_of_its_address(tmp_path: Path) -> None:
    node = {k: v for k, v in _patient("x", "1").items() if k != "id"}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": "urn:uuid:1", "resource": node, "request": {"method": "PUT", "url": "Patient/77"}},
        {"resource": node, "request": {"method": "PUT", "url": "Patient?identifier=CHU|1"}},
    ]}  # fmt: skip
    batch = batches(written(tmp_path, "b.json", bundle))["Patient"]
    assert batch.patients[0] == PatientKey("fhir", "Patient/77") and not batch.refusals
    assert PatientKey("fhir", "Patient?identifier=CHU|1") in batch.patients
