"""The words of the text form: what is read in both languages, and what each language prints.

Patterns are matched on folded text (lower case, accents removed, same length).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from estran.model.codes import Sex

Lang = Literal["fr", "en"]


def fold(text: str) -> str:
    """Lower case without accents, character by character, so that positions stay true."""
    return "".join(unicodedata.normalize("NFD", char)[0].lower()[:1] or char for char in text)


AND, OR, EXCEPT = (re.compile(p) for p in (r"(et|and)\b(?!:)", r"(ou|or)\b(?!:)", r"(sauf|except|but\s+not)\b(?!:)"))
# Ordinary French words: only capitals make them operators.
NOT, THEN, DURING = (re.compile(p) for p in (r"(non|not)\b(?!:)", r"(puis|then)\b(?!:)", r"(pendant|during)\b(?!:)"))
ANY_CASE, CAPITALS = (AND, OR, EXCEPT), (NOT, THEN, DURING)

_DAYS = r"(?:jours?|days?|j|d)"
_HOURS = r"(?:heures?|hours?|h)"
DELAY = re.compile(
    rf"\[\s*(?P<low>-?\d{{1,9}})?\s*(?P<dots>\.\.)?\s*(?P<high>-?\d{{1,9}})?\s*(?P<unit>{_DAYS}|{_HOURS})\s*\]"
)
HEADS = {
    name: re.compile(pattern + r"\s*\(")
    for name, pattern in {
        "same stay": r"(meme\s+sejour|same\s+stay)",
        "same document": r"(meme|same)\s+document",
        "same movement": r"(meme\s+mouvement|same\s+movement)",
        "same group": r"(meme\s+groupe|same\s+group)",
        "same patient": r"(meme|same)\s+patient",
        "at least": r"(au\s+moins|at\s+least)\s+(?P<n>\d{1,9})\s+(de|of)",
        "window": rf"(dans(\s+les)?|within)\s+(?P<n>\d{{1,9}})\s*{_DAYS}",
        "first": r"(premiere?|first)",
        "last": r"(derniere?|last)",
        "nth": r"occurrence\s+(?P<n>\d{1,9})",
        "follow-up": rf"(suivi|follow-?up)\s+(?P<n>\d{{1,9}})\s*{_DAYS}",
        "wash-out": rf"wash-?out\s+(?P<n>\d{{1,9}})\s*{_DAYS}",
        "mother": r"(mere\s+de|mother\s+of)",
        "child": r"(enfant\s+de|child\s+of)",
        "twin": r"(jum(eau|elle)\s+de|twin\s+of)",
        "patient": r"patient",
        "patients": r"patients",
        "stay": r"(sejour|stay)",
        "movement": r"(mouvement|movement)",
        "document": r"document",
        "media": r"media",
        "permission": r"permission",
        "everyone": r"(tous|everyone)",
    }.items()
}
PREFIXES = {
    name: re.compile(pattern)
    for name, pattern in {
        "age": r"age\s*:?\s*(?=[<>=])|age\s*:\s*(?=[\d.])|age\s+(?=\d+\s*\.\.|\.\.\s*\d)",
        "sex": r"sexe?\s*[:=]\s*",
        "text": r"texte?\s*:\s*(?=[('])",
        "kind": r"(type|kind)\s*[:=]\s*",
        "cohort": r"cohorte?\s*:\s*",
        "gene": r"genes?\s*:\s*",
        "variant": r"variant\s*:\s*",
    }.items()
}
DOMAINS = {
    "dx": "CIM10", "diag": "CIM10", "diagnostic": "CIM10", "diagnosis": "CIM10",
    "labo": "LOINC", "lab": "LOINC", "bio": "LOINC",
    "med": "ATC", "medicament": "ATC", "drug": "ATC",
    "acte": "CCAM", "procedure": "CCAM",
}  # fmt: skip
RESERVED_PREFIXES = frozenset(["age", "sex", "sexe", "text", "texte", "type", "kind", "cohort", "cohorte", "titre", "title", "gene", "genes", "variant", "impact"])
RESERVED_WORDS = frozenset(
    ["et", "and", "ou", "or", "sauf", "except", "but", "non", "not", "puis", "then", "pendant", "during", "age", "sex", "sexe", "text", "texte", "type", "kind"]
)

SEXES = {
    "f": Sex.FEMALE, "femme": Sex.FEMALE, "female": Sex.FEMALE, "h": Sex.MALE, "m": Sex.MALE, "homme": Sex.MALE,
    "male": Sex.MALE, "autre": Sex.OTHER, "other": Sex.OTHER, "inconnu": Sex.UNKNOWN, "unknown": Sex.UNKNOWN,
}  # fmt: skip
SEX_WORDS: dict[Lang, dict[Sex, str]] = {
    "fr": {Sex.FEMALE: "F", Sex.MALE: "H", Sex.OTHER: "autre", Sex.UNKNOWN: "inconnu"},
    "en": {Sex.FEMALE: "F", Sex.MALE: "M", Sex.OTHER: "other", Sex.UNKNOWN: "unknown"},
}

_PRINTED = {
    "and": ("ET", "AND"), "or": ("OU", "OR"), "except": ("SAUF", "EXCEPT"), "not": ("NON", "NOT"),
    "then": ("PUIS", "THEN"), "during": ("PENDANT", "DURING"),
    "same stay": ("MÊME SÉJOUR", "SAME STAY"), "same document": ("MÊME DOCUMENT", "SAME DOCUMENT"),
    "same movement": ("MÊME MOUVEMENT", "SAME MOVEMENT"), "same group": ("MÊME GROUPE", "SAME GROUP"),
    "same patient": ("MÊME PATIENT", "SAME PATIENT"),
    "at least": ("AU MOINS {} DE", "AT LEAST {} OF"), "window": ("DANS {} JOURS", "WITHIN {} DAYS"),
    "first": ("PREMIER", "FIRST"), "last": ("DERNIER", "LAST"), "nth": ("OCCURRENCE {}", "OCCURRENCE {}"),
    "follow-up": ("SUIVI {} JOURS", "FOLLOW-UP {} DAYS"), "wash-out": ("WASHOUT {} JOURS", "WASHOUT {} DAYS"),
    "mother": ("MÈRE DE", "MOTHER OF"), "child": ("ENFANT DE", "CHILD OF"), "twin": ("JUMEAU DE", "TWIN OF"),
    "patient": ("patient", "patient"), "patients": ("patients", "patients"), "stay": ("séjour", "stay"),
    "movement": ("mouvement", "movement"), "document": ("document", "document"), "media": ("média", "media"),
    "permission": ("permission", "permission"), "everyone": ("tous", "everyone"),
    "day": ("jours", "days"), "hour": ("heures", "hours"), "text": ("texte", "text"), "cohort": ("cohorte", "cohort"),
    "genes": ("gène", "gene"), "variant": ("variant", "variant"), "impacts": ("impact", "impact"),
    "sexes": ("sexe", "sex"), "age": ("âge", "age"), "times": ("{}x", "{}x"), "apart": ("écart", "apart"),
    "no descendants": ("sans descendants", "no descendants"), "roles": ("role", "role"),
    "statuses": ("statut", "status"), "contexts": ("contexte", "context"), "origins": ("origine", "origin"),
    "precision": ("précision", "precision"), "parent": ("parent", "parent"), "values": ("valeur", "value"),
    "kinds": ("type", "kind"), "kind": ("type", "kind"), "scope": ("portée", "scope"), "days": ("durée", "duration"),
    "entries": ("entrée", "entry"), "exits": ("sortie", "exit"), "units": ("unité", "unit"),
    "responsibilities": ("responsabilité", "responsibility"), "modalities": ("modalité", "modality"),
    "areas": ("zone", "area"), "born": ("né", "born"), "alive": ("vivant", "alive"), "dead": ("décédé", "dead"),
    "any": ("tous", "any"),
}  # fmt: skip


def word(name: str, lang: Lang) -> str:
    """What the language prints for a name."""
    return _PRINTED[name][0 if lang == "fr" else 1]
