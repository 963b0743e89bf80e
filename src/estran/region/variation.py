"""The same words from different hands: abbreviations, punctuation, lost accents, slips of the keyboard.

Variants are made once, when sentences are compiled, each piece of a sentence from a generator seeded by
its own words; writing a report then only looks them up. Without them reports would compress like a
form; with them they take the room that real ones take.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from estran.region.dice import Dice
from estran.region.shelf import toml

VARIANTS = 24
_SHORTEST = 7  # letters of a piece worth varying
_WORD, _MARK, _SLIP, _ACCENT = 0.55, 0.6, 0.06, 0.1
_SHORTENED, _DROPPED, _SPACES, _CAPITALS = 0.16, 0.35, 0.06, 0.03
_LONG = re.compile(r"\b[a-zà-ÿ]{8,}(?![.\w'’])")
_ARTICLE = re.compile(r"(?<!['’])\b(?:le|la|les|un|une|des|du|de la|de) (?=\w{3})")
_PIECES = re.compile(r"(?<=[,.;:]) (?=\S)|(?<=\S) (?=\S{4,})")


@lru_cache(maxsize=1)
def _words() -> tuple[dict[str, list[str]], dict[str, list[str]], re.Pattern[str], re.Pattern[str]]:
    held = toml("variations.toml")
    words, marks = held["word"], held["mark"]
    return (
        words,
        marks,
        re.compile(r"\b(?:" + "|".join(map(re.escape, words)) + r")\b"),
        re.compile("|".join(map(re.escape, marks))),
    )


def pieces(text: str) -> Iterator[str]:
    """`text` cut where hands may differ, nothing lost."""
    start = 0
    for found in _PIECES.finditer(text):
        if found.end() - start >= 15:
            yield text[start : found.end()]
            start = found.end()
    if start < len(text):
        yield text[start:]


@lru_cache(maxsize=1 << 16)
def by_hand(text: str) -> tuple[str, ...]:
    """Ways to write `text`, the plain one first and drawn as often as the others; one when it is too short to differ."""
    if sum(c.isalpha() for c in text) < _SHORTEST and not any(mark in text for mark in (", ", ". ")):
        return (text,)
    dice = Dice("variants", text)
    return (text, *(_vary(text, dice) for _ in range(VARIANTS - 1)))


def _vary(text: str, dice: Dice) -> str:
    words, marks, word, mark = _words()
    text = word.sub(lambda f: dice.pick(words[f.group()]) if dice.chance() < _WORD else f.group(), text)
    text = mark.sub(lambda f: dice.pick(marks[f.group()]) if dice.chance() < _MARK else f.group(), text)
    text = _LONG.sub(lambda f: f"{f.group()[: dice.between(3, 6)]}." if dice.chance() < _SHORTENED else f.group(), text)
    text = _ARTICLE.sub(lambda f: "" if dice.chance() < _DROPPED else f.group(), text)
    if dice.chance() < _SPACES and " " in text.strip():
        text = text.replace(" ", "  ", 1)
    if dice.chance() < _CAPITALS:
        text = text.upper()
    if dice.chance() < _ACCENT:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return _slip(text, dice) if dice.chance() < _SLIP * min(1.0, len(text) / 25) else text


def _slip(text: str, dice: Dice) -> str:
    """One typing error between two letters: exchanged, dropped or doubled."""
    place = 1 + dice.below(max(1, len(text) - 2))
    here, following = text[place : place + 1], text[place + 1 : place + 2]
    if not (here.isalpha() and following.isalpha()):
        return text
    new = dice.pick((following + here, following, here + here + following))
    return f"{text[:place]}{new}{text[place + 2 :]}"
