"""FHIR data types as Estran's: codes, moments, quantities, references.

Every function checks what it hands on, for nothing of the wrong type may reach the columns of a
batch; what does not fit raises `Unreadable`, which refuses the record it stands in.
"""

from __future__ import annotations

import datetime as dt
import math
from functools import lru_cache
from typing import Any, NamedTuple

from estran.model.codes import Precision
from estran.model.moments import Moment, first_day, midnights, parse_iso
from estran.sources import refusing
from estran.sources.records import Code
from estran.terminology.systems import fhir_vocabulary

Node = dict[str, Any]

UCUM = "http://unitsofmeasure.org"
LOCAL = "LOCAL/FHIR"  # vocabulary of the codes that FHIR itself gives a name to
_FIRST_DAY, _MINUTE = first_day(), Precision.MINUTE
LAST_DAY = 84_371  # 2200-12-31
_ENGLISH = frozenset({"RXNORM", "CVX", "SNOMED", "LOINC", "NDC", "ICD10CM", "CPT4"})
_MEMORY = 1 << 16  # entries kept in a cache before it starts afresh
_UNIX = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class Unreadable(refusing.Refused):
    """Why one record cannot be loaded; `field` is a FHIRPath, `reason` a sentence without value."""


class Quantity(NamedTuple):
    """A measured value; `unit` is UCUM when the source says so, else as written."""

    value: float | None
    unit: str | None
    comparator: int | None


@lru_cache(maxsize=8)
def _starts(zone: str) -> list[int]:
    """`midnights` as a list, which is faster to look into one by one; not to be changed."""
    found: list[int] = midnights(zone).tolist()
    return found


class Clock:
    """Reads FHIR dates in the site's zone; keeps what it read, for dates repeat a great deal."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._starts = _starts(zone)
        self.moments: dict[str, Moment] = {}
        self.instants: dict[str, int] = {}
        # Instants seldom repeat, their days and times of day do: microseconds of either.
        self._days: dict[str, int] = {}
        self._times: dict[str, int] = {}

    def moment(self, text: Any, path: str) -> Moment | None:
        """The moment that `text` writes, None when there is none."""
        if text is None:
            return None
        found = self.moments.get(text) if type(text) is str else None
        if found is not None:
            return found
        try:
            found = self._read(text)
        except (ValueError, TypeError, OverflowError):
            raise Unreadable(path, "malformed", "The date is not a FHIR date between 1830 and 2200.") from None
        if len(self.moments) >= _MEMORY:
            self.moments.clear()
            self.instants.clear()
        self.moments[text] = found
        return found

    def _read(self, text: str) -> Moment:
        if len(text) >= 20 and text[10] == "T" and text[4] == "-":
            day, time = self._days.get(text[:10]), self._times.get(text[10:])
            micros = self._learnt(text) if day is None or time is None else day + time
            if micros is not None:
                self.instants[text] = micros  # mostly asked for next
                return self._local(micros // 60_000_000)
        elif not text.isascii() or not text[:4].isdigit() or (len(text) > 10 and text[10] != "T"):
            raise ValueError("not a date")
        found = parse_iso(text, self._zone)
        if not first_day() <= found.date <= LAST_DAY:
            raise ValueError("date out of range")
        return found

    def _learnt(self, text: str) -> int | None:
        """Microseconds UTC of an instant, its day and time of day kept; None without an offset."""
        when = dt.datetime.fromisoformat(text)
        if when.tzinfo is None:
            return None
        if len(self._times) >= _MEMORY or len(self._days) >= _MEMORY:
            self._days.clear()
            self._times.clear()
        micros = (when - _UNIX) // _MICROSECOND
        day = (dt.date.fromisoformat(text[:10]) - _UNIX.date()) // _MICROSECOND
        self._days[text[:10]], self._times[text[10:]] = day, micros - day
        return micros

    def _local(self, minutes: int) -> Moment:
        """The local moment of a UTC instant: its day is the UTC day or a neighbour."""
        starts, index = self._starts, minutes // 1440 - _FIRST_DAY
        if not 1 <= index < len(starts) - 1:
            raise ValueError("date out of range")
        if minutes >= starts[index + 1]:
            index += 1
        elif minutes < starts[index]:
            index -= 1
        return Moment(index + _FIRST_DAY, minutes - starts[index], _MINUTE)

    def micros(self, text: Any, path: str) -> int | None:
        """Microseconds UTC of an instant; a coarser date counts from its beginning."""
        if text is None:
            return None
        found = self.instants.get(text) if type(text) is str else None
        if found is None:
            found = self._instant(text, path)
            if len(self.instants) >= _MEMORY:
                self.instants.clear()
            self.instants[text] = found
        return found

    def _instant(self, text: Any, path: str) -> int:
        try:
            when = dt.datetime.fromisoformat(text)
            if when.tzinfo is not None:
                return (when - _UNIX) // _MICROSECOND
        except (ValueError, TypeError, OverflowError):
            pass  # a date without time, or nonsense: `moment` tells
        found = self.moment(text, path)
        assert found is not None  # noqa: S101 - only None gives None
        return (self._starts[found.date - first_day()] + (found.minute or 0)) * 60_000_000


class Lexicon:
    """Codings as codes, each made once."""

    def __init__(self) -> None:
        self._codings: dict[tuple[Any, ...], Code] = {}
        self._local: dict[tuple[str, str, str], Code] = {}

    def concept(self, value: Any, kind: str, path: str, lang: str | None = None) -> tuple[Code | None, str | None]:
        """The code of a CodeableConcept, and its text when the text is all there is."""
        if value is None:
            return None, None
        codings, text = value.get("coding"), value.get("text")
        if not codings:
            return None, words(text, path + ".text")
        if len(codings) == 1:
            one = codings[0]
            key = (one.get("system"), one.get("code"), one.get("display"), text, kind, lang)
            found = self._codings.get(key)
            if found is not None:
                return found, None
        return self._made(codings, text, kind, path, lang)

    def _made(
        self, codings: list[Node], text: Any, kind: str, path: str, lang: str | None
    ) -> tuple[Code | None, str | None]:
        told = words(text, path + ".text")
        listed = [self._triple(one, path) for one in codings if one.get("code")]
        if not listed:
            shown = [words(one.get("display"), path) for one in codings]
            return None, told or next((s for s in shown if s), None)
        vocabulary, code, label = listed[0]
        spoken = lang or language(vocabulary, codings[0].get("system"))
        made = Code(vocabulary, code, label or told or "", spoken, kind, tuple(listed[1:]))
        if len(codings) == 1:
            one = codings[0]
            if len(self._codings) >= _MEMORY:
                self._codings.clear()
            self._codings[(one.get("system"), one.get("code"), one.get("display"), text, kind, lang)] = made
        return made, None

    def _triple(self, one: Node, path: str) -> tuple[str, str, str]:
        system = words(one.get("system"), path + ".coding.system") or ""
        code = words(one.get("code"), path + ".coding.code") or ""
        vocabulary = fhir_vocabulary(system)
        return vocabulary, code.strip(), words(one.get("display"), path + ".coding.display") or ""

    def coding(self, one: Any, kind: str, path: str) -> Code | None:
        """The code of a bare Coding."""
        return self.concept({"coding": [one]}, kind, path)[0] if one else None

    def local(self, code: str, label: str, kind: str = "other") -> Code:
        """A code of Estran's own for what FHIR says by the name of an element."""
        return self._local.setdefault((code, label, kind), Code(LOCAL, code, label, "fr", kind))

    def named(self, vocabulary: str, code: str) -> Code:
        """A code that goes without a label, such as a question by its number."""
        return self._local.setdefault((code, vocabulary, "named"), Code(vocabulary, code, kind="observation"))

    def drug(self, name: str, label: str, lang: str | None) -> Code:
        """The local code of the Medication resource called `name` (Type/id)."""
        made = Code(LOCAL, name, label, lang or "fr", "drug")
        return self._local.setdefault((name, label, "drug"), made)


