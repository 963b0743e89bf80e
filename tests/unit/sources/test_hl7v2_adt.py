"""ADT: who, where, until when."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from tests.unit.sources.test_hl7v2_support import PID, PV1, Reading, message, read

from estran.model.codes import Precision
from estran.sources.records import MergeStatement, PatientKey, StayKey, UnitKey

MARCH_11 = 1_710_142_200_000_000  # 2024-03-11 08:30 in Paris, microseconds UTC
EVN = "EVN||20240311083500||||20240311083000"
PV1_DATED = PV1 + "|" * 25 + "20240311083000"


def test_traits_of_a_french_pid(tmp_path: Path) -> None:
    pid = (
        "PID|1||IPP1^^^CHU&1.2.3&ISO^PI~2600^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.8&ISO^INS~88^^^PREF^DL||"
        "DUPÉ^Ève^Ève Marie^^^^L~MARTIN^Ève^^^^^D|LE BRAS^Anne|19700102|F|||3 rue d'Ys^Bât. B^BREST^^29200^FRA^H^^29019~"
        "^^^^^^BDL^^63220||0298000000~^NET^Internet^eve@x.fr|0298111111|||||12345||||||||||20240501|Y||VALI"
    )
    nk1 = "NK1|1|MARTIN^Paul|SPO||0600000000"
    (identity,) = read(tmp_path, message("ADT^A28", pid, nk1)).batch.identities
    person = identity.person
    assert (identity.ins, identity.aliases, identity.introduces) == ("2600", (), True)
    assert (person.family_names, person.given_names) == (("DUPÉ", "MARTIN"), ("Ève", "Ève Marie"))
    assert (person.birth_date, person.birth_precision) == (dt.date(1970, 1, 2), Precision.DAY)
    assert (person.sex, person.addresses) == ("female", ("3 rue d'Ys, Bât. B",))
    assert (person.postcode, person.city, person.commune, person.birth_place) == ("29200", "BREST", "29019", "63220")
    assert (person.phones, person.mails) == (("0298000000", "0298111111"), ("eve@x.fr",))
    assert person.relatives == ("Anne LE BRAS", "Paul MARTIN")
    assert (person.death_date, person.deceased) == (dt.date(2024, 5, 1), True)
    assert person.other_numbers == ("88", "12345", "0600000000")


@pytest.mark.parametrize(
    ("written", "date", "precision"),
    [
        ("19700102", dt.date(1970, 1, 2), Precision.DAY), ("197001020930", dt.date(1970, 1, 2), Precision.DAY),
        ("197013", dt.date(1970, 1, 1), Precision.UNKNOWN), ("19700231", dt.date(1970, 2, 1), Precision.MONTH),
        ("19700000", dt.date(1970, 1, 1), Precision.UNKNOWN), ("197005", dt.date(1970, 5, 1), Precision.MONTH),
        ("inconnue", None, Precision.DAY),
    ],
)  # fmt: skip
def test_birth_dates(tmp_path: Path, written: str, date: dt.date | None, precision: Precision) -> None:
    (identity,) = read(tmp_path, message("ADT^A28", f"PID|1||42||X^Y||{written}")).batch.identities
    assert (identity.person.birth_date, identity.person.birth_precision) == (date, precision)


@pytest.mark.parametrize(
    ("pid3", "key", "aliases"),
    [
        ("42^^^CHU^PI", ("CHU", "42"), ()),
        ("42", ("", "42"), ()),
        ("42^^^&1.2.3&ISO^MR", ("1.2.3", "42"), ()),
        ("7^^^X^MR~42^^^CHU^PI", ("CHU", "42"), (("X", "7"),)),
        ("99^^^S^SS~42^^^CHU^IPP", ("CHU", "42"), ()),
        ("2600^^^I&1.2.250.1.213.1.4.11&ISO^INS", ("INS", "2600"), ()),
        (" 42 ^^^ CHU ^PI", ("CHU", "42"), ()),
    ],
)
def test_numbers(tmp_path: Path, pid3: str, key: tuple[str, str], aliases: tuple[tuple[str, str], ...]) -> None:
    batch = read(tmp_path, message("ADT^A28", f"PID|1||{pid3}||X")).batch
    (identity,) = batch.identities
    assert (batch.patients[identity.patient], identity.aliases) == (key, aliases)


def test_doubtful_identity_keeps_no_ins(tmp_path: Path) -> None:
    pid3 = "42^^^CHU^PI~2600^^^I&1.2.250.1.213.1.4.8&ISO^INS"
    (identity,) = read(tmp_path, message("ADT^A28", f"PID|1||{pid3}||X" + "|" * 27 + "DOUT")).batch.identities
    assert (identity.ins, identity.person.other_numbers) == (None, ("2600",))


def test_a_number_without_traits_does_not_introduce(tmp_path: Path) -> None:
    (identity,) = read(tmp_path, message("ADT^A28", "PID|1||42^^^CHU^PI")).batch.identities
    assert not identity.introduces


def test_admission(tmp_path: Path) -> None:
    pid = PID + "|" * 10 + "D1^^^CHU^AN"
    reading = read(tmp_path, message("ADT^A01", EVN, pid, PV1_DATED, "PV2" + "|" * 22 + "Y", "ZFM|8"))
    assert reading.batch.stays == [StayKey(0, "CHU", "V7"), StayKey(0, "CHU", "D1")]
    assert reading.rows("stay_events") == [
        {
            "record": 0, "stay": 0, "kind": "venue", "start_date": dt.date(2024, 3, 11), "start_minute": 510,
            "precision": 4, "entry_mode": "8", "unit": 0, "parent": 1, "confidential": True, "status": "active",
        }
    ]  # fmt: skip
    assert reading.batch.units == [UnitKey("UF12")]
    (movement,) = reading.rows("movements")
    assert movement["key"] == "PV1|CHU|42|CHU|V7|19793|510"
    assert (movement["responsibility"], movement["status"]) == ("lodging", "active")


@pytest.mark.parametrize(
    ("event", "kind", "status", "bounds"),
    [
        ("A01", "venue", "active", {"start_minute": 510}), ("A04", "venue", "active", {"start_minute": 510}),
        ("A05", "venue", "planned", {}), ("A06", "venue", "active", {}), ("A07", "venue", "active", {}),
        ("A08", "venue", None, {}), ("A02", "venue", None, {}), ("A03", "venue", "finished", {"end_minute": 510}),
        ("A11", "venue", "cancelled", {}), ("A13", "venue", "active", {"clears_end": True}), ("A12", "venue", None, {}),
    ],
)  # fmt: skip
def test_events(tmp_path: Path, event: str, kind: str, status: str | None, bounds: dict[str, object]) -> None:
    (stay,) = read(tmp_path, message(f"ADT^{event}", EVN, PID, PV1)).rows("stay_events")
    assert (stay["kind"], stay.get("status")) == (kind, status)
    held = {n: stay[n] for n in ("start_minute", "end_minute", "clears_end") if n in stay}
    assert held == bounds


@pytest.mark.parametrize(
    ("letter", "kind"),
    [("I", "venue"), ("E", "emergency"), ("O", "consultation"), ("R", "session"), ("?", None), ("", None)],
)
def test_patient_classes(tmp_path: Path, letter: str, kind: str | None) -> None:
    (stay,) = read(tmp_path, message("ADT^A08", PID, PV1.replace("|I|", f"|{letter}|"))).rows("stay_events")
    assert stay.get("kind") == kind


def test_account_alone_is_the_dossier(tmp_path: Path) -> None:
    reading = read(tmp_path, message("ADT^A08", PID + "|" * 10 + "D1^^^CHU^AN", "PV1|1|N|UF1"))
    assert reading.batch.stays == [StayKey(0, "CHU", "D1")]
    assert reading.rows("stay_events")[0]["kind"] == "dossier"


ZBE = "ZBE|77^CHU|20240311083000|20240312|{action}|N||Cardio^^^^^^UF^^^3120|{care}|HMS"


def test_numbered_movements(tmp_path: Path) -> None:
    same, other = "Cardio^^^^^^UF^^^3120", "Soins^^^^^^UF^^^3199"
    text = "".join(
        message("ADT^A02", EVN, PID, PV1, ZBE.format(action=action, care=care))
        for action, care in (("INSERT", same), ("UPDATE", other), ("CANCEL", same))
    )
    reading = read(tmp_path, text)
    rows = [(m["key"], m["responsibility"], m["status"]) for m in reading.rows("movements")]
    assert rows == [
        ("ZBE|CHU|77", "medical", "active"), ("ZBE|CHU|77", "medical", "active"),
        ("ZBE|CHU|77|care", "care", "active"), ("ZBE|CHU|77", "medical", "cancelled"),
    ]  # fmt: skip
    assert reading.batch.units == [UnitKey("3120", "Cardio"), UnitKey("3199", "Soins")]
    first = reading.rows("movements")[0]
    assert (first["start_minute"], first["end_date"], first["precision"]) == (510, dt.date(2024, 3, 12), 2)
    assert reading.times[0] < reading.times[2]


def test_a_cancelled_transfer_finds_its_movement(tmp_path: Path) -> None:
    text = message("ADT^A02", EVN, PID, PV1) + message("ADT^A12", EVN, PID, PV1)
    moved, cancelled = read(tmp_path, text).rows("movements")
    assert moved["key"] == cancelled["key"]
    assert (moved["status"], cancelled["status"]) == ("active", "cancelled")


def times(tmp_path: Path, *pairs: tuple[str, str]) -> list[int]:
    return read(tmp_path, "".join(message(f"ADT^{event}", evn, PID, PV1) for event, evn in pairs)).times


def test_event_time(tmp_path: Path) -> None:
    assert times(tmp_path, ("A01", EVN)) == [MARCH_11 + 300]  # recorded 30 times ten seconds later
    assert times(tmp_path, ("A01", "EVN||20240311083000")) == [MARCH_11]
    assert times(tmp_path, ("A01", "EVN||"))[0] // 1_000_000 == 1_710_154_800  # MSH-7
    (with_zbe,) = read(tmp_path, message("ADT^A02", PID, PV1, ZBE.format(action="INSERT", care=""))).times
    assert with_zbe // 1_000_000 == MARCH_11 // 1_000_000
    (unknown,) = read(tmp_path, message("ADT^A28", PID, when="")).times
    assert unknown == 0


def test_a_cancellation_comes_after_what_it_cancels(tmp_path: Path) -> None:
    again = "EVN||20240311093000||||20240311083000"
    admitted, cancelled = times(tmp_path, ("A01", EVN), ("A11", EVN))
    assert admitted < cancelled
    admitted, cancelled, back = times(tmp_path, ("A01", EVN), ("A11", "EVN||20240311090000||||20240311083000"), ("A01", again))
    assert admitted < cancelled < back


def test_the_autumn_hour_with_an_offset(tmp_path: Path) -> None:
    first, second = times(
        tmp_path, ("A01", "EVN||20231029023000+0200"), ("A01", "EVN||20231029023000+0100")
    )
    assert second // 1_000_000 - first // 1_000_000 == 3600


def merge(tmp_path: Path, *segments: str) -> Reading:
    return read(tmp_path, message("ADT^A40^ADT_A39", *segments))


def test_merge(tmp_path: Path) -> None:
    reading = merge(tmp_path, PID, "MRG|43^^^CHU^PI~44^^^CHU^PI~99^^^S^SS")
    assert reading.batch.patients == [("CHU", "42"), ("CHU", "43"), ("CHU", "44")]
    assert reading.batch.merges == [MergeStatement(0, 0, 1), MergeStatement(0, 0, 2)]
    assert [i.patient for i in reading.batch.identities] == [0]


def test_several_merges_in_one_message(tmp_path: Path) -> None:
    reading = merge(tmp_path, PID, "MRG|43^^^CHU^PI", "PID|2||50^^^CHU^PI||Z", "MRG|51^^^CHU^PI")
    pairs = [(reading.batch.patients[m.kept], reading.batch.patients[m.gone]) for m in reading.batch.merges]
    assert pairs == [
        (PatientKey("CHU", "42"), PatientKey("CHU", "43")), (PatientKey("CHU", "50"), PatientKey("CHU", "51"))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("segments", "refusal"),
    [
        ((PID,), ("MRG-1", "missing")), ((PID, "MRG|"), ("MRG-1", "missing")), (("MRG|43",), ("PID", "missing")),
        ((PID, "MRG|42^^^CHU^PI"), ("MRG-1", "malformed")),
    ],
)  # fmt: skip
def test_merges_that_name_nobody(tmp_path: Path, segments: tuple[str, ...], refusal: tuple[str, str]) -> None:
    assert merge(tmp_path, *segments).refusals == [(0, *refusal)]


def test_diagnoses_acts_and_allergies(tmp_path: Path) -> None:
    reading = read(tmp_path, message(
        "ADT^A03", EVN, PID, PV1, "DG1|1||I50.1^IVG^CIM10||20240311|F|||||||||1", "DG1|2|I10|E85.4|Amylose|||||||||||2",
        "DG1|3|I10|^Sans code", "DG1|4||I10^HTA^CIM10" + "|" * 18 + "D", "PR1|1||DZQM006^Écho^CCAM||202403111500",
        "AL1|1|DA|PENI^Pénicilline^L|SV|urticaire~œdème|20200101", "OBX|1|NM|8302-2^Taille^LN||170|cm|||||F",
    ))  # fmt: skip
    documents = [(d["key"], d["kind"], d.get("text")) for d in reading.rows("documents")]
    assert documents == [
        ("DG1|CHU|V7", "diagnosis", "Sans code"), ("PR1|CHU|V7", "procedure", None), ("AL1|CHU|V7", "allergy", None),
        ("OBX|CHU|V7", "observation", None),
    ]  # fmt: skip
    codes = reading.batch.codes
    rows = [
        (codes[f["code"]].vocabulary, codes[f["code"]].code, f.get("role"), f["status"]) for f in reading.rows("facts")
    ]
    assert rows == [
        ("CIM10", "I50.1", "principal", 0), ("CIM10", "E85.4", "associated", 0), ("CIM10", "I10", None, 6),
        ("CCAM", "DZQM006", None, 0), ("LOCAL/SIL", "PENI", None, 0), ("LOINC", "8302-2", None, 0),
    ]  # fmt: skip
    assert codes[1].label == "Amylose"
    assert reading.rows("facts")[4]["value_text"] == "urticaire; œdème"
