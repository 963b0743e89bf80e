"""Laboratory samples of a stay: values that follow from why somebody came and how it goes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, log

from estran.region.calendar import DAY, awake
from estran.region.course import Stay
from estran.region.dice import Dice
from estran.region.library import Analyte, Germ, Hospital, analytes, germs, panels

_MAX_SAMPLES = 4
# What chronic diseases do, in standard deviations.
_CHRONIC = {"E1198": {"gly": 1.6, "hba1c": 3.2}, "E785": {"chol": 1.0, "tg": 0.6}, "J448": {"pao2": -0.8}}


@dataclass(frozen=True, slots=True)
class Test:
    """An analyte as one hospital reports it."""

    analyte: Analyte
    code: str
    unit: str
    factor: float
    digits: int
    form: str  # of its numbers
    loinc: str
    low: str
    high: str
    low_value: float | None
    high_value: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """A value in the canonical unit, and as the hospital writes it."""

    test: Test
    canonical: float
    written: str

    flag: str  # OBX-8: high, low or nothing


@dataclass(frozen=True, slots=True)
class Order:
    """One panel of one sample."""

    panel: str
    minute: int
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Culture:
    """A germ found and what it resists."""

    minute: int
    specimen: str
    germ: Germ
    results: tuple[tuple[str, str], ...]


@lru_cache(maxsize=16)
def tests(hospital: Hospital) -> dict[str, Test]:
    """Every analyte in a hospital's dialect, by its key."""
    return {key: _test(hospital, a, number) for number, (key, a) in enumerate(analytes().items(), 101)}


def _test(hospital: Hospital, analyte: Analyte, number: int) -> Test:
    unit, factor, digits, loinc = analyte.unit, 1.0, analyte.digits, analyte.loinc
    if analyte.alt and analyte.key in hospital.alt:
        unit, factor, digits, loinc = analyte.alt
    bounds = [None if b is None else round(b * factor, digits) for b in (analyte.low, analyte.high)]
    written = ["" if b is None else f"{b:.{digits}f}" for b in bounds]
    code = hospital.codes.format(short=analyte.short, number=number)
    shown = loinc if hospital.loinc else ""
    return Test(analyte, code, unit, factor, digits, f"%.{digits}f", shown, written[0], written[1], bounds[0], bounds[1])


def orders(dice: Dice, stay: Stay) -> list[Order]:
    """The panels of a stay: at admission, then every other day or so."""
    reason, known = stay.reason, tests(stay.hospital)
    names = reason.panels or (("nfs",) if stay.cycle else ())
    if not names or (stay.kind == "consultation" and dice.chance() < 0.3):
        return []
    shifts = dict(reason.labs) if not stay.cycle else {"hb": -1.4, "leuco": -0.6, "plaq": -0.5}
    for code in sorted(stay.person.chronic):
        for key, shift in _CHRONIC.get(code, {}).items():
            shifts[key] = shifts.get(key, 0.0) + shift
    count = min(_MAX_SAMPLES, 1 + int(stay.days / 2.2))
    found = []
    for step in range(count):
        minute = awake(stay.start + dice.between(15, 70) if step == 0 else (stay.start // DAY + 2 * step) * DAY + dice.between(360, 480))
        if minute >= stay.end:
            break
        part = stay.severity * (1 - 0.24 * step)
        for name in names if step == 0 else names[:2]:
            found.append(Order(name, minute + dice.below(6), tuple(_results(dice, known, name, shifts, part))))
    return found


def _results(dice: Dice, known: dict[str, Test], panel: str, shifts: dict[str, float], part: float) -> list[Result]:
    found = []
    for analyte in panels()[panel][2]:
        test = known[analyte.key]
        z = dice.normal() + shifts.get(analyte.key, 0.0) * part
        if analyte.law == "l":
            value = exp(_log(analyte.mean) + analyte.sd * z)
        else:
            value = max(analyte.mean + analyte.sd * z, analyte.mean * 0.2)
        found.append(_written(test, value))
    return found


def _written(test: Test, value: float) -> Result:
    canonical = round(value, test.analyte.digits)
    told = round(canonical * test.factor, test.digits)
    low, high = test.low_value, test.high_value
    flag = "H" if high is not None and told > high else "L" if low is not None and told < low else ""
    return Result(test, canonical, test.form % told, flag)


def corrected(dice: Dice, result: Result) -> Result:
    """Another value of the same analyte."""
    return _written(result.test, result.canonical * (1.06 + 0.3 * dice.chance()) + 10 ** -result.test.analyte.digits)


_log = lru_cache(maxsize=256)(log)


def culture(dice: Dice, stay: Stay) -> Culture | None:
    """What grew, when a sample was taken and something did."""
    if dice.chance() >= stay.reason.micro:
        return None
    germ = dice.draw(germs())
    tested = tuple((drug, "R" if dice.chance() < share else "I" if dice.chance() < 0.03 else "S") for drug, share in germ.resistance)
    specimen = {"pyelo": "Urines", "pneumo": "Expectoration"}.get(stay.reason.key, "Hémoculture")
    return Culture(stay.start + dice.between(20, 90), specimen, germ, tested)
