"""What the common core of French hospital warehouses asks of FHIR resources, and which of ours say that they meet it.

Source: the ANS guide "socle commun des entrepôts de données de santé hospitaliers" (MIT). A profile is named only where all
that it requires is there: EDSPatient wants the sexes of the national identity, EDSMedicationAdministration a dosage,
EDSClaimRSS exactly one main diagnosis and both modes of the stay. Nothing directly identifying is written.
"""

from __future__ import annotations

_GUIDE = "https://interop.esante.gouv.fr/ig/fhir/eds"
_UCUM = "http://unitsofmeasure.org"
ROLES = "('DP', 'DR', 'DAS', 'DAD')"
# LOINC of height and weight, and the units that the profiles of FR Core take.
VITAL = "(vocabulary = 'LOINC' AND code IN ('8302-2', '29463-7'))"
_MEASURED = "value IS NOT NULL AND began IS NOT NULL AND sign IS NULL"
DOSED = "(value IS NOT NULL OR role IS NOT NULL)"


def _profile(name: str, when: str) -> str:
    return f"CASE WHEN {when} THEN {{'profile': ['{_GUIDE}/StructureDefinition/{name}']}} END"


def organization(name: str) -> dict[str, str]:
    """Who holds the data."""
    return {"id": "'holder'", "active": "true", "name": f"'{name.replace(chr(39), chr(39) * 2)}'"}


PATIENT = {
    "id": "who", "meta": _profile("EDSPatient", "coalesce(sex, 'unknown') <> 'other'"), "gender": "coalesce(sex, 'unknown')",
    "birthDate": "born", "deceasedDateTime": "dead", "deceasedBoolean": "CASE WHEN dead IS NULL THEN died END",
    "managingOrganization": "{'reference': 'Organization/holder'}",
}  # fmt: skip


def observation_profile() -> str:
    """Height in centimetres and weight in kilograms or grams are those of the core."""
    height = f"{VITAL} AND code = '8302-2' AND unit = 'cm' AND {_MEASURED}"
    weight = f"{VITAL} AND code = '29463-7' AND unit IN ('kg', 'g') AND {_MEASURED}"
    return f"coalesce({_profile('EDSObservationBodyHeight', height)}, {_profile('EDSObservationBodyWeight', weight)})"


def request_profile() -> str:
    """A prescription with what is to be given, or how."""
    return _profile("EDSMedicationRequest", f"{DOSED} AND vocabulary IN ('ATC', 'UCD')")


def administration_profile() -> str:
    """A drug given, with its date and its dose or route."""
    return _profile("EDSMedicationAdministration", f"{DOSED} AND vocabulary IN ('ATC', 'UCD')")


def dosage(dose: str) -> str:
    """A Dosage, or the backbone of an administration: route and dose, with no null inside."""
    quantity = (
        f"{{'value': value, 'unit': unit, 'system': CASE WHEN unit IS NOT NULL THEN '{_UCUM}' END, 'code': unit}}"
    )
    given = f"CASE WHEN value IS NOT NULL THEN {quantity} END"
    if dose == "doseAndRate":
        given = (
            f"CASE WHEN value IS NOT NULL THEN [json_merge_patch('{{}}', to_json({{'doseQuantity': {quantity}}}))] END"
        )
    return f"json_merge_patch('{{}}', to_json({{'route': CASE WHEN role IS NOT NULL THEN {{'text': role}} END, '{dose}': {given}}}))"


# Drugs: one Medication per code. By ATC it is a product under its common name, by UCD a branded one.
_KIND = "CASE vocabulary WHEN 'ATC' THEN 'FrMedicationNonproprietaryName' WHEN 'UCD' THEN 'FrMedicationUcd' END"
MEDICATIONS = "named SEMI JOIN medicine USING (concept) ORDER BY concept"
MEDICATION = {
    "id": "'m' || concept",
    "meta": f"CASE WHEN {_KIND} IS NOT NULL THEN {{'profile': ['{_GUIDE}/StructureDefinition/' || {_KIND}]}} END",
    "code": "{'coding': [{'system': system, 'code': code, 'display': label}], 'text': label}",
    "ingredient": "[{'itemCodeableConcept': {'text': label}}]",
}  # fmt: skip

