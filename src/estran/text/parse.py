"""The search bar: from what a person types to the nodes of `text.query`.

    insuffisance cardiaque            both words, anywhere
    "insuffisance cardiaque"          the phrase
    cardi*                            words that begin so
    "douleur thorax"~5                both words, at most 5 words apart, in any order
    fièvre ET toux · fièvre OU toux   AND, OR, NOT, ET, OU, NON in capitals; AND binds tighter
    fièvre SAUF toux · fièvre -toux   without the word (`sauf` in small letters too)
    titre:scanner  type:imagerie      title: and kind: likewise, with French or house names of kinds

An elided article is dropped from a bare word (`l'abdomen` asks for `abdomen`) and kept inside quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

from estran.model.codes import DocumentKind
from estran.model.errors import UsageError
from estran.text import analysis
from estran.text.query import And, Filtered, Near, Not, Or, Phrase, Prefix, TextQuery, Word, is_bounded

FIELDS: Final[dict[str, Literal["title", "kind"]]] = {
    "titre": "title", "title": "title", "type": "kind", "kind": "kind",
}  # fmt: skip
FRENCH_KINDS: Final = {
    "sortie": DocumentKind.DISCHARGE, "hospitalisation": DocumentKind.DISCHARGE, "operatoire": DocumentKind.OPERATIVE,
    "courrier": DocumentKind.LETTER, "lettre": DocumentKind.LETTER, "cas": DocumentKind.CASE,
    "laboratoire": DocumentKind.LABORATORY, "biologie": DocumentKind.LABORATORY, "anapath": DocumentKind.PATHOLOGY,
    "anatomopathologie": DocumentKind.PATHOLOGY, "imagerie": DocumentKind.IMAGING, "urgences": DocumentKind.EMERGENCY,
    "urgence": DocumentKind.EMERGENCY, "soins": DocumentKind.NURSING, "ordonnance": DocumentKind.PRESCRIPTION,
    "chimiotherapie": DocumentKind.CHEMOTHERAPY, "genomique": DocumentKind.GENOMICS,
    "dentaire": DocumentKind.ODONTOLOGY, "odontologie": DocumentKind.ODONTOLOGY,
    "acte": DocumentKind.PROCEDURE, "diagnostic": DocumentKind.DIAGNOSIS,
    "allergie": DocumentKind.ALLERGY, "vaccination": DocumentKind.IMMUNIZATION, "dispositif": DocumentKind.DEVICE,
    "mesure": DocumentKind.MEASUREMENT, "autre": DocumentKind.OTHER,
}  # fmt: skip

_CLOSING = {'"': '"', "“": "”", "«": "»"}
_OPERATORS = {"AND": "and", "ET": "and", "OR": "or", "OU": "or", "NOT": "not", "NON": "not", "SAUF": "except",
              "sauf": "except"}  # fmt: skip
_BARE = re.compile(r"[^\s()\"“”«»]+")
_FIELD = re.compile(r"([^\W\d_]+):")
_DISTANCE = re.compile(r"~(\d+)(?=[\s)]|$)")
_ELISION = re.compile(r"^(?:l|d|j|m|t|s|c|n|qu|jusqu|lorsqu|puisqu)'(?=\w)")
_Role = Literal["(", ")", "and", "or", "not", "except", "field", "leaf", "end"]
_DEEPEST = 50


@dataclass(frozen=True, slots=True)
class _Piece:
    role: _Role
    at: int
    field: Literal["title", "kind"] = "title"
    leaf: TextQuery | None = None


def parse(text: str) -> TextQuery:
    """The question that `text` asks; UsageError says what is wrong, at which character, and what to type."""
    pieces = _pieces(text)
    if len(pieces) == 1:
        raise UsageError("The search is empty.", where="character 1", hint="type at least one word")
    query = _Parser(pieces).everything()
    if not is_bounded(query):
        raise UsageError(
            "The search says only what to leave out.", where="character 1",
            hint="add a word that must be there, for example: fièvre SAUF toux",
        )  # fmt: skip
    return query


def _refuse(what: str, at: int, hint: str) -> NoReturn:
    raise UsageError(what, where=f"character {at + 1}", hint=hint)


def _leaf(at: int, make: Callable[[], TextQuery]) -> _Piece:
    return _Piece("leaf", at, leaf=_born(at, make))


def _born(at: int, make: Callable[[], TextQuery]) -> TextQuery:
    """The node that `make` makes; what it refuses at birth is told with its place."""
    try:
        return make()
    except UsageError as error:
        raise UsageError(error.what, where=f"character {at + 1}", hint=error.hint) from None


def _pieces(text: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif text[at] in "()":
            pieces.append(_Piece("(" if text[at] == "(" else ")", at))
            at += 1
        elif text[at] in _CLOSING or text[at] in "”»":
            at = _read_quoted(text, at, pieces)
        else:
            at = _read_bare(text, at, pieces)
    return [*pieces, _Piece("end", len(text))]


def _read_quoted(text: str, at: int, pieces: list[_Piece]) -> int:
    end = text.find(_CLOSING.get(text[at], ""), at + 1) if text[at] in _CLOSING else -1
    if end < 0:
        _refuse("A quotation mark has no partner.", at, "close the quotes, or take the mark away")
    inside = text[at + 1 : end]
    if "*" in inside:
        _refuse("The star does not work inside quotes.", at, "write the word with its star outside the quotes")
    distance = _DISTANCE.match(text, end + 1)
    if distance is None:
        if text[end + 1 : end + 2] == "~":
            _refuse("The number of words is missing after ~.", end + 1, 'write for example "douleur thorax"~5')
        pieces.append(_leaf(at, lambda: _phrase(inside)))
        return end + 1
    pieces.append(_leaf(at, lambda: Near(tuple(inside.split()), int(distance[1]))))
    return distance.end()


def _phrase(inside: str) -> TextQuery:
    parts = tuple(inside.split())
    return Word(parts[0]) if len(parts) == 1 else Phrase(parts)


def _read_bare(text: str, at: int, pieces: list[_Piece]) -> int:
    if text[at] == "-":
        if at + 1 < len(text) and not text[at + 1].isspace():
            pieces.append(_Piece("not", at))
        return at + 1
    field = _FIELD.match(text, at)
    if field:
        pieces.append(_field(field[1], at))
        return field.end()
    run = _BARE.match(text, at)
    word = run[0] if run else text[at]
    role = _OPERATORS.get(word)
    if role is not None:
        pieces.append(_Piece(role, at))  # type: ignore[arg-type]
    else:
        pieces.append(_leaf(at, lambda: _bare_word(word)))
    return at + len(word)


def _field(name: str, at: int) -> _Piece:
    field = FIELDS.get(analysis.fold(name))
    if field is None:
        _refuse("Documents have no such field.", at, "use titre: or type:, or put the text in quotes")
    return _Piece("field", at, field=field)


def _bare_word(word: str) -> TextQuery:
    if "~" in word:
        raise UsageError("~ goes after a phrase in quotes.", hint='write for example "douleur thorax"~5')
    bare = _ELISION.sub("", analysis.fold(word))
    elided = len(analysis.fold(word)) - len(bare)
    kept = word[elided:] if elided else word
    if "*" in kept.rstrip("*") or kept.endswith("**") or kept == "*":
        raise UsageError("The star goes at the end of a word.", hint="write for example cardi*")
    return Prefix(kept[:-1]) if kept.endswith("*") else Word(kept)


class _Parser:
    """Recursive descent: or > and > not > (field) leaf or parentheses."""

    def __init__(self, pieces: list[_Piece]) -> None:
        self._pieces = pieces
        self._next = 0
        self._depth = 0

    def everything(self) -> TextQuery:
        query = self._either()
        if self._here.role == ")":
            _refuse("A closing parenthesis has no partner.", self._here.at, "take it away, or open one before")
        return query

    @property
    def _here(self) -> _Piece:
        return self._pieces[self._next]

    def _take(self) -> _Piece:
        piece = self._here
        self._next += 1
        return piece

    def _either(self) -> TextQuery:
        parts = [self._both()]
        while self._here.role == "or":
            self._take()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self) -> TextQuery:
        parts = [self._negated()]
        while self._here.role not in ("or", ")", "end"):
            if self._here.role == "and":
                self._take()
            elif self._here.role == "except":
                self._take()
                parts.append(Not(self._negated()))
                continue
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _negated(self) -> TextQuery:
        if self._here.role in ("not", "except"):
            self._deeper()
            self._take()
            query = Not(self._negated())
            self._depth -= 1
            return query
        return self._part()

    def _part(self) -> TextQuery:
        piece = self._take()
        if piece.role == "field":
            return self._of_field(piece)
        if piece.role == "(":
            return self._group(piece)
        if piece.leaf is None:
            self._next -= 1
            _refuse("A word is missing here.", piece.at, "put a word, a phrase in quotes or ( … ) at this place")
        return piece.leaf

    def _group(self, opening: _Piece) -> TextQuery:
        self._deeper()
        if self._here.role == ")":
            _refuse("The parentheses are empty.", opening.at, "put words between them, or take them away")
        query = self._either()
        if self._take().role != ")":
            _refuse("A parenthesis is not closed.", opening.at, "add ) at the end of the group")
        self._depth -= 1
        return query

    def _of_field(self, piece: _Piece) -> TextQuery:
        inner = self._part()
        if piece.field == "kind":
            inner = _kind(inner, piece.at)
        return _born(piece.at, lambda: Filtered(piece.field, inner))

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            _refuse("The search is nested too deeply.", self._here.at, f"use at most {_DEEPEST} levels")


def _kind(query: TextQuery, at: int) -> TextQuery:
    name = analysis.fold(query.text) if isinstance(query, Word) else ""
    if name not in set(DocumentKind) and name not in FRENCH_KINDS:
        _refuse("This is not a kind of document.", at,
                f"use one of {', '.join(DocumentKind)}, or in French {', '.join(FRENCH_KINDS)}")  # fmt: skip
    return Word(str(FRENCH_KINDS.get(name, name)))
