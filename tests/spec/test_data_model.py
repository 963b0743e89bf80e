"""What the data model holds, as a manual: small tables (or messages) in, values out.

Everything goes through the real pipeline: by the reader of its format where there is one (HL7 v2,
FHIR), else as tables that a reader would hand over (`written`). Both engines answer every question.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from tests.spec import site_kit as kit
from tests.spec import written

from estran.app import Site
from estran.model.codes import Precision
from estran.model.tables import STAY_LINK, TABLES
from estran.projects.actors import KEY_HOLDER
from estran.projects.desk import Desk, ReadingRoom
from estran.warehouse import Changes, Scope


def _written(folder: Path, text: str) -> Site:
    site = kit.make(folder / "site", bucket_patients=2)
    report = written.load(site, folder / "in.txt", text)
    assert (report.total("quarantined"), kit.findings(site)) == (0, [])
    return site


# An antibiogram: the isolate holds its antibiotics, so "resistant" means this germ, not its neighbour.

BLOOD, URINE = ("600-7", "Bactérie identifiée, hémoculture"), ("630-4", "Bactérie identifiée, urines")
COLI, KLEBSIELLA = "112283007^Escherichia coli^SCT", "56415008^Klebsiella pneumoniae^SCT"


def _culture(patient: str, sample: tuple[str, str], *isolates: tuple[str, str]) -> str:
    """A culture: each isolate under its sub-id (OBX-4), with what it does to cefotaxime (OBX-8)."""
    lines = []
    for number, (germ, cefotaxime) in enumerate(isolates, 1):
        lines.append(f"OBX|{len(lines) + 1}|CE|{sample[0]}^{sample[1]}^LN|{number}|{germ}||||||F")
        lines.append(f"OBX|{len(lines) + 1}|NM|108-1^Céfotaxime CMI^LN|{number}|{8 if cefotaxime == 'R' else 1}|mg/L||{cefotaxime}|||F")
    who = kit.pid(patient, f"PATIENT{patient}ELLE", "Ysoline", "19600101", "F")
    return kit.oru("202403020700", who, f"CULT{patient}", *lines, code=sample[0], label=sample[1])


def test_an_antibiogram(tmp_path: Path) -> None:
    site = kit.make(tmp_path / "site")
    kit.load(site, "hl7v2", kit.write_messages(
        tmp_path / "cultures.hl7",
        _culture("1", BLOOD, (COLI, "R")),
        _culture("2", BLOOD, (COLI, "S"), (KLEBSIELLA, "R")),  # the resistant one is the other germ
        _culture("3", URINE, (COLI, "R")),  # not in the blood
        _culture("4", BLOOD, (COLI, "S")),
    ))  # fmt: skip
    resistant = f"LOINC:108-1[valeur={_code(site, 'R')}]"
    in_blood = "LOINC:600-7[valeur=SNOMED:112283007]"
    assert kit.found(site, f"MÊME GROUPE({in_blood} ET {resistant})") == {"1"}
    assert kit.found(site, f"MÊME DOCUMENT({in_blood} ET {resistant})") == {"1", "2"}
    assert kit.found(site, f"LOINC:108-1[parent=LOINC:600-7, valeur={_code(site, 'R')}]") == {"1", "2"}
    assert kit.found(site, "MÊME GROUPE(LOINC:600-7[valeur=SNOMED:112283007] ET LOINC:108-1>2 mg/L)") == {"1"}
    assert kit.found(site, "LOINC:630-4[valeur=SNOMED:112283007]") == {"3"}
    assert kit.rows(site, "select fact_no, parent_fact_no, value, unit from fact join document using (document_id) "
                          "where fact.patient_id = ? order by 1", kit.patient_of(site, "2")) == [
        (0, None, None, None), (1, 0, 1.0, "mg/L"), (2, None, None, None), (3, 2, 8.0, "mg/L"),
    ]  # fmt: skip


def _code(site: Site, code: str) -> str:
    """The house's name of the only concept with this code."""
    return f"{kit.value(site, 'select vocabulary from concept where code = ?', code)}:{code}"


