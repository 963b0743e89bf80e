"""Names as different desks write them: one form for those that differ in nothing that counts, and how they sound.

Hyphens, spaces, apostrophes, accents, ligatures and case say nothing; "St" is "Saint". The sound is a short key of our
own in the manner of Soundex, for French: letters that are heard alike become one, silent ones go.
"""

from __future__ import annotations

import re
from functools import lru_cache

from estran.identity.folding import fold

_LIGATURES = str.maketrans({"œ": "oe", "Œ": "oe", "æ": "ae", "Æ": "ae", "ß": "ss"})
_NO_LETTER = re.compile("[^a-z]+")
_ALIKE = {"st": "saint", "ste": "sainte", "mme": "", "mlle": ""}
_PARTICLES = frozenset(["de", "du", "des", "le", "la", "les", "da", "das", "do", "dos", "di", "el", "al", "ben", "bin", "bint", "van", "von", "der", "den", "ait", "ould"])
_REMEMBERED = 20_000  # names whose forms are kept at hand while tokens are made
_SHORTEST = 4  # letters of a name in which one may be wrong
_SOUNDS = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"sch|sh", "ch"), (r"ph", "f"), (r"(?<!c)h", ""), (r"ch(?=[rlnt])", "k"), (r"eaux?$|aulx?$|ault$|aud$|eau|au", "o"),
        (r"tion", "sion"), (r"gn", "N"), (r"ge(?=[ao])|g(?=[eiy])", "j"), (r"gu(?=[eiy])", "g"), (r"qu|q|ck|c(?=[^eiyh]|$)", "k"),
        (r"c(?=[eiy])", "s"), (r"w", "v"), (r"x", "ks"), (r"y", "i"), (r"z", "s"), (r"oe", "e"), (r"[ae]i", "e"),
        (r"(?:ein|en|in|im|un|um)(?![aeioun])", "I"), (r"(?:an|am|em)(?![aeioumn])", "A"), (r"(?:on|om)(?![aeioumn])", "O"),
        (r"(.)\1+", r"\1"), (r"(?<=.)[dtsp]+$", ""), (r"(?<=..)e[rts]*$", ""), (r"(.)\1+", r"\1"),
    )
)  # fmt: skip


def words(name: str) -> list[str]:
    """The words of a name, in small letters without accents."""
    plain = _NO_LETTER.split(fold(name.translate(_LIGATURES)))
    return [found for word in plain if (found := _ALIKE.get(word, word))]


@lru_cache(_REMEMBERED)
def joined(name: str) -> str:
    """All letters of a name in one word."""
    return "".join(words(name))


@lru_cache(_REMEMBERED)
def parts(name: str) -> tuple[str, ...]:
    """Those words of a compound name that are names themselves; none of a simple name."""
    found = tuple(word for word in words(name) if len(word) > 2 and word not in _PARTICLES)
    return found if joined(name) not in found else ()


def sound(word: str) -> str:
    """How a word of plain letters sounds; words that sound alike have one sound."""
    for pattern, heard in _SOUNDS:
        word = pattern.sub(heard, word)
    return word


@lru_cache(_REMEMBERED)
def near(word: str, most: int) -> tuple[str, ...]:
    """At most `most` forms, of which two words that differ by one letter (wrong, missing, doubled, or exchanged with the
    next) have one in common: the word itself, its sound, and the word without each of its letters in turn."""
    if not word:
        return ()
    found = [word, f"~{sound(word)}"]
    if len(word) >= _SHORTEST:
        found += [word[:place] + word[place + 1 :] for place in range(len(word))]
    return tuple(dict.fromkeys(found))[:most]
