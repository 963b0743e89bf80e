"""FHIR R4 resources (https://hl7.org/fhir/R4), one file of lines (NDJSON) per type, as Bulk Data has them.

Patient, Encounter, Observation, Condition, Procedure, Medication with its requests, administrations, dispenses and
statements, DocumentReference, and the Organization that holds them. References stay inside the export; an element without
a value is left out. Resources that meet a profile of the French common core of hospital warehouses say so in `meta.profile`
(`fhir_core`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from estran.exchange import fhir_core as core
from estran.exchange.account import Account
from estran.exchange.holding import Holding
from estran.model.codes import Context, Origin
from estran.model.moments import first_day, midnights
from estran.terminology.systems import uri_of

_BATCH = 65_536
_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_UCUM = "http://unitsofmeasure.org"
# Why a fact has no resource. The first reason that holds is told.
_REASONS = f"""
CASE WHEN p.person IS NULL THEN 'of a patient who has no resource' WHEN c.concept IS NULL THEN 'its code is unknown'
     WHEN f.origin = {int(Origin.DERIVED)} THEN 'computed from other facts'
     WHEN f.context <> {int(Context.AFFIRMED)} THEN 'negated, hypothetical, of the family or of the past' END"""
_FACTS = "h_fact f LEFT JOIN h_person p USING (person) LEFT JOIN h_concept c ON c.concept = f.concept"


def write(holding: Holding, folder: Path) -> Account:
    """Write the resources that there is something for into a new folder."""
    folder.mkdir()
    account = _read(holding)
    _prepare(holding)
    _lines(holding, folder, account, "", "Organization", core.organization(holding.holder), "(SELECT 1)")
    _lines(holding, folder, account, "person", "Patient", core.PATIENT, "patient ORDER BY person")
    for part in holding.parts:
        _part(holding, folder, account, part)
    _lines(holding, folder, account, "", "Medication", core.MEDICATION, core.MEDICATIONS)
    account.close()
    return account


def _part(holding: Holding, folder: Path, account: Account, part: int) -> None:
    con = holding.connection
    con.execute(f"CREATE OR REPLACE TEMP TABLE visit AS {_VISITS} WHERE s.part = {part}")
    _lines(holding, folder, account, "stay", "Encounter", _ENCOUNTER, "visit ORDER BY stay")
    con.execute(f"CREATE OR REPLACE TEMP TABLE event AS {_EVENTS} WHERE f.part = {part} AND {_REASONS} IS NULL")
    con.execute("INSERT INTO medicine SELECT DISTINCT concept FROM event WHERE resource LIKE 'Medication%'")
    for resource, body in _resources().items():
        _lines(holding, folder, account, "fact", resource, body, f"event WHERE resource = '{resource}' ORDER BY n")
    notes = f"({_NOTES} WHERE n.part = {part} ORDER BY n.person, n.document)"
    _lines(holding, folder, account, "note", "DocumentReference", _DOCUMENT, notes)
    if holding.number(core.SUMMARIES):
        _lines(holding, folder, account, "", "Coverage", core.COVERAGE, core.COVERED)
        _lines(holding, folder, account, "", "Claim", core.CLAIM, core.CLAIMS)


def _read(holding: Holding) -> Account:
    account = Account()
    account.read = {
        name: holding.number(f"SELECT count(*) FROM h_{name}") for name in ("person", "stay", "fact", "note")
    }
    reasons = holding.counts(f"SELECT coalesce({_REASONS}, ''), count(*) FROM {_FACTS} GROUP BY ALL")
    account.leave("fact", {reason: count for reason, count in reasons.items() if reason})
    account.lost = {
        name: count for name, count in holding.counts(f"""
        SELECT 'area of residence', count(area) FROM h_person
        UNION ALL SELECT 'movements through wards', count(*) FROM h_movement
        UNION ALL SELECT 'attributes of facts', count(*) FROM h_attribute
        UNION ALL SELECT 'role of a diagnosis outside of a PMSI summary', count(*) FROM h_fact f LEFT JOIN h_concept c USING (concept)
                  WHERE f.role IS NOT NULL AND c.kind = 'diagnosis' AND f.role NOT IN {core.ROLES}""").items() if count
    }  # fmt: skip
    return account


def _prepare(holding: Holding) -> None:
    con = holding.connection
    names = [row[0] for row in con.execute("SELECT DISTINCT vocabulary FROM h_concept ORDER BY 1").fetchall()]
    starts = midnights(holding.zone)
    days = pa.array(np.arange(len(starts), dtype=np.int32) + first_day()).cast(pa.date32())
    con.register(
        "given_systems",
        pa.table({"vocabulary": pa.array(names, pa.string()), "system": pa.array(map(uri_of, names), pa.string())}),
    )
    con.register("given_midnights", pa.table({"day": days, "utc": pa.array(starts)}))
    con.execute("CREATE TEMP TABLE midnight AS SELECT * FROM given_midnights")
    con.execute("CREATE TEMP TABLE medicine (concept INTEGER)")
    con.execute("""CREATE TEMP TABLE named AS SELECT c.*, g.system, coalesce(c.label_fr, c.label_en, c.code) AS label
                   FROM h_concept c JOIN given_systems g USING (vocabulary)""")
    con.execute(f"CREATE TEMP TABLE patient AS {_PATIENTS}")


def _moment(date: str, minute: str, precision: str, utc: str) -> str:
    """A FHIR date or dateTime, as precise as what is known; times are in UTC."""
    instant = f"strftime(make_timestamp(({utc} + {minute}) * 60000000), '%Y-%m-%dT%H:%M:%SZ')"
    day = (
        f"left(strftime({date}, '%Y-%m-%d'), CASE WHEN {precision} >= 2 THEN 10 WHEN {precision} = 1 THEN 7 ELSE 4 END)"
    )
    return f"CASE WHEN {minute} IS NOT NULL AND {utc} IS NOT NULL THEN {instant} ELSE {day} END"


_PATIENTS = """
SELECT person, coalesce(source, CAST(person AS VARCHAR)) AS who, sex, strftime(death_date, '%Y-%m-%d') AS dead, died,
       CASE WHEN birth_month IS NULL THEN printf('%04d', birth_year) ELSE printf('%04d-%02d', birth_year, birth_month) END AS born FROM h_person"""
_MIDNIGHTS = "LEFT JOIN midnight b ON b.day = {0}.start_date LEFT JOIN midnight e ON e.day = {0}.end_date"
_VISITS = f"""
SELECT s.stay, p.who, s.kind, s.status, s.entry_mode, s.exit_mode, {_moment("s.start_date", "s.start_minute", "s.precision", "b.utc")} AS began,
       {_moment("s.end_date", "s.end_minute", "s.precision", "e.utc")} AS ended