# A prescription holds its administrations; a dose that was not given is a fact too.

DOSES = """
[patient]
number | born       | sex | name
P1     | 1950-02-03 | F   | MERCOIRET Aude
P2     | 1951-02-03 | M   | PLANCHENAULT Yves
[stay]
patient | number | kind  | start            | end
P1      | S1     | venue | 2024-03-01 08:00 | 2024-03-05 12:00
P2      | S2     | venue | 2024-03-01 08:00 | 2024-03-05 12:00
[document]
key | patient | stay | kind         | start
RX1 | P1      | S1   | prescription | 2024-03-01 10:00
RX2 | P2      | S2   | prescription | 2024-03-01 10:00
[fact]
doc | no | parent | code        | start            | value | unit | status
RX1 | 0  |        | ATC:J01DD04 | 2024-03-01 10:00 | 2     | g    | ordered
RX1 | 1  | 0      | ATC:J01DD04 | 2024-03-01 12:00 | 2     | g    | given
RX1 | 2  | 0      | ATC:J01DD04 | 2024-03-02 12:00 |       |      | not_given
RX1 | 3  | 0      | ATC:J01DD04 | 2024-03-03 12:05 | 2     | g    | given
RX2 | 0  |        | ATC:J01DD04 | 2024-03-01 10:00 | 1     | g    | ordered
RX2 | 1  | 0      | ATC:J01DD04 | 2024-03-01 12:00 | 1     | g    | given
RX2 | 2  | 0      | ATC:J01DD04 | 2024-03-02 12:00 | 1     | g    | given
[attribute]
doc | no | name            | text
RX1 | 0  | LOCAL/rx:voie   | intraveineuse
"""


def test_a_prescription_its_administrations_and_a_missed_dose(tmp_path: Path) -> None:
    site = _written(tmp_path, DOSES)
    assert kit.found(site, "MÊME GROUPE(ATC:J01DD04[statut=ordered] ET ATC:J01DD04[statut=not_given])") == {"P1"}
    assert kit.found(site, "ATC:J01DD04[statut=given, 2x]") == {"P1", "P2"}
    assert kit.found(site, "ATC:J01DD04[statut=given, 3x]") == set()
    assert kit.found(site, "MÊME GROUPE(ATC:J01DD04>=2g[statut=ordered] ET NON ATC:J01DD04[statut=not_given])") == set()
    assert kit.found(site, "ATC:J01DD04[statut=not_given] PUIS ATC:J01DD04[statut=given] [0..25 heures]") == {"P1"}
    assert kit.found(site, "ATC:J01DD04[3x]") == {"P1", "P2"}, "ordered and given are live; what was not given is not"
    assert kit.rows(site, "select value_text from fact_attribute") == [("intraveineuse",)]


