"""Wall-clock minutes since 1970 and how formats write them.

The hour that daylight saving skips or repeats is never used: nothing happens between 2 and 3 a.m.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

DAY = 1440
_HOUR_MINUTES = tuple(f"{m // 60:02d}{m % 60:02d}" for m in range(DAY))
_ISO_TIMES = tuple(f"{m // 60:02d}:{m % 60:02d}" for m in range(DAY))


@lru_cache(maxsize=1 << 17)
def date_of(day: int) -> dt.date:
    """The date of a count of days since 1970."""
    return dt.date.fromordinal(day + 719_163)


@lru_cache(maxsize=1 << 17)
def hl7_day(day: int) -> str:
    return date_of(day).strftime("%Y%m%d")


@lru_cache(maxsize=1 << 17)
def iso_day(day: int) -> str:
    return date_of(day).isoformat()


@lru_cache(maxsize=1 << 17)
def french_day(day: int) -> str:
    return date_of(day).strftime("%d/%m/%Y")


_MONTHS = ("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre")


@lru_cache(maxsize=1 << 17)
def long_day(day: int) -> str:
    date = date_of(day)
    return f"{'1er' if date.day == 1 else date.day} {_MONTHS[date.month - 1]} {date.year}"


@lru_cache(maxsize=1 << 17)
def compact_day(day: int) -> str:
    """DDMMYYYY, as PMSI files write it."""
    return date_of(day).strftime("%d%m%Y")


def hl7(minute: int) -> str:
    """YYYYMMDDHHMMSS."""
    return f"{hl7_day(minute // DAY)}{_HOUR_MINUTES[minute % DAY]}00"


def iso(minute: int) -> str:
    """YYYY-MM-DDThh:mm:00 without offset; FHIR adds it (`offset`)."""
    return f"{iso_day(minute // DAY)}T{_ISO_TIMES[minute % DAY]}:00"


@lru_cache(maxsize=1 << 16)
def _summer(year: int) -> tuple[int, int]:
    """First and last day of daylight saving in France: last Sundays of March and October."""
    ends = [dt.date(year, month, 31) for month in (3, 10)]
    first, last = (end - dt.timedelta(days=(end.weekday() + 1) % 7) for end in ends)
    return first.toordinal() - 719_163, last.toordinal() - 719_163


def fhir_instant(minute: int) -> str:
    """ISO with the offset of France at that moment."""
    day = minute // DAY
    first, last = _summer(date_of(day).year)
    is_summer = first < day < last or (day == first and minute % DAY >= 180) or (day == last and minute % DAY < 120)
    return f"{iso(minute)}+0{2 if is_summer else 1}:00"


def age(birth: int, day: int) -> int:
    """Whole years between two days."""
    born, then = date_of(birth), date_of(day)
    return then.year - born.year - ((then.month, then.day) < (born.month, born.day))


def awake(minute: int) -> int:
    """The minute itself, or an hour later when it falls between 2 and 3 a.m."""
    return minute + 60 if minute % DAY // 60 == 2 else minute
