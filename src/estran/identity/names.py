"""Reading the names of a person at a place where a cue says there are some."""

from __future__ import annotations

import re
from typing import NamedTuple

from estran.identity.folding import WORD, common_words
from estran.identity.patterns import INITIAL, NOM, PARTICLES, PRENOM, STOPS, TOKEN

_FIRST_GAP = re.compile(r"[ \t\u00a0\u202f]{0,3}(?:\n[ \t]{0,3})?")
_GAP = re.compile(r"[ \t\u00a0\u202f]{1,2}|(?<=[.\-])")
_MOST = 5


class Mask(NamedTuple):
    """What is to be replaced: from `start` to before `end`, by `tag`."""

    start: int
    end: int
    tag: str


class _Token(NamedTuple):
    start: int
    end: int
    initial: bool
    upper: bool


def read_names(
    text: str, folded: str, at: int, *, lower: bool = False, cautious: bool = False, given: bool = False
) -> list[Mask]:
    """Names that begin at `at`, after white space.

    `lower` takes a first word in lower case when it is no common word; `cautious` refuses a first
    word that could be a common word or an acronym; `given` says that all are first names.
    """
    tokens: list[_Token] = []
    gap = _FIRST_GAP.match(text, at)
    while gap and len(tokens) < _MOST:
        token = _token(text, folded, gap.end(), tokens, lower)
        if token is None:
            break
        tokens.append(token)
        gap = _GAP.match(text, token.end)
    while tokens and _is_particle(folded, tokens[-1]):
        tokens.pop()
    while cautious and tokens and _is_particle(folded, tokens[0]) and not tokens[0].upper:
        tokens.pop(0)
    if not tokens or all(t.initial or _like_initials(text, t) for t in tokens):
        return []  # initials alone: published cases call their patients so
    if cautious and _doubtful(text, folded, tokens):
        return []
    return _tagged(tokens, given)


def _token(text: str, folded: str, at: int, before: list[_Token], lower: bool) -> _Token | None:
    initial = INITIAL.match(text, at)
    if initial:
        return _Token(at, initial.end(), True, False)
    found = TOKEN.match(text, at)
    if found is None or _glued(text, found.end()):
        return None
    end = found.end()
    raw, plain = text[at:end], folded[at:end]
    strong = sum(not t.initial and not _is_particle(folded, t) for t in before)
    common = plain in common_words()
    if plain in PARTICLES:
        taken = _capital_next(text, folded, end)
    elif _stops(plain):
        taken = False
    elif raw[0].isupper():
        after_initial = any(t.initial for t in before) and not strong and not raw.isupper()  # 'Mme H. Elle'
        taken = not (common and (strong >= 2 or after_initial))
    else:
        taken = (lower and not before and len(plain) > 2 and not common) or _elided(raw)
    return _Token(at, end, False, len(raw) > 1 and raw.isupper()) if taken else None


def _like_initials(text: str, token: _Token) -> bool:
    return token.end - token.start < 3 and text[token.start : token.end].isupper()


def _is_particle(folded: str, token: _Token) -> bool:
    return not token.initial and folded[token.start : token.end] in PARTICLES


def _stops(plain: str) -> bool:
    """One of the words is a stop word; single letters count alone only ('M-Antonin')."""
    parts = WORD.findall(plain)
    return any(part in STOPS and (len(part) > 1 or len(parts) == 1) for part in parts)


def _elided(raw: str) -> bool:
    """d'Almeida"""
    return raw[:2] in ("d'", "d’", "l'", "l’") and raw[2:3].isupper()


def _glued(text: str, end: int) -> bool:
    return end < len(text) and (text[end].isdigit() or text[end] in "_@/")


def _capital_next(text: str, folded: str, end: int) -> bool:
    gap = _GAP.match(text, end)
    found = TOKEN.match(text, gap.end()) if gap else None
    if found is None:
        return False
    plain = folded[found.start() : found.end()]
    if plain in PARTICLES:
        return _capital_next(text, folded, found.end())
    return text[found.start()].isupper() and not _stops(plain)


def _doubtful(text: str, folded: str, tokens: list[_Token]) -> bool:
    first = tokens[0]
    if first.initial:
        return False
    if folded[first.start : first.end] in common_words():
        return len(tokens) < 2 or all(folded[t.start : t.end] in common_words() for t in tokens[1:])
    return first.upper and first.end - first.start <= 4 and len(tokens) == 1


def _tagged(tokens: list[_Token], given: bool) -> list[Mask]:
    if given:
        return [Mask(t.start, t.end, PRENOM) for t in tokens]
    uppers = sum(t.upper for t in tokens)
    by_case = 0 < uppers < len(tokens)
    masks = []
    for place, token in enumerate(tokens):
        family = token.upper if by_case else uppers > 0 or place == len(tokens) - 1
        masks.append(
            Mask(token.start, token.end, NOM if family and (not token.initial or len(tokens) == 1) else PRENOM)
        )
    return masks
