"""The French EDS common core, item by item: what is loaded where, and what is not.

The list of items is read from the working group's own spreadsheet; the values are looked up in a
warehouse that loaded one patient shaped as the guide's profiles and examples. The page
`docs/reference/sources/fhir-eds-socle.md` is written from the same table:
`python -m tests.unit.sources.test_fhir_eds_socle` writes it anew.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest
from tests.spec import site_kit as kit

from estran.app import Site

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "sources" / "fhir-eds-socle.md"
_CELL = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_UCUM = "http://unitsofmeasure.org"
_WHO = {"reference": "Patient/patient-example-1"}
_LABORATORY = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}]
_FACT = """select f.value, f.unit, f.low, f.high, f.status, f.start_date::varchar, f.start_minute
           from fact f join concept c using (concept_id) where c.code = ?"""
_DRUG = """select f.status, f.value, f.unit, f.start_date::varchar, f.end_date::varchar
           from fact f join document d using (document_id) join concept c on c.concept_id in (f.concept_id, f.local_concept_id)
           where d.kind = ? and c.code = ?"""
_TOLD = """select a.value, v.code from fact_attribute a join fact f using (document_id, fact_no)
           join document d using (document_id) join concept n on n.concept_id = a.attribute_id
           left join concept v on v.concept_id = a.value_concept where d.kind = ? and n.code = ?"""


@dataclass(frozen=True)
class Item:
    """What becomes of an item; `sql` finds `found` in the warehouse, or the item is not there."""

    number: str
    verdict: str  # loaded, computed, in part, vault, not loaded
    where: str
    sql: str = ""
    values: tuple[Any, ...] = ()
    found: list[tuple[Any, ...]] = field(default_factory=list)


def _numbered(value: str) -> str:
    """Excel took `2.1` for the second of January: a serial day is turned back into day.month."""
    if value.isdigit():
        day = dt.date(1899, 12, 30) + dt.timedelta(days=int(value))
        return f"{day.day}.{day.month}"
    return value


def spreadsheet(shared: Path) -> list[tuple[str, str, str, bool]]:
    """(number, item, lot, number was a date) of every row that has an item."""
    path = shared / "fhir_eds_socle" / "attachments" / "20230915_GT_socle_de_donnees_socle.xlsx"
    with zipfile.ZipFile(path) as archive:
        strings = ElementTree.fromstring(archive.read("xl/sharedStrings.xml")).findall(_CELL + "si")
        words = ["".join(t.text or "" for t in one.iter(_CELL + "t")) for one in strings]
        sheet = ElementTree.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    rows = []
    for row in sheet.iter(_CELL + "row"):
        cells = {}
        for cell in row.findall(_CELL + "c"):
            held = cell.find(_CELL + "v")
            if held is not None and held.text:
                letter = re.sub("[0-9]", "", cell.get("r", ""))
                cells[letter] = words[int(held.text)] if cell.get("t") == "s" else held.text
        if "H" in cells and cells.get("E") != "N° de l'item":
            number = cells["E"].strip()
            rows.append((_numbered(number), cells["H"].strip(), cells["D"].strip(), number.isdigit()))
    return rows


# The patient of the guide's examples -----------------------------------------------------------------

# Analytes of chapter 3: LOINC of ConceptMap LabAnalyses, unit, value, bounds.
ANALYTES: dict[str, tuple[str, str, float, float, float]] = {
    "3.a.1": ("22664-7", "mmol/L", 7.4, 2.5, 7.0),
    "3.a.2": ("14682-9", "umol/L", 80.0, 50.0, 100.0),
    "3.a.3": ("77147-7", "mL/min", 80.0, 60.0, 120.0),
    "3.b.1": ("6690-2", "10*9/L", 6.1, 4.0, 10.0),
    "3.b.2": ("718-7", "g/dL", 13.2, 12.0, 16.0),
    "3.b.3": ("4544-3", "%", 40.0, 37.0, 47.0),
    "3.b.4": ("789-8", "10*12/L", 4.5, 4.0, 5.4),
    "3.b.5": ("30428-7", "fL", 89.0, 80.0, 100.0),
    "3.b.6": ("777-3", "10*9/L", 250.0, 150.0, 400.0),
    "3.b.7": ("26499-4", "10*9/L", 3.5, 1.5, 7.0),
    "3.b.8": ("26474-7", "10*9/L", 2.0, 1.0, 4.0),
    "3.b.9": ("26449-9", "10*9/L", 0.2, 0.0, 0.5),
    "3.b.10": ("26484-6", "10*9/L", 0.4, 0.2, 1.0),
    "3.b.11": ("5894-1", "%", 95.0, 70.0, 130.0),
    "3.b.12": ("14979-9", "s", 33.0, 25.0, 40.0),
    "3.c.1": ("1920-8", "U/L", 22.0, 10.0, 40.0),
    "3.c.2": ("1742-6", "U/L", 25.0, 10.0, 45.0),
    "3.c.3": ("2324-2", "U/L", 30.0, 8.0, 61.0),
    "3.c.4": ("6768-6", "U/L", 70.0, 40.0, 130.0),
    "3.c.5": ("14631-6", "umol/L", 10.0, 3.0, 21.0),
    "3.c.6": ("29760-6", "umol/L", 2.0, 0.0, 5.0),
    "3.d.1": ("40193-5", "mmol/L", 5.1, 3.9, 6.1),
    "3.d.2": ("4548-4", "%", 5.6, 4.0, 6.0),
}
_COMPONENTS = {"3.a.2": "62238-1", "3.a.3": "62238-1", "3.b.12": "50197-3"}  # sent inside a panel


def _coded(system: str, code: str, text: str = "") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]} | ({"text": text} if text else {})


def _loinc(code: str) -> dict[str, Any]:
    return _coded("http://loinc.org", code)


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": _UCUM, "code": unit}


def _analyte(number: str) -> dict[str, Any]:
    code, unit, value, low, high = ANALYTES[number]
    measured = {"code": _loinc(code), "valueQuantity": _quantity(value, unit)}
    measured |= {"referenceRange": [{"low": _quantity(low, unit), "high": _quantity(high, unit)}]}
    if number in _COMPONENTS:
        measured = {"code": _loinc(_COMPONENTS[number]), "component": [measured]}
    return {
        "resourceType": "Observation", "id": f"lab-{number}", "status": "final", "category": _LABORATORY,
        "subject": _WHO, "effectiveDateTime": "2024-08-27T09:00:00+01:00", **measured,
    }  # fmt: skip


def _observation(name: str, code: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": name, "status": "final", "code": code, "subject": _WHO,
        "effectiveDateTime": "2023-08-03", **more,
    }  # fmt: skip


def _sct(code: str) -> dict[str, Any]:
    return _coded("http://snomed.info/sct", code)


def _drug() -> dict[str, Any]:
    """FrMedicationUcd: UCD first, as the profile asks, the other codings beside it."""
    coding = [
        {"system": "http://data.esante.gouv.fr/ansm/medicament/UCD", "code": "9000001", "display": "PARACETAMOL 500MG CPR"},
        {"system": "http://www.whocc.no/atc", "code": "N02BE01", "display": "paracétamol"},
        {"system": "urn:oid:1.2.250.1.213.2.3.2", "code": "3400900000001", "display": "PARACETAMOL X 500MG CPR 16"},
    ]
    return {"resourceType": "Medication", "id": "ucd", "code": {"coding": coding, "text": "PARACETAMOL 500MG CPR"}}


_ROUTE = _coded("http://standardterms.edqm.eu", "20053000", "Voie orale")
_PRESCRIBED = {
    "route": _ROUTE,
    "timing": {"repeat": {"frequency": 3, "period": 1, "periodUnit": "d",
                          "boundsPeriod": {"start": "2024-07-26", "end": "2024-07-30"}}},
    "doseAndRate": [{"doseQuantity": _quantity(500, "mg")}],
}  # fmt: skip
_GIVEN = {"start": "2024-07-26T08:00:00+02:00", "end": "2024-07-26T08:05:00+02:00"}
_INSEE = "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-address-insee-code"
_GEO = "http://hl7.org/fhir/StructureDefinition/geolocation"
_IDENTIFIERS = [
    {"type": {"coding": [{"code": "NH"}]}, "system": "urn:oid:1.2.250.1.61", "value": "248077511600139"},
    {"type": {"coding": [{"code": "INS-NIR"}]}, "system": "urn:oid:1.2.250.1.213.1.4.8", "value": "248077511600139"},
    {"type": {"coding": [{"code": "PI"}]}, "system": "CHU", "value": "00012345"},
]
_PATIENT = {
    "resourceType": "Patient", "id": "patient-example-1", "identifier": _IDENTIFIERS,
    "name": [{"family": "ESSAI", "given": ["CLAIRE"]}], "gender": "female", "birthDate": "1948-07-12",
    "deceasedDateTime": "2024-09-12T12:00:00+02:00", "multipleBirthInteger": 2,
    "address": [{
        "use": "home", "text": "12 Bd Picpus, 75012 Paris", "city": "Paris", "postalCode": "75012",
        "extension": [
            {"url": _INSEE, "valueCoding": {"code": "751124601"}},
            {"url": _GEO, "extension": [{"url": "latitude", "valueDecimal": 48.84003},
                                        {"url": "longitude", "valueDecimal": 2.40081}]},
        ],
    }],
}  # fmt: skip
_ROLE = "https://interop.esante.gouv.fr/ig/fhir/eds/CodeSystem/PMSIMCODiagType"
_CIM10 = "https://smt.esante.gouv.fr/terminologie-cim-10"
_CLAIM_MODE = "https://interop.esante.gouv.fr/ig/fhir/eds/CodeSystem/FrClaimMode"


def _diagnosis(sequence: int, code: str, role: str) -> dict[str, Any]:
    return {
        "sequence": sequence, "diagnosisCodeableConcept": _coded(_CIM10, code), "type": [_coded(_ROLE, role)],
    }  # fmt: skip


_RSS = {
    "resourceType": "Claim", "id": "claim-example-1", "status": "active", "created": "2024-10-10",
    "type": _coded("https://interop.esante.gouv.fr/ig/fhir/eds/CodeSystem/FrClaimType", "PMSIMCO"), "patient": _WHO,
    "billablePeriod": {"start": "2023-11-14", "end": "2023-11-20"},
    "supportingInfo": [
        {"sequence": 1, "code": _coded(_CLAIM_MODE, "0"), "valueString": "8 Domicile"},
        {"sequence": 2, "code": _coded(_CLAIM_MODE, "1"), "valueString": "6 Mutation"},
    ],
    "diagnosis": [_diagnosis(1, "S09", "DP"), _diagnosis(2, "I10", "DA"), _diagnosis(3, "I44", "DAD")],
    "procedure": [
        {"sequence": 1, "date": "2023-11-15",
         "procedureCodeableConcept": _coded("https://smt.esante.gouv.fr/terminologie-ccam", "NZFA010···01·")},
    ],
}  # fmt: skip


def resources() -> list[dict[str, Any]]:
    """One patient with every item."""
    pressure = [
        {"code": _loinc("8480-6"), "valueQuantity": _quantity(107, "mm[Hg]")},
        {"code": _loinc("8462-4"), "valueQuantity": _quantity(60, "mm[Hg]")},
    ]
    return [
        _PATIENT,
        _RSS,
        *(_analyte(number) for number in ANALYTES),
        {"resourceType": "MedicationRequest", "id": "mr", "status": "active", "intent": "order", "subject": _WHO,
         "contained": [_drug()], "medicationReference": {"reference": "#ucd"}, "authoredOn": "2024-07-25",
         "dosageInstruction": [_PRESCRIBED]},
        {"resourceType": "MedicationAdministration", "id": "ma", "status": "completed", "subject": _WHO,
         "contained": [_drug()], "medicationReference": {"reference": "#ucd"}, "effectivePeriod": _GIVEN,
         "dosage": {"route": _ROUTE, "dose": _quantity(500, "mg")}},
        _observation("height", _loinc("8302-2"), valueQuantity=_quantity(165, "cm")),
        _observation("weight", _loinc("29463-7"), valueQuantity=_quantity(96, "kg")),
        _observation("pressure", _loinc("85354-9"), component=pressure),
        _observation("tobacco", _sct("401201003"), valueQuantity=_quantity(26, "{pack-years}")),
        _observation("alcohol", _loinc("11331-6"), valueCodeableConcept=_sct("228276006")),
        _observation("drugs", _loinc("74204-9"), valueCodeableConcept=_sct("44870007"), component=[
            {"code": _sct("410942007"), "valueCodeableConcept": _sct("703842006")},
            {"code": _sct("228390007"), "valueString": "3 times a year"}]),
        _observation("activity", _loinc("89555-7"), valueQuantity=_quantity(3, "d/wk")),
    ]  # fmt: skip


# The table -------------------------------------------------------------------------------------------

_STAY = "select {} from stay s join document d using (stay_id) where d.kind = 'pmsi'"
_CODED = """select c.vocabulary, c.code, f.role, f.start_date::varchar from fact f join concept c using (concept_id)
            join document d using (document_id) where d.kind = 'pmsi' and c.vocabulary = ? order by f.fact_no"""
_VALUED = """select v.code from fact f join concept c using (concept_id)
             join concept v on v.concept_id = f.value_concept where c.code = ?"""


def _laboratory() -> list[Item]:
    where = "`fact`: value, `unit` (UCUM), `low`, `high`, start (time of sampling), `status`; LOINC `{}`"
    found = []
    for number, (code, unit, value, low, high) in ANALYTES.items():
        row = (value, unit, low, high, 0, "2024-08-27", 600)  # nine o'clock +01:00 is ten in Paris
        found.append(Item(number, "loaded", where.format(code), _FACT, (code,), [row]))
    return found


ITEMS = [
    Item("1.a.1", "vault", "vault, to be masked in texts; never a key, for it may be a parent's"),
    Item("1.a.2", "vault", "vault, when FR Core's reliability does not say that the identity is doubtful"),
    Item("1.a.3", "in part", "`patient.birth_month`; the day stays in the vault, where ages are computed",
         "select birth_month::varchar from patient", (), [("1948-07-01",)]),
    Item("1.a.4", "loaded", "`patient.death_date`, `death_source`",
         "select death_date::varchar, death_source from patient", (), [("2024-09-12", "hospital")]),
    Item("1.a.5", "loaded", "`fact` of code LOCAL/FHIR `Patient.multipleBirthInteger`",
         "select f.value from fact f join concept c using (concept_id) where c.code = ?",
         ("Patient.multipleBirthInteger",), [(2.0,)]),
    Item("1.b.1", "not loaded", "coordinates point at a home; the address is in the vault, to be masked"),
    Item("1.b.2", "in part", "`patient.residence_area`: the département of the IRIS's commune; the commune is in the vault",
         "select residence_area from patient", (), [("75",)]),
    Item("2.1", "computed", "not sent in FHIR: computed from the birth date and the start of the stay (criterion `âge`)"),
    Item("2.2", "loaded", "`patient.sex`", "select sex from patient", (), [("female",)]),
    Item("2.3", "in part", "`patient.residence_area`, by département",
         "select residence_area from patient", (), [("75",)]),
    Item("2.4", "loaded", "`fact` of the PMSI document, CIM10, `role` DP, DR, DAS or DAD", _CODED, ("CIM10",),
         [("CIM10", "S09", "DP", "2023-11-14"), ("CIM10", "I10", "DAS", "2023-11-14"),
          ("CIM10", "I44", "DAD", "2023-11-14")]),
    Item("2.5", "loaded", "`fact` of the PMSI document, CCAM (seven characters; the rest is an attribute), dated",
         _CODED, ("CCAM",), [("CCAM", "NZFA010", None, "2023-11-15")]),
    Item("2.6", "loaded", "`stay.start_date`", _STAY.format("s.start_date::varchar"), (), [("2023-11-14",)]),
    Item("2.7", "loaded", "`stay.end_date`", _STAY.format("s.end_date::varchar"), (), [("2023-11-20",)]),
    Item("2.8", "loaded", "`stay.entry_mode`: the PMSI's code, whose label is the PMSI's",
         _STAY.format("s.entry_mode"), (), [("8",)]),
    Item("2.9", "loaded", "`stay.exit_mode`, likewise", _STAY.format("s.exit_mode"), (), [("6",)]),
    *_laboratory(),
    Item("4.1", "loaded", "`fact` of a prescription, status ordered: asked by ATC or UCD, the CIP in `concept_map`; route as attribute",
         _DRUG, ("prescription", "9000001"), [(2, None, None, "2024-07-26", "2024-07-30")]),
    Item("4.2", "loaded", "`fact_attribute`: dose, times a day; start and end of the fact",
         _TOLD, ("prescription", "MedicationRequest.dosageInstruction.frequency"), [(3.0, None)]),
    Item("4.3", "loaded", "`fact` of an administration, status given; the same codes; route as attribute",
         _TOLD, ("administration", "MedicationAdministration.dosage.route"), [(None, "20053000")]),
    Item("4.4", "loaded", "the same `fact`: value and `unit` are the dose, start and end those of the administration",
         _DRUG, ("administration", "9000001"), [(4, 500.0, "mg", "2024-07-26", "2024-07-26")]),
    Item("5.a.1", "loaded", "`fact`, LOINC `8302-2`", _FACT, ("8302-2",), [(165.0, "cm", None, None, 0, "2023-08-03", None)]),
    Item("5.a.2", "loaded", "`fact`, LOINC `29463-7`", _FACT, ("29463-7",),
         [(96.0, "kg", None, None, 0, "2023-08-03", None)]),
    Item("5.a.3", "loaded", "`fact`, LOINC `8480-6`, hanging off the pressure's", _FACT, ("8480-6",),
         [(107.0, "mm[Hg]", None, None, 0, "2023-08-03", None)]),
    Item("5.a.4", "loaded", "`fact`, LOINC `8462-4`, hanging off the pressure's", _FACT, ("8462-4",),
         [(60.0, "mm[Hg]", None, None, 0, "2023-08-03", None)]),
    Item("5.b.1", "loaded", "`fact`, value or coded value", _FACT, ("401201003",),
         [(26.0, "{pack-years}", None, None, 0, "2023-08-03", None)]),
    Item("5.b.2", "loaded", "`fact`, coded value", _VALUED, ("11331-6",), [("228276006",)]),
    Item("5.b.3", "loaded", "`fact`, coded value; substance and frequency hang off it", _VALUED, ("410942007",),
         [("703842006",)]),
    Item("5.b.4", "loaded", "`fact`, value", _FACT, ("89555-7",), [(3.0, "d/wk", None, None, 0, "2023-08-03", None)]),
]  # fmt: skip
VERDICTS = {"loaded": "loaded", "computed": "computed", "in part": "in part", "vault": "in the vault only", "not loaded": "**not loaded**"}


def page(rows: list[tuple[str, str, str, bool]]) -> str:
    """The page of the documentation."""
    by_number = {item.number: item for item in ITEMS}
    counts = {name: sum(i.verdict == name for i in ITEMS) for name in VERDICTS}
    said = ", ".join(f"{counts[name]} {words.strip('*')}" for name, words in VERDICTS.items())
    dated, second = sum(r[3] for r in rows), sum(r[2] == "2" for r in rows)
    lines = [
        "# The French EDS common core in FHIR",
        "",
        "The common core of hospital data warehouses (*socle commun des entrepôts de données de santé hospitaliers*)",
        "is a spreadsheet of numbered items with a FHIR guide beside it. This page is written by a test that loads one",
        "patient shaped as the guide's profiles and examples, and looks every item up in the warehouse.",
        "",
        f"**{len(rows)} items: {said}.** Other counts circulate:",
        "",
        f"- **{len(rows) - dated}**: read by a program, the spreadsheet has {len(rows) - dated} numbers. The other {dated}, those of",
        "  chapters 2 and 4, became dates: Excel took `2.1` for the second of January.",
        f"- **{len(rows) - second}**: the items of lot 1; the {second} of lot 2 (way of life) were left to later work.",
        "- **201**: the guide's own coverage page lists every item once for each of its properties.",
        "",
        "| item | | becomes | where |",
        "|---|---|---|---|",
        *(f"| {n} | {label} | {VERDICTS[by_number[n].verdict]} | {by_number[n].where} |" for n, label, _, _ in rows),
        "",
        "What each item's metadata asks for (date of collection, unit, bounds, status, route) is in the same row as the",
        "value. The source of the data is `document.source`, the file and line it came in `document.file_no` and",
        "`record_no`.",
        "",
    ]
    return "\n".join(lines)


# Tests -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A warehouse that loaded the patient, a file for each type."""
    folder = tmp_path_factory.mktemp("eds")
    for kind in {node["resourceType"] for node in resources()}:
        lines = [orjson.dumps(node) for node in resources() if node["resourceType"] == kind]
        (folder / f"{kind}.ndjson").write_bytes(b"\n".join(lines) + b"\n")
    made = kit.make(folder / "site")
    report = kit.load(made, "fhir", *folder.glob("*.ndjson"))
    assert report.total("read") == report.total("loaded") == len(resources())
    return made