def language(vocabulary: str, system: Any) -> str:
    """In which language a system words its displays when the resource does not tell."""
    return "en" if vocabulary in _ENGLISH or str(system).startswith("http://terminology.hl7.org/") else "fr"


def words(value: Any, path: str) -> str | None:
    """A string, None when absent or blank."""
    if value is None:
        return None
    if type(value) is not str:
        raise Unreadable(path, "malformed", "The element should be a string.")
    return value if value and not value.isspace() else None


def number(value: Any, path: str) -> float | None:
    """A finite decimal, None when absent."""
    if value is None:
        return None
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int and abs(value) < 1 << 1000:
        return float(value)
    raise Unreadable(path, "malformed", "The element should be a number.")


COMPARATORS = {"<": 1, "<=": 2, ">": 3, ">=": 4}


def quantity(value: Node, path: str) -> Quantity:
    """A Quantity, SimpleQuantity, Age or Duration."""
    unit = value.get("code") if value.get("system") == UCUM else None
    if unit is None:
        unit = value.get("unit") or value.get("code")
    bound = value.get("comparator")
    if bound is not None and bound not in COMPARATORS:
        raise Unreadable(path + ".comparator", "malformed", "The comparator is not one of FHIR R4's.")
    return Quantity(
        number(value.get("value"), path + ".value"),
        words(unit, path + ".unit"),
        None if bound is None else COMPARATORS[bound],
    )


def each(value: Any, path: str) -> list[Node]:
    """The items of a repeating element, [] when absent."""
    if value is None:
        return []
    if type(value) is not list or any(type(item) is not dict for item in value):
        raise Unreadable(path, "malformed", "The element should be a list.")
    return value


def first_code(value: Any) -> str | None:
    """The first code of a CodeableConcept, for closed lists of HL7's own."""
    for one in (value or {}).get("coding") or ():
        code = one.get("code")
        if type(code) is str:
            return code
    return None


def codes_in(values: Any) -> set[str]:
    """All codes of a list of CodeableConcepts."""
    return {one["code"] for value in values or () for one in value.get("coding") or () if type(one.get("code")) is str}


def notes(values: Any, path: str) -> str | None:
    """The texts of Annotations, one after another."""
    found = [words(one.get("text"), path + ".text") for one in each(values, path)]
    return "\n\n".join(f for f in found if f) or None


def extension(node: Node, *names: str) -> Node | None:
    """The first extension whose address ends with one of `names`."""
    for one in node.get("extension") or ():
        url = one.get("url")
        if type(url) is str and url.rsplit("/", 1)[-1] in names:
            return dict(one)
    return None