def test_the_same_from_fhir(tmp_path: Path) -> None:
    """MedicationRequest and MedicationAdministration come as documents of one stay."""
    site = kit.make(tmp_path / "site")
    who, stay = {"reference": "Patient/p1"}, {"reference": "Encounter/e1"}
    drug = {"coding": [{"system": "http://www.whocc.no/atc", "code": "J01DD04", "display": "ceftriaxone"}]}
    given = {"resourceType": "MedicationAdministration", "subject": who, "context": stay, "medicationCodeableConcept": drug}
    dose = {"dosage": {"dose": {"value": 2, "unit": "g", "code": "g", "system": "http://unitsofmeasure.org"}}}
    kit.load(site, "fhir", kit.write_lines(tmp_path / "in.ndjson", [
        {"resourceType": "Patient", "id": "p1", "name": [{"family": "MERCOIRET"}], "birthDate": "1950-02-03"},
        {"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "IMP"}, "subject": who,
         "period": {"start": "2024-03-01T08:00:00+01:00", "end": "2024-03-05T12:00:00+01:00"}},
        {"resourceType": "MedicationRequest", "id": "rx", "status": "completed", "intent": "order", "subject": who,
         "encounter": stay, "medicationCodeableConcept": drug, "authoredOn": "2024-03-01T10:00:00+01:00"},
        {**given, "id": "a1", "status": "completed", "effectiveDateTime": "2024-03-01T12:00:00+01:00", **dose},
        {**given, "id": "a2", "status": "not-done", "effectiveDateTime": "2024-03-02T12:00:00+01:00"},
    ]))  # fmt: skip
    missed = "MÊME SÉJOUR(ATC:J01DD04[statut=ordered] ET ATC:J01DD04[statut=not_given] ET ATC:J01DD04>=2g[statut=given])"
    assert kit.count(site, missed) == 1
    assert kit.rows(site, "select d.kind, f.status from fact f join document d using (document_id) order by 1, 2") == [
        ("administration", 4), ("administration", 5), ("prescription", 2),
    ]  # fmt: skip


# A chemotherapy: protocol, cycles, drugs. "Same cycle" is the group of the cycle's fact.

FOLFOX = """
[patient]
number | born       | sex | name
P1     | 1955-06-07 | M   | GOUYETTE Alphonse
P2     | 1956-06-07 | F   | TREHOREL Anaïg
[document]
key | patient | kind         | start
CH1 | P1      | chemotherapy | 2024-01-10
CH2 | P2      | chemotherapy | 2024-01-10
[fact]
doc | no | parent | code                | start            | value | unit  | status
CH1 | 0  |        | LOCAL/chimio:FOLFOX | 2024-01-10       |       |       | final
CH1 | 1  | 0      | LOCAL/chimio:CURE   | 2024-01-10       | 1     |       | final
CH1 | 2  | 1      | ATC:L01XA03         | 2024-01-10 10:00 | 85    | mg/m2 | given
CH1 | 3  | 1      | ATC:L01BC02         | 2024-01-10 12:00 | 400   | mg/m2 | given
CH1 | 4  | 0      | LOCAL/chimio:CURE   | 2024-01-24       | 2     |       | final
CH1 | 5  | 4      | ATC:L01XA03         | 2024-01-24 10:00 |       |       | not_given
CH1 | 6  | 4      | ATC:L01BC02         | 2024-01-24 12:00 | 400   | mg/m2 | given
CH2 | 0  |        | LOCAL/chimio:FOLFOX | 2024-01-10       |       |       | final
CH2 | 1  | 0      | LOCAL/chimio:CURE   | 2024-01-10       | 1     |       | final
CH2 | 2  | 1      | ATC:L01XA03         | 2024-01-10 10:00 | 85    | mg/m2 | given
CH2 | 3  | 1      | ATC:L01BC02         | 2024-01-10 12:00 | 400   | mg/m2 | given
"""


def test_a_chemotherapy_cycle(tmp_path: Path) -> None:
    site = _written(tmp_path, FOLFOX)
    cure = "LOCAL/chimio:CURE"
    withheld = "ATC:L01XA03[statut=not_given]"
    assert kit.found(site, f"MÊME GROUPE({cure}=2 ET {withheld} ET ATC:L01BC02[statut=given])") == {"P1"}
    assert kit.found(site, f"MÊME GROUPE({cure}=1 ET NON LOCAL/chimio:FOLFOX ET {withheld})") == set(), "not in the first cycle"
    assert kit.found(site, f"MÊME GROUPE(LOCAL/chimio:FOLFOX ET {withheld})") == {"P1"}, "the protocol holds its cycles"
    assert kit.found(site, f"{cure}[2x, écart=14]") == {"P1"}
    assert kit.found(site, "ATC:L01BC02[parent=LOCAL/chimio:CURE]") == {"P1", "P2"}


