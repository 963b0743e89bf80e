"""Values of observations, doses and reference ranges (ISO 21090 as CDA R2 uses it)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from estran.model.codes import Comparator
from estran.sources.cda.elements import Element, Pages, every, find, moment, number, said, type_of, words
from estran.sources.records import Code
from estran.terminology.units import ucum

_CODED = frozenset(("CD", "CE", "CO", "CV", "CS", "PQR"))
_NUMBERS = frozenset(("PQ", "INT", "REAL", "MO"))
_Read = Callable[[Element | None, str], Code | None]


class Value(NamedTuple):
    """One value and, in `more`, the others of the same observation."""

    number: float | None = None
    unit: str | None = None
    comparator: Comparator = Comparator.EQ
    code: Code | None = None
    text: str = ""
    more: tuple[Code | str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return self.number is None and self.code is None and not self.text


NOTHING = Value()


def read(elements: list[Element], coded: _Read, pages: Pages, zone: str) -> Value:
    """The first value that says something, the others after it."""
    found = [one for element in elements if not (one := _value(element, coded, pages, zone)).is_empty]
    if not found:
        return NOTHING
    return found[0]._replace(more=tuple(one.code or one.text or _written(one) for one in found[1:]))


def _value(element: Element, coded: _Read, pages: Pages, zone: str) -> Value:
    kind = type_of(element)
    if kind in _CODED or (not kind and said(element, "code")):
        found = coded(element, "observation")
        return Value(code=found) if found else Value(text=pages.told(find(element, "originalText")) or pages.told(element))
    if kind in _NUMBERS:
        value = number(element)
        return Value(value, _unit(element)) if value is not None else Value(text=_raw(element))
    if kind.startswith("IVL"):
        return _interval(element)
    return _boolean(element) if kind == "BL" else Value(text=_told(element, kind, pages, zone))


def _told(element: Element, kind: str, pages: Pages, zone: str) -> str:
    """What is neither a code nor a number: words, a ratio, a date."""
    if kind == "TS":
        moment(element, zone, "observation/value")
    if kind.startswith("RTO"):
        parts = [_raw(one) for one in (find(element, "numerator"), find(element, "denominator")) if one is not None]
        return " / ".join(filter(None, parts))
    return pages.told(element) or _raw(element)


def _boolean(element: Element) -> Value:
    """True and false are 1 and 0, so that they can be asked for."""
    told = said(element, "value").lower()
    return Value(float(told == "true"), text={"true": "oui", "false": "non"}[told]) if told in ("true", "false") else NOTHING


def _unit(element: Element) -> str | None:
    unit = said(element, "unit")
    return ucum(unit) if unit else None


def _raw(element: Element) -> str:
    return f"{said(element, 'value')} {said(element, 'unit')}".strip()


def _written(value: Value) -> str:
    return f"{value.number:g} {value.unit or ''}".strip() if value.number is not None else ""


def _interval(element: Element) -> Value:
    """A single bound is a comparison; two bounds are told in words, unless they are the same."""
    low, high, at = (find(element, name) for name in ("low", "high", "center"))
    if at is not None or said(element, "value"):
        one = at if at is not None else element
        return Value(number(one), _unit(one))
    below, above = (number(e) if e is not None else None for e in (low, high))
    if low is not None and below is not None and (above is None or above == below):
        comparator = _compared(low, Comparator.GE, Comparator.GT) if above is None else Comparator.EQ
        return Value(below, _unit(low), comparator)
    if high is not None and above is not None and below is None:
        return Value(above, _unit(high), _compared(high, Comparator.LE, Comparator.LT))
    return Value(text=" - ".join(_raw(e) for e in (low, high) if e is not None and said(e, "value")))


def _compared(bound: Element, inclusive: Comparator, exclusive: Comparator) -> Comparator:
    return exclusive if said(bound, "inclusive").lower() == "false" else inclusive


class Dose(NamedTuple):
    """A dose; of a range, its lower end."""

    number: float
    unit: str | None


def dose(element: Element | None) -> Dose | None:
    """doseQuantity."""
    if element is None:
        return None
    for one in (element, find(element, "center"), find(element, "low"), find(element, "high")):
        value = number(one)
        if one is not None and value is not None:
            return Dose(value, _unit(one))
    return None


def reference(elements: list[Element]) -> tuple[float | None, float | None]:
    """Low and high of the first reference range that has numbers."""
    for element in elements:
        low, high = number(find(element, "low")), number(find(element, "high"))
        if low is not None or high is not None:
            return low, high
    return None, None


def frequencies(elements: list[Element]) -> list[str]:
    """How often, in words: periods, and events of the day (EIVL)."""
    found = []
    for element in elements:
        period = find(element, "period")
        if period is not None and said(period, "value"):
            found.append(f"1 / {said(period, 'value')} {ucum(said(period, 'unit')) if said(period, 'unit') else ''}".strip())
        found += [said(event, "code") for event in every(element, "event") if said(event, "code")]
        if not len(element) and type_of(element).startswith(("PIVL", "EIVL")) and words(element):
            found.append(words(element))
    return found
