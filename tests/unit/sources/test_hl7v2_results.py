"""ORU: results become facts of one document per order."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from tests.unit.sources.test_hl7v2_support import PID, PV1, Reading, facts, message, read

from estran.model.moments import instant, parse_hl7
from estran.sources.hl7v2.clock import Clock
from estran.sources.hl7v2.refused import Refused
from estran.sources.hl7v2.values import read_range
from estran.sources.records import Code

OBR = "OBR|1|P1^CHU|F1^LABO|BIO^Bilan^L|||20240311090000|||||||||||||||20240311113000||LAB|F"


def oru(tmp_path: Path, *segments: str, when: str = "20240311120000") -> Reading:
    return read(tmp_path, message("ORU^R01^ORU_R01", PID, PV1, *segments, when=when))


def obx(kind: str, value: str, *, code: str = "718-7^Hb^LN", sub: str = "", rest: str = "|||||F") -> str:
    return f"OBX|1|{kind}|{code}|{sub}|{value}{rest}"


def test_a_laboratory_report(tmp_path: Path) -> None:
    reading = oru(
        tmp_path, OBR, "OBX|1|NM|718-7^Hémoglobine^LN^HB^Hb^L||13,2|g/dL|12.0-16.0|N|||F|||20240311091500",
        "OBX|2|NM|718-7^Hémoglobine^LN^HB^Hb^L||13.5|g/dL|12.0-16.0|N|||P", "NTE|1||Prélèvement hémolysé~à refaire",
    )  # fmt: skip
    assert reading.rows("documents") == [
        {
            "record": 0, "key": "ORU|F|F1|LABO|BIO", "patient": 0, "stay": 0, "kind": "laboratory", "title": "Bilan",
            "start_date": dt.date(2024, 3, 11), "start_minute": 540, "precision": 4, "known_at": 1_710_153_000_000_000,
            "unit": 0, "status": 0, "confidential": False, "lang": "fr", "text": "Prélèvement hémolysé\nà refaire",
        }
    ]  # fmt: skip
    also = (("LOCAL/SIL", "HB", "Hb"),)
    assert reading.batch.codes == [Code("LOINC", "718-7", "Hémoglobine", "fr", "laboratory", also)]
    assert facts(reading, "fact_no", "value", "unit", "low", "high", "status", "start_minute") == [
        (0, 13.2, "g/dL", 12.0, 16.0, 0, 555), (1, 13.5, "g/dL", 12.0, 16.0, 1, 540)
    ]  # fmt: skip
    assert reading.batch.stays == [(0, "CHU", "V7")]


@pytest.mark.parametrize(
    ("kind", "value", "unit", "expected"),
    [
        ("NM", "13.5", "g", (13.5, None, None)), ("NM", "-1,5e2", "g", (-150.0, None, None)),
        ("NM", "<5", "g", (5.0, 1, None)), ("NM", ">= 5", "g", (5.0, 4, None)), ("NM", "1_0", "", (None, None, "1_0")),
        ("NM", "nan", "", (None, None, "nan")), ("NM", "1e999", "", (None, None, "1e999")),
        ("NM", "hémolysé", "g", (None, None, "hémolysé")), ("SN", "<^5", "g", (5.0, 1, None)),
        ("SN", "^12,5", "g", (12.5, None, None)), ("SN", ">=^3", "g", (3.0, 4, None)), ("SN", "=^3", "", (3.0, None, None)),
        ("SN", "^1^:^128", "", (None, None, "1:128")), ("SN", "^5^-^10", "", (None, None, "5-10")),
        ("SN", "<^5^+", "", (None, None, "<5+")), ("SN", "12", "", (12.0, None, None)),
        ("ST", "<5", "", (5.0, 1, None)), ("ST", "13.5", "g/L", (13.5, None, None)), ("ST", "42", "", (None, None, "42")),
        ("ST", "a\\F\\b", "", (None, None, "a|b")), ("", "négatif", "", (None, None, "négatif")),
        ("DT", "20240311", "", (None, None, "20240311")), ("IS", "POS", "", (None, None, "POS")),
        ("CE", "Positif", "", (None, None, "Positif")), ("CWE", "^Positif", "", (None, None, "Positif")),
        ("XCN", "1^DUPONT^JEAN", "", (None, None, None)),
    ],
)  # fmt: skip
def test_values(tmp_path: Path, kind: str, value: str, unit: str, expected: tuple[Any, ...]) -> None:
    reading = oru(tmp_path, OBR, obx(kind, value, rest=f"|{unit}||||F" if False else f"|{unit}|||||F"))
    assert facts(reading, "value", "comparator", "value_text") == [expected]


def test_coded_values_and_repetitions(tmp_path: Path) -> None:
    coded = "260385009^Négatif^SCT^NEG^Neg^L~^Douteux"
    reading = oru(tmp_path, OBR, obx("CWE", coded), obx("NM", "1~2"), obx("NM", ""), obx("NM", '""'))
    assert facts(reading, "value_code", "value_text", "value") == [
        ("260385009", None, None), (None, "Douteux", None), (None, None, 1.0), (None, None, 2.0)
    ]  # fmt: skip
    value = next(c for c in reading.batch.codes if c.code == "260385009")
    assert (value.vocabulary, value.label, value.also) == ("SNOMED", "Négatif", (("LOCAL/SIL", "NEG", "Neg"),))


@pytest.mark.parametrize(
    ("written", "low", "high"),
    [
        ("12.0-16.0", 12.0, 16.0), ("12 - 16 g/dL", 12.0, 16.0), ("-2--1", -2.0, -1.0), ("-2,5-+3", -2.5, 3.0),
        ("0.8 à 1.2", 0.8, 1.2), ("3 to 5", 3.0, 5.0), ("<5", None, 5.0), ("<= 5.5 mg/L", None, 5.5),
        (">60", 60.0, None), ("≥ 3", 3.0, None), ("Négatif", None, None), ("", None, None), ("12-16-18", None, None),
    ],
)  # fmt: skip
def test_ranges(written: str, low: float | None, high: float | None) -> None:
    if written == "12-16-18":
        assert read_range(written) == (12.0, 16.0)
    else:
        assert read_range(written) == (low, high)


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("g/dL", "g/dL"), ("[IU]/mL^unit^UCUM^IU/ml^^L", "[IU]/mL"), ("UI/mL^^L^[IU]/mL^^UCUM", "[IU]/mL"),
        ("^grammes", "g"), ("", None),
    ],
)  # fmt: skip
def test_units(tmp_path: Path, written: str, unit: str | None) -> None:
    assert facts(oru(tmp_path, OBR, obx("NM", "1", rest=f"|{written}|||||F")), "unit") == [(unit,)]


def test_removed_results(tmp_path: Path) -> None:
    reading = oru(
        tmp_path, OBR, obx("NM", "1"), obx("NM", "2", rest="|||||" + "|D"), obx("NM", "3", rest="||||||X"),
        obx("TX", "parti", rest="||||||W"),
    )  # fmt: skip
    assert facts(reading, "value", "status") == [(1.0, 0), (2.0, 6), (3.0, 6)]
    (document,) = reading.rows("documents")
    assert (document["status"], document.get("text")) == (0, None)


def test_an_order_whose_results_are_all_removed_is_cancelled(tmp_path: Path) -> None:
    initial = message("ORU^R01", PID, PV1, OBR, obx("NM", "1"))
    deleted = message("ORU^R01", PID, PV1, OBR, obx("NM", "1", rest="||||||D"), "NTE|1||erreur")
    corrected = message("ORU^R01", PID, PV1, OBR, obx("NM", "2", rest="||||||C"))
    reading = read(tmp_path, initial + deleted + corrected)
    assert [d["status"] for d in reading.rows("documents")] == [0, 2, 0]
    assert len({d["key"] for d in reading.rows("documents")}) == 1
    assert "text" not in reading.rows("documents")[1]
    first, last, middle = reading.times  # all three sent in the same second
    assert first < middle < last


def test_preliminary_report(tmp_path: Path) -> None:
    reading = oru(tmp_path, OBR.replace("|LAB|F", "|LAB|P"), obx("NM", "1", rest="||||||P"))
    assert (reading.rows("documents")[0]["status"], facts(reading, "status")) == (1, [(1,)])


@pytest.mark.parametrize(
    ("section", "kind"), [("LAB", "laboratory"), ("", "laboratory"), ("RAD", "imaging"), ("SP", "pathology")]
)
def test_kinds(tmp_path: Path, section: str, kind: str) -> None:
    reading = oru(tmp_path, OBR.replace("|LAB|", f"|{section}|"), obx("TX", "texte"))
    assert reading.rows("documents")[0]["kind"] == kind


def test_a_report_in_words(tmp_path: Path) -> None:
    code = "18748-4^Compte rendu^LN"
    long = "x" * 300
    reading = oru(
        tmp_path, "OBR|1|P|F^RIS|18748-4^Compte rendu^LN|||20240311", obx("TX", "Scanner~thoracique", code=code),
        obx("FT", "Pas d'épanchement\\.br\\Pas de nodule", code=code), obx("TX", "Normal", code="C^Conclusion^L"),
        obx("TX", "rien à ajouter", code="C^Conclusion^L"), obx("ST", long, code="C^Conclusion^L"), "NTE|1||Relu",
        obx("TX", "sans code", code=""),
    )  # fmt: skip
    (document,) = reading.rows("documents")
    assert document["text"].split("\n") == [
        "Scanner", "thoracique", "Pas d'épanchement", "Pas de nodule", "Conclusion : Normal", "rien à ajouter", long,
        "Relu", "sans code",
    ]  # fmt: skip
    assert (document["kind"], document["precision"], reading.batch.facts.num_rows) == ("imaging", 2, 0)


def test_isolates_and_antibiograms(tmp_path: Path) -> None:
    reading = oru(
        tmp_path, OBR, obx("CWE", "112283007^Escherichia coli^SCT", sub="1", code="600-7^Germe^LN"),
        obx("CWE", "3092008^Staphylococcus aureus^SCT", sub="2", code="600-7^Germe^LN"),
        obx("ST", "S", sub="1", code="18895-3^Céfotaxime^LN"), obx("SN", ">^8", sub="2.1", code="20396-4^Oxacilline^LN",
        rest="|mg/L||R|||F"), "OBR|2||F2^LABO|ATB^Antibiogramme^L||||||||||||||||||||||600-7&Germe&LN^2",
        obx("NM", "0.5", code="18879-7^CMI^LN", rest="|mg/L||S|||F"),
    )  # fmt: skip
    assert reading.batch.documents.num_rows == 1
    assert facts(reading, "parent_fact_no", "code", "value", "comparator", "value_code", "value_text") == [
        (None, "600-7", None, None, "112283007", None), (None, "600-7", None, None, "3092008", None),
        (0, "18895-3", None, None, "S", "S"), (1, "20396-4", 8.0, 3, "R", None), (1, "18879-7", 0.5, None, "S", None),
    ]  # fmt: skip
    assert {c.label for c in reading.batch.codes if c.vocabulary == "LOCAL/HL7-0078"} == {"Sensible", "Résistant"}


def test_keys(tmp_path: Path) -> None:
    reading = oru(
        tmp_path, "OBR|1|P1|F1|A^a^L", obx("NM", "1"), "OBR|2|P1||A^a^L", obx("NM", "1"), "ORC|RE||F9^LABO",
        "OBR|3|||B^b^L", "OBR|4|P1|F1|A^a^L",
    )  # fmt: skip
    assert [d["key"] for d in reading.rows("documents")] == [
        "ORU|F|F1|CHU|A", "ORU|P|P1|CHU|A", "ORU|F|F9|LABO|B", "ORU|F|F1|CHU|A#2"
    ]  # fmt: skip
    (alone,) = oru(tmp_path, obx("NM", "1")).rows("documents")
    assert alone["key"] == "ORU|M|1|1710154800000000|CHU|"


def test_several_patients_in_one_message(tmp_path: Path) -> None:
    other = "PID|2||43^^^CHU^PI||Autre"
    reading = oru(tmp_path, OBR, obx("NM", "1"), other, "OBR|1||F2|A", obx("NM", "2"))
    assert [(d["patient"], d.get("stay")) for d in reading.rows("documents")] == [(0, 0), (1, None)]
    assert facts(reading, "document", "value") == [(0, 1.0), (1, 2.0)]
    assert len(reading.batch.identities) == 2


def test_times_fall_back(tmp_path: Path) -> None:
    undated = OBR.replace("20240311090000", "").replace("20240311113000", "")
    one = oru(tmp_path, undated, obx("NM", "1", rest="||||||F|||202403110815"))
    two = oru(tmp_path, undated, obx("NM", "1"))
    assert one.rows("documents")[0]["start_minute"] == 495
    assert two.rows("documents")[0]["precision"] == 2
    assert two.rows("documents")[0]["known_at"] == two.times[0] // 1_000_000 * 1_000_000


@pytest.mark.parametrize(
    ("segments", "refusal"),
    [
        ((), ("OBR", "missing")), ((OBR.replace("20240311090000", "hier"),), ("OBR-7", "malformed")),
        ((OBR, obx("ED", "^text^XML^Base64^!!")), ("OBX-5", "malformed")),
        ((OBR, obx("ED", "^text^XML^Base64^PD94bWwgdmVyc2lvbj0iMS4wIj8+PGE+")), ("OBX-5", "malformed")),
    ],
)  # fmt: skip
def test_refusals(tmp_path: Path, segments: tuple[str, ...], refusal: tuple[str, str]) -> None:
    assert oru(tmp_path, *segments).refusals == [(0, *refusal)]


def test_the_latest_of_identical_identities_speaks(tmp_path: Path) -> None:
    texts = [
        message("ORU^R01", PID, PV1, OBR, obx("NM", "1"), when=when)
        for when in ("20240311120000", "20240313120000", "20240312120000")
    ]
    (identity,) = read(tmp_path, "".join(texts)).batch.identities
    assert identity.record == 1


@pytest.mark.parametrize("after", ["", "NTE|1||", "ZZZ|1"])
def test_results_read_the_same_whatever_ends_the_message(tmp_path: Path, after: str) -> None:
    results = [f"OBX|{n}|NM|{n}-0^Analyse {n}^LN||{n}.5|g/L|1-9||||F|||20240311083{n}00" for n in range(1, 6)]
    segments = (PID, PV1, "OBR|1||F1^LABO|BIO^Biochimie^L|||20240311", *results, *filter(None, [after]))
    reading = read(tmp_path, message("ORU^R01", *segments))
    assert not reading.refusals
    expected = [(f"{n}-0", n + 0.5, "g/L", 510 + n) for n in range(1, 6)]
    assert facts(reading, "code", "value", "unit", "start_minute") == expected


@pytest.mark.parametrize("day", ["20240311", "20240331", "20241027", "19690102"])
def test_a_day_seen_before_tells_the_same_times(day: str) -> None:
    clock = Clock("Europe/Paris")
    clock.moment(f"{day}120000", "MSH-7")
    for time in ("000000", "013059", "023000", "083015", "235960"):
        moment, sent = clock.stamp(day + time, "MSH-7")
        assert moment == parse_hl7(day + time, "Europe/Paris")
        assert sent == instant(moment, "Europe/Paris") + min(int(time[4:]), 59) * 1_000_000
    for wrong in ("240000", "126000", "12a000"):
        with pytest.raises(Refused, match="not a timestamp"):
            clock.stamp(day + wrong, "MSH-7")