# A mother and her twins.

BIRTHS = """
[patient]
number | born       | sex | name
M1     | 1990-05-06 | F   | LESCOUBLAC Nolwenn
T1     | 2024-03-10 | F   | LESCOUBLAC Azilis
T2     | 2024-03-10 | M   | LESCOUBLAC Gurvan
M2     | 1988-05-06 | F   | HERVOCHON Katell
C3     | 2024-03-12 | F   | HERVOCHON Rozenn
[relation]
patient | kind   | other | rank
T1      | mother | M1    | 1
T2      | mother | M1    | 2
T1      | twin   | T2    | 1
C3      | mother | M2    |
[stay]
patient | number | kind  | start            | end
M1      | SM1    | venue | 2024-03-09 22:00 | 2024-03-14 11:00
T1      | ST1    | venue | 2024-03-10 04:12 | 2024-03-14 11:00
T2      | ST2    | venue | 2024-03-10 04:25 | 2024-03-20 11:00
C3      | SC3    | venue | 2024-03-12 09:00 | 2024-03-15 11:00
[movement]
patient | stay | number | unit     | start            | end
T1      | ST1  | 1      | MATER    | 2024-03-10 04:12 | 2024-03-14 11:00
T2      | ST2  | 2      | MATER    | 2024-03-10 04:25 | 2024-03-10 06:00
T2      | ST2  | 3      | NEONAT   | 2024-03-10 06:00 | 2024-03-20 11:00
[document]
key | patient | stay | kind        | start            | at
A   | M1      | SM1  | procedure   | 2024-03-09 23:30 | 2024-03-09 23:40
B   | T1      | ST1  | measurement | 2024-03-10 04:20 | 2024-03-10 04:21
C   | T2      | ST2  | measurement | 2024-03-10 04:30 | 2024-03-10 04:31
D   | C3      | SC3  | measurement | 2024-03-12 09:10 | 2024-03-12 09:11
E   | T2      | ST2  | laboratory  | 2024-03-12 08:00 | 2024-03-12 09:00
[fact]
doc | no | code           | start            | value | unit | end
A   | 0  | CIM10:O30      | 2024-03-09 23:30 |       |      |
B   | 0  | LOINC:8339-4   | 2024-03-10 04:20 | 2600  | g    | 2024-03-10 04:20
C   | 0  | LOINC:8339-4   | 2024-03-10 04:30 | 1800  | g    |
D   | 0  | LOINC:8339-4   | 2024-03-12 09:10 | 3400  | g    |
E   | 0  | LOINC:1975-2   | 2024-03-12 08:00 | 120   | umol/L |
E   | 1  | LOINC:30525-0  | 2024-03-12 08:00 | 2     | d    |
"""
LIGHT = "LOINC:8339-4<2500g"


def test_a_mother_and_her_twins(tmp_path: Path) -> None:
    site = _written(tmp_path, BIRTHS)
    assert kit.found(site, f"MÈRE DE({LIGHT})") == {"M1"}
    assert kit.found(site, f"JUMEAU DE({LIGHT})") == {"T1"}
    assert kit.found(site, "ENFANT DE(CIM10:O30)") == {"T1", "T2"}
    assert kit.found(site, f"ENFANT DE(CIM10:O30) ET {LIGHT}") == {"T2"}
    assert kit.found(site, "MÈRE DE(séjour()) SAUF CIM10:O30") == {"M2"}
    assert kit.found(site, "MÈRE DE(MÊME SÉJOUR(mouvement(unité=NEONAT) ET LOINC:1975-2>100))") == {"M1"}
    kind = kit.rows(site, "select kind, rank, count(*)::int from relation group by all order by all")
    assert kind == [("mother", 1, 1), ("mother", 2, 1), ("mother", None, 1), ("twin", 1, 1)]


