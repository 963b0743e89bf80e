"""Dates as a project gets them: shifted per patient, cut to the year, or true for a written reason.

A shift is a whole number of weeks, from 52 before to 52 after, drawn from a keyed hash of patient and project: it keeps
intervals and days of the week. It is not anonymisation: interval patterns single patients out, and seasons betray it
(measured in the hub's paper, doi 10.1055/a-2130-2197). Dates written in texts are taken out with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from estran.release.rekey import ProjectKey

WEEKS = 52  # a shift is at most so many weeks either way
MASK = "[DATE]"

_MONTHS = (
    "janvier|janv|février|fevrier|févr|fevr|mars|avril|avr|mai|juin|juillet|juil|août|aout|septembre|sept|octobre|oct|"
    "novembre|nov|décembre|decembre|déc|dec|january|february|march|april|may|june|july|august|september|october|"
    "november|december|jan|feb|mar|apr|jun|jul|aug|sep"
)
# RE2: a day, month and year in digits; a year, month and day; month and year; with the month in letters.
_WRITTEN = (
    r"\b\d{1,2}\s?[/.\-]\s?\d{1,2}\s?[/.\-]\s?(?:\d{4}|\d{2})\b"
    r"|\b(?:19|20)\d{2}\s?[/.\-]\s?\d{1,2}(?:\s?[/.\-]\s?\d{1,2})?\b"
    r"|\b\d{1,2}\s?[/.\-]\s?(?:19|20)\d{2}\b"
    rf"|\b(?:\d{{1,2}}(?:er|st|nd|rd|th)?\s+)?(?:{_MONTHS})\b\.?,?\s+(?:\d{{1,2}},?\s+)?(?:19|20)\d{{2}}\b"
    rf"|\b\d{{1,2}}(?:er|st|nd|rd|th)?\s+(?:{_MONTHS})\b"
)
_COMPACT = r"|\b(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\b"
_YEAR = r"|\b(?:19|20)\d{2}\b"


class DatePolicy(StrEnum):
    """What becomes of every date."""

    SHIFT = "shift"
    YEAR = "year"
    TRUE = "none"


def shifts(key: ProjectKey, patients: Iterable[int]) -> npt.NDArray[np.int32]:
    """Days to add to the dates of each patient."""
    drawn = [int.from_bytes(one[:8], "big") % (2 * WEEKS + 1) - WEEKS for one in key.digests("dates", patients)]
    return np.array(drawn, np.int32) * np.int32(7)


def date_sql(policy: DatePolicy, date: str, shift: str, birth_month: str) -> str:
    """SQL of a date as the policy lets it go. A true date within the month of birth becomes that month's first day:
    the beginning of the stay of a birth is a birth date."""
    if policy is DatePolicy.SHIFT:
        return f"CAST({date} + {shift} AS DATE)"
    if policy is DatePolicy.YEAR:
        return f"CAST(year({date}) AS SMALLINT)"
    return f"CASE WHEN date_trunc('month', {date}) = {birth_month} THEN {birth_month} ELSE {date} END"


def masked_sql(policy: DatePolicy, text: str) -> str:
    """SQL of a text whose written dates are fit for the policy: taken out, years too where dates are shifted."""
    if policy is DatePolicy.TRUE:
        return text
    pattern = _WRITTEN + _COMPACT + (_YEAR if policy is DatePolicy.SHIFT else "")
    quoted = pattern.replace("'", "''")
    return f"regexp_replace({text}, '{quoted}', '{MASK}', 'gi')"
