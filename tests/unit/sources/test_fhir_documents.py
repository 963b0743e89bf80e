"""What documents, consents and patients become, value by value; references and refusals."""

from __future__ import annotations

import base64
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from tests.unit.sources.fhir_nodes import GLUCOSE, STAY, WHO, loinc, one, reading, sct, told

from estran.sources.records import PatientKey


@pytest.fixture
def read(tmp_path: Path) -> Any:
    return reading(tmp_path)


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
