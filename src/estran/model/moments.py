"""Moments: a local calendar date and the minutes elapsed since local midnight.

Elapsed minutes keep the repeated autumn hour apart (02:30 twice is minute 150 and minute 210) and
map one to one onto UTC. `EPOCH` is 1970-01-01; a date is days since then, as Arrow's date32.
"""

from __future__ import annotations

import datetime as dt
import itertools
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from estran.model.codes import Precision

EPOCH = dt.date(1970, 1, 1)
MICROS_PER_MINUTE = 60_000_000
_FIRST_DAY, _LAST_DAY = -51_134, 120_529  # 1830-01-01 and 2299-12-31: shifted research data go beyond 2200

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


class Moment(NamedTuple):
    """`date` in days since 1970, `minute` elapsed since local midnight or None, `precision`."""

    date: int
    minute: int | None
    precision: Precision


@lru_cache(maxsize=8)
def midnights(zone: str) -> Int64s:
    """UTC minutes since 1970 of each local midnight from 1830 to 2299; index = day - first_day()."""
    where, first = ZoneInfo(zone), EPOCH.toordinal() + _FIRST_DAY

    def offset(place: int) -> dt.timedelta:
        return where.utcoffset(dt.datetime.fromordinal(first + place)) or dt.timedelta()

    # No zone changes its offset twice within a week: days are looked at one by one only in the
    # weeks whose ends differ.
    days = np.arange(_FIRST_DAY, _LAST_DAY + 1, dtype=np.int64)
    weeks = [offset(place) for place in range(0, len(days) + 7, 7)]
    offsets: Int64s = np.repeat([_minutes(shift) for shift in weeks], 7)[: len(days)]
    for week, (now, later) in enumerate(itertools.pairwise(weeks)):
        if now != later:
            inside = range(week * 7, min(week * 7 + 7, len(days)))
            offsets[week * 7 : week * 7 + 7] = [_minutes(offset(place)) for place in inside]
    starts: Int64s = days * 1440 - offsets
    return starts


@lru_cache(maxsize=256)
def _minutes(shift: dt.timedelta) -> int:
    return round(shift.total_seconds() / 60)


def first_day() -> int:
    """The day at index 0 of `midnights`."""
    return _FIRST_DAY


def civil(utc_micros: Int64s, zone: str) -> tuple[Int32s, npt.NDArray[np.int16]]:
    """Local dates and elapsed minutes of UTC instants given in microseconds."""
    minutes = np.floor_divide(utc_micros, MICROS_PER_MINUTE)
    starts = midnights(zone)
    index = np.searchsorted(starts, minutes, side="right") - 1
    index = np.clip(index, 0, len(starts) - 1)
    return (index + _FIRST_DAY).astype(np.int32), (minutes - starts[index]).astype(np.int16)


def utc_minutes(dates: Int32s, elapsed: npt.NDArray[np.int16], zone: str) -> Int64s:
    """UTC minutes since 1970 of local moments; the inverse of `civil`."""
    index = np.clip(dates.astype(np.int64) - _FIRST_DAY, 0, _LAST_DAY - _FIRST_DAY)
    return midnights(zone)[index] + elapsed.astype(np.int64)


def civil_one(utc: dt.datetime, zone: str) -> tuple[int, int]:
    """Local date and elapsed minute of one aware instant."""
    return civil_of(round(utc.timestamp() * 1_000_000), zone)


def civil_of(micros: int, zone: str) -> tuple[int, int]:
    """Local date and elapsed minute of one UTC instant in microseconds."""
    dates, minutes = civil(np.array([micros], dtype=np.int64), zone)
    return int(dates[0]), int(minutes[0])


@lru_cache(maxsize=1 << 16)
def _day(year: int, month: int, day: int) -> int:
    return dt.date(year, month, day).toordinal() - 719_163


