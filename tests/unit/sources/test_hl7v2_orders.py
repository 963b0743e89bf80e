"""Orders, prescriptions, doses, vaccines, problems and charges."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.spec import site_kit as kit
from tests.unit.sources.test_hl7v2_support import PID, PV1, Reading, facts, message, read

from estran.model.codes import DocumentKind, FactStatus

ORC = "ORC|{control}|P7^SIH|F7^LABO||{state}||||||||||20240311080000"
RXO = "RXO|3400930000001^PARACETAMOL 1 g^L|1||g^gramme|CP^Comprimé"
RXE = "RXE|^Q6H^^20240311090000^20240314|3400930000002^DOLIPRANE 1 g^L|1000||mg|CP^Comprimé"


def _one(reading: Reading) -> tuple[str, str, str]:
    (document,) = reading.rows("documents")
    return document["key"], document["kind"], document["title"]


def _attributes(reading: Reading) -> list[tuple[str, object]]:
    codes = reading.batch.codes
    return [
        (codes[row["attribute"]].code, codes[row["value_code"]].code if "value_code" in row else row["value_text"])
        for row in reading.rows("attributes")
    ]


@pytest.mark.parametrize(("control", "state", "status"), [
    ("NW", "", FactStatus.ORDERED), ("CA", "", FactStatus.CANCELLED), ("SC", "CA", FactStatus.CANCELLED), ("SC", "CM", FactStatus.ORDERED),
])  # fmt: skip
def test_a_laboratory_order(tmp_path: Path, control: str, state: str, status: FactStatus) -> None:
    reading = read(tmp_path, message(
        "OML^O21^OML_O21", PID, PV1, ORC.format(control=control, state=state), "OBR|1|P7^SIH||58410-2^NFS^LN",
        "NTE|1||Patiente sous anticoagulant", "DG1|1||D64.9^Anémie^I10", "OBX|1|NM|3141-9^Poids^LN||62|kg|||||F",
    ))  # fmt: skip
    assert _one(reading) == ("ORDER|P7|SIH|58410-2", DocumentKind.LABORATORY, "NFS")
    assert facts(reading, "code", "value", "status", "parent_fact_no") == [
        ("58410-2", None, status, None), ("D64.9", None, 0, 0), ("3141-9", 62.0, 0, 0),
    ]  # fmt: skip
    assert reading.rows("documents")[0]["text"] == "Patiente sous anticoagulant"


def test_two_orders_in_one_message(tmp_path: Path) -> None:
    orders = [f"ORC|NW|{n}^SIH" + f"\rOBR|{n}|||{code}" for n, code in ((1, "A^a^L"), (2, "B^b^L"))]
    reading = read(tmp_path, message("ORM^O01", PID, *orders))
    assert [d["key"] for d in reading.rows("documents")] == ["ORDER|1|SIH|A", "ORDER|2|SIH|B"]


def test_a_prescription_and_its_encoding_are_one_document(tmp_path: Path) -> None:
    orc = ORC.format(control="NW", state="")
    asked = message("OMP^O09", PID, PV1, orc, RXO, "RXR|PO^Orale", when="20240311080000")
    encoded = message("RDE^O11", PID, PV1, orc, RXE, "TQ1|1||Q6H", "RXR|PO^Orale", "RXC|A|777^Eau^L|10|ml", when="20240311081000")
    reading = read(tmp_path, asked + encoded)
    assert [d["key"] for d in reading.rows("documents")] == ["RX|P7|SIH"] * 2
    assert reading.times[0] < reading.times[1]
    assert facts(reading, "code", "value", "unit", "status", "parent_fact_no") == [
        ("3400930000001", 1.0, "g", 2, None), ("3400930000002", 1000.0, "mg", 2, None), ("777", 10.0, "mL", 2, 0),
    ]  # fmt: skip
    rows = reading.rows("facts")
    assert str(rows[1]["start_date"]) == "2024-03-11" and rows[1]["start_minute"] == 540 and str(rows[1]["end_date"]) == "2024-03-14"
    assert _attributes(reading) == [("route", "PO"), ("form", "CP"), ("route", "PO"), ("frequency", "Q6H"), ("form", "CP")]


def test_a_stopped_prescription_ends(tmp_path: Path) -> None:
    stop = ORC.format(control="DC", state="").replace("20240311080000", "20240312100000")
    (fact,) = read(tmp_path, message("RDE^O11", PID, stop, RXE)).rows("facts")
    assert (fact["status"], str(fact["end_date"]), fact["end_minute"]) == (FactStatus.ORDERED, "2024-03-12", 600)


def test_a_drug_dispensed(tmp_path: Path) -> None:
    reading = read(tmp_path, message("RDS^O13", PID, ORC.format(control="RE", state=""), "RXD|1|340^DOLIPRANE^L|20240311|8|CP"))
    assert _one(reading)[:2] == ("RXD|P7|SIH|1|20240311", DocumentKind.PRESCRIPTION)
    assert facts(reading, "code", "value", "status") == [("340", 8.0, FactStatus.DISPENSED)]


def test_doses_given_and_not(tmp_path: Path) -> None:
    reading = read(tmp_path, message(
        "RAS^O17", PID, PV1, ORC.format(control="RE", state=""),
        "RXA|0|1|20240311090000|20240311093000|340^DOLIPRANE^L|1000|mg|||||||||||||CP", "RXR|IV^Intraveineuse",
        "RXA|0|2|20240311150000||340^DOLIPRANE^L|1000|mg|||||||||||VOMI^Vomissements||RE",
        "RXA|0|3|20240311210000||340^DOLIPRANE^L|1000|mg|||||||||||||CP|D",
    ))  # fmt: skip
    assert {d["kind"] for d in reading.rows("documents")} == {DocumentKind.ADMINISTRATION}
    assert len({d["key"] for d in reading.rows("documents")}) == 3
    assert facts(reading, "value", "unit", "status", "start_minute", "end_minute") == [
        (1000.0, "mg", FactStatus.GIVEN, 540, 570), (1000.0, "mg", FactStatus.NOT_GIVEN, 900, None),
        (1000.0, "mg", FactStatus.CANCELLED, 1260, None),
    ]  # fmt: skip
    assert _attributes(reading) == [("route", "IV"), ("refusal", "VOMI")]


def test_vaccines(tmp_path: Path) -> None:
    reading = read(tmp_path, message(
        "VXU^V04", PID, "ORC|RE||V1^CHU", "RXA|0|1|20240311|20240311|08^HEP B^CVX|999|||||||||LOT7||MSD^Merck^MVX||||CP",
        "OBX|1|CE|64994-7^Éligibilité^LN|1|V02^Oui^HL70064||||||F", "ORC|RE||V2^CHU", "RXA|0|1|20240311||998^Aucun^CVX|999",
    ))  # fmt: skip
    assert facts(reading, "code", "value", "status", "parent_fact_no", "value_code") == [
        ("08", None, FactStatus.GIVEN, None, None), ("64994-7", None, 0, 0, "V02"), ("998", None, FactStatus.NOT_GIVEN, None, None),
    ]  # fmt: skip
    assert _attributes(reading) == [("lot", "LOT7"), ("manufacturer", "MSD")]
    assert {d["kind"] for d in reading.rows("documents")} == {DocumentKind.IMMUNIZATION}


def test_a_message_without_orders_states_the_identity(tmp_path: Path) -> None:
    reading = read(tmp_path, message("VXU^V04", PID))
    assert (len(reading.batch.identities), reading.batch.documents.num_rows, reading.refusals) == (1, 0, [])


def test_problems(tmp_path: Path) -> None:
    reading = read(tmp_path, message(
        "PPR^PC1", PID, "PRB|AD|20240311|I50.0^Insuffisance cardiaque^I10|77^CHU|||20240101||20240210", "NTE|1||Stable",
        "PRB|DE|20240311|E11.9^Diabète^I10|78^CHU", "PRB|AD|20240311|aortic stenosis of Mrs DUPRAT|79^CHU",
        "OBR|1|||93306^Échographie^L", "OBX|1|TX|CR^Note^L||FE conservée||||||F",
    ))  # fmt: skip
    keys = [d["key"] for d in reading.rows("documents")]
    assert keys[:2] == ["PRB|77|CHU|I50.0", "PRB|78|CHU|E11.9"]
    assert facts(reading, "code", "status", "parent_fact_no") == [
        ("I50.0", 0, None), ("E11.9", FactStatus.CANCELLED, None), ("93306", FactStatus.ORDERED, None),
    ]  # fmt: skip
    assert str(reading.rows("facts")[0]["end_date"]) == "2024-02-10"
    assert reading.rows("documents")[2]["text"] == "aortic stenosis of Mrs DUPRAT\nNote : FE conservée", "words are text, to be masked"
    assert not any("DUPRAT" in code.code for code in reading.batch.codes)


def test_charges(tmp_path: Path) -> None:
    ft1 = "FT1|1|T1^CHU||20240311||{kind}|YYYY^Consultation^L|||2|||||||||I10^HTA^I10~E11.9^Diabète^I10||||||DEQP003^ECG^CCAM"
    reading = read(tmp_path, message("DFT^P03", "EVN|P03|20240311", PID, PV1, ft1.format(kind="CG"), "DG1|1||I10^HTA^I10|||A", "PR1|1||DEQP003^ECG^CCAM"))
    assert [(d["key"], d["kind"]) for d in reading.rows("documents")] == [
        ("FT1|T1|CHU", DocumentKind.PMSI), ("DG1|CHU|V7", DocumentKind.DIAGNOSIS), ("PR1|CHU|V7", DocumentKind.PROCEDURE),
    ]  # fmt: skip
    assert facts(reading, "code", "value", "role", "status")[:3] == [
        ("DEQP003", 2.0, None, 0), ("I10", None, "associated", 0), ("E11.9", None, "associated", 0),
    ]  # fmt: skip
    back = read(tmp_path, message("DFT^P03", PID, ft1.format(kind="CD")))
    assert {status for (status,) in facts(back, "status")} == {FactStatus.CANCELLED}


def test_oul_is_read_as_results(tmp_path: Path) -> None:
    reading = read(tmp_path, message(
        "OUL^R22", PID, PV1, "SPM|1|S1||BLD^Sang^HL70487", "OBR|1|||2160-0^Créatinine^LN|||20240311080000", "ORC|RE||F9^LABO",
        "OBX|1|NM|2160-0^Créatinine^LN||71|umol/L|||||F", "OBR|2|||2951-2^Sodium^LN", "ORC|RE||F10^LABO",
        "OBX|1|NM|2951-2^Sodium^LN||140|mmol/L|||||F",
    ))  # fmt: skip
    assert [d["key"] for d in reading.rows("documents")] == ["ORU|F|F9|LABO|2160-0", "ORU|F|F10|LABO|2951-2"], "ORC after OBR"
    assert facts(reading, "value") == [(71.0,), (140.0,)]


_SEGMENTS = [
    "ORC|NW|1^A", "ORC|CA|1^A", RXO, RXE, "RXR|PO", "RXC|A|1^x^L|3|g", "RXD|1|2^y^L|20240101|1", "RXA|0|1|20240101||3^z^CVX|999",
    "OBR|1|||A^a^L", "OBX|1|NM|1^b^L||5", "NTE|1||c", "DG1|1||I10^d^I10", "PRB|AD|20240101|I10^e^I10", "FT1|1|||20240101||CG|Y", "TQ1|1||Q6H",
    "RXA", "PRB", "FT1", "RXE|~^^^", "SPM|1", "AL1|1||P^f^L", "OBX|1|ED|1^g^L||^^^Base64^AAAA",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["ORM^O01", "OML^O21", "OMP^O09", "RDE^O11", "RDS^O13", "RAS^O17", "VXU^V04", "PPR^PC1", "DFT^P03", "OUL^R22"]),
    st.lists(st.one_of(st.sampled_from(_SEGMENTS), st.sampled_from(_SEGMENTS).flatmap(lambda s: st.integers(3, len(s)).map(lambda n: s[:n]))), max_size=9),
)
def test_any_sequence_of_segments_is_loaded_or_refused(tmp_path_factory: pytest.TempPathFactory, kind: str, segments: list[str]) -> None:
    reading = read(tmp_path_factory.getbasetemp(), message(kind, PID, *segments))
    assert reading.batch.records.num_rows == 1
    assert not [r for r in reading.batch.refusals if "is not built as HL7 says" in r.reason]
    assert len(reading.batch.refusals) == 1 or reading.batch.identities


def test_through_the_pipeline(tmp_path: Path) -> None:
    """Ordered, given and cancelled in any order of arrival; found by the questions people ask."""
    who = kit.pid("7001", "DUPRATELLE", "Yseult", "19610704", "F")
    visit = kit.pv1("SEJ1", "CARDIO")
    story = [
        kit.message(kit.msh("OMP^O09", "20240311080000", "O1"), who, visit, "ORC|NW|P7^SIH", RXO),
        kit.message(kit.msh("RDE^O11", "20240311081000", "O2"), who, visit, "ORC|NW|P7^SIH", RXE, "RXR|PO^Orale"),
        kit.message(kit.msh("RAS^O17", "20240311093000", "O3"), who, visit, "ORC|RE|P7^SIH", "RXA|0|1|20240311090000||3400930000002^DOLIPRANE^L|1000|mg"),
        kit.message(kit.msh("ORM^O01", "20240311100000", "O4"), who, visit, "ORC|NW|P8^SIH", "OBR|1|||93306^Écho^L"),
        kit.message(kit.msh("ORM^O01", "20240311110000", "O5"), who, visit, "ORC|CA|P8^SIH", "OBR|1|||93306^Écho^L"),
        kit.message(kit.msh("VXU^V04", "20240311120000", "O6"), who, "ORC|RE||V1^CHU", "RXA|0|1|20240311||08^HEP B^CVX|0.5|mL"),
    ]
    digests = set()
    for turn, order in enumerate((story, story[::-1])):
        site = kit.make(tmp_path / f"{turn}")
        for part in (order[:2], order[2:]):
            kit.load(site, "hl7v2", kit.write_messages(tmp_path / f"{turn}.hl7", *part))
        assert kit.findings(site) == []
        found = kit.rows(site, "select d.kind, c.code, f.status, f.value, f.unit from fact f join document d using (document_id) join concept c using (concept_id) order by all")
        assert found == [
            ("administration", "3400930000002", 4, 1000.0, "mg"), ("immunization", "08", 4, 0.5, "mL"),
            ("laboratory", "93306", 6, None, None), ("prescription", "3400930000002", 2, 1000.0, "mg"),
        ]  # fmt: skip
        digests.add(kit.digest(site))
    assert len(digests) == 1