# Summaries of the PMSI: the documents that hold diagnoses with a role.
SUMMARIES = f"SELECT count(*) FROM event WHERE role IN {ROLES} AND kind = 'diagnosis' AND document IS NOT NULL"
_SUMMARY = f"""
SELECT document, any_value(who) AS who, any_value(visit) AS visit, min(start_date) AS day,
       list({{'sequence': rank, 'diagnosisCodeableConcept': {{'coding': [{{'system': system, 'code': code, 'display': label}}]}},
              'type': [{{'coding': [{{'system': '{_GUIDE}/CodeSystem/PMSIMCODiagType', 'code': CASE role WHEN 'DAS' THEN 'DA' ELSE role END}}]}}]}}
            ORDER BY rank) AS diagnosis, count(*) FILTER (role = 'DP') AS main, count(*) FILTER (role = 'DR') AS related
FROM (SELECT *, CAST(row_number() OVER (PARTITION BY document ORDER BY role <> 'DP', n) AS INTEGER) AS rank FROM event
      WHERE role IN {ROLES} AND kind = 'diagnosis' AND document IS NOT NULL) GROUP BY document"""
COVERED = f"(SELECT DISTINCT who FROM event WHERE role IN {ROLES} AND kind = 'diagnosis' AND document IS NOT NULL ORDER BY who)"
COVERAGE = {
    "id": "'c' || who", "status": "'active'", "beneficiary": "{'reference': 'Patient/' || who}",
    "payor": "[{'display': 'Assurance maladie'}]",
}  # fmt: skip
CLAIMS = f"""
(SELECT s.*, strftime(day, '%Y-%m-%d') AS created, v.began, v.ended, v.entry_mode, v.exit_mode, acts.procedure
 FROM ({_SUMMARY}) s LEFT JOIN visit v ON 's' || v.stay = s.visit
 LEFT JOIN (SELECT document, list(json_merge_patch('{{}}', to_json({{'sequence': rank, 'date': began,
                'procedureCodeableConcept': {{'coding': [{{'system': system, 'code': code, 'display': label}}]}}}})) ORDER BY rank) AS procedure
            FROM (SELECT *, CAST(row_number() OVER (PARTITION BY document ORDER BY n) AS INTEGER) AS rank FROM event WHERE kind = 'procedure')
            GROUP BY document) acts USING (document)
 WHERE day IS NOT NULL ORDER BY document)"""


def _mode(sequence: int, code: str, value: str) -> str:
    category = f"{{'coding': [{{'system': '{_GUIDE}/CodeSystem/FrClaimSupInfoCategoryPMSIMCO', 'code': 'RUM'}}]}}"
    told = f"{{'coding': [{{'system': '{_GUIDE}/CodeSystem/FrClaimMode', 'code': '{code}'}}]}}"
    return f"{{'sequence': {sequence}, 'category': {category}, 'code': {told}, 'valueString': {value}}}"


_MODES = "entry_mode IS NOT NULL AND exit_mode IS NOT NULL"
CLAIM = {
    "id": "'r' || document", "meta": _profile("EDSClaimRSS", f"main = 1 AND related <= 1 AND {_MODES}"), "status": "'active'",
    "type": f"{{'coding': [{{'system': '{_GUIDE}/CodeSystem/FrClaimType', 'code': 'PMSIMCO'}}]}}", "use": "'claim'",
    "patient": "{'reference': 'Patient/' || who}", "created": "created", "provider": "{'reference': 'Organization/holder'}",
    "billablePeriod": "CASE WHEN began IS NOT NULL THEN {'start': began, 'end': ended} END",
    "priority": "{'coding': [{'system': 'http://terminology.hl7.org/CodeSystem/processpriority', 'code': 'normal'}]}",
    "supportingInfo": f"CASE WHEN {_MODES} THEN [{_mode(1, '0', 'entry_mode')}, {_mode(2, '1', 'exit_mode')}] END",
    "insurance": "[{'sequence': 1, 'focal': true, 'coverage': {'reference': 'Coverage/c' || who}}]",
    "diagnosis": "diagnosis", "procedure": "procedure",
    "item": "CASE WHEN visit IS NOT NULL THEN [{'sequence': 1, 'productOrService': {'text': 'séjour'}, 'encounter': [{'reference': 'Encounter/' || visit}]}] END",
}  # fmt: skip
