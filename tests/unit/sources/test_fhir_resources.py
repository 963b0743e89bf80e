"""What each resource becomes, value by value: results, conditions, drugs, acts."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from tests.unit.sources.fhir_nodes import GLUCOSE, STAY, WHO, attributes, loinc, one, reading, sct, told

from estran.sources.records import Code, PatientKey


@pytest.fixture
def read(tmp_path: Path) -> Any:
    return reading(tmp_path)


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
