"""Options of a criterion, between brackets or parentheses: `2x, 2019-01-01..2020-12-31, age>=18, role=DP`."""

from __future__ import annotations

import datetime as dt
import re
from calendar import monthrange
from collections.abc import Callable
from enum import Enum, IntEnum
from typing import Any

from estran.cohort.language.cursor import Cursor
from estran.cohort.language.json import context_of
from estran.cohort.language.words import DOMAINS, SEXES, fold, word
from estran.cohort.query import Code, DateRange, IntRange, ValueRange
from estran.model.codes import Context, DocumentKind, FactStatus, Impact, Origin, Precision, Sex, StayKind
from estran.text.parse import FRENCH_KINDS

BARE = re.compile(r"[\w./+*%\-]+")
VOCABULARY = re.compile(r"[A-Za-z][\w/.\-]*(?=:)")
CODE = re.compile(r"[\w/+*^\-]+(?:\.(?!\.)[\w/+*^\-]*)*")
UNIT = re.compile(r"[A-Za-z%µ][\w%µ/*.^\-]*")
NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?(?:[eE][+\-]?\d+)?")
INTEGER = re.compile(r"-?\d{1,10}(?!\d)")
COMPARATOR = re.compile(r"<=|>=|≤|≥|<|>|=")
DOTS = re.compile(r"\s*\.\.\s*")
DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?(?![\w-])")
CHROMOSOME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._\-]*")
_COLON, _HYPHEN = re.compile(r":(?=\d)"), re.compile(r"-(?=\d)")
IMPACT = re.compile(r"impact\s*:\s*")
_SPACED_UNIT = re.compile(r"\s+(?=')|\s+(?=[\w%µ]*[/%])")

Reader = Callable[[Cursor], Any]


def string(cursor: Cursor) -> str:
    """A word, or anything between single quotes."""
    cursor.skip()
    if cursor.peek() == "'":
        return cursor.quoted()
    found = cursor.raw(BARE)
    if found is None:
        raise cursor.error("A word is expected here.", "put anything that is not a simple word between single quotes")
    return found


def listed(one: Reader) -> Reader:
    """`a|b|c`."""

    def read(cursor: Cursor) -> Any:
        found = [one(cursor)]
        while cursor.accept("|"):
            found.append(one(cursor))
        return tuple(found)

    return read


def choice(kind: type[Enum]) -> Reader:
    """A word of a closed list."""

    def read(cursor: Cursor) -> Any:
        cursor.skip()
        start = cursor.at
        name = string(cursor)
        for one in kind:
            if name.lower() == (one.name.lower() if isinstance(one, IntEnum) else one.value):
                return one
        cursor.at = start
        words = ", ".join(o.name.lower() if isinstance(o, IntEnum) else str(o.value) for o in kind)
        raise cursor.error("This choice is not known.", f"use one of {words}")

    return read


def document_kind(cursor: Cursor) -> DocumentKind:
    """A kind of document, by the house's name or a French one."""
    cursor.skip()
    start = cursor.at
    name = fold(string(cursor))
    if name in FRENCH_KINDS:
        return FRENCH_KINDS[name]
    cursor.at = start
    found: DocumentKind = choice(DocumentKind)(cursor)
    return found


def impact(cursor: Cursor) -> Impact:
    """HIGH, MODERATE, LOW or MODIFIER."""
    cursor.skip()
    start = cursor.at
    name = string(cursor).upper()
    if name not in list(Impact):
        cursor.at = start
        raise cursor.error("This impact is not known.", f"use one of {', '.join(Impact)}")
    return Impact(name)


def place(cursor: Cursor) -> dict[str, Any]:
    """`13`, `13:32316461` or `13:32316461-32400268`: chromosome, first and last position."""
    cursor.skip()
    chrom = cursor.raw(CHROMOSOME)
    if chrom is None:
        raise cursor.error("A chromosome is expected here.", "write for example variant:13:32316461-32400268")
    if not cursor.take(_COLON):
        return {"chrom": chrom}
    low = cursor.raw(INTEGER)
    high = cursor.raw(INTEGER) if low and cursor.take(_HYPHEN) else low
    if low is None or high is None:
        raise cursor.error("A position is expected here.", "write for example variant:13:32316461-32400268")
    return {"chrom": chrom, "low": int(low), "high": int(high)}


def sex(cursor: Cursor) -> Sex:
    """F, H, M, femme, homme..."""
    start = cursor.at
    name = string(cursor).lower()
    if name not in SEXES:
        cursor.at = start
        raise cursor.error("This sex is not known.", f"use one of {', '.join(SEXES)}")
    return SEXES[name]


def contexts(cursor: Cursor) -> tuple[Context, ...] | None:
    """`history|family+negated`, or `any`."""
    start = cursor.at
    names = listed(string)(cursor)
    if names in (("any",), ("tous",)):
        return None
    try:
        return tuple(context_of(name) for name in names)
    except KeyError:
        cursor.at = start
        words = "affirmed, " + ", ".join(str(flag.name).lower() for flag in Context)
        raise cursor.error("This context is not known.", f"use any, or {words}; + for both at once") from None


