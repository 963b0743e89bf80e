"""Timestamps of messages: thousands a second, most of them on a few dozen days."""

from __future__ import annotations

import re

from estran.model.codes import Precision
from estran.model.moments import MICROS_PER_MINUTE, Moment, instant, midnights, parse_hl7
from estran.sources.hl7v2.refused import Refused

_MINUTE, _HOUR = Precision.MINUTE, Precision.HOUR
_FRACTION = re.compile(r"[0-9]{14}\.[0-9]{1,6}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{12}([0-9]{2})(?:\.([0-9]{1,6}))?", re.ASCII)
_FIRST_DAY, _LAST_DAY = -51_134, 84_370
_SIZES = frozenset((10, 12, 14))
_MAX_DAYS = 50_000
_MINUTES = {f"{minute // 60:02d}{minute % 60:02d}": minute for minute in range(1440)}
_LAST_DIGITS = frozenset(f"{second:02d}" for second in range(61))


class Clock:
    """Reads HL7 timestamps in the zone of the site."""

    def __init__(self, zone: str) -> None:
        self.zone = self._zone = zone
        self._days: dict[str, tuple[int, int] | None] = {}  # date → (day, UTC micros of midnight), ordinary days only
        self._last: tuple[str, Moment | None] = ("", None)  # the fields of one message mostly tell the same moment

    def moment(self, text: str, field: str) -> Moment | None:
        """The moment that `text` writes, None when it is empty; Refused naming `field` when it is none."""
        if not text or text == '""':
            return None
        if text == self._last[0]:
            return self._last[1]
        moment = self._moment(text, field)
        self._last = (text, moment)
        return moment

    def _moment(self, text: str, field: str) -> Moment:
        if len(text) == 14:  # the common case: a day seen before
            known, elapsed = self._days.get(text[:8]), _MINUTES.get(text[8:12])
            if known is not None and elapsed is not None and text[12:] in _LAST_DIGITS:
                return Moment(known[0], elapsed, _MINUTE)
        day = self._ordinary(text)
        if day is not None:
            size = len(text)
            hour = int(text[8:10])
            if size == 10:
                return Moment(day[0], hour * 60, _HOUR) if hour < 24 else _refuse(field)
            minute = int(text[10:12])
            if hour > 23 or minute > 59 or (size > 12 and text[12:14] > "60"):
                _refuse(field)
            return Moment(day[0], hour * 60 + minute, _MINUTE)
        try:
            moment = parse_hl7(text.strip(), self._zone)
        except (ValueError, OverflowError):
            _refuse(field)
        if not _FIRST_DAY < moment.date < _LAST_DAY:
            _refuse(field)
        return moment

    def micros(self, text: str, field: str) -> int:
        """Microseconds UTC of a timestamp, seconds and their fraction included; 0 when it is empty."""
        return self.stamp(text, field)[1]

    def stamp(self, text: str, field: str) -> tuple[Moment | None, int]:
        """`moment` and `micros` at once."""
        moment = self.moment(text, field)
        if moment is None:
            return None, 0
        day = self._days.get(text[:8]) if len(text) == 14 else None
        if day is not None:  # the common case
            return moment, day[1] + (moment[1] or 0) * MICROS_PER_MINUTE + min(int(text[12:]), 59) * 1_000_000
        start = instant(moment, self._zone)
        found = _SECONDS.match(text)
        if not found:
            return moment, start
        fraction = int((found.group(2) or "").ljust(6, "0"))
        return moment, start + min(int(found.group(1)), 59) * 1_000_000 + fraction

    def _ordinary(self, text: str) -> tuple[int, int] | None:
        """Day and midnight of a timestamp without offset on a day of 24 hours; None otherwise."""
        if not (text.isdigit() and text.isascii() and len(text) in _SIZES) and not _FRACTION.fullmatch(text):
            return None
        date = text[:8]
        try:
            return self._days[date]
        except KeyError:
            if len(self._days) > _MAX_DAYS:
                self._days.clear()
            found = self._days[date] = self._look_up(date)
            return found

    def _look_up(self, date: str) -> tuple[int, int] | None:
        try:
            day = parse_hl7(date, self._zone).date
        except ValueError:
            return None
        if not _FIRST_DAY < day < _LAST_DAY:
            return None
        starts = midnights(self._zone)
        start, end = int(starts[day - _FIRST_DAY]), int(starts[day - _FIRST_DAY + 1])
        return (day, start * MICROS_PER_MINUTE) if end - start == 1440 else None


def _refuse(field: str) -> Moment:
    raise Refused(field, "malformed", f"{field} is not a timestamp.")
