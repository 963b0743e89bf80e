"""What a DICOM attribute says, or nothing: one bad value never refuses a header."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from estran.model.moments import Moment, parse_hl7
from estran.sources.dicom.heads import UNREADABLE
from estran.sources.records import Code
from estran.terminology.systems import LOCAL, hl7_vocabulary

ATTRIBUTE = f"{LOCAL}DICOM"  # vocabulary of attributes by their keyword (PS3.6)
_LONGEST_WORD = 1_000


@lru_cache(maxsize=1024)
def _tag(keyword: str) -> BaseTag:
    """The tag of a keyword of PS3.6; a misspelt one is an error of ours."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise LookupError(f"no such attribute: {keyword}")
    return Tag(tag)


def raw(dataset: Dataset, keyword: str) -> Any:
    """The attribute's value, None when absent, empty or unreadable."""
    tag = _tag(keyword)
    if tag not in dataset:
        return None
    try:
        value = dataset[tag].value
    except UNREADABLE:
        return None
    return None if value is None or value == "" else value


def word(dataset: Dataset, keyword: str) -> str:
    """The attribute as one trimmed text, its first value when it has several."""
    value = raw(dataset, keyword)
    if isinstance(value, MultiValue | list | tuple):
        value = value[0] if len(value) else None
    if value is None or isinstance(value, bytes | Dataset):
        return ""
    return "".join(c for c in str(value) if c.isprintable() or c == "\n").strip()[:_LONGEST_WORD]


def words(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """All values of the attribute as texts."""
    value = raw(dataset, keyword)
    values = value if isinstance(value, MultiValue | list | tuple) else [value]
    return tuple(str(v).strip() for v in values if v is not None and str(v).strip())


def number(dataset: Dataset, keyword: str) -> float | None:
    """The attribute's first value as a finite number."""
    try:
        found = float(word(dataset, keyword))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    """The items of a sequence."""
    value = raw(dataset, keyword)
    if value is None or isinstance(value, str | bytes):
        return
    try:
        yield from (item for item in value if isinstance(item, Dataset))
    except UNREADABLE:
        return


def uid(dataset: Dataset, keyword: str) -> str:
    """A UID, "" when it is none (PS3.5 9.1: digits and dots, at most 64)."""
    text = word(dataset, keyword)
    return text if 0 < len(text) <= 64 and text.replace(".", "").isdigit() else ""


def coded(item: Dataset, authority: str, kind: str = "other") -> Code | None:
    """The code of a Code Sequence item (PS3.3 8.8)."""
    code = word(item, "CodeValue") or word(item, "LongCodeValue") or word(item, "URNCodeValue")
    if not code:
        return None
    return Code(hl7_vocabulary(word(item, "CodingSchemeDesignator"), authority), code, word(item, "CodeMeaning"), "en", kind)


def first_code(dataset: Dataset, keyword: str, authority: str, kind: str = "other") -> Code | None:
    """The first code of a sequence."""
    return next(filter(None, (coded(item, authority, kind) for item in items(dataset, keyword))), None)


def moment(dataset: Dataset, *pairs: tuple[str, str], zone: str) -> Moment | None:
    """The first of the (date, time) attributes, or of (date-time, ""), that holds a date."""
    offset = word(dataset, "TimezoneOffsetFromUTC")
    for date_name, time_name in pairs:
        found = stamp(word(dataset, date_name), word(dataset, time_name) if time_name else "", offset, zone)
        if found:
            return found
    return None


def stamp(date: str, time: str, offset: str, zone: str) -> Moment | None:
    """A moment from DA (or DT) and TM; a bad time leaves the day, a bad date nothing."""
    day = date.replace(".", "").replace("-", "") if len(date) == 10 and not date.isdigit() else date
    clock = time.replace(":", "").partition(".")[0]
    shift = offset if len(offset) == 5 and offset[0] in "+-" and offset[1:].isdigit() else ""
    if clock and len(day) == 8:
        attempts = [day + clock[:4] + shift, day]
    else:  # DT carries its own offset
        attempts = [day if "+" in day or "-" in day or len(day) <= 8 else day + shift, day[:8]]
    for text in attempts:
        try:
            return parse_hl7(text, zone)
        except (ValueError, OverflowError, IndexError):
            continue
    return None


def named(keyword: str, label: str, kind: str = "observation", also: tuple[tuple[str, str, str], ...] = ()) -> Code:
    """The code of a DICOM attribute, by its keyword."""
    return Code(ATTRIBUTE, keyword, label, "fr", kind, also)