def integers(cursor: Cursor) -> IntRange:
    """`>=18`, `<65`, `18..65`, `18`."""
    cursor.skip()
    sign = cursor.raw(COMPARATOR) or "="
    cursor.skip()
    low = cursor.raw(INTEGER)
    dots = cursor.take(DOTS) if sign == "=" else None
    high = cursor.raw(INTEGER) if dots else None
    if low is None and high is None:
        raise cursor.error("A whole number is expected here.", "write for example 18..65, >=18 or <=65")
    if dots:
        return IntRange(None if low is None else int(low), None if high is None else int(high))
    number = int(low or 0)
    if sign in (">=", "≥", ">"):
        return IntRange(low=number + (sign == ">"))
    return IntRange(number, number) if sign == "=" else IntRange(high=number - (sign == "<"))


def value_range(cursor: Cursor) -> ValueRange:
    """What follows a code: `<30`, `=5..30`, `>5<=10`, with an optional unit."""
    bounds: dict[str, Any] = {}
    while sign := cursor.raw(COMPARATOR):
        fresh = _bounds(cursor, {"≤": "<=", "≥": ">="}.get(sign, sign))
        if fresh.keys() & bounds.keys():
            raise cursor.error("This bound is given twice.", "write one lower and one upper bound, like >5<=10")
        bounds |= fresh
        cursor.skip()
    return ValueRange(**bounds, unit=_unit(cursor))


def _bounds(cursor: Cursor, sign: str) -> dict[str, Any]:
    if sign == "=":
        low = number(cursor)
        high = number(cursor) if cursor.take(DOTS) else low
        return {"low": low, "high": high}
    side = "high" if sign[0] == "<" else "low"
    return {side: number(cursor), f"{side}_open": len(sign) == 1}


def number(cursor: Cursor) -> float:
    """A number; a comma inside it is a decimal one."""
    cursor.skip()
    found = cursor.raw(NUMBER)
    if found is None:
        raise cursor.error("A number is expected here.", "write for example 7.5")
    return float(found.replace(",", "."))


def _unit(cursor: Cursor) -> str | None:
    behind = cursor.at
    while behind > 0 and cursor.text[behind - 1].isspace():
        behind -= 1
    if behind < cursor.at and cursor.peek() != "'":  # a word further off is a unit only when it looks like one
        cursor.at = behind
        if not cursor.take(_SPACED_UNIT):
            return None
    if cursor.peek() == "'":
        return cursor.quoted()
    return cursor.raw(UNIT)


def dates(cursor: Cursor) -> DateRange:
    """`2019-01-01..2020-12-31`, open on a side, or a whole year, month or day."""
    cursor.skip()
    at = cursor.at
    start = _date(cursor, last=False)
    if cursor.take(DOTS):
        return DateRange(start, _date(cursor, last=True))
    cursor.at = at
    return DateRange(start, _date(cursor, last=True))


def _date(cursor: Cursor, last: bool) -> dt.date | None:
    start = cursor.at
    found = cursor.raw(DATE)
    if found is None:
        return None
    parts = [int(part) for part in found.split("-")]
    try:
        year, month = parts[0], parts[1] if len(parts) > 1 else (12 if last else 1)
        day = parts[2] if len(parts) > 2 else (monthrange(year, month)[1] if last else 1)
        return dt.date(year, month, day)
    except ValueError:
        cursor.at = start
        raise cursor.error("There is no such date.", "write dates YYYY-MM-DD") from None


def code(cursor: Cursor) -> Code:
    """`CIM10:I50`, `dx:I50`, `LOCAL/x:'odd code'`; in a set, `=` before for that code alone, `-` to exclude it."""
    cursor.skip()
    mark = cursor.peek() if cursor.peek() in ("=", "-") and cursor.peek() else ""
    cursor.at += len(mark)
    vocabulary = cursor.quoted() if cursor.peek() == "'" else cursor.raw(VOCABULARY)
    plain = cursor.text[cursor.at - 1] != "'"
    if not vocabulary or not cursor.accept(":"):
        raise cursor.error("A code is expected here.", "write VOCABULARY:code, for example CIM10:I50")
    if plain and vocabulary in DOMAINS:  # in small letters only: LAB may be a vocabulary of its own
        named = cursor.raw(VOCABULARY)
        vocabulary = named if named and cursor.accept(":") else DOMAINS[vocabulary]
    found = cursor.quoted() if cursor.peek() == "'" else cursor.raw(CODE)
    if not found:
        raise cursor.error("The code is missing after the vocabulary.", "write for example CIM10:I50")
    return Code(vocabulary, found, descendants=mark != "=", excluded=mark == "-")


def code_set(cursor: Cursor) -> tuple[Code, ...]:
    """`{CIM10:E10, CIM10:E11, -CIM10:E11.9}`, or one code."""
    cursor.skip()
    if not cursor.accept("{"):
        return (code(cursor),)
    found = [code(cursor)]
    while cursor.accept(","):
        found.append(code(cursor))
    cursor.expect("}")
    return tuple(found)


