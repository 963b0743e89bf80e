"""Text criteria by plain scanning: the rules of `text.analysis` written a second time, slowly.

Own folding and tokens, stems by the pure-Python Snowball; only the nodes of a text question are shared.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass

import snowballstemmer

from estran.text.query import And, Filtered, Near, Not, Or, Phrase, Prefix, TextQuery, Word

_STEMMER = snowballstemmer.stemmer("french")
_TAG = re.compile(
    r"\[(?:NOM|PRENOM|DATE_NAISSANCE|DATE|TEL|MAIL|ADRESSE|NUMERO|VILLE|CODE_POSTAL|NSS|IPP|NDA|HOPITAL|ZIP|SECU)\]"
)
_LETTERS = {"œ": "oe", "æ": "ae", "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ı": "i", "µ": "u", "μ": "u"}
_IRREGULAR = {
    "yeux": "oeil", "benigne": "benin", "benignes": "benin", "maligne": "malin", "malignes": "malin",
    "seche": "sec", "seches": "sec", "grosse": "gros", "grosses": "gros", "basse": "bas", "basses": "bas",
    "epaisse": "epais", "epaisses": "epais", "active": "actif", "actives": "actif", "travaux": "travail",
    "cheveux": "cheveu", "maux": "mal",
}  # fmt: skip
_LONGEST = 64


@dataclass(frozen=True)
class PlainDocument:
    """A document as a list of words; a redaction tag is a word that nothing matches."""

    words: tuple[str, ...]
    stems: tuple[str, ...]
    title: tuple[str, ...]
    title_words: tuple[str, ...]
    kind: str


def document(text: str, title: str | None, kind: str) -> PlainDocument:
    """Cut a text and a title into words."""
    words, heading = cut(text), cut(title or "")
    return PlainDocument(words, tuple(map(stem, words)), tuple(map(stem, heading)), heading, kind)


def matches(query: TextQuery, found: PlainDocument) -> bool:
    """Whether a document answers a text question."""
    if isinstance(query, And):
        return all(matches(part, found) for part in query.parts)
    if isinstance(query, Or):
        return any(matches(part, found) for part in query.parts)
    if isinstance(query, Not):
        return not matches(query.part, found)
    if isinstance(query, Filtered):
        if query.field == "title":
            return matches(query.query, PlainDocument(found.title_words, found.title, (), (), ""))
        return isinstance(query.query, Word) and query.query.text == found.kind
    return _leaf(query, found)


def _leaf(query: Word | Phrase | Prefix | Near, found: PlainDocument) -> bool:
    if isinstance(query, Prefix):
        start = cut(query.text)[0]
        return any(word.startswith(start) for word in found.words)
    if isinstance(query, Near):
        return _near(tuple(dict.fromkeys(map(stem, cut(" ".join(query.words))))), query.distance, found.stems)
    wanted = tuple(map(stem, cut(query.text if isinstance(query, Word) else " ".join(query.words))))
    return any(found.stems[at : at + len(wanted)] == wanted for at in range(len(found.stems)))


def _near(wanted: tuple[str, ...], distance: int, stems: tuple[str, ...]) -> bool:
    places = [[at for at, one in enumerate(stems) if one == word] for word in wanted]
    return any(max(choice) - min(choice) <= distance for choice in itertools.product(*places))


def cut(text: str) -> tuple[str, ...]:
    """Folded words in order."""
    found: list[str] = []
    at = 0
    for tag in _TAG.finditer(text):
        found += [*_runs(text[at : tag.start()]), tag.group()]
        at = tag.end()
    return tuple(found + _runs(text[at:]))


def _runs(text: str) -> list[str]:
    letters = "".join(fold(char) for char in text)
    runs = "".join(char if char.isalnum() else " " for char in letters).split()
    return [run[:_LONGEST] for run in runs]


def fold(char: str) -> str:
    """One character in lower case without accents; nothing for marks and invisible characters."""
    if unicodedata.category(char) == "Cf":
        return ""
    lower = char.lower()
    parts = _LETTERS.get(lower) or unicodedata.normalize("NFKD", lower)
    kept = (one for one in parts.lower() if not unicodedata.category(one).startswith("M"))
    return "".join(_LETTERS.get(one, one) for one in kept)


def stem(word: str) -> str:
    """The stem of one folded word; words with a digit and tags are left alone."""
    if not word.isalpha():
        return word
    word = _IRREGULAR.get(word, word)
    word = re.sub(r"(?<=..)ee(s?)$", r"e\1", word)
    word = re.sub(r"iere(s?)$", r"ier\1", word)
    word = re.sub(r"(?<=..)oux$", "ou", word)
    word = re.sub(r"yaux$", "yau", word)
    word = re.sub(r"(?<=...[aiou])s$", "", word)
    return str(_STEMMER.stemWord(word)) or word
