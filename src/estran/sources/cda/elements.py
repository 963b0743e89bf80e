"""What CDA's data types hold: codes, moments, identifiers, quantities, words."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from lxml import etree

from estran.model.codes import Precision
from estran.model.moments import MICROS_PER_MINUTE, Moment, instant, parse_hl7
from estran.sources import refusing
from estran.sources.extraction import Unreadable
from estran.sources.extraction.markup import parse
from estran.sources.records import Code
from estran.terminology.systems import LOCAL, hl7_vocabulary, is_standard

V3 = "{urn:hl7-org:v3}"
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
OWN = LOCAL + "CDA"  # what CDA says by the name of an element, not by a code
_FIRST_DAY, _LAST_DAY = -51_134, 84_370  # 1830 to 2200
_SECONDS = re.compile(r"[0-9]{12}([0-9]{2})(?:\.([0-9]{1,6}))?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_MAX_LABEL, _MAX_CODE, _MAX_WORDS = 250, 100, 4_000

Element: TypeAlias = etree._Element


class Refused(refusing.Refused):
    """Why a document cannot be loaded: field (a CDA path), code of Refusal, one sentence."""


def open_root(data: bytes) -> Element:
    """The ClinicalDocument of `data`; Refused when there is none."""
    try:
        root = parse(data)
    except Unreadable as why:
        raise Refused("ClinicalDocument", why.code, why.reason) from None
    if root.tag != V3 + "ClinicalDocument":
        raise Refused("ClinicalDocument", "unknown-type", "The XML is not a CDA document (ClinicalDocument of HL7 V3).")
    return root


def find(element: Element | None, path: str) -> Element | None:
    """The first element at `path` (names parted by slashes)."""
    if element is None:
        return None
    first, *rest = _steps(path)
    if not rest:
        return next(element.iterchildren(first), None)
    return next(iter(every(element, path)), None)


def every(element: Element | None, path: str) -> list[Element]:
    """Every element at `path`, in order."""
    level = [] if element is None else [element]
    for tag in _steps(path):
        if not level:
            break
        level = [child for one in level for child in one.iterchildren(tag)]
    return level


@lru_cache(maxsize=512)
def _steps(path: str) -> tuple[str, ...]:
    return tuple(V3 + name for name in path.split("/"))


def said(element: Element | None, attribute: str) -> str:
    """An attribute, trimmed; empty when there is none."""
    return (element.get(attribute) or "").strip() if element is not None else ""


def words(element: Element | None) -> str:
    """All the text inside, on one line."""
    return " ".join("".join(element.itertext()).split())[:_MAX_WORDS] if element is not None else ""


class Pages(NamedTuple):
    """The narrative, by the ID of its parts."""

    by_id: dict[str, Element]

    def told(self, element: Element | None) -> str:
        """The words of an ED: its own, or those of the narrative that its reference points at."""
        if element is None:
            return ""
        pointed = said(find(element, "reference"), "value").lstrip("#")
        return (words(self.by_id.get(pointed)) if pointed else "") or words(element)


def pages_of(root: Element) -> Pages:
    """The parts of the narrative that entries refer to."""
    return Pages({part: e for e in root.iter(etree.Element) if (part := e.get("ID"))})


def identifier(element: Element | None) -> tuple[str, str] | None:
    """(root, extension) of an II: an OID alone is its own number. None without a value."""
    root, extension = said(element, "root"), said(element, "extension")
    if not (root or extension) or said(element, "nullFlavor"):
        return None
    return (root, extension) if extension else ("", root)


def key_of(element: Element | None) -> str | None:
    """An identifier as one text."""
    found = identifier(element)
    return "^".join(part for part in found if part) if found else None


# moments ---------------------------------------------------------------------------------------------


def moment(element: Element | None, zone: str, path: str) -> Moment | None:
    """The `value` of a TS; None when there is none, Refused when it is no date."""
    text = said(element, "value")
    if not text:
        return None
    try:
        found = parse_hl7(text, zone)
    except (ValueError, OverflowError):
        raise Refused(path, "malformed", "The document holds a date that is none.") from None
    if not _FIRST_DAY < found.date < _LAST_DAY:
        raise Refused(path, "malformed", "The document holds a date that is none.")
    return found


def micros(element: Element | None, zone: str, path: str) -> int:
    """Microseconds UTC of a TS, seconds included; 0 when there is none."""
    found = moment(element, zone, path)
    if found is None:
        return 0
    seconds = _SECONDS.match(said(element, "value"))
    if not seconds or found.precision < Precision.MINUTE:
        return instant(found, zone)
    fraction = int((seconds.group(2) or "").ljust(6, "0"))
    return instant(found, zone) + min(int(seconds.group(1)), 59) * 1_000_000 + min(fraction, MICROS_PER_MINUTE - 1)


def interval(element: Element | None, zone: str, path: str) -> tuple[Moment | None, Moment | None]:
    """Start and end of a TS or IVL_TS; what has only an end happened then."""
    if element is None:
        return None, None
    at = moment(element, zone, path) or moment(find(element, "center"), zone, path)
    low, high = (moment(find(element, bound), zone, path) for bound in ("low", "high"))
    start = at or low or high
    return start, high if start is not high else None


# codes and quantities --------------------------------------------------------------------------------


def code(element: Element | None, kind: str, authority: str, lang: str) -> Code | None:
    """The code of a CD with its translations; None when it holds none."""
    if element is None:
        return None
    codings = [one for e in (element, *every(element, "translation")) if (one := _coding(e, authority))]
    if not codings:
        return None
    (vocabulary, value, label), *also = codings
    return Code(vocabulary, value, label, lang, kind, tuple(dict.fromkeys(also)))


def _coding(element: Element, authority: str) -> tuple[str, str, str] | None:
    value = said(element, "code")[:_MAX_CODE]
    if not value:
        return None
    label = " ".join(said(element, "displayName").split())[:_MAX_LABEL]
    return vocabulary(said(element, "codeSystem"), said(element, "codeSystemName"), authority), value, label


@lru_cache(maxsize=4096)
def vocabulary(oid: str, name: str, authority: str) -> str:
    """House name of a code system: by its OID, else by its name when that is a standard one."""
    by_oid = hl7_vocabulary(oid, authority)
    if oid and is_standard(by_oid):
        return by_oid
    by_name = hl7_vocabulary(name, authority) if name else ""
    return by_name if is_standard(by_name) else by_oid


def number(element: Element | None) -> float | None:
    """The `value` of a PQ, INT or REAL."""
    text = said(element, "value").replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return None
    found = float(text)
    return found if math.isfinite(found) else None


def type_of(element: Element) -> str:
    """The data type that xsi:type names, without its prefix."""
    return str(element.get(XSI_TYPE) or "").rpartition(":")[2]


def templates(element: Element) -> frozenset[str]:
    """Roots of the templateIds."""
    return frozenset(said(one, "root") for one in every(element, "templateId"))