FROM h_stay s JOIN patient p USING (person) {_MIDNIGHTS.format("s")}"""
# A drug is a request, an administration, a dispense or a statement by where it stands; an administration needs its date.
_RESOURCE = """
CASE WHEN c.kind = 'diagnosis' THEN 'Condition' WHEN c.kind = 'procedure' THEN 'Procedure'
     WHEN c.kind = 'drug' AND f.status = 2 THEN 'MedicationRequest' WHEN c.kind = 'drug' AND f.status = 3 THEN 'MedicationDispense'
     WHEN c.kind = 'drug' AND f.status IN (4, 5) AND f.start_date IS NOT NULL THEN 'MedicationAdministration'
     WHEN c.kind = 'drug' THEN 'MedicationStatement' ELSE 'Observation' END"""
_EVENTS = f"""
SELECT row_number() OVER (ORDER BY f.person, f.start_date, f.start_minute NULLS FIRST, f.document, f.number) AS n,
       f.person, p.who, CASE WHEN s.stay IS NOT NULL THEN 's' || s.stay END AS visit, f.document, f.concept, c.kind, m.system, m.code, m.label, m.vocabulary,
       coalesce('f' || f.document || '-' || f.number, 'f' || f.number) AS id, f.value, f.unit, f.status, f.role, f.low, f.high, f.value_text,
       [NULL, '<', '<=', '>', '>='][f.comparator + 1] AS sign, v.system AS value_system, v.code AS value_code, v.label AS value_label,
       {_moment("f.start_date", "f.start_minute", "f.precision", "b.utc")} AS began,
       CASE WHEN f.end_date IS NOT NULL THEN {_moment("f.end_date", "f.end_minute", "2", "e.utc")} END AS ended, f.start_date, {_RESOURCE} AS resource
