"""House names of vocabularies and UCUM spellings."""

from __future__ import annotations

import gzip
import json

import pytest

from estran.terminology.systems import fhir_vocabulary, hl7_vocabulary, is_standard, local_vocabulary, omop_vocabulary
from estran.terminology.units import ucum


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://loinc.org", "LOINC"),
        ("https://loinc.org/", "LOINC"),
        ("http://snomed.info/sct", "SNOMED"),
        ("http://snomed.info/sct/11000315107", "SNOMED"),
        ("http://www.nlm.nih.gov/research/umls/rxnorm", "RXNORM"),
        ("http://hl7.org/fhir/sid/cvx", "CVX"),
        ("http://hl7.org/fhir/sid/icd-10", "CIM10"),
        ("http://hl7.org/fhir/sid/icd-10-cm", "ICD10CM"),
        ("urn:oid:1.2.250.1.213.2.5", "CCAM"),
        ("2.16.840.1.113883.6.73", "ATC"),
        ("http://unitsofmeasure.org", "UCUM"),
        ("http://terminology.hl7.org/CodeSystem/v3-ActCode", "LOCAL/v3-actcode"),
        ("urn:oid:1.2.3.4", "LOCAL/1.2.3.4"),
        ("https://chu.example/labo", "LOCAL/chu.example-labo"),
    ],
)
def test_fhir_names(url: str, name: str) -> None:
    assert fhir_vocabulary(url) == name


@pytest.mark.parametrize(
    ("system", "name"),
    [
        ("LN", "LOINC"), ("SCT", "SNOMED"), ("I10", "CIM10"), ("ICD-10", "CIM10"), ("I10C", "ICD10CM"), ("I9", "ICD9CM"),
        ("CVX", "CVX"), ("ATC", "ATC"), ("UCUM", "UCUM"), ("ISO+", "UCUM"), ("L", "LOCAL/LABO"), ("", "LOCAL/LABO"),
        ("99USL", "LOCAL/LABO"), ("HL70136", "LOCAL/HL7-0136"), ("2.16.840.1.113883.6.1", "LOINC"),
        ("CDCREC", "LOCAL/CDCREC"),
    ],
)  # fmt: skip
def test_hl7_names(system: str, name: str) -> None:
    assert hl7_vocabulary(system, "LABO") == name


def test_omop_names() -> None:
    assert [omop_vocabulary(v) for v in ("RxNorm", "SNOMED", "ICD10", "Gender", "RxNorm Extension")] == [
        "RXNORM", "SNOMED", "CIM10", "LOCAL/Gender", "RXNORMEXT",
    ]  # fmt: skip


def test_long_local_names_stay_apart_and_stable() -> None:
    long = "https://hopital.example/fhir/CodeSystem/analyses-locales-de-biochimie"
    names = {local_vocabulary(long + end) for end in ("", "-1", "-2")}
    assert len(names) == 3
    assert all(len(name) <= 54 for name in names)
    assert local_vocabulary(long) == local_vocabulary(long)
    assert is_standard("LOINC") and not is_standard("LOCAL/LABO")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("mmol/l", "mmol/L"), ("g/dl", "g/dL"), ("G/L", "10*9/L"), ("Giga/L", "10*9/L"), ("T/L", "10*12/L"),
        ("UI/L", "[IU]/L"), ("mUI/l", "m[IU]/L"), ("%", "%"), ("/mm3", "/uL"), ("/mm³", "/uL"), ("°C", "Cel"),
        ("µmol/L", "umol/L"), ("μmol/l", "umol/L"), ("µg/24h", "ug/(24.h)"), ("mmHg", "mm[Hg]"), ("kg/m²", "kg/m2"),
        ("ml/min/1,73 m²", "mL/min/{1.73_m2}"), ("[iU]/mL", "[IU]/mL"), ("[degC]", "Cel"), ("mg/L", "mg/L"),
        ("10*9/L", "10*9/L"), ("ans", "a"), ("bidule/x", "bidule/x"), ("", ""),
    ],
)  # fmt: skip
def test_units(written: str, expected: str) -> None:
    assert ucum(written) == expected


def test_ucum_is_left_alone(shared) -> None:
    """Units that UCUM lists as common keep their spelling, but these five."""
    packed = (shared / "terminologies" / "ucum_examples.tsv.gz").read_bytes()
    lines = gzip.decompress(packed).decode().splitlines()
    codes = [line.split("\t")[1] for line in lines[1:] if line.count("\t") >= 2]
    assert len(codes) == 848
    assert {c: ucum(c) for c in codes if ucum(c) != c} == {
        "{breaths}/min": "/min", "{beats}/min": "/min", "cm3": "mL", "F": "[degF]", "Torr": "mm[Hg]",
    }  # fmt: skip


def test_laboratory_units_of_real_analytes(shared) -> None:
    """Traditional and SI units of 133 analytes: idempotent, and litres always written L."""
    analytes = json.loads((shared / "terminologies" / "labunits_analytes.json").read_text())
    units = {a[k] for a in analytes.values() for k in ("traditional_units", "si_units") if a.get(k)}
    assert len(units) > 40
    for unit in units:
        assert ucum(ucum(unit)) == ucum(unit)