def test_no_column_gives_a_birth_date_back(tmp_path: Path) -> None:
    """The twins above were born on 10 March 2024, at 4:12 and 4:25.

    What falls on that day is told to the month; the day itself is in no column of any table of theirs,
    and the age in days that came with the result of 12 March is kept out.
    """
    site = _written(tmp_path, BIRTHS)
    twin = kit.patient_of(site, "T2")
    assert kit.rows(site, "select cast(start_date as varchar), start_minute, precision, cast(end_date as varchar) from raw_stay where patient_id = ?", twin) == [
        ("2024-03-01", None, Precision.MONTH, "2024-03-20")
    ]  # fmt: skip
    assert kit.rows(site, "select cast(start_date as varchar), start_minute, precision, value from fact join concept using (concept_id) where patient_id = ? order by code", twin) == [
        ("2024-03-12", 480, Precision.MINUTE, 120.0), ("2024-03-12", 480, Precision.MINUTE, None), ("2024-03-01", None, Precision.MONTH, 1800.0),
    ]  # fmt: skip
    for number, birth in (("T1", dt.date(2024, 3, 10)), ("T2", dt.date(2024, 3, 10)), ("C3", dt.date(2024, 3, 12))):
        assert {(table, column) for table, column, date in _every_date(site, kit.patient_of(site, number)) if date == birth} == set()


def test_a_death_on_the_day_of_birth_is_told_to_the_month(tmp_path: Path) -> None:
    site = kit.make(tmp_path / "site")
    who = kit.pid("1", "LESCOUBLAC", "Azilis", "20240310", "F") + "|" * 11 + "20240310|Y"  # PID-29, 30
    kit.load(site, "hl7v2", kit.write_messages(tmp_path / "in.hl7", kit.adt("A28", "20240311", who)))
    assert kit.rows(site, "select cast(birth_month as varchar), cast(death_date as varchar), death_certainty from patient") == [
        ("2024-03-01", "2024-03-01", "month")
    ]  # fmt: skip
    assert kit.count(site, "patient(décédé)") == 1


def _every_date(site: Site, patient: int) -> Iterator[tuple[str, str, dt.date]]:
    """Every value of every column of a patient's rows that is a date, an instant, or reads like one."""
    stays = [row[0] for row in kit.rows(site, "select stay_id from raw_stay where patient_id = ?", patient)]
    for table, schema in TABLES.items():
        names = schema.names
        if "patient_id" in names:
            rows = kit.rows(site, f"select {', '.join(names)} from raw_{table} where patient_id = ?", patient)
        elif "stay_id" in names:
            rows = kit.rows(site, f"select {', '.join(names)} from raw_{table} where list_contains(?, stay_id)", stays)
        else:
            continue
        for row in rows:
            for name, value in zip(names, row, strict=True):
                date = _as_date(value)
                if date:
                    yield table, name, date


def _as_date(value: object) -> dt.date | None:
    if isinstance(value, dt.date):
        return value
    if isinstance(value, int) and 10**14 < value < 10**16:  # microseconds
        return dt.datetime.fromtimestamp(value / 1e6, ZoneInfo("Europe/Paris")).date()
    if isinstance(value, float) and 19_000_000 < value < 21_000_000:  # 20240310
        text = str(int(value))
        return dt.date(int(text[:4]), int(text[4:6]), int(text[6:])) if "0101" <= text[4:] <= "1231" and text[6:] <= "28" else None
    return None


# PMSI: a RUM over two wards, and an RSS tied to two stays.