FROM h_fact f JOIN patient p USING (person) JOIN h_concept c ON c.concept = f.concept JOIN named m ON m.concept = f.concept
LEFT JOIN named v ON v.concept = f.value_concept LEFT JOIN h_stay s ON s.stay = f.stay AND s.part = f.part {_MIDNIGHTS.format("f")}"""
_NOTES = f"""
SELECT p.who, n.document, n.kind, n.title, n.text, n.person, CASE WHEN s.stay IS NOT NULL THEN 's' || s.stay END AS visit,
       {_moment("n.start_date", "n.start_minute", "2", "b.utc")} AS began
FROM h_note n JOIN patient p USING (person) LEFT JOIN h_stay s ON s.stay = n.stay AND s.part = n.part LEFT JOIN midnight b ON b.day = n.start_date"""

_SUBJECT = "{'reference': 'Patient/' || who}"
_OF_VISIT = "CASE WHEN visit IS NOT NULL THEN {'reference': 'Encounter/' || visit} END"
_CODE = "{'coding': [{'system': system, 'code': code, 'display': label}]}"
_TOLD = "CASE WHEN status IN (5, 6) THEN '{0}' WHEN status = 1 THEN '{1}' ELSE '{2}' END"
_GOING = """CASE WHEN status = 'planned' THEN 'planned' WHEN ended IS NOT NULL OR status = 'finished' THEN 'finished'
    WHEN status = 'active' THEN 'in-progress' ELSE 'unknown' END"""
_ENCOUNTER = {
    "id": "'s' || stay", "status": _GOING,
    "class": f"{{'system': '{_ACT}', 'code': CASE kind WHEN 'venue' THEN 'IMP' WHEN 'psy' THEN 'IMP' WHEN 'smr' THEN 'IMP' "
             "WHEN 'emergency' THEN 'EMER' WHEN 'had' THEN 'HH' ELSE 'AMB' END}",
    "type": "CASE WHEN kind IS NOT NULL THEN [{'text': kind}] END", "subject": _SUBJECT,
    "period": "CASE WHEN began IS NOT NULL THEN {'start': began, 'end': ended} END",
    "hospitalization": "CASE WHEN entry_mode IS NOT NULL OR exit_mode IS NOT NULL THEN {'admitSource': CASE WHEN entry_mode IS NOT NULL THEN "
                       "{'text': entry_mode} END, 'dischargeDisposition': CASE WHEN exit_mode IS NOT NULL THEN {'text': exit_mode} END} END",
    "serviceProvider": "{'reference': 'Organization/holder'}",
}  # fmt: skip
_DOCUMENT = {
    "id": "'d' || document", "status": "'current'", "type": "{'text': kind}", "subject": _SUBJECT, "description": "nullif(trim(title), '')",
    "context": "CASE WHEN visit IS NOT NULL OR began IS NOT NULL THEN {'encounter': CASE WHEN visit IS NOT NULL THEN "
               "[{'reference': 'Encounter/' || visit}] END, 'period': CASE WHEN began IS NOT NULL THEN {'start': began} END} END",
    "content": "CASE WHEN length(trim(text)) > 0 THEN [{'attachment': json_merge_patch('{}', to_json({'contentType': 'text/plain; charset=utf-8', "
               "'data': base64(encode(text))}))}] ELSE [{'attachment': json_merge_patch('{}', to_json({'title': coalesce(title, kind)}))}] END",
}  # fmt: skip
_QUANTITY = f"""CASE WHEN value IS NOT NULL THEN {{'value': value, 'comparator': sign, 'unit': unit,
    'system': CASE WHEN unit IS NOT NULL THEN '{_UCUM}' END, 'code': unit}} END"""
_BOUND = f"""CASE WHEN {{0}} IS NOT NULL THEN {{{{'value': {{0}}, 'unit': unit, 'system': CASE WHEN unit IS NOT NULL THEN '{_UCUM}' END, 'code': unit}}}} END"""


def _resources() -> dict[str, dict[str, str]]:
    """The body of each resource of a fact."""
    common = {"id": "id", "subject": _SUBJECT}
    seen = common | {"encounter": _OF_VISIT, "code": _CODE}
    ranges = f"json_merge_patch('{{}}', to_json({{'low': {_BOUND.format('low')}, 'high': {_BOUND.format('high')}}}))"
    answer = "value IS NULL AND value_code"
    drug = common | {"medicationReference": "{'reference': 'Medication/m' || concept}"}
    return {
        "Observation": seen | {
            "meta": core.observation_profile(), "status": _TOLD.format("cancelled", "preliminary", "final"),
            "category": f"CASE WHEN {core.VITAL} THEN [{{'coding': [{{'system': '{_CATEGORY}', 'code': 'vital-signs'}}]}}] "
                        f"WHEN kind = 'laboratory' THEN [{{'coding': [{{'system': '{_CATEGORY}', 'code': 'laboratory'}}]}}] END",
            "effectiveDateTime": "began", "valueQuantity": _QUANTITY,
            "valueCodeableConcept": f"CASE WHEN {answer} IS NOT NULL THEN {{'coding': [{{'system': value_system, 'code': value_code, 'display': value_label}}]}} END",
            "valueString": f"CASE WHEN {answer} IS NULL THEN nullif(trim(value_text), '') END",
            "referenceRange": f"CASE WHEN low IS NOT NULL OR high IS NOT NULL THEN [{ranges}] END",
        },
        "Condition": seen | {
            "verificationStatus": f"{{'coding': [{{'system': '{_VERIFICATION}', 'code': {_TOLD.format('entered-in-error', 'provisional', 'confirmed')}}}]}}",
            "onsetDateTime": "began", "abatementDateTime": "ended",
        },
        "Procedure": seen | {
            "status": _TOLD.format("not-done", "in-progress", "completed"),
            "performedDateTime": "CASE WHEN ended IS NULL THEN began END",
            "performedPeriod": "CASE WHEN ended IS NOT NULL THEN {'start': began, 'end': ended} END",
        },
        "MedicationRequest": drug | {
            "meta": core.request_profile(), "encounter": _OF_VISIT, "status": "'active'", "intent": "'order'", "authoredOn": "began",
            "dosageInstruction": f"CASE WHEN {core.DOSED} THEN [{core.dosage('doseAndRate')}] END",
        },
        "MedicationAdministration": drug | {
            "meta": core.administration_profile(), "context": _OF_VISIT, "status": _TOLD.format("not-done", "in-progress", "completed"),
            "effectiveDateTime": "CASE WHEN ended IS NULL THEN began END",
            "effectivePeriod": "CASE WHEN ended IS NOT NULL THEN {'start': began, 'end': ended} END",
            "dosage": f"CASE WHEN {core.DOSED} THEN {core.dosage('dose')} END",
        },
        "MedicationDispense": drug | {"context": _OF_VISIT, "status": "'completed'", "whenHandedOver": "began", "quantity": _QUANTITY},
        "MedicationStatement": drug | {
            "context": _OF_VISIT, "status": _TOLD.format("not-taken", "unknown", "completed"), "effectiveDateTime": "began",
            "dosage": f"CASE WHEN {core.DOSED} THEN [{core.dosage('doseAndRate')}] END",
        },
    }  # fmt: skip


def _lines(
    holding: Holding, folder: Path, account: Account, relation: str, name: str, resource: Mapping[str, str], source: str
) -> None:
    """One line per row of the source, in its order. Merging a resource into nothing takes its nulls out."""
    body = ", ".join(f"'{key}': {value}" for key, value in resource.items())
    query = f"SELECT CAST(json_merge_patch('{{}}', to_json({{'resourceType': '{name}', {body}}})) AS VARCHAR) AS line FROM {source}"
    written = 0
    path = folder / f"{name}.ndjson"
    with path.open("a", encoding="utf-8", newline="\n") as file:
        for batch in holding.connection.sql(query).to_arrow_reader(_BATCH):
            file.writelines(f"{line}\n" for line in batch.column(0).to_pylist())
            written += batch.num_rows
    if not path.stat().st_size:
        path.unlink()
    if written:
        account.wrote(relation, name, written)