def _key(names: str) -> re.Pattern[str]:
    return re.compile(rf"({names})\s*[=:]\s*")


def _ranged(names: str) -> re.Pattern[str]:
    return re.compile(rf"({names})\s*:?\s*(?=[<>=≤≥\d.\-])")


_COUNT = re.compile(r"(?=\d{1,9}\s*(x|fois|times)\b)")
_COUNTED = re.compile(r"(\d{1,9})\s*(x|fois|times)\b")
_APART = re.compile(r"(\d{1,9})\s*(jours?|days?|j|d)?\b")
_BARE_CODES = re.compile(r"(sans|no)\s+descendants?\b")
_DATES = re.compile(r"(?=\d{4}(?!\d)|\.\.)")
_ALIVE, _DEAD = re.compile(r"(vivante?|alive)\b"), re.compile(r"(decedee?|dead)\b")


def _times(cursor: Cursor) -> int:
    found = cursor.take(_COUNTED)
    return int(found.group(1)) if found else 1


def _apart(cursor: Cursor) -> int:
    found = cursor.take(_APART)
    if not found:
        raise cursor.error("A number of days is expected here.", "write for example apart=30")
    return int(found.group(1))


def fixed(value: Any) -> Reader:
    """An option that is only a word."""
    return lambda cursor: value


Option = tuple[re.Pattern[str], str, Reader]
DATED: Option = (_DATES, "dates", dates)
AGED: Option = (_ranged("age"), "age", integers)
UNITS: Option = (_key("unites?|units?"), "units", listed(string))
KINDS: Option = (_key("types?|kinds?"), "kinds", listed(document_kind))
OPTIONS: dict[str, list[Option]] = {
    "code": [
        (_COUNT, "times", _times),
        (re.compile(r"(ecart|apart)\s*[=:]?\s*"), "apart", _apart),
        DATED,
        AGED,
        (_BARE_CODES, "no descendants", fixed(True)),
        (_key("roles?"), "roles", listed(string)),
        (_key("statuts?|status"), "statuses", listed(choice(FactStatus))),
        (_key("contextes?|contexts?"), "contexts", contexts),
        (_key("origines?|origins?"), "origins", listed(choice(Origin))),
        (_key("precision"), "precision", choice(Precision)),
        (_key("parent"), "parent", code_set),
        (_key("valeurs?|values?"), "values", code_set),
    ],
    "text": [DATED, KINDS],
    "patient": [
        (_key("sexe?s?"), "sexes", listed(sex)),
        AGED,
        (_ALIVE, "alive", fixed(True)),
        (_DEAD, "alive", fixed(False)),
        (_key("zones?|areas?"), "areas", listed(string)),
        (_ranged("nee?|born"), "born", integers),
    ],
    "stay": [
        DATED,
        AGED,
        UNITS,
        (_key("types?|kinds?"), "kinds", listed(choice(StayKind))),
        (_ranged("duree|duration"), "days", integers),
        (_key("entrees?|entry"), "entries", listed(string)),
        (_key("sorties?|exit"), "exits", listed(string)),
    ],
    "movement": [DATED, UNITS, (_key("responsabilites?|responsibility"), "responsibilities", listed(string))],
    "document": [DATED, UNITS, KINDS],
    "media": [DATED, (_key("modalites?|modality"), "modalities", listed(string))],
    "variant": [DATED, (_key("genes?"), "genes", listed(string)), (_key("impacts?"), "impacts", listed(impact))],
    "permission": [(_key("type|kind"), "kind", string), (_key("portee|scope"), "scope", string)],
}


def read_options(cursor: Cursor, criterion: str, close: str) -> dict[str, Any]:
    """The options up to the closing character, as fields of the node."""
    found: dict[str, Any] = {}
    while not cursor.accept(close):
        if found:
            cursor.expect(",")
        _option(cursor, OPTIONS[criterion], found)
    return found


def _option(cursor: Cursor, options: list[Option], found: dict[str, Any]) -> None:
    cursor.skip()
    for pattern, name, read in options:
        if cursor.look(pattern):
            if name in found:
                raise cursor.error("This option is given twice.", "keep one of the two")
            cursor.take(pattern)
            found[name] = read(cursor)
            return
    raise cursor.error("This option is not known here.", f"use one of {', '.join(_examples(options))}")


_EXAMPLES = {
    "times": "2x", "apart": "écart=30", "dates": "2019-01-01..2020-12-31", "age": "âge=18..65",
    "no descendants": "sans descendants", "days": "durée=3..10", "born": "né>=1950", "alive": "vivant", "sexes": "sexe=F",
}  # fmt: skip


def _examples(options: list[Option]) -> list[str]:
    """How each option is written."""
    names = dict.fromkeys(option[1] for option in options)
    return [_EXAMPLES[name] if name in _EXAMPLES else f"{word(name, 'fr')}=…" for name in names]
