"""WFDB annotation files in the MIT format (annot(5) of the WFDB Applications Guide)."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field

from estran.sources.signal.recording import Mark, Unread

LARGEST = 256 << 20  # bytes of an annotation file
_SKIP, _NUM, _SUB, _CHN, _AUX = 59, 60, 61, 62, 63
_NOTE, _RHYTHM, _NOISE = 22, 28, 14
# Codes of ecgcodes.h that are beats, with the letters that PhysioNet shows.
BEATS = {
    1: "N", 2: "L", 3: "R", 4: "a", 5: "V", 6: "F", 7: "J", 8: "A", 9: "S", 10: "E", 11: "j", 12: "/", 13: "Q",
    25: "B", 30: "?", 34: "e", 35: "n", 38: "f", 41: "r",
}  # fmt: skip
BEAT_LABELS = {
    "N": "Battement normal", "L": "Bloc de branche gauche", "R": "Bloc de branche droit", "B": "Bloc de branche",
    "A": "Extrasystole auriculaire", "a": "Extrasystole auriculaire aberrante", "J": "Extrasystole jonctionnelle",
    "S": "Extrasystole supraventriculaire", "V": "Extrasystole ventriculaire", "r": "Extrasystole R sur T",
    "F": "Battement de fusion", "e": "Échappement auriculaire", "j": "Échappement jonctionnel",
    "n": "Échappement supraventriculaire", "E": "Échappement ventriculaire", "/": "Battement stimulé",
    "f": "Fusion d'un battement stimulé", "Q": "Battement inclassable", "?": "Battement non classé",
}  # fmt: skip
RHYTHMS = {
    "AB": "Bigéminisme auriculaire", "AFIB": "Fibrillation auriculaire", "AFL": "Flutter auriculaire",
    "B": "Bigéminisme ventriculaire", "BII": "Bloc auriculoventriculaire du 2e degré", "IVR": "Rythme idioventriculaire",
    "N": "Rythme sinusal", "NOD": "Rythme jonctionnel", "P": "Rythme stimulé", "PREX": "Préexcitation",
    "SBR": "Bradycardie sinusale", "SVTA": "Tachyarythmie supraventriculaire", "T": "Trigéminisme ventriculaire",
    "VFL": "Flutter ventriculaire", "VT": "Tachycardie ventriculaire",
}  # fmt: skip


@dataclass
class Annotations:
    """What an annotation file says: times in samples of `frequency` (None: the record's own)."""

    beats: list[int] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    rhythms: list[tuple[int, str]] = field(default_factory=list)  # sample, code
    notes: list[tuple[int, str]] = field(default_factory=list)
    frequency: float | None = None


def read_annotations(raw: bytes) -> Annotations:
    """Raises Unread when the file is not one; a file cut short gives what it holds."""
    if len(raw) > LARGEST:
        raise Unread("malformed", "The annotation file is larger than 256 MB.")
    found, at, time, last = Annotations(), 0, 0, (0, 0)
    while at + 2 <= len(raw):
        (word,) = struct.unpack_from("<H", raw, at)
        code, interval, at = word >> 10, word & 0x3FF, at + 2
        if not word:
            break
        if code == _SKIP:
            if at + 4 > len(raw):
                break
            high, low = struct.unpack_from("<hH", raw, at)  # the high half comes first
            time, at = time + (high << 16) + low, at + 4
        elif code == _AUX:
            _auxiliary(found, last, raw[at : at + interval].rstrip(b"\0").decode("latin-1"))
            at += interval + (interval & 1)
        elif code not in (_NUM, _SUB, _CHN):
            if code > 49:
                raise Unread("malformed", "The annotation file holds a code that no annotation has.")
            time += interval
            last = (code, time)
            _plain(found, code, time)
    return found


def _plain(found: Annotations, code: int, time: int) -> None:
    if code in BEATS:
        found.beats.append(time)
        found.kinds[BEATS[code]] += 1


def _auxiliary(found: Annotations, last: tuple[int, int], text: str) -> None:
    """The words that follow an annotation: a rhythm that begins, a note, or the file's own time scale."""
    code, time = last
    if text.startswith("## time resolution:"):
        try:
            found.frequency = float(text.partition(":")[2]) or None
        except ValueError:
            found.frequency = None
    elif code == _RHYTHM and text.startswith("("):
        found.rhythms.append((time, text[1:].strip()))
    elif text and not text.startswith("##"):
        found.notes.append((time, text[:500]))


def marks_of(found: Annotations, frequency: float, seconds: float) -> list[Mark]:
    """Rhythms, each until the next, and notes."""
    scale = found.frequency or frequency
    marks = []
    ends = [time for time, _ in found.rhythms[1:]] + [None]
    for (time, rhythm), end in zip(found.rhythms, ends, strict=False):
        last = end / scale if end is not None else seconds
        known = rhythm in RHYTHMS
        marks.append(
            Mark(time / scale, max(last - time / scale, 0.0), RHYTHMS[rhythm] if known else rhythm,
                 "WFDB-rhythm" if known else "", rhythm if known else "")
        )  # fmt: skip
    marks += [Mark(time / scale, None, text) for time, text in found.notes]
    return sorted(marks, key=lambda mark: (mark.start, mark.text))
