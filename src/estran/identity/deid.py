"""De-identification of texts: what the vault knows of the patient first, then rules.

Deterministic and idempotent: a text is read again until nothing more is found, and what was masked
is never read again. Dates other than birth dates, and hospitals, stay: research needs them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from estran.identity import patterns as p
from estran.identity.folding import fold
from estran.identity.known import KnownMasks
from estran.identity.names import Mask
from estran.identity.rules import Scene, apply_rules, digit_rules, spread
from estran.identity.traits import Known

DEID_VERSION = 1  # raised whenever a text could be masked otherwise; texts of older versions are redone

_NOTHING = Known()
_ORDER = {
    tag: rank for rank, tag in enumerate((p.MAIL, p.URL, p.BIRTH, p.TEL, p.NUMBER, p.NOM, p.PRENOM, p.ADDRESS, p.TOWN))
}
_JOINED = frozenset((p.NOM, p.PRENOM, p.ADDRESS, p.TOWN))  # side by side, they are one
_LETTERS_OF_A_NAME, _DIGITS_OF_A_DATE = 3, 4
_NARROW = re.compile(r"[\s\-\u2010-\u2015.'’]{0,2}")


class Deidentifier:
    """Masks the texts of one patient, or of nobody in particular."""

    def __init__(self, known: Known | None = None) -> None:
        self._known = KnownMasks(known) if known and known != _NOTHING else None

    def redact(self, text: str, also: Sequence[str] = ()) -> str:
        """`text` (NFC) with identities replaced by tags; `also` lists further numbers, such as the stay's."""
        if not unicodedata.is_normalized("NFC", text):
            text = unicodedata.normalize("NFC", text)
        extra = _of_numbers(tuple(also)) if also else None
        while True:
            masks = self._find(text, extra)
            if not masks:
                return text
            text = _replace(text, masks)

    def masks(self, text: str, also: Sequence[str] = ()) -> list[Mask]:
        """What one reading of `text` finds, in order, without overlap."""
        return self._find(text, _of_numbers(tuple(also)) if also else None)

    def _find(self, text: str, extra: KnownMasks | None) -> list[Mask]:
        scene = Scene(text, fold(text))
        apply_rules(scene)
        spread(scene)
        if self._known:
            self._known.find(scene)
        if extra:
            extra.find(scene)
        for found in p.DIGITS.finditer(text):
            start, run = found.start(), found[0]
            if self._known:
                self._known.find_digits(scene, start, run)
            if extra:
                extra.find_digits(scene, start, run)
            digit_rules(scene, start, run)
        return _settled(text, scene.masks) if scene.masks else []


@lru_cache(maxsize=20_000)
def _of_numbers(numbers: tuple[str, ...]) -> KnownMasks:
    return KnownMasks(Known(numbers=numbers))


def _settled(text: str, masks: list[Mask]) -> list[Mask]:
    """Masks without overlap: those that overlap become one, under the tag that says most."""
    if "[" in text:
        tags = [found.span() for found in p.TAG.finditer(text)]
        masks = [m for m in masks if not any(start < m.end and m.start < end for start, end in tags)]
    settled: list[Mask] = []
    for mask in sorted(masks, key=lambda m: (m.start, -m.end, _ORDER[m.tag])):
        last = settled[-1] if settled else None
        if last and mask.start < last.end:
            tag = last.tag if last.end - last.start >= mask.end - mask.start else mask.tag
            settled[-1] = Mask(last.start, max(last.end, mask.end), tag)
        elif last and mask.tag == last.tag and mask.tag in _JOINED and _beside(text, last.end, mask.start):
            settled[-1] = Mask(last.start, mask.end, last.tag)
        else:
            settled.append(mask)
    return settled


def _beside(text: str, end: int, start: int) -> bool:
    return start - end <= 2 and "\n" not in text[end:start] and _NARROW.fullmatch(text, end, start) is not None


_ANYBODY = Deidentifier()


@lru_cache(maxsize=65_536)
def harmless(text: str) -> bool:
    """Whether no patient's masks could change a short text, whoever the patient is.

    Too few letters for a name, a street or a month, too few digits for a number or a date (see
    `KnownMasks`), and the rules for everybody find nothing.
    """
    letters, digits = sum(c.isalpha() for c in fold(text)), sum(c.isdigit() for c in text)
    few = letters < _LETTERS_OF_A_NAME and digits < _DIGITS_OF_A_DATE and "@" not in text
    return few and _ANYBODY.redact(text) == text


def _replace(text: str, masks: list[Mask]) -> str:
    pieces: list[str] = []
    at = 0
    for mask in masks:
        pieces += (text[at : mask.start], mask.tag)
        at = mask.end
    pieces.append(text[at:])
    return "".join(pieces)


@lru_cache(maxsize=20_000)
def deidentifier(known: Known | None) -> Deidentifier:
    """The deidentifier of a patient, kept for the next text."""
    return Deidentifier(known)


def redact_all(texts: Sequence[str | None], knowns: Sequence[Known | None]) -> list[str | None]:
    """Each text masked with what is known of its patient; None stays None."""
    return [None if t is None else deidentifier(k).redact(t) for t, k in zip(texts, knowns, strict=True)]
