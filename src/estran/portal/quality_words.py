"""What checks, figures and columns of the catalogue are called on pages."""

from __future__ import annotations

from estran.catalog.checks import Check
from estran.portal.language import Language
from estran.portal.words import _

CHECKS = {
    "sex-of-list": _("The sex is one of the list"), "stay-unit-known": _("The ward of a stay exists"),
    "movement-stay-known": _("The stay of a movement exists"), "movement-unit-known": _("The ward of a movement exists"),
    "document-stay-known": _("The stay of a document exists"), "fact-stay-known": _("The stay of a fact exists"),
    "fact-concept-known": _("The code of a fact exists"), "fact-standard-code": _("The code of a fact is a standard one"),
    "unit-parent-known": _("The unit above a ward exists"), "sex-known": _("The sex is known"),
    "birth-known": _("The month of birth is known"), "residence-known": _("The area of residence is known"),
    "stay-dated": _("A stay has a start"), "stay-kind-known": _("The kind of a stay is known"),
    "stay-ended": _("A hospital stay of six months ago has ended"), "stay-in-ward": _("A hospital stay has a ward"),
    "stay-documented": _("A hospital stay has a document"), "stay-coded": _("A hospital stay has a PMSI summary"),
    "report-has-text": _("A report has its text"), "fact-dated": _("A fact has a date"),
    "value-has-unit": _("A laboratory value has its unit"), "age-possible": _("Nobody is older than 120"),
    "female-code": _("Diagnoses of women only"), "male-code": _("Diagnoses of men only"),
    "limits-in-order": _("The lower limit is below the upper one"), "value-not-negative": _("A laboratory value is not negative"),
    "percentage-in-range": _("A percentage is between 0 and 100"),
    "value-near-limits": _("A value is within a hundred times its limits"), "birth-not-future": _("Nobody is born in the future"),
    "death-after-birth": _("Death comes after birth"), "death-not-future": _("No death in the future"),
    "stay-ends-after-start": _("A stay ends after it starts"), "stay-not-future": _("No stay begins in the future"),
    "stay-after-birth": _("A stay begins after birth"), "stay-before-death": _("A stay begins before death"),
    "stay-not-endless": _("A hospital stay lasts less than a year"), "stays-apart": _("Hospital stays do not overlap"),
    "movement-ends-after-start": _("A movement ends after it starts"), "movement-within-stay": _("A movement lies within its stay"),
    "document-not-future": _("No document in the future"), "document-after-birth": _("A document comes after birth"),
    "fact-not-future": _("No fact in the future"), "fact-after-birth": _("A fact comes after birth"),
    "fact-before-death": _("A fact comes before death"), "fact-within-stay": _("A fact lies within its stay"),
    "fact-ends-after-start": _("A fact ends after it starts"),
}  # fmt: skip
OHDSI = {
    "isRequired": _("The field is filled, which it must be"), "isForeignKey": _("What the field refers to exists"),
    "isStandardValidConcept": _("The code is standard and valid"), "measureValueCompleteness": _("The field is filled"),
    "standardConceptRecordCompleteness": _("The record has a standard code"),
    "sourceValueCompleteness": _("Codes of the source are mapped"), "plausibleValueLow": _("The value is not too low"),
    "plausibleValueHigh": _("The value is not too high"), "plausibleTemporalAfter": _("The date comes after another"),
    "plausibleDuringLife": _("The date lies within life"), "plausibleStartBeforeEnd": _("The start comes before the end"),
    "plausibleAfterBirth": _("The date comes after birth"), "plausibleBeforeDeath": _("The date comes before death"),
    "withinVisitDates": _("The date lies near the stay"), "plausibleGender": _("The code fits the sex"),
    "plausibleGenderUseDescendants": _("The code fits the sex"), "plausibleUnitConceptIds": _("The unit fits the code"),
}  # fmt: skip
KINDS = {
    "category": {
        "conformance": _("Conformance"), "completeness": _("Completeness"), "plausibility": _("Plausibility"),
        "temporal": _("Dates"),
    },
    "figure": {"stays": _("Stays"), "sessions": _("Sessions"), "ghm": _("GHM"), "deaths": _("Deaths")},
    "subject": {"table": _("Table"), "document": _("Kind of document"), "source": _("Source"), "variable": _("Variable")},
    "table": {
        "patient": _("Patients"), "relation": _("Family links"), "permission": _("Oppositions and consents"), "stay": _("Stays"),
        "stay_link": _("Links between stays and summaries"), "movement": _("Movements"), "unit": _("Wards and units"),
        "document": _("Documents"), "text": _("Texts"), "fact": _("Facts"), "fact_attribute": _("Attributes of facts"),
        "media": _("Images and recordings"), "variant": _("Genetic variants"), "concept": _("Codes"),
        "concept_ancestor": _("Hierarchy of codes"), "concept_synonym": _("Synonyms of codes"), "concept_map": _("Mappings of codes"),
        "load": _("Loads"), "quarantine": _("Quarantine"),
    },
    "filled": {
        "dated": _("dated"), "timed": _("with the time of day"), "in_stay": _("tied to a stay"), "in_unit": _("tied to a ward"),
        "authored": _("with a role of the author"), "texts": _("with a text"), "valued": _("with a value"),
        "united": _("values with a unit"), "coded": _("with a coded value"), "mapped": _("mapped from a local code"),
        "not_affirmed": _("negated, family, history..."), "from_text": _("read in a text"),
    },
    "way": {
        "entry:8": _("From home"), "entry:7": _("Transferred in"), "entry:6": _("From another unit"), "entry:": _("Way in unknown"),
        "entry:5": _("From emergency"), "entry:N": _("Born here"), "exit:8": _("To home"), "exit:7": _("Transferred out"),
        "exit:6": _("To another unit"), "exit:9": _("Died"), "exit:": _("Way out unknown"), "other": _("Other wards"),
    },
}  # fmt: skip


def called(spoken: Language, kind: str, text: str) -> str:
    """The word of a list in a language; the text itself when it is not in the list."""
    message = KINDS[kind].get(text)
    return spoken.text(message) if message else text


def check_name(spoken: Language, check: Check) -> str:
    """A check as a sentence."""
    message = CHECKS.get(check.key) or OHDSI.get(check.about[0] if check.about else "", "")
    return spoken.text(message) if message else check.key


def way(spoken: Language, node: str, labels: dict[str, str]) -> str:
    """A place of the ways through the hospital: a ward by its label, a way in or out in words."""
    if node in labels:
        return labels[node]
    message = KINDS["way"].get(node)
    return spoken.text(message) if message else node.partition(":")[2] or node