RUM = """
[patient]
number | born       | sex | name
P1     | 1944-01-02 | M   | BOISGONTIER René
P2     | 1945-01-02 | F   | DANDURAND Odile
[stay]
patient | number | kind  | start            | end
P1      | S1     | venue | 2024-02-01 10:00 | 2024-02-08 16:00
P2      | S2     | venue | 2024-02-01 10:00 | 2024-02-03 16:00
P2      | S3     | venue | 2024-02-10 10:00 | 2024-02-12 16:00
[movement]
patient | stay | number | unit | start            | end
P1      | S1   | 11     | 3301 | 2024-02-01 10:00 | 2024-02-03 15:00
P1      | S1   | 12     | 3041 | 2024-02-03 15:00 | 2024-02-08 16:00
P2      | S2   | 21     | 3301 | 2024-02-01 10:00 | 2024-02-03 16:00
P2      | S3   | 22     | 3041 | 2024-02-10 10:00 | 2024-02-12 16:00
[document]
key     | patient | stay | kind | start      | title
RUM-P1  | P1      | S1   | pmsi | 2024-02-01 | RUM
RSS-P2  | P2      | S2   | pmsi | 2024-02-01 | RSS
[fact]
doc    | no | code        | role | start            | end
RUM-P1 | 0  | CIM10:I21.0 | DP   | 2024-02-01 10:00 | 2024-02-08 16:00
RUM-P1 | 1  | CIM10:I50.1 | DAS  | 2024-02-01 10:00 | 2024-02-08 16:00
RUM-P1 | 2  | CCAM:DDAF008 |     | 2024-02-02 09:00 |
RSS-P2 | 0  | CIM10:I21.0 | DP   | 2024-02-01 10:00 |
RSS-P2 | 1  | CCAM:DDAF008 |     | 2024-02-10 11:00 |
"""


def test_a_rum_over_two_wards(tmp_path: Path) -> None:
    site = _written(tmp_path, RUM)
    infarct = "CIM10:I21.0[role=DP]"
    both = "mouvement(unité=3301) ET mouvement(unité=3041)"
    assert kit.found(site, f"MÊME SÉJOUR({infarct} ET {both})") == {"P1"}
    assert kit.found(site, f"{infarct} ET {both}") == {"P1", "P2"}, "two stays are not one"
    assert kit.found(site, f"MÊME MOUVEMENT({infarct} ET mouvement(unité=3301))") == {"P1", "P2"}
    assert kit.found(site, "MÊME MOUVEMENT(CCAM:DDAF008 ET mouvement(unité=3041))") == set(), "the act was done in 3301"
    assert kit.found(site, "CIM10:I50.1[role=DP]") == set()
    assert kit.found(site, "CCAM:DDAF008 PENDANT mouvement(unité=3301)") == {"P1"}
    assert kit.found(site, "séjour(durée>=7)") == {"P1"}


def test_an_rss_tied_to_two_stays(tmp_path: Path) -> None:
    """Many to many, beside the one stay of a document; no reader writes such links yet."""
    site = _written(tmp_path, RUM)
    document = kit.value(site, "select document_id from document where title = 'RSS'")
    stays = [row[0] for row in kit.rows(site, "select stay_id from stay where patient_id = ? order by start_date", kit.patient_of(site, "P2"))]
    links = pa.table({"stay_id": stays, "document_id": [document] * 2, "kind": ["rss"] * 2}, schema=STAY_LINK)
    owner = pa.array([kit.patient_of(site, "P2")] * 2, pa.int32())
    with site.warehouse.writer() as writer:
        writer.commit(Changes(append={"stay_link": links.append_column("patient_id", owner)}))
    tied = "select cast(s.start_date as varchar), l.kind from stay_link l join stay s using (stay_id) order by 1"
    assert kit.rows(site, tied) == [("2024-02-01", "rss"), ("2024-02-10", "rss")]
    assert kit.findings(site) == []


# What is kept elsewhere.