def test_the_spreadsheet_has_51_items(shared: Path) -> None:
    rows = spreadsheet(shared)
    assert (len(rows), sum(r[3] for r in rows), sum(r[2] == "2" for r in rows)) == (51, 13, 4)
    assert [row[0] for row in rows] == [item.number for item in ITEMS]
    lines = (shared / "fhir_eds_socle" / "pagecontent" / "result.md").read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("| ") and not line.startswith("| Item") for line in lines) == 201


@pytest.mark.parametrize("item", [item for item in ITEMS if item.sql], ids=lambda item: item.number)
def test_item_is_where_the_page_says(site: Site, item: Item) -> None:
    assert kit.rows(site, item.sql, *item.values) == item.found


def test_items_of_the_vault_are_nowhere_else(site: Site) -> None:
    with site.vault() as vault:
        (identity,) = vault.find_ins("248077511600139")
        assert "248077511600139" in vault.known([identity])[identity].numbers
    assert kit.value(site, "select count(*) from fact where value_text like '%248077%'") == 0
    assert not any(abs(row[0] - 48.84003) < 0.01 for row in kit.rows(site, "select value from fact where value > 0"))


def test_a_drug_is_found_by_atc_and_by_ucd_and_keeps_its_cip(site: Site) -> None:
    for code in ("UCD:9000001", "ATC:N02BE01"):
        assert kit.count(site, code) == 1, code
    mapped = """select c.vocabulary, c.code, t.code from concept_map m join concept c on c.concept_id = m.source_id
                join concept t on t.concept_id = m.target_id order by all"""
    assert ("CIP", "3400900000001", "N02BE01") in kit.rows(site, mapped)


def test_the_age_is_computed(site: Site) -> None:
    assert kit.count(site, "CIM10:S09[âge 75..75]") == 1
    assert kit.count(site, "CIM10:S09[âge 76..90]") == 0


def test_the_page_is_the_table(shared: Path) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(spreadsheet(shared))


if __name__ == "__main__":
    PAGE.write_text(page(spreadsheet(PAGE.parents[4] / "shared" / "data")), encoding="utf-8")
    sys.exit(0)
