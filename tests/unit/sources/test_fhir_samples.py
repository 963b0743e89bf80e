"""Every FHIR file there is, read whole, with the outcome of every resource."""

from __future__ import annotations

import datetime as dt
from importlib import resources
from pathlib import Path

import pytest

from estran.model.codes import Precision
from estran.settings import Settings
from estran.sources.fhir import FhirReader
from estran.sources.records import Batch, PatientKey, UnitKey

ROUEN = "urn:oid:1.2.250.1.71.4.2.2.1330780321"


def read(*paths: Path) -> list[Batch]:
    reader = FhirReader(Settings())
    return [batch for path in reader.files(list(paths)) for batch in reader.read(path, path.name)]


@pytest.fixture(scope="module")
def sample() -> dict[str, Batch]:
    folder = Path(str(resources.files("estran") / "samples" / "fhir_bulk"))
    return {batch.part: batch for batch in read(folder)}


def test_bulk_sample_outcomes(sample: dict[str, Batch]) -> None:
    assert {part: (b.records.num_rows, len(b.refusals)) for part, b in sample.items()} == {
        "Patient": (13, 0), "Organization": (43, 0), "Location": (44, 0), "Encounter": (1215, 0),
        "AllergyIntolerance": (11, 0), "Condition": (555, 0), "Device": (16, 0), "DocumentReference": (1215, 0),
        "Immunization": (161, 0), "MedicationRequest": (1745, 0), "Practitioner": (43, 43),
        "PractitionerRole": (43, 43), "Procedure": (2056, 0), "": (4, 4),
    }  # fmt: skip
    assert {r.reason for r in sample[""].refusals} == {"A Bulk Data log line, not a resource."}
    assert {(r.field, r.code) for r in sample["Practitioner"].refusals} == {("resourceType", "unknown-type")}


def test_bulk_patient(sample: dict[str, Batch]) -> None:
    batch = sample["Patient"]
    first = batch.identities[0]
    number = "129c6ac7-8d06-89de-ad63-0204a93e76c3"
    assert batch.patients[first.patient] == PatientKey("fhir", f"Patient/{number}")
    assert first.aliases == (
        PatientKey("https://github.com/synthetichealth/synthea", number),
        PatientKey("http://hospital.smarthealthit.org", number),
    )
    who = first.person
    assert (who.family_names, who.given_names) == (("Cummerata161", "Medhurst46"), ("Sumiko254", "Larue605"))
    assert (who.birth_date, who.birth_precision, who.sex) == (dt.date(1927, 5, 21), Precision.DAY, "female")
    assert (who.death_date, who.deceased) == (dt.date(1989, 5, 10), True)  # 20:35 -04:00 is the next day in Paris
    assert who.other_numbers == ("999-94-5397", "S99940903", "X53631011X")
    assert who.addresses == ("633 Abernathy Landing, 66801 Emporia",)
    assert (who.postcode, who.city, who.phones) == ("66801", "Emporia", ("555-810-7203",))
    assert (who.relatives, who.birth_place) == (("Harold594 VonRueden376",), "Olathe")
    assert first.ins is None and first.introduces


def test_bulk_encounter_is_a_stay(sample: dict[str, Batch]) -> None:
    batch = sample["Encounter"]
    row = batch.stay_events.slice(0, 1).to_pylist()[0]
    stay = batch.stays[row["stay"]]
    assert (stay.system, stay.value) == ("fhir", "Encounter/00c7f717-4030-5582-2ed8-888ad2bc878e")
    assert batch.patients[stay.patient].value == "Patient/79a66c97-6131-3213-f3c9-4606946ab056"
    assert (row["kind"], row["status"], row["precision"]) == ("consultation", "finished", 4)
    assert (row["start_date"], row["start_minute"]) == (dt.date(1989, 10, 4), 7 * 60 + 25)
    assert (row["end_date"], row["end_minute"]) == (dt.date(1989, 10, 4), 11 * 60 + 20)
    unit = batch.units[row["unit"]]
    assert unit == UnitKey("Organization/a261e1fc-9361-3633-a2c4-8569a04b818d", "NEWMAN MEMORIAL COUNTY HOSPITAL")
    kinds = batch.stay_events["kind"].value_counts().to_pylist()
    assert {k["values"]: k["counts"] for k in kinds} == {"consultation": 1134, "emergency": 23, "had": 9, "venue": 49}
    assert {u.code for u in sample["Encounter"].units} <= {u.code for u in sample["Organization"].units}