def test_a_picture_kept_elsewhere(tmp_path: Path) -> None:
    """A document without text or facts: its modality is found, its address names nobody."""
    site = kit.make(tmp_path / "site")
    kit.load(site, "fhir", kit.write_lines(tmp_path / "in.ndjson", [
        {"resourceType": "Patient", "id": "p1", "name": [{"family": "MERCOIRET"}], "birthDate": "1950-02-03"},
        {"resourceType": "DocumentReference", "id": "d1", "status": "current", "subject": {"reference": "Patient/p1"},
         "date": "2024-03-01", "content": [{"attachment": {"contentType": "application/pdf", "url": "https://ged/MERCOIRET.pdf"}}]},
    ]))  # fmt: skip
    assert kit.count(site, "média(modalité='application/pdf')") == 1
    assert kit.rows(site, "select uri from media") == [("https://ged/[NOM].pdf",)]
    assert kit.findings(site) == []


# Time: a day is not an hour, and one hour a year comes twice.

MOMENTS = """
[patient]
number | born       | sex | name
P1     | 1950-02-03 | F   | CASTELNEAU Irma
P2     | 1950-02-04 | F   | ROCHEBRUNE Alba
P3     | 1950-02-05 | F   | MONTVILLIERS Lise
P4     | 1950-02-06 | F   | BEAUREGARDEL Zoé
[document]
key | patient | kind       | start
A   | P1      | laboratory | 2024-05-01
B   | P2      | laboratory | 2024-05-01
C   | P3      | laboratory | 2024-05-01
D   | P4      | laboratory | 2024-05-01
[fact]
doc | no | code         | start
A   | 0  | LOINC:2160-0 | 2024-05-01
A   | 1  | LOINC:6598-7 | 2024-05-01 12:00
B   | 0  | LOINC:2160-0 | 2024-05-01 08:00
B   | 1  | LOINC:6598-7 | 2024-05-01 14:00
C   | 0  | LOINC:2160-0 | 2024-05-01 08h
C   | 1  | LOINC:6598-7 | 2024-05-01 10h
D   | 0  | LOINC:2160-0 | 2024-05
D   | 1  | LOINC:6598-7 | 2024-05-01 10:00
"""


def test_a_day_is_never_within_six_hours(tmp_path: Path) -> None:
    """P1 knows the day only, P2 the minute (six hours exactly), P3 the hour, P4 the month only."""
    site = _written(tmp_path, MOMENTS)
    assert kit.found(site, "LOINC:2160-0 PUIS LOINC:6598-7 [0..6 heures]") == {"P2", "P3"}
    assert kit.found(site, "LOINC:2160-0 PUIS LOINC:6598-7 [0..5 heures]") == {"P3"}
    assert kit.found(site, "LOINC:2160-0 PUIS LOINC:6598-7 [0..0 jours]") == {"P1", "P2", "P3"}
    assert kit.found(site, "DANS 0 JOURS(LOINC:2160-0, LOINC:6598-7)") == {"P1", "P2", "P3"}
    assert kit.found(site, "LOINC:2160-0[2024-05-01, précision=day]") == {"P1", "P2", "P3"}
    assert kit.found(site, "LOINC:2160-0[précision=minute]") == {"P2"}


def test_the_repeated_autumn_hour(tmp_path: Path) -> None:
    """On 27 October 2024 clocks went from 3:00 back to 2:00: 2:15 (winter) comes 45 minutes after 2:30 (summer)."""
    site = kit.make(tmp_path / "site")
    who = kit.pid("1", "AUTOMNALET", "Odette", "19600101", "F")
    kit.load(site, "hl7v2", kit.write_messages(
        tmp_path / "night.hl7",
        kit.oru("20241027023000+0200", who, "L1", "OBX|1|NM|2160-0^Créatinine^LN||71|umol/L|||||F"),
        kit.oru("20241027021500+0100", who, "L2", "OBX|1|NM|6598-7^Troponine^LN||12|ng/L|||||F"),
    ))  # fmt: skip
    assert kit.rows(site, "select cast(start_date as varchar), start_minute from fact order by start_minute") == [
        ("2024-10-27", 150), ("2024-10-27", 195),
    ]  # fmt: skip
    assert kit.count(site, "LOINC:2160-0 PUIS LOINC:6598-7 [0..1 heures]") == 1
    assert kit.count(site, "LOINC:6598-7 PUIS LOINC:2160-0 [0..24 heures]") == 0
    assert kit.count(site, "DERNIER(LOINC:6598-7)") == 1


