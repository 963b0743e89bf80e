"""The closed lists of the house, in words. Each message is written here in English and translated by gettext."""

from __future__ import annotations

import re
from collections.abc import Mapping

from estran.portal.language import Language
from estran.portal.life_words import LIFE
from estran.portal.words_learning import LEARNING
from estran.portal.words_linkage import LINKAGE
from estran.portal.words_network import NETWORK
from estran.portal.words_own import OWN
from estran.portal.words_pool import POOL
from estran.portal.words_rights import RIGHTS


def _(message: str) -> str:
    """Marks a message for extraction."""
    return message


_HOUSE: dict[str, dict[str, str]] = {
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
    "area": {"elsewhere": _("Elsewhere"), "unknown": _("Not known")},
    "kinship": {
        "self": _("this patient"), "mother": _("mother"), "child": _("child"), "twin": _("twin"), "sibling": _("brother or sister"),
        "grandmother": _("grandmother"), "grandchild": _("grandchild"), "relative": _("relative"),
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
    "every": {"never": _("never"), "daily": _("every day"), "weekly": _("every week")},
    "number": {"number": _("Hospital numbers"), "ins": _("INS"), "": _("At the command line")},
    "alert": {
        "silent": _("silent"), "rejects": _("many rejects"), "drift": _("codes never seen"), "missing": _("never came"),
    },
    "job": {
        "retry": _("Read quarantine again:"),
        "reload": _("Reload"),
        "unload": _("Take back load"),
        "find-person": _("Find the person of request"),
        "carry-out": _("Carry out request"),
        "measure": _("Describe the data and run the checks"),
        "build-datamart": _("Build datamart"),
        "refresh-datamart": _("Refresh datamart"),
        "end-project": _("Destroy what was given to project"),
    },
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
        "catalogue": _("Read the catalogue"), "notes": _("Write a note of the catalogue"),
        "failures": _("Rows behind a failure"), "reconcile": _("Compare official figures"), "steering": _("Steering"),
        "review": _("Review charts"), "annotate": _("Mark texts"), "adjudicate": _("Settle reviews"),
        "review-lists": _("Manage reviews"), "review-export": _("Take reviews out"),
        "share": _("Share a saved cohort"), "follow": _("Follow a saved cohort"),
        "screen": _("Names of patients of a ward"),
        "import": _("Look a list of patient numbers up"),
        "audit": _("Read the audit trail"), "care": _("Open a record for care"), "identity": _("See who somebody is"), "accounts": _("Change accounts"), "sign-in": _("Sign in"),
        "sign-out": _("Sign out"), "projects": _("See projects"), "propose": _("Step of a project's team"),
        "consult": _("Advise a project"), "judge": _("Judge a project"), "preside": _("Conclude a session"),
        "run-projects": _("Handle a project"), "own-data": _("Declare data that a project brings"),
        "take-data": _("Take the data that a project brings"), "datamarts": _("See a datamart"), "build-datamart": _("Have a datamart built"),
        "workspace": _("Work in a workspace"), "provide": _("Provide a workspace"),
        "hand-in": _("Hand in to the airlock"), "release": _("Decide at the airlock"), "rights": _("Rights of patients"),
        "find-person": _("Find a person by hospital number"), "identities": _("Write names for the care side"),
        "registry": _("Registry sheet"), "export": _("Export in a foreign format"),
    },
    "datamart": {
        "live": _("available"), "deleted": _("destroyed"), "asked": _("asked for"), "building": _("under way"), "unfinished": _("unfinished"),
        "expired": _("expired"), "withdrawn": _("to be refreshed"),
    },
    "dates": {"shift": _("shifted by whole weeks"), "year": _("years only"), "none": _("true dates")},
    "aggregate": {
        "first": _("first value"), "last": _("last value"), "min": _("smallest value"), "max": _("largest value"),
        "mean": _("mean of the values"), "count": _("how many"), "any": _("whether there is any"), "all": _("every fact"),
    },
    "demographic": {
        "sex": _("sex"), "age": _("age"), "birth_year": _("year of birth"), "died": _("whether the patient died"),
        "death_date": _("date of death"), "residence_area": _("area of residence"), "index_date": _("index date"),
    },
    "form": {"parquet": "Parquet", "duckdb": "DuckDB", "csv": "CSV"},
    "table": {
        "patients": _("Patients"), "facts": _("Facts"), "stays": _("Stays"), "documents": _("Documents"), "codes": _("Codes"),
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
    "verdict": {
        "pass": _("nothing found"), "human": _("to be looked at"), "refuse": _("refused by the checks"),
        "include": _("Include"), "exclude": _("Exclude"), "doubt": _("Doubt"),
    },
    "release": {"waiting": _("waiting"), "released": _("left"), "refused": _("stayed")},
    "verdict_said": {"include": _("included"), "exclude": _("excluded"), "doubt": _("in doubt")},
    "stage": {
        "waiting": _("waiting to be read"), "agreed": _("agreed"), "disputed": _("to settle"), "settled": _("settled"),
    },
    "answer": {"yes": _("Yes"), "no": _("No")},
    "wrong_answer": {
        "required": _("An answer is needed."), "number": _("Write a number."), "integer": _("Write a whole number."),
        "date": _("Write a date."), "range": _("This is out of the range."), "choice": _("Choose one of the answers."),
    },
    "measure": {
        "kappa": _("Cohen’s kappa"), "weighted": _("Weighted kappa (linear)"), "fleiss": _("Fleiss’ kappa"),
        "alpha": _("Krippendorff’s alpha"), "alpha_interval": _("Krippendorff’s alpha (distances)"),
        "f1_exact": _("F1, same bounds"), "f1_overlap": _("F1, overlapping"),
    },
    "difference": {"verdict": _("Decision"), "comment": _("Comment")},
    "theme": {"auto": _("Automatic"), "light": _("Light"), "dark": _("Dark")},
}


def _together(*books: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """The lists of all rooms, those of one name being one list; ValueError when two say otherwise of the same word."""
    found: dict[str, dict[str, str]] = {}
    for book in books:
        for kind, words in book.items():
            known = found.setdefault(kind, {})
            if twice := [word for word in words if known.get(word, words[word]) != words[word]]:
                raise ValueError(f"{kind}: {twice}")
            known.update(words)
    return found


WORDS = _together(_HOUSE, LIFE, RIGHTS, OWN, NETWORK, LEARNING, LINKAGE, POOL)


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
