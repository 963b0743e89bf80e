"""The truth about full-text search, slowly: reads every text and applies the written rules.

Shares nothing with the index but the nodes of the query: its own folding, its own cutting into
words, and the pure Python `snowballstemmer`.
"""

from __future__ import annotations

import itertools
import unicodedata
from dataclasses import dataclass
from functools import cache

from snowballstemmer.french_stemmer import FrenchStemmer

from estran.text.query import And, Filtered, Near, Not, Or, Phrase, Prefix, TextQuery, Word

TAGS = ("[NOM]", "[PRENOM]", "[TEL]", "[DATE_NAISSANCE]", "[ADRESSE]", "[MAIL]", "[NUMERO]", "[VILLE]", "[URL]")
LETTERS = {"œ": "oe", "æ": "ae", "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ı": "i", "µ": "u", "μ": "u",
           **dict.fromkeys("ʼʹʻ", "'")}  # fmt: skip
IRREGULAR = {
    "yeux": "oeil", "benigne": "benin", "benignes": "benin", "maligne": "malin", "malignes": "malin",
    "seche": "sec", "seches": "sec", "grosse": "gros", "grosses": "gros", "basse": "bas", "basses": "bas",
    "epaisse": "epais", "epaisses": "epais", "active": "actif", "actives": "actif", "travaux": "travail",
    "cheveux": "cheveu", "maux": "mal",
}  # fmt: skip


@dataclass(frozen=True)
class Document:
    text: str
    title: str = ""
    kind: str = "case"


def matches(query: TextQuery, document: Document) -> bool:
    return _matches(query, document, document.text)


def _matches(query: TextQuery, document: Document, text: str) -> bool:
    match query:
        case And(parts):
            return all(_matches(part, document, text) for part in parts)
        case Or(parts):
            return any(_matches(part, document, text) for part in parts)
        case Not(part):
            return not _matches(part, document, text)
        case Filtered("title", inner):
            return _matches(inner, document, document.title)
        case Filtered("kind", Word(kind)):
            return document.kind == kind
        case Word(word):
            return follows(stems(text), stems(word))
        case Phrase(words):
            return follows(stems(text), stems(" ".join(words)))
        case Prefix(beginning):
            return any(word.startswith(folded_words(beginning)[0]) for word in folded_words(text) if word[0] != "[")
        case Near(words, distance):
            return stands_near(stems(text), set(stems(" ".join(words))), distance)
    raise AssertionError(query)


def follows(text: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return any(text[i : i + len(wanted)] == wanted for i in range(len(text) - len(wanted) + 1))


def stands_near(text: tuple[str, ...], wanted: set[str], distance: int) -> bool:
    """Every two of the words at most `distance` apart somewhere."""
    places = {one: [i for i, word in enumerate(text) if word == one] for one in wanted}
    pairs = itertools.combinations(wanted, 2)
    near = all(any(abs(i - j) <= distance for i in places[a] for j in places[b]) for a, b in pairs)
    return near and all(places.values())


@cache
def stems(text: str) -> tuple[str, ...]:
    return tuple(stem(word) for word in folded_words(text))


@cache
def folded_words(text: str) -> tuple[str, ...]:
    """Runs of letters and digits of the folded text; a tag counts as a word of its own."""
    for number, tag in enumerate(TAGS):
        text = text.replace(tag, f" {chr(0xE000 + number)} ")
    words, current = [], ""
    for char in folded(text) + " ":
        if char.isalnum():
            current += char
            continue
        if current:
            words.append(current)
        if 0xE000 <= ord(char) < 0xE000 + len(TAGS):
            words.append(TAGS[ord(char) - 0xE000])
        current = ""
    return tuple(words)


def folded(text: str) -> str:
    text = "".join(" " if unicodedata.category(c)[0] == "S" else c for c in text)  # ™ is no letter
    plain = unicodedata.normalize("NFKD", "".join(c.lower() for c in text)).lower()
    kept = "".join(c for c in plain if unicodedata.category(c) not in ("Mn", "Mc", "Me", "Cf"))
    for letter, twin in LETTERS.items():
        kept = kept.replace(letter, twin)
    return kept


@cache
def stem(word: str) -> str:
    if not word.isalpha():
        return word
    word = IRREGULAR.get(word, word)
    singular, plural = (word[:-1], "s") if word.endswith("s") else (word, "")
    if (singular.endswith("ee") and len(singular) >= 4) or singular.endswith("iere"):
        word = singular[:-1] + plural
    elif (
        (word.endswith("oux") and len(word) >= 5)
        or word.endswith("yaux")
        or (word.endswith("s") and len(word) >= 5 and word[-2] in "aiou")
    ):
        word = word[:-1]
    return FrenchStemmer().stemWord(word)
