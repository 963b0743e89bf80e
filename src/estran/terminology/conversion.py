"""One UCUM unit into another by a factor, where the two measure the same: metric prefixes, counts, times, masses of
amounts. What needs the mass of a molecule (mg/dL into mmol/L) is not converted here: the substance would have to be known.

Source: the Unified Code for Units of Measure, version 2.1, tables 1 and 2 and the customary units used in laboratories.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from estran.terminology.units import ucum

_PREFIXES: Mapping[str, int] = {
    "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "": 0, "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15,
}  # fmt: skip
_METRIC = (
    "mol",
    "[IU]",
    "eq",
    "osm",
    "kat",
    "Pa",
    "Gy",
    "Sv",
    "Bq",
    "cal",
    "L",
    "g",
    "m",
    "U",
    "J",
    "W",
    "V",
    "A",
    "s",
)
# Others, as a factor and what it is a factor of. A month and a year have no exact number of days: they are their own.
_OTHERS: Mapping[str, tuple[Fraction, str]] = {
    "min": (Fraction(60), "s"), "h": (Fraction(3600), "s"), "d": (Fraction(86_400), "s"), "wk": (Fraction(604_800), "s"),
    "(24.h)": (Fraction(86_400), "s"), "%": (Fraction(1, 100), ""), "[ppth]": (Fraction(1, 1000), ""), "1": (Fraction(1), ""),
    "": (Fraction(1), ""), "[lb_av]": (Fraction(45_359_237, 100_000), "g"), "[in_i]": (Fraction(254, 10_000), "m"),
    "mm[Hg]": (Fraction(133_322_387_415, 10**9), "Pa"), "cm[H2O]": (Fraction(980_665, 10_000), "Pa"),
}  # fmt: skip
_POWER = re.compile(r"10\*(-?\d+)")
_SPLIT = re.compile(r"([./])")
_Measure = tuple[Fraction, tuple[tuple[str, int], ...]]


def factor(given: str, wanted: str) -> float | None:
    """By what values in `given` are multiplied to be in `wanted`; None when one cannot be had from the other."""
    old, new = ucum(given), ucum(wanted)
    if old == new:
        return 1.0
    first, second = _measure(old), _measure(new)
    if first is None or second is None or first[1] != second[1]:
        return None
    return float(first[0] / second[0])


def _measure(unit: str) -> _Measure | None:
    """A unit as a factor of what it measures; None when a part of it is not known."""
    whole, found, sign = Fraction(1), dict[str, int](), 1
    for part in _SPLIT.split(unit.replace("(24.h)", "d")):
        if part in (".", "/"):
            sign = -1 if part == "/" else 1
            continue
        known = _part(part)
        if known is None:
            return None
        whole *= known[0] ** sign
        if known[1]:
            found[known[1]] = found.get(known[1], 0) + sign
    return whole, tuple(sorted((name, power) for name, power in found.items() if power))


def _part(part: str) -> tuple[Fraction, str] | None:
    power = _POWER.fullmatch(part)
    if power:
        return Fraction(10) ** int(power[1]), ""
    if part in _OTHERS:
        return _OTHERS[part]
    for atom in _METRIC:
        if part.endswith(atom) and part[: -len(atom)] in _PREFIXES:
            return Fraction(10) ** _PREFIXES[part[: -len(atom)]], atom
    return None
