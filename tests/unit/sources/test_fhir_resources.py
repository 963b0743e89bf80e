"""What each resource becomes, value by value."""

from __future__ import annotations

import base64
import datetime as dt
from pathlib import Path
from typing import Any

import orjson
import pytest

from estran.settings import Settings
from estran.sources.fhir import FhirReader
from estran.sources.records import Batch, Code, PatientKey

WHO = {"reference": "Patient/p1"}
STAY = {"reference": "Encounter/e1"}


def loinc(code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://loinc.org", "code": code, "display": display}]}


def sct(code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://snomed.info/sct", "code": code, "display": display}]}


def one(code: str) -> dict[str, Any]:
    return {"coding": [{"code": code}]}


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def reading(*nodes: dict[str, Any]) -> Batch:
        path = tmp_path / "some.ndjson"
        path.write_bytes(b"\n".join(orjson.dumps({"id": f"x{i}", **node}) for i, node in enumerate(nodes)) + b"\n")
        (batch,) = FhirReader(Settings()).read(path, path.name)
        return batch

    return reading


def told(table: Any, **wanted: Any) -> None:
    row = table if isinstance(table, dict) else table.to_pylist()[0]
    assert {name: row[name] for name in wanted} == wanted


def attributes(batch: Batch) -> list[tuple[str, Any, str | None, str | None]]:
    codes = batch.codes
    return [
        (
            codes[a["attribute"]].code,
            a["value"],
            None if a["value_code"] is None else codes[a["value_code"]].code,
            a["value_text"],
        )
        for a in batch.attributes.to_pylist()
    ]


GLUCOSE = {
    "resourceType": "Observation",
    "id": "g1",
    "status": "final",
    "meta": {"lastUpdated": "2024-03-01T10:00:00.500Z"},
    "category": [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
    ],
    "code": loinc("2345-7", "Glucose"),
    "subject": WHO,
    "encounter": STAY,
    "effectiveDateTime": "2024-03-01T08:30:00+01:00",
    "issued": "2024-03-01T10:00:00+01:00",
    "valueQuantity": {
        "value": 5.4,
        "unit": "mmol/L",
        "system": "http://unitsofmeasure.org",
        "code": "mmol/L",
        "comparator": "<",
    },
    "referenceRange": [{"low": {"value": 3.9}, "high": {"value": 6.1}}],
}


def test_laboratory_result(read: Any) -> None:
    batch = read(GLUCOSE)
    told(batch.records, record_no=0, line=1, event_time=1_709_287_200_500_000)
    told(
        batch.documents,
        key="Observation/g1",
        kind="laboratory",
        title="Glucose",
        start_date=dt.date(2024, 3, 1),
        start_minute=510,
        precision=4,
        status=0,
        known_at=1_709_283_600_000_000,
        confidential=False,
        text=None,
    )
    told(batch.facts, value=5.4, unit="mmol/L", comparator=1, low=3.9, high=6.1, status=0, context=0, start_minute=510)
    assert batch.codes == [Code("LOINC", "2345-7", "Glucose", "en", "laboratory")]
    assert batch.patients == [PatientKey("fhir", "Patient/p1")]
    assert [(s.system, s.value) for s in batch.stays] == [("fhir", "Encounter/e1")]


def test_blood_pressure_has_child_facts(read: Any) -> None:
    quantity = {"unit": "mm[Hg]", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
    batch = read(
        {
            "resourceType": "Observation",
            "status": "preliminary",
            "category": [one("vital-signs")],
            "code": loinc("85354-9", "Blood pressure panel"),
            "subject": WHO,
            "effectiveDateTime": "2024-07-26",
            "bodySite": sct("24890", "Bras"),
            "note": [{"text": "au repos"}],
            "interpretation": [one("N")],
            "component": [
                {"code": loinc("8480-6", "Systolic"), "valueQuantity": {"value": 107, **quantity}},
                {"code": loinc("8462-4", "Diastolic"), "dataAbsentReason": one("not-performed")},
            ],
        }
    )
    told(batch.documents, kind="measurement", text="au repos", status=1, precision=2, start_minute=None)
    facts = batch.facts.to_pylist()
    assert [(f["fact_no"], f["parent_fact_no"], f["value"], f["status"]) for f in facts] == [
        (0, None, None, 1),
        (1, 0, 107.0, 1),
        (2, 0, None, 5),
    ]
    assert attributes(batch) == [
        ("Observation.bodySite", None, "24890", None),
        ("Observation.interpretation", None, "N", None),
        ("Observation.dataAbsentReason", None, "not-performed", None),
    ]


@pytest.mark.parametrize(
    ("element", "content", "wanted"),
    [
        ("valueString", "trace", {"value_text": "trace"}),
        ("valueInteger", 3, {"value": 3.0}),
        ("valueBoolean", True, {"value": 1.0}),
        ("valueDateTime", "2024-01", {"value_text": "2024-01"}),
        ("valueRange", {"low": {"value": 2, "unit": "mm"}}, {"value": 2.0, "unit": "mm", "comparator": 4}),
        (
            "valueRange",
            {"low": {"value": 2, "unit": "mm"}, "high": {"value": 4}},
            {"value_text": "2 - 4", "unit": "mm"},
        ),
        (
            "valueRatio",
            {"numerator": {"value": 1}, "denominator": {"value": 128}},
            {"value_text": "1:128", "value": None},
        ),
        (
            "valueRatio",
            {"numerator": {"value": 3, "unit": "mg"}, "denominator": {"value": 2, "unit": "L"}},
            {"value": 1.5, "unit": "mg/L"},
        ),
        ("valueCodeableConcept", {"text": "positif faible"}, {"value_text": "positif faible"}),
        (
            "valueSampledData",
            {"period": 2, "dimensions": 1, "origin": {"value": 0}},
            {"value_text": "courbe, 1 voie(s), un point par 2 ms"},
        ),
        ("valuePeriod", {"start": "2024-01-01", "end": "2024-01-02"}, {"value_text": "2024-01-01 - 2024-01-02"}),
    ],
)
def test_other_values(read: Any, element: str, content: Any, wanted: dict[str, Any]) -> None:
    batch = read(
        {"resourceType": "Observation", "status": "final", "code": loinc("1-1", "x"), "subject": WHO, element: content}
    )
    assert batch.refusals == []
    told(batch.facts, **wanted)


def test_coded_value_keeps_every_coding(read: Any) -> None:
    value = {
        "coding": [
            {"system": "urn:oid:1.2.3.4", "code": "POS", "display": "Positif"},
            sct("10828004", "Positive")["coding"][0],
        ]
    }
    batch = read(
        {
            "resourceType": "Observation",
            "status": "final",
            "code": loinc("1-1", "x"),
            "subject": WHO,
            "valueCodeableConcept": value,
        }
    )
    code = batch.codes[batch.facts["value_code"][0].as_py()]
    assert code == Code("LOCAL/1.2.3.4", "POS", "Positif", "fr", "observation", (("SNOMED", "10828004", "Positive"),))


def test_words_alone_never_become_a_code_or_a_title(read: Any) -> None:
    batch = read(
        {"resourceType": "Condition", "code": {"text": "chute chez sa sœur"}, "subject": WHO, "onsetDateTime": "2024"}
    )
    told(batch.documents, title="", precision=0)
    told(batch.facts, value_text="chute chez sa sœur")
    assert batch.codes == [Code("LOCAL/FHIR", "Condition.code", "Nommé en toutes lettres", "fr", "diagnosis")]


@pytest.mark.parametrize(
    ("verification", "context", "status"),
    [
        ("confirmed", 0, 0),
        ("refuted", 1, 0),
        ("provisional", 2, 0),
        ("differential", 2, 0),
        ("entered-in-error", 0, 2),
    ],
)
def test_condition_certainty(read: Any, verification: str, context: int, status: int) -> None:
    batch = read(
        {
            "resourceType": "Condition",
            "verificationStatus": one(verification),
            "code": sct("38341003", "HTA"),
            "subject": WHO,
            "onsetDateTime": "2020-05",
            "abatementDateTime": "2021-06-02T10:00:00Z",
            "recordedDate": "2020-06-01",
        }
    )
    told(
        batch.facts,
        context=context,
        precision=1,
        start_date=dt.date(2020, 5, 1),
        end_date=dt.date(2021, 6, 2),
        end_minute=720,
    )
    told(batch.documents, status=status, kind="diagnosis", known_at=1_590_962_400_000_000)


@pytest.mark.parametrize(
    ("changes", "status", "context", "hidden"),
    [
        ({"status": "stopped"}, 2, 0, 0),
        ({"status": "completed"}, 2, 0, 0),
        ({"status": "cancelled"}, 6, 0, 0),
        ({"status": "entered-in-error"}, 2, 0, 2),
        ({"status": "active", "intent": "proposal"}, 2, 32, 0),
        ({"status": "active", "doNotPerform": True}, 2, 1, 0),
    ],
)
def test_prescription(read: Any, changes: dict[str, Any], status: int, context: int, hidden: int) -> None:
    batch = read(
        {
            "resourceType": "MedicationRequest",
            "intent": "order",
            "subject": WHO,
            "authoredOn": "2024-02-03",
            "contained": [
                {
                    "resourceType": "Medication",
                    "id": "m",
                    "code": {
                        "coding": [{"system": "http://www.whocc.no/atc", "code": "N02BE01", "display": "paracétamol"}]
                    },
                }
            ],
            "medicationReference": {"reference": "#m"},
            "dosageInstruction": [
                {
                    "route": sct("26643006", "orale"),
                    "timing": {"repeat": {"frequency": 3, "period": 1, "periodUnit": "d"}},
                    "doseAndRate": [{"doseQuantity": {"value": 500, "unit": "mg"}}],
                }
            ],
            **changes,
        }
    )
    told(batch.facts, status=status, context=context, start_date=dt.date(2024, 2, 3), precision=2)
    told(batch.documents, status=hidden, kind="prescription", title="paracétamol")
    assert batch.codes[batch.facts["code"][0].as_py()][:2] == ("ATC", "N02BE01")
    assert attributes(batch)[:3] == [
        ("MedicationRequest.dosageInstruction.route", None, "26643006", None),
        ("MedicationRequest.dosageInstruction.dose", 500.0, None, "mg"),
        ("MedicationRequest.dosageInstruction.frequency", 3.0, None, None),
    ]


def test_drug_resource_maps_the_local_code_that_others_use(read: Any) -> None:
    order = read(
        {
            "resourceType": "MedicationRequest",
            "status": "active",
            "intent": "order",
            "subject": WHO,
            "medicationReference": {"reference": "Medication/7", "display": "Doliprane"},
        }
    )
    assert order.codes[0][:3] == ("LOCAL/FHIR", "Medication/7", "Doliprane")
    batch = read(
        {
            "resourceType": "Medication",
            "id": "7",
            "code": {"coding": [{"system": "http://www.whocc.no/atc", "code": "N02BE01", "display": "paracétamol"}]},
        }
    )
    assert batch.refusals == [] and batch.vocabulary is not None and batch.vocabulary.maps is not None
    assert batch.vocabulary.maps.to_pylist() == [
        {
            "source_vocabulary": "LOCAL/FHIR",
            "source_code": "Medication/7",
            "target_vocabulary": "ATC",
            "target_code": "N02BE01",
            "relation": "equivalent",
            "method": "source",
        }
    ]
    assert batch.vocabulary.concepts is not None and batch.vocabulary.concepts.num_rows == 2


@pytest.mark.parametrize(
    ("node", "kind", "status", "context", "value"),
    [
        (
            {
                "resourceType": "MedicationAdministration",
                "status": "completed",
                "effectiveDateTime": "2024-01-01",
                "dosage": {"dose": {"value": 2, "unit": "mg"}},
            },
            "administration",
            4,
            0,
            2.0,
        ),
        (
            {"resourceType": "MedicationAdministration", "status": "not-done", "effectiveDateTime": "2024-01-01"},
            "administration",
            5,
            0,
            None,
        ),
        (
            {
                "resourceType": "MedicationDispense",
                "status": "completed",
                "whenHandedOver": "2024-01-01",
                "quantity": {"value": 30},
            },
            "prescription",
            3,
            0,
            30.0,
        ),
        (
            {"resourceType": "MedicationStatement", "status": "active", "effectiveDateTime": "2024-01-01"},
            "prescription",
            0,
            16,
            None,
        ),
        (
            {"resourceType": "MedicationStatement", "status": "not-taken", "effectiveDateTime": "2024-01-01"},
            "prescription",
            0,
            17,
            None,
        ),
    ],
)
def test_other_medications(
    read: Any, node: dict[str, Any], kind: str, status: int, context: int, value: float | None
) -> None:
    batch = read(
        {**node, "subject": WHO, "context": STAY, "medicationCodeableConcept": sct("387517004", "paracétamol")}
    )
    told(batch.documents, kind=kind, stay=0)
    told(batch.facts, status=status, context=context, value=value, start_date=dt.date(2024, 1, 1))


@pytest.mark.parametrize(
    ("state", "status", "context"),
    [
        ("completed", 0, 0),
        ("in-progress", 1, 0),
        ("preparation", 2, 32),
        ("not-done", 5, 0),
        ("stopped", 0, 0),
    ],
)
def test_procedure(read: Any, state: str, status: int, context: int) -> None:
    batch = read(
        {
            "resourceType": "Procedure",
            "status": state,
            "code": sct("80146002", "Appendicectomie"),
            "subject": WHO,
            "performedPeriod": {"start": "2024-01-01T23:00:00Z", "end": "2024-01-02T00:30:00Z"},
        }
    )
    told(batch.facts, status=status, context=context, start_date=dt.date(2024, 1, 2), start_minute=0, end_minute=90)


def test_allergy_family_vaccine_device(read: Any) -> None:
    batch = read(
        {
            "resourceType": "AllergyIntolerance",
            "verificationStatus": one("confirmed"),
            "code": sct("91936005", "Pénicilline"),
            "patient": WHO,
            "criticality": "high",
            "reaction": [{"manifestation": [sct("271807003", "Éruption")]}],
        }
    )
    assert [(f["parent_fact_no"], batch.codes[f["code"]].code) for f in batch.facts.to_pylist()] == [
        (None, "91936005"),
        (0, "271807003"),
    ]
    batch = read(
        {
            "resourceType": "FamilyMemberHistory",
            "status": "completed",
            "patient": WHO,
            "relationship": one("MTH"),
            "condition": [{"code": sct("44054006", "Diabète")}],
        }
    )
    told(batch.facts, context=4)
    assert attributes(batch) == [("FamilyMemberHistory.relationship", None, "MTH", None)]
    batch = read(
        {
            "resourceType": "Immunization",
            "status": "not-done",
            "patient": WHO,
            "occurrenceDateTime": "2024-01-01",
            "vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "140"}]},
        }
    )
    told(batch.facts, status=5)
    assert batch.codes[0][:2] == ("CVX", "140")
    batch = read(
        {"resourceType": "Device", "type": sct("14106009", "Stimulateur"), "patient": WHO, "serialNumber": "S3CR3T"},
        {"resourceType": "Device", "type": sct("14106009", "Stimulateur")},
    )
    told(batch.documents, kind="device", start_date=None)
    assert [(r.record, r.field, r.code) for r in batch.refusals] == [(1, "Device.patient", "missing")]
    assert "S3CR3T" not in repr(batch)


def b64(text: str, charset: str = "utf-8") -> str:
    return base64.b64encode(text.encode(charset)).decode()


def test_document_reference_texts(read: Any) -> None:
    batch = read(
        {
            "resourceType": "DocumentReference",
            "status": "current",
            "docStatus": "preliminary",
            "subject": WHO,
            "date": "2024-01-02T10:00:00Z",
            "type": loinc("18842-5", "Discharge summary"),
            "context": {"encounter": [STAY], "period": {"start": "2024-01-01"}},
            "securityLabel": [one("R")],
            "content": [
                {
                    "attachment": {
                        "contentType": "text/plain; charset=iso-8859-1",
                        "data": b64("Fièvre élevée", "latin-1"),
                    }
                },
                {
                    "attachment": {
                        "contentType": "text/html",
                        "data": b64("<h1>Suite</h1><p>A&amp;B<br>fin</p><script>x()</script>"),
                    }
                },
                {
                    "attachment": {
                        "contentType": "application/pdf",
                        "url": "https://gam.example/doc/1.pdf",
                        "hash": "qg==",
                    }
                },
            ],
        }
    )
    told(
        batch.documents,
        kind="discharge",
        title="Discharge summary",
        status=1,
        confidential=True,
        stay=0,
        start_date=dt.date(2024, 1, 1),
        text="Fièvre élevée\n\nSuite\n\nA&B\nfin",
    )
    told(batch.media, modality="application/pdf", uri="https://gam.example/doc/1.pdf", checksum="qg==")


def test_replacing_document_cancels_the_other(read: Any) -> None:
    base = {
        "resourceType": "DocumentReference",
        "subject": WHO,
        "content": [{"attachment": {"contentType": "text/plain", "data": b64("a")}}],
    }
    batch = read(
        {**base, "id": "old", "status": "superseded"},
        {
            **base,
            "id": "new",
            "status": "current",
            "relatesTo": [{"code": "replaces", "target": {"reference": "DocumentReference/old"}}],
        },
    )
    rows = [(d["record"], d["key"], d["status"], d["text"]) for d in batch.documents.to_pylist()]
    assert rows == [
        (0, "DocumentReference/old", 0, "a"),
        (1, "DocumentReference/new", 0, "a"),
        (1, "DocumentReference/old", 2, None),
    ]
    assert batch.records["event_time"].to_pylist() == [0, 1]  # whichever comes first, the replacement wins


def test_report_and_composition(read: Any) -> None:
    batch = read(
        {
            "resourceType": "DiagnosticReport",
            "status": "amended",
            "category": [one("RAD")],
            "code": loinc("24627-2", "CT chest"),
            "subject": WHO,
            "effectiveDateTime": "2024-01-01",
            "conclusion": "Pas d'embolie.",
            "conclusionCode": [sct("17621005", "Normal")],
        }
    )
    told(batch.documents, kind="imaging", title="CT chest", text="Pas d'embolie.", status=0)
    assert [f["parent_fact_no"] for f in batch.facts.to_pylist()] == [None, 0]
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><ul><li>toux</li><li>fièvre</li></ul></div>'
    batch = read(
        {
            "resourceType": "Composition",
            "status": "final",
            "type": loinc("11488-4", "Consult note"),
            "subject": WHO,
            "title": "CR",
            "date": "2024-01-01",
            "section": [
                {"title": "Motif", "text": {"status": "generated", "div": div}, "section": [{"title": "Suite"}]}
            ],
        }
    )
    told(
        batch.documents,
        kind="consultation",
        text="CR\n\nMotif\ntoux\n\nfièvre\n\nSuite",
        start_date=dt.date(2024, 1, 1),
    )


def test_consent(read: Any) -> None:
    base = {
        "resourceType": "Consent",
        "status": "active",
        "patient": WHO,
        "dateTime": "2023-05-06",
        "scope": one("research"),
    }
    batch = read(
        {**base, "provision": {"type": "deny"}},
        {**base, "provision": {"type": "permit", "period": {"end": "2025-01-01"}}},
        {**base, "policyRule": one("OPTOUT")},
        base,
        {**base, "scope": one("treatment"), "provision": {"type": "deny"}},
        {**base, "status": "inactive", "provision": {"type": "permit"}},
    )
    assert [(p.record, p.scope, p.kind, p.from_date, p.to_date) for p in batch.permissions] == [
        (0, "research", "opposition", dt.date(2023, 5, 6), None),
        (1, "research", "consent", dt.date(2023, 5, 6), dt.date(2025, 1, 1)),
        (2, "research", "opposition", dt.date(2023, 5, 6), None),
    ]
    assert [(r.record, r.field) for r in batch.refusals] == [
        (3, "Consent.provision.type"),
        (4, "Consent.scope"),
        (5, "Consent.status"),
    ]


def test_patient_numbers_links_and_doubtful_ins(read: Any) -> None:
    ins = {"system": "urn:oid:1.2.250.1.213.1.4.8", "value": "1 62 12 65 879 136 77"}
    doubt = {
        "url": "http://interopsante.org/fhir/StructureDefinition/fr-core-ident-reliability",
        "extension": [{"url": "identityReliability", "valueCoding": {"code": "PROV"}}],
    }
    batch = read(
        {
            "resourceType": "Patient",
            "id": "a",
            "identifier": [ins],
            "link": [{"type": "replaced-by", "other": {"reference": "Patient/b"}}],
            "contact": [
                {
                    "name": {"family": "Le Goff", "given": ["Anne"]},
                    "telecom": [{"system": "phone", "value": "0600000000"}],
                }
            ],
            "address": [
                {"use": "old", "line": ["1 rue A"], "city": "Brest"},
                {
                    "use": "home",
                    "line": ["2 rue B"],
                    "postalCode": "35000",
                    "city": "Rennes",
                    "extension": [{"url": "https://x/fr-core-address-insee-code", "valueCoding": {"code": "35238"}}],
                },
            ],
        },
        {
            "resourceType": "Patient",
            "id": "b",
            "identifier": [ins, {"type": one("MR"), "value": "8"}, {"type": one("MR"), "system": "h", "value": "9"}],
            "extension": [doubt],
            "birthDate": "1950-03",
        },
    )
    first, second = batch.identities
    assert (first.ins, second.ins) == ("162126587913677", None)
    assert second.aliases == (PatientKey("h", "9"),)
    assert second.person.other_numbers == ("1 62 12 65 879 136 77", "8")
    assert (second.person.birth_date, int(second.person.birth_precision)) == (dt.date(1950, 3, 1), 1)
    assert [(batch.patients[m.kept].value, batch.patients[m.gone].value) for m in batch.merges] == [
        ("Patient/b", "Patient/a")
    ]
    assert first.person.relatives == ("Anne Le Goff",) and first.person.phones == ("0600000000",)
    assert (first.person.city, first.person.postcode, first.person.commune) == ("Rennes", "35000", "35238")
    assert first.person.addresses == ("1 rue A, Brest", "2 rue B, 35000 Rennes")


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ({"reference": "Patient/p1"}, PatientKey("fhir", "Patient/p1")),
        ({"reference": "https://gam.example/fhir/Patient/p1/_history/3"}, PatientKey("fhir", "Patient/p1")),
        ({"reference": "Patient?identifier=urn:oid:1.2|42"}, PatientKey("urn:oid:1.2", "42")),
        ({"reference": "Patient?identifier=http%3A%2F%2Fh%7C42"}, PatientKey("http://h", "42")),
        ({"identifier": {"system": "urn:oid:1.2", "value": "42"}}, PatientKey("urn:oid:1.2", "42")),
        ({"reference": "#p"}, PatientKey("s", "77")),
    ],
)
def test_references_to_patients(read: Any, target: dict[str, Any], key: PatientKey) -> None:
    inside = {"contained": [{"resourceType": "Patient", "id": "p", "identifier": [{"system": "s", "value": "77"}]}]}
    for base in (GLUCOSE, {"resourceType": "Procedure", "status": "completed", "code": sct("1", "x")}):
        assert read({**base, **inside, "subject": target}).patients == [key]


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"subject": None}, "Observation.subject", "missing"),
        ({"subject": {"reference": "Group/1"}}, "Observation.subject", "no-patient"),
        ({"subject": {"reference": "urn:uuid:1"}}, "Observation.subject", "no-patient"),
        ({"effectiveDateTime": "01/03/2024"}, "Observation.effectiveDateTime", "malformed"),
        ({"effectiveDateTime": "2024-02-30"}, "Observation.effectiveDateTime", "malformed"),
        ({"effectiveDateTime": "0001-01-01T00:00:00Z"}, "Observation.effectiveDateTime", "malformed"),
        ({"issued": 3}, "Observation.issued", "malformed"),
        ({"code": {}}, "Observation.code", "missing"),
        ({"valueQuantity": {"value": "5,4"}}, "Observation.valueQuantity.value", "malformed"),
        ({"valueQuantity": {"value": 5, "comparator": "~"}}, "Observation.valueQuantity.comparator", "malformed"),
        ({"component": [{"valueString": "x"}]}, "Observation.component.code", "missing"),
        ({"meta": {"lastUpdated": "hier"}}, "Observation.meta", "malformed"),
        ({"code": "2345-7"}, "Observation", "malformed"),
        ({"id": None}, "Observation.id", "missing"),
        ({"id": 5}, "Observation.id", "malformed"),
        ({"resourceType": "Observatoin"}, "resourceType", "unknown-type"),
        ({"resourceType": None}, "resourceType", "unknown-type"),
    ],
)
def test_refusals_tell_where_and_leave_nothing(read: Any, changes: dict[str, Any], field: str, code: str) -> None:
    batch = read({**GLUCOSE, **changes})
    assert [(r.record, r.field, r.code) for r in batch.refusals] == [(0, field, code)]
    assert batch.records.num_rows == 1
    assert (batch.documents.num_rows, batch.facts.num_rows, batch.patients, batch.codes) == (0, 0, [], [])
