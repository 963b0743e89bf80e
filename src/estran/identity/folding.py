"""Letters without case, accents or typographic variants, character for character.

A folded text has the length of the text itself, so that a place in one is a place in the other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib import resources

_SAME = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u00a0": " ", "\u202f": " ", "\u2010": "-",
                       "\u2011": "-", "\u0153": "o", "\u0152": "o", "\u2013": "-", "\u2014": "-"})  # fmt: skip
_EXTENDED = re.compile("[\u0100-\u0151\u0154-\u024f\u1e00-\u1eff]")  # the ligature oe is not slow
_COMMON = tuple((chr(c), p) for c, p in _SAME.items())
WORD = re.compile(r"[^\W\d_]+")


def _base(character: str) -> str:
    lowered = unicodedata.normalize("NFD", character.lower())[0]
    return {"\u00f8": "o", "\u0142": "l", "\u0111": "d", "\u00f0": "d"}.get(lowered, lowered)


_LATIN = bytes(ord(_base(chr(c))) if ord(_base(chr(c))) < 256 else c for c in range(256))
_TABLE = {c: _base(chr(c)) for c in [*range(0x250), *range(0x1E00, 0x1F00)]} | {k: ord(v) for k, v in _SAME.items()}


def fold(text: str) -> str:
    """`text` in lower case without accents, of the same length."""
    if _EXTENDED.search(text):
        return text.translate(_TABLE)
    if not text.isascii():
        for character, plain in _COMMON:
            text = text.replace(character, plain)
    return text.encode("latin-1", "replace").translate(_LATIN).decode("latin-1")


def words(texts: Iterable[str]) -> list[str]:
    """The folded words of `texts`."""
    return [word for text in texts for word in WORD.findall(fold(text))]


@cache
def common_words() -> frozenset[str]:
    """Folded words that French clinical texts write in lower case."""
    data = resources.files("estran.identity").joinpath("words_fr.txt").read_text("utf-8")
    return frozenset(fold(line) for line in data.split("\n") if line and not line.startswith("#"))