def test_bulk_condition_and_prescription(sample: dict[str, Batch]) -> None:
    batch = sample["Condition"]
    document, fact = batch.documents.slice(0, 1).to_pylist()[0], batch.facts.slice(0, 1).to_pylist()[0]
    assert document["key"] == "Condition/0023b3a7-2ded-840c-ee5b-6b123fdcfb0b"
    assert (document["kind"], document["title"]) == ("diagnosis", "Sepsis (disorder)")
    assert (fact["start_date"], fact["start_minute"], fact["precision"]) == (dt.date(1976, 1, 20), 298, 4)
    code = batch.codes[fact["code"]]
    assert (code.vocabulary, code.code, code.lang, code.kind) == ("SNOMED", "91302008", "en", "diagnosis")
    named = {
        batch.codes[a["attribute"]].code: batch.codes[a["value_code"]].code
        for a in batch.attributes.to_pylist()
        if a["document"] == 0
    }
    assert named == {"Condition.clinicalStatus": "active", "Condition.category": "encounter-diagnosis"}

    drugs = sample["MedicationRequest"]
    assert set(drugs.facts["status"].to_pylist()) == {2}  # ordered, though Synthea calls nearly all `stopped`
    assert drugs.codes[drugs.facts["code"][0].as_py()][:2] == ("RXNORM", "314076")
    doses = {
        drugs.codes[a["attribute"]].code: (a["value"], a["value_text"])
        for a in drugs.attributes.to_pylist()
        if a["document"] == 0
    }
    assert doses == {
        "MedicationRequest.dosageInstruction.dose": (1.0, None),
        "MedicationRequest.dosageInstruction.frequency": (1.0, None),
        "MedicationRequest.status": (None, "stopped"),
    }


def test_bulk_notes_are_current_though_marked_superseded(sample: dict[str, Batch]) -> None:
    notes = sample["DocumentReference"].documents
    assert set(notes["status"].to_pylist()) == {0}
    first = notes.slice(0, 1).to_pylist()[0]
    assert first["text"].startswith("1987-11-19\n\n# Chief Complaint\n- Cough\n\n\n# History of Present Illness\n")
    assert (first["kind"], first["title"]) == ("consultation", "History and physical note")
    assert notes["text"].null_count == 0 and notes["stay"].null_count == 0


def test_hundred_patients(shared: Path) -> None:
    got = {b.part: (b.records.num_rows, len(b.refusals)) for b in read(shared / "fhir_bulk_smart" / "100-patients")}
    assert got == {
        "Patient": (120, 0), "Organization": (271, 0), "Location": (272, 0), "AllergyIntolerance": (75, 0),
        "Device": (208, 0), "Immunization": (1818, 0), "Practitioner": (271, 271), "PractitionerRole": (271, 271),
        "": (4, 4),
    }  # fmt: skip


def test_fr_core(shared: Path) -> None:
    batches = read(shared / "fhir_fr_core")
    assert [r for b in batches for r in b.refusals] == []
    people = [(b, i) for b in batches for i in b.identities]
    ins = next(i for _, i in people if i.ins)
    assert ins.ins == "162126587913677"
    assert ins.aliases == (PatientKey("urn:oid:1.2.250.1.71.4.2.2.1123321123", "85d23799c1"),)
    assert ins.person.family_names == ("SAYEH",) and ins.person.given_names == ("FEIXA", "SEUMAS")
    assert ins.person.birth_place == "65217" and ins.person.other_numbers == ()

    (stay,) = [b for b in batches if b.stay_events.num_rows]
    row = stay.stay_events.to_pylist()[0]
    assert (row["kind"], row["status"], row["start_date"], row["precision"]) == (
        "venue",
        "active",
        dt.date(2019, 8, 10),
        2,
    )
    moves = {m["key"]: (m, b) for b in batches for m in b.movements.to_pylist()}
    assert set(moves) == {f"{ROUEN}.z|7891011", f"{ROUEN}.z|7891012"}
    move, batch = moves[f"{ROUEN}.z|7891012"]
    assert batch.stays[move["stay"]].value == stay.stays[row["stay"]].value == "Encounter/fr-encounter-venue-11122019"
    assert (move["start_date"], move["end_date"], move["status"]) == (
        dt.date(2019, 10, 16),
        dt.date(2019, 10, 18),
        "active",
    )
    ward = batch.units[move["unit"]].code
    (units,) = [b.units for b in batches if b.part == "Organization"]
    assert units == [
        UnitKey(ward, "UF médicale de cardiologie, Hôpital Test"),
        UnitKey("Organization/UF-Med-Cardio-3041", "UF médicale de cardiologie, Hôpital Test"),
    ]


def test_eds_socle_zip(shared: Path) -> None:
    batches = read(shared / "fhir_eds_socle" / "examples.json.zip")
    got = {b.part: (b.records.num_rows, len(b.refusals)) for b in batches}
    assert got == {
        "Patient": (1, 0), "ConceptMap": (1, 1), "ImplementationGuide": (1, 1), "StructureDefinition": (29, 29),
        "StructureMap": (4, 4),
    }  # fmt: skip
    who = batches[0].identities[0].person
    assert (who.death_date, who.postcode, who.city) == (dt.date(2024, 7, 12), "75012", "Paris")
    numbers = sorted(n for b in batches for n in b.records["record_no"].to_pylist())
    assert numbers == list(range(36))
