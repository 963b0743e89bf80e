"""Generated feeds to time the loading of: one file per format, of plausible content."""

from __future__ import annotations

import csv
import gzip
import json
import random
from pathlib import Path

import orjson

ANALYTES = [
    (f"{1000 + n}-{n % 10}", f"Analyte {n}", unit)
    for n, unit in enumerate(["mmol/L", "g/L", "mg/L", "U/L", "%", "10*9/L"] * 40)
]
_NAMES = ["MARTIN", "BERNARD", "THOMAS", "PETIT", "ROBERT", "RICHARD", "DURAND", "DUBOIS", "MOREAU", "LAURENT"]
_GIVEN = ["JEAN", "MARIE", "PIERRE", "ANNE", "LUC", "SOPHIE", "PAUL", "CLAIRE", "HUGO", "LEA"]


def oru(path: Path, messages: int, results: int = 20, patients: int = 2_000, seed: int = 1) -> None:
    """HL7 v2 ORU^R01 with `results` OBX each, CR-separated segments, one file."""
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8", newline="") as out:
        for n in range(messages):
            p = chance.randrange(patients)
            day = f"2024{chance.randrange(1, 13):02d}{chance.randrange(1, 29):02d}{chance.randrange(24):02d}{chance.randrange(60):02d}00"
            segments = [
                f"MSH|^~\\&|LABO|CHU|DPI|CHU|{day}||ORU^R01^ORU_R01|{n}|P|2.5|||||FRA|UNICODE UTF-8",
                f"PID|1||{p:08d}^^^CHU^PI||{_NAMES[p % 10]}^{_GIVEN[p // 10 % 10]}^^^^^L||{1930 + p % 80}0{1 + p % 9}15|{'MF'[p % 2]}",
                f"PV1|1|I|UF{p % 40:03d}^^^CHU||||||||||||||||{p:06d}{n % 3}^^^CHU^VN",
                f"OBR|1||F{n:09d}^LABO|BIO^Biochimie^L|||{day}|||||||||||||||{day}||CH|F",
            ]
            for k in range(results):
                code, label, unit = ANALYTES[(n * 7 + k * 11) % len(ANALYTES)]
                value = round(chance.uniform(1, 200), 1)
                segments.append(f"OBX|{k + 1}|NM|{code}^{label}^LN||{value}|{unit}|10-150||||F|||{day}")
            out.write("\r".join(segments) + "\r")


def observations(folder: Path, count: int, patients: int = 2_000, seed: int = 2) -> None:
    """FHIR bulk: Patient and Observation NDJSON."""
    chance = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "Patient.ndjson").open("wb") as out:
        for p in range(patients):
            out.write(orjson.dumps(_patient(p)) + b"\n")
    with (folder / "Observation.ndjson").open("wb") as out:
        for n in range(count):
            out.write(orjson.dumps(_observation(n, chance, patients)) + b"\n")


def _patient(p: int) -> dict[str, object]:
    return {
        "resourceType": "Patient",
        "id": f"p{p}",
        "gender": "female" if p % 2 else "male",
        "birthDate": f"{1930 + p % 80}-0{1 + p % 9}-15",
        "name": [{"family": _NAMES[p % 10], "given": [_GIVEN[p // 10 % 10]]}],
        "identifier": [{"type": {"coding": [{"code": "PI"}]}, "system": "urn:chu", "value": f"{p:08d}"}],
    }


def _observation(n: int, chance: random.Random, patients: int) -> dict[str, object]:
    code, label, unit = ANALYTES[n * 7 % len(ANALYTES)]
    p = chance.randrange(patients)
    day = f"2024-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}T{chance.randrange(24):02d}:{chance.randrange(60):02d}:00+01:00"
    return {
        "resourceType": "Observation",
        "id": f"o{n}",
        "status": "final",
        "category": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": label}], "text": label},
        "subject": {"reference": f"Patient/p{p}"},
        "encounter": {"reference": f"Encounter/e{p}-{n % 3}"},
        "effectiveDateTime": day,
        "issued": day,
        "valueQuantity": {
            "value": round(chance.uniform(1, 200), 1),
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
        "referenceRange": [{"low": {"value": 10}, "high": {"value": 150}}],
    }


def measurements(folder: Path, rows: int, patients: int = 5_000, seed: int = 3) -> None:
    """OMOP 5.4: PERSON, VISIT_OCCURRENCE and MEASUREMENT as CSV."""
    chance = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    _csv(
        folder / "PERSON.csv",
        [
            "person_id",
            "gender_concept_id",
            "year_of_birth",
            "month_of_birth",
            "day_of_birth",
            "birth_datetime",
            "person_source_value",
        ],
        ([p, 8507 + 25 * (p % 2), 1930 + p % 80, 1 + p % 12, 15, "", f"src-{p:07d}"] for p in range(1, patients + 1)),
    )
    _csv(
        folder / "VISIT_OCCURRENCE.csv",
        [
            "visit_occurrence_id",
            "person_id",
            "visit_concept_id",
            "visit_start_date",
            "visit_end_date",
            "visit_type_concept_id",
        ],
        ([p, p, 9201, "2024-01-02", "2024-01-09", 32817] for p in range(1, patients + 1)),
    )
    header = [
        "measurement_id",
        "person_id",
        "measurement_concept_id",
        "measurement_date",
        "measurement_datetime",
        "measurement_type_concept_id",
        "operator_concept_id",
        "value_as_number",
        "value_as_concept_id",
        "unit_concept_id",
        "range_low",
        "range_high",
        "visit_occurrence_id",
        "measurement_source_value",
        "unit_source_value",
    ]
    _csv(folder / "MEASUREMENT.csv", header, (_measurement(n, chance, patients) for n in range(1, rows + 1)))


def _measurement(n: int, chance: random.Random, patients: int) -> list[object]:
    p = chance.randrange(1, patients + 1)
    day = f"2024-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}"
    return [
        n,
        p,
        3000000 + n * 7 % 240,
        day,
        f"{day} 0{n % 9}:30:00",
        32856,
        "",
        round(chance.uniform(1, 200), 1),
        "",
        "",
        10,
        150,
        p,
        f"L{n % 240}",
        "mg/L",
    ]


def _csv(path: Path, header: list[str], rows) -> None:
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(header)
        writer.writerows(rows)


def reports(path: Path, count: int, cases: Path, seed: int = 4) -> None:
    """JSONL reports cut from real French cases to 2 kB, with a patient each."""
    chance = random.Random(seed)
    with gzip.open(cases, "rt", encoding="utf-8") as source:
        texts = [json.loads(line)["text"] for line in source]
    with path.open("w", encoding="utf-8") as out:
        for n in range(count):
            text = chance.choice(texts)
            while len(text) < 2000:
                text += " " + chance.choice(texts)
            start = chance.randrange(max(1, len(text) - 2000))
            row = {
                "id": f"cr{n}",
                "ipp": f"{n % 3000:08d}",
                "nom": _NAMES[n % 10],
                "date": f"2024-0{1 + n % 9}-1{n % 10}",
                "kind": "discharge",
                "title": "Compte rendu",
                "text": text[start : start + 2000],
            }
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
