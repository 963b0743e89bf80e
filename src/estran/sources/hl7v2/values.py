"""What OBX-5, OBX-6 and OBX-7 hold, read once per distinct text."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from estran.model.codes import Comparator, FactStatus
from estran.sources.hl7v2.message import part, parts, plain
from estran.sources.records import Code
from estran.terminology.systems import hl7_vocabulary

_DIGITS = r"(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_NUMBER = re.compile(rf"\s*(<=|>=|=<|=>|<|>|≤|≥|=)?\s*([+-]?{_DIGITS})\s*")
_INTERVAL = re.compile(rf"\s*([+-]?{_DIGITS})\s*(?:-|–|—|\bto\b|à)\s*([+-]?{_DIGITS})(?![0-9.,]).*", re.DOTALL)
_BOUND = re.compile(rf"\s*(<=|>=|=<|=>|<|>|≤|≥)\s*([+-]?{_DIGITS})(?![0-9.,]).*", re.DOTALL)
COMPARATORS: dict[str, int | None] = {
    "": None, "=": None, "<": int(Comparator.LT), ">": int(Comparator.GT), "<=": int(Comparator.LE),
    "=<": int(Comparator.LE), "≤": int(Comparator.LE), ">=": int(Comparator.GE), "=>": int(Comparator.GE),
    "≥": int(Comparator.GE),
}  # fmt: skip
# OBX-11 (HL7 table 0085).
STATUSES = {
    "F": FactStatus.FINAL, "C": FactStatus.FINAL, "U": FactStatus.FINAL, "A": FactStatus.FINAL, "B": FactStatus.FINAL,
    "": FactStatus.FINAL, "P": FactStatus.PRELIMINARY, "R": FactStatus.PRELIMINARY, "S": FactStatus.PRELIMINARY,
    "V": FactStatus.PRELIMINARY, "I": FactStatus.ORDERED, "O": FactStatus.ORDERED, "N": FactStatus.CANCELLED,
    "D": FactStatus.CANCELLED, "X": FactStatus.CANCELLED, "W": FactStatus.CANCELLED,
}  # fmt: skip
REMOVED = frozenset("DXW")
_MAX_LABEL = 250
_MAX_CODE = 100


class Number(NamedTuple):
    """A value and how it was reported; no comparator when it is exact."""

    value: float
    comparator: int | None


def read_number(text: str) -> Number | None:
    """The number that `text` writes, with its comparator; None when it is something else."""
    found = _NUMBER.fullmatch(text)
    if not found:
        return None
    value = _float(found.group(2))
    return None if value is None else Number(value, COMPARATORS[found.group(1) or ""])


def read_structured(field: str) -> tuple[Number | None, str]:
    """An SN: its number when it is one, else its text ('1:128', '5-10')."""
    pieces = [plain(p).strip() for p in field.split("^")]
    text = "".join(pieces)
    if len(pieces) >= 2 and not any(pieces[2:]) and pieces[0] in COMPARATORS:
        value = _float(pieces[1]) if _NUMBER.fullmatch(pieces[1]) else None
        if value is not None:
            return Number(value, COMPARATORS[pieces[0]]), text
    return read_number(text) if len(pieces) == 1 else None, text


def _float(text: str) -> float | None:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_range(field: str) -> tuple[float | None, float | None]:
    """Low and high of a reference range; (None, None) when it is not one."""
    text = plain(field.partition("^")[0])
    found = _INTERVAL.fullmatch(text)
    if found:
        return _float(found.group(1)), _float(found.group(2))
    found = _BOUND.fullmatch(text)
    if not found:
        return None, None
    value = _float(found.group(2))
    return (None, value) if COMPARATORS[found.group(1)] in (Comparator.LT, Comparator.LE) else (value, None)


def read_unit(field: str) -> str | None:
    """The unit as written, the UCUM one when OBX-6 gives several."""
    cwe = parts(field)
    for number in (1, 4):
        if part(cwe, number) and part(cwe, number + 2).upper() == "UCUM":
            return part(cwe, number)
    return part(cwe, 1) or part(cwe, 2) or None


def read_code(field: str, authority: str, lang: str, kind: str, default_system: str = "") -> Code | None:
    """The code of a CE or CWE with its alternate; None when it holds no code.

    `authority` names the sender, to whom codes without a coding system belong.
    """
    cwe = parts(field.partition("~")[0])
    codings = []
    for number in (1, 4, 10):
        code, label = part(cwe, number)[:_MAX_CODE], part(cwe, number + 1)[:_MAX_LABEL]
        if code:
            system = part(cwe, number + 2 if number < 10 else 12) or default_system
            codings.append((hl7_vocabulary(system, authority), code, label))
    if not codings:
        return None
    vocabulary, code, label = codings[0]
    return Code(vocabulary, code, label or part(cwe, 9)[:_MAX_LABEL], lang, kind, tuple(codings[1:]))


def read_label(field: str) -> str:
    """The words of a CE or CWE: its text, else its alternate's or the original text, else its code."""
    cwe = parts(field.partition("~")[0])
    return next(filter(None, (part(cwe, n) for n in (2, 5, 9, 1))), "")