def of_parts(year: int, month: int, day: int, hour: int | None, minute: int | None, zone: str) -> Moment:
    """A moment from wall-clock parts in the site's zone; ValueError when there is no such time.

    A wall-clock time of the repeated hour is taken as the first one; sources that can tell
    (an explicit offset, a later message) go through `civil`.
    """
    date = _day(year, month, day)
    if hour is None:
        return Moment(date, None, Precision.DAY)
    if not (0 <= hour < 24 and 0 <= (minute or 0) < 60):
        raise ValueError("time of day out of range")
    wall = dt.datetime(year, month, day, hour, minute or 0)
    starts = midnights(zone)
    index = date - _FIRST_DAY
    if not 0 <= index < len(starts) - 1:
        raise ValueError("date out of range")
    if starts[index + 1] - starts[index] == 1440:  # an ordinary day
        elapsed = hour * 60 + (minute or 0)
    else:
        utc = wall.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)
        elapsed = round(utc.timestamp() / 60) - int(starts[index])
    return Moment(date, elapsed, Precision.MINUTE if minute is not None else Precision.HOUR)


@lru_cache(maxsize=1 << 17)
def parse_hl7(text: str, zone: str) -> Moment:
    """HL7 v2 TS/DTM `YYYY[MM[DD[HH[MM[SS[.S]]]]]][+/-ZZZZ]`; ValueError when it is not one."""
    stamp, sign, offset = _split_offset(text)
    if not stamp.partition(".")[0].isdigit():
        raise ValueError("not a timestamp")
    digits = stamp.partition(".")[0]
    if len(digits) not in (4, 6, 8, 10, 12, 14):
        raise ValueError("not a timestamp")
    year, month = int(digits[:4]), int(digits[4:6] or 1)
    if len(digits) < 8:
        return Moment(_day(year, month, 1), None, Precision.MONTH if len(digits) == 6 else Precision.UNKNOWN)
    day = int(digits[6:8])
    if len(digits) == 8:
        return Moment(_day(year, month, day), None, Precision.DAY)
    hour, minute = int(digits[8:10]), int(digits[10:12]) if len(digits) >= 12 else None
    if not sign:
        return of_parts(year, month, day, hour, minute, zone)
    shift = dt.timedelta(hours=int(offset[:2]), minutes=int(offset[2:4])) * (1 if sign == "+" else -1)
    aware = dt.datetime(year, month, day, hour, minute or 0, tzinfo=dt.timezone(shift))
    date, elapsed = civil_one(aware, zone)
    return Moment(date, elapsed, Precision.HOUR if minute is None else Precision.MINUTE)


def _split_offset(text: str) -> tuple[str, str, str]:
    for sign in "+-":
        stamp, found, offset = text.partition(sign)
        if found:
            if len(offset) != 4 or not offset.isdigit():
                raise ValueError("not a timestamp")
            return stamp, sign, offset
    return text, "", ""


@lru_cache(maxsize=1 << 17)
def parse_iso(text: str, zone: str) -> Moment:
    """ISO 8601 as FHIR writes it: `YYYY[-MM[-DD[Thh:mm[:ss[.s]][zone]]]]`; ValueError otherwise."""
    if len(text) == 4:
        return Moment(_day(int(text), 1, 1), None, Precision.UNKNOWN)
    if len(text) == 7 and text[4] == "-":
        return Moment(_day(int(text[:4]), int(text[5:7]), 1), None, Precision.MONTH)
    if len(text) == 10:
        return Moment(_day(int(text[:4]), int(text[5:7]), int(text[8:10])), None, Precision.DAY)
    when = dt.datetime.fromisoformat(text)
    if when.tzinfo is None:
        return of_parts(when.year, when.month, when.day, when.hour, when.minute, zone)
    date, elapsed = civil_one(when, zone)
    return Moment(date, elapsed, Precision.MINUTE)


def instant(moment: Moment, zone: str) -> int:
    """Microseconds UTC of a moment, its coarse parts taken at their beginning."""
    index = min(max(moment.date - _FIRST_DAY, 0), _LAST_DAY - _FIRST_DAY)
    return (int(midnights(zone)[index]) + (moment.minute or 0)) * MICROS_PER_MINUTE
