"""Real example messages: every one is loaded, or refused for a reason that is known here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.unit.sources.test_hl7v2_support import read_path

import estran.samples
from estran.settings import Settings
from estran.sources.hl7v2 import Hl7v2Reader

ANS = "hl7v2_ans"
VAGUE_2 = "Vague_2__"
INITIAL = "Volets__TRANS_DOC_CDA_HL7V2__V2.0__ORU__Transmission_initiale_ORU__message_ORU_CR_Bio_INIT_N1_N3.hl7"
REPLACED = "Volets__TRANS_DOC_CDA_HL7V2__V2.0__ORU__Remplacement_ORU__message_ORU_CR_Bio_RPLC_N1_N3.er7"
DELETED = "Volets__TRANS_DOC_CDA_HL7V2__V2.1__ORU__Suppression_ORU__message_ORU_CR_Bio_DEL_N1_N3.er7"
TEXT = "Document medcial au format CDA niveau 1"


def test_linuxforhealth(shared: Path) -> None:
    reading = read_path(shared / "hl7v2_linuxforhealth" / "messages.ndjson.gz")
    assert reading.batch.records.num_rows == 297
    reasons = Counter(r.reason if r.code == "unknown-type" else f"{r.code} {r.field}" for r in reading.batch.refusals)
    assert reasons == {
        "Message type CUSTOM^PAT is not read yet.": 1,
        "truncated PID": 57,  # nothing after MSH
        "missing OBR": 6,  # an ORU with a PID and no result
        "missing PID": 5,
        "missing TXA": 1,
        "no-patient PID-3": 12,
        "malformed MSH-7": 3,  # fifteen digits, nine, or 65 minutes
        "malformed EVN-2": 1,
        "malformed PRB-2": 1,  # eleven digits
        "malformed PRB-7": 2,  # a '2'
    }
    loaded = 297 - sum(reasons.values())
    assert (loaded, len(reading.batch.merges)) == (208, 4)
    counts = (reading.batch.documents.num_rows, reading.batch.facts.num_rows, reading.batch.stay_events.num_rows)
    assert counts == (132, 171, 48)


def test_ans_outcomes(shared: Path) -> None:
    reader = Hl7v2Reader(Settings())
    refused = set()
    files = reader.files([shared / ANS])
    for path in files:
        (batch,) = reader.read(path, path.name)
        assert batch.records.num_rows == 1
        refused |= {(path.name, r.code) for r in batch.refusals}
    assert len(files) == 19  # SOURCE.txt and the README are not messages
    assert refused == {(p.name, "unknown-type") for p in files if "ack" in p.name}


def test_ans_discharge(shared: Path) -> None:
    reading = read_path(shared / ANS / "SGL__sortie.er7")
    (stay,) = reading.rows("stay_events")
    assert (stay["status"], stay["end_minute"], stay["kind"], stay["parent"]) == ("finished", 671, "venue", 1)
    assert reading.batch.stays == [(0, "CHU-X", "000897406"), (0, "CHU-X", "24000006")]
    (movement,) = reading.rows("movements")
    assert (movement["key"], movement["responsibility"], movement["start_minute"]) == ("ZBE|CHU-X|002", "care", 660)
    assert reading.batch.units == [("8782", "Urgences", "UF")]
    (identity,) = reading.batch.identities
    assert reading.batch.patients == [("CHU-X", "000003")]
    assert (identity.ins, identity.person.birth_place) == ("279035121518989", "63220")
    assert identity.person.family_names == ("PAT-TROIS",)


@pytest.mark.parametrize("consent", ["NonConsentementConsultation", "NonRecueillieConsentementConsultation"])
def test_ans_admissions(shared: Path, consent: str) -> None:
    name = f"{VAGUE_2}Consentement_DMP_PAMFR__{consent}_NonOppositionAlimentation.er7"
    reading = read_path(shared / ANS / name)
    (stay,) = reading.rows("stay_events")
    assert (stay["status"], stay["start_minute"], stay["entry_mode"]) == ("active", 660, "8")
    (movement,) = reading.rows("movements")
    assert (movement["key"], movement["responsibility"]) == ("ZBE|CHU-X|312", "medical")
    assert reading.batch.units == [("6268", "Chir V", "UF")]


def test_ans_report_sent_corrected_and_removed(shared: Path) -> None:
    readings = [read_path(shared / ANS / name) for name in (INITIAL, REPLACED, DELETED)]
    rows = [r.rows("documents")[0] for r in readings]
    assert {r["key"] for r in rows} == {"ORU|F|1001-E1|labo|11502-2"}
    assert [(r["status"], r.get("text")) for r in rows] == [(0, TEXT), (0, TEXT), (2, None)]
    times = [r.times[0] for r in readings]
    assert times == sorted(set(times))  # all three say 2021-06-06 09:31
    assert readings[0].batch.patients == [("INS", "277076322082910")]


def test_ans_documents(shared: Path) -> None:
    sent = read_path(shared / ANS / "Volets__Trans_LPS_CDA_MSSante__V1.0__Transmission_initiale_MDM__message_MDM__LPS_MSS_CR_Radio_INIT_N1.er7")
    gone = read_path(shared / ANS / "Volets__Trans_LPS_CDA_MSSante__V1.0__Suppression_MDM__message_MDM__LPS_MSS_CR_Radio_DEL_N1.er7")
    (document,) = sent.rows("documents")
    assert (document["key"], document["kind"]) == ("MDM|1.2.250.1.71.4.2.2.120456789.A71024000081|", "imaging")
    assert (document["title"], document["text"]) == ("CR d'imagerie médicale", TEXT)
    assert [d["status"] for d in gone.rows("documents")] == [2, 2]
    assert sent.times[0] < gone.times[0]


def test_samples() -> None:
    folder = Path(estran.samples.__path__[0]) / "hl7v2"
    reader = Hl7v2Reader(Settings())
    counts: Counter[str] = Counter()
    for path in reader.files([folder]):
        for batch in reader.read(path, path.name):
            counts["refused"] += len(batch.refusals)
            counts["records"] += batch.records.num_rows
            counts["merges"] += len(batch.merges)
            for table in ("documents", "facts", "stay_events", "movements"):
                counts[table] += getattr(batch, table).num_rows
    assert counts == {
        "refused": 0, "records": 9, "merges": 1, "documents": 5, "facts": 11, "stay_events": 5, "movements": 3
    }  # fmt: skip