def test_a_night_of_twenty_three_hours(tmp_path: Path) -> None:
    """From noon to noon over the spring change there are 23 hours, and still one day."""
    site = _written(tmp_path, """
        [patient]
        number | born       | name
        P1     | 1950-02-03 | PRINTANIEREL Flore
        [document]
        key | patient | kind       | start
        A   | P1      | laboratory | 2024-03-30 12:00
        [fact]
        doc | no | code         | start
        A   | 0  | LOINC:2160-0 | 2024-03-30 12:00
        A   | 1  | LOINC:6598-7 | 2024-03-31 12:00
        """)
    assert kit.count(site, "LOINC:2160-0 PUIS LOINC:6598-7 [0..23 heures]") == 1
    assert kit.count(site, "LOINC:2160-0 PUIS LOINC:6598-7 [1..1 jours]") == 1


# A stay that care may see and research may not.


def test_a_stay_opened_to_care_but_confidential_for_research(tmp_path: Path) -> None:
    """A nurse is treated in her own hospital for something she would rather keep to herself (PV1-16)."""
    site = kit.make(tmp_path / "site")
    nurse = kit.pid("1", "SAINTONGEAU", "Maryvonne", "19750101", "F")
    other = kit.pid("2", "VILLEDIEUX", "Pascaline", "19760101", "F")
    protected, plain = kit.pv1("S1", "INFEC", protected="V"), kit.pv1("S2", "CARDIO")
    hiv = "OBX|1|CE|75622-1^VIH^LN||10828004^Positif^SCT||||||F"
    kit.load(site, "hl7v2", kit.write_messages(
        tmp_path / "in.hl7",
        kit.adt("A01", "20240301080000", nurse, protected), kit.adt("A01", "20240401080000", nurse, plain, number="2"),
        kit.adt("A01", "20240301090000", other, kit.pv1("S3", "INFEC")),
        kit.oru("202403020700", nurse, "L1", hiv, "NTE|1||Séropositivité ancienne connue.", visit=kit.pv1("S1")),
        kit.oru("202404020700", nurse, "L2", "OBX|1|NM|2160-0^Créatinine^LN||71|umol/L|||||F", visit=plain),
        kit.oru("202403020700", other, "L3", hiv, visit=kit.pv1("S3")),
    ))  # fmt: skip
    for question, research, care in (
        ("LOINC:75622-1", {"2"}, {"1", "2"}),
        ("LOINC:2160-0", {"1"}, {"1"}),
        ("séjour(unité=INFEC)", {"2"}, {"1", "2"}),
        ("mouvement(unité=INFEC)", {"2"}, {"1", "2"}),
        ("LOINC:2160-0 SAUF LOINC:75622-1", {"1"}, set()),
        ("séropositivité", set(), {"1"}),
        ("document(type=laboratory)", {"1", "2"}, {"1", "2"}),
    ):
        assert kit.found(site, question) == research, question
        assert kit.found(site, question, Scope.CARE) == care, question
    assert kit.texts(site, "séropositivité") == set()
    desk = Desk(ReadingRoom(site), KEY_HOLDER)
    timeline = desk.timeline(kit.patient_of(site, "1"))
    assert timeline is not None
    assert {event.code for event in timeline.events if event.code} == {"LOINC:2160-0"}
    assert kit.findings(site) == []


@pytest.mark.parametrize("table", sorted(TABLES))
def test_no_table_has_a_place_for_an_identity(table: str) -> None:
    """The schema is the first guard: names, addresses, numbers and birth days have no column."""
    forbidden = ("name", "family", "given", "address", "phone", "mail", "ipp", "ins", "nir", "birth_date", "number")
    assert not [column for column in TABLES[table].names if column in forbidden]
