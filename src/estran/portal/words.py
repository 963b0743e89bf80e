"""The closed lists of the house, in words. Each message is written here in English and translated by gettext."""

from __future__ import annotations

import re

from estran.portal.language import Language


def _(message: str) -> str:
    """Marks a message for extraction."""
    return message


WORDS: dict[str, dict[str, str]] = {
    "sex": {"female": _("Women"), "male": _("Men"), "other": _("Other"), "unknown": _("Unknown")},
    "sex_one": {"female": _("woman"), "male": _("man"), "other": _("other sex"), "unknown": _("unknown sex")},
    "document": {
        "discharge": _("Discharge summary"), "consultation": _("Consultation"), "operative": _("Operative report"),
        "letter": _("Letter"), "case": _("Case report"), "laboratory": _("Laboratory report"),
        "pathology": _("Pathology report"), "imaging": _("Imaging report"), "emergency": _("Emergency report"),
        "nursing": _("Nursing note"), "prescription": _("Prescription"), "administration": _("Administration"),
        "pmsi": _("PMSI summary"), "chemotherapy": _("Chemotherapy"), "genomics": _("Genomics"),
        "odontology": _("Odontology"), "procedure": _("Procedure"), "diagnosis": _("Diagnosis"),
        "allergy": _("Allergy"), "immunization": _("Immunization"), "device": _("Device"),
        "measurement": _("Measurement"), "observation": _("Observation"), "coverage": _("Coverage"),
        "signal": _("Recording"),
        "other": _("Other"),
    },
    "stay": {
        "dossier": _("Administrative file"), "venue": _("Hospital stay"), "consultation": _("Outpatient visit"),
        "emergency": _("Emergency visit"), "session": _("Session"), "had": _("Hospital at home"),
        "smr": _("Rehabilitation"), "psy": _("Psychiatry"),
    },
    "concept": {
        "diagnosis": _("Diagnosis"), "procedure": _("Procedure"), "drug": _("Drug"), "laboratory": _("Laboratory"),
        "observation": _("Observation"), "demographic": _("Demographic"), "other": _("Code"),
    },
    "lane": {
        "stay": _("Stays"), "diagnosis": _("Diagnoses"), "procedure": _("Procedures"), "laboratory": _("Laboratory"),
        "drug": _("Drugs"), "document": _("Documents"), "observation": _("Observations"),
    },
    "status": {
        "0": _("final"), "1": _("preliminary"), "2": _("ordered"), "3": _("dispensed"), "4": _("given"),
        "5": _("not given"), "6": _("cancelled"),
    },
    "document_status": {"0": _("Current"), "1": _("Preliminary"), "2": _("Cancelled")},
    "alert": {
        "silent": _("silent"), "rejects": _("many rejects"), "drift": _("codes never seen"), "missing": _("never came"),
    },
    "job": {"retry": _("Read quarantine again:"), "reload": _("Reload"), "unload": _("Take back load")},
    "origin": {"0": _("coded"), "1": _("read in the text"), "2": _("derived")},
    "context": {
        "1": _("negated"), "2": _("hypothetical"), "4": _("family"), "8": _("history"), "16": _("reported"),
        "32": _("planned"),
    },
    "role": {
        "owner": _("Key holder"), "administrator": _("Administrator"), "data_engineer": _("Clinical data centre"),
        "methodologist": _("Methodologist"), "researcher": _("Researcher"), "clinician": _("Clinician"),
        "dim_physician": _("Physician of medical information"), "industrial_partner": _("Industrial partner"),
        "teacher": _("Teacher"), "committee_member": _("Committee member"), "expert": _("Outside expert"),
        "data_protection_officer": _("Data protection officer"), "auditor": _("Auditor"),
        "hub_operator": _("Hub operator"), "viewer": _("Viewer"),
    },
    "scope": {
        "holdings": _("Totals of the site"), "count": _("Count patients"), "search": _("Search documents"),
        "snippets": _("See the documents found"),
    },
    "method": {
        "password": _("Password"), "code": _("Password and code"), "recovery": _("Password and recovery code"),
        "passkey": _("Passkey"), "oidc": _("Identity provider"),
    },
    "action": {
        "holdings": _("Totals of the site"), "feeds": _("Health of the feeds"), "operate": _("Work on the feeds"),
        "concepts": _("Look a code up"), "count": _("Count a question"), "search": _("Search the texts"),
        "snippets": _("Extracts of documents"), "document": _("Read a document"), "patients": _("Patients of a cohort"),
        "timeline": _("Timeline of a patient"), "save": _("Save a cohort"), "open": _("Open a saved cohort"),
        "audit": _("Read the audit trail"), "care": _("Open a record for care"), "identity": _("See who somebody is"), "accounts": _("Change accounts"), "sign-in": _("Sign in"),
        "sign-out": _("Sign out"),
    },
    "rule": {
        "many_patients": _("Many patients within an hour"), "odd_hours": _("By night or at the weekend"),
        "same_patient": _("One patient again and again"), "first_access": _("Never opened before"),
        "refusals": _("Refused again and again"), "opened_for_care": _("Records opened for care"),
    },
    "wrong": {
        "altered": _("altered"), "removed": _("lines removed"), "inserted": _("line put in"),
        "reordered": _("lines moved"), "rewritten": _("lines rewritten"), "truncated": _("end cut off"),
        "forged": _("forged checkpoint"), "unguarded": _("protection of the database taken away"),
    },
    "theme": {"auto": _("Automatic"), "light": _("Light"), "dark": _("Dark")},
}


_UNITS = {"Cel": "°C", "mm[Hg]": "mmHg", "[IU]/L": "UI/L", "{ratio}": "", "1": ""}
_POWERS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def unit(ucum: str) -> str:
    """A UCUM unit as people write it: µmol/L, 10⁹/L, °C."""
    said = _UNITS.get(ucum, ucum)
    if said.startswith("u") and len(said) > 1 and said[1] in "mgLkU":
        said = "µ" + said[1:]
    return re.sub(r"10\*(\d+)", lambda m: "10" + m[1].translate(_POWERS), said)


def word(spoken: Language, kind: str, text: str | int) -> str:
    """The word of a closed list in a language; the text itself when it is not in the list."""
    message = WORDS[kind].get(str(text))
    return spoken.text(message) if message else str(text)
