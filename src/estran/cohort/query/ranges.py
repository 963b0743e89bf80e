"""Ranges: of whole numbers, of dates, of measured values. At least one bound; bounds are in order."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

from estran.cohort.query.base import Part, refuse

_LIMIT = 1_000_000


@dataclass(frozen=True)
class IntRange(Part):
    """From `low` to `high`, both included; None is unbounded."""

    low: int | None = None
    high: int | None = None

    def check(self) -> None:
        if self.low is None and self.high is None:
            raise refuse("A range needs a lower or an upper bound.", "write for example 18..65, >=18 or <=65")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise refuse(f"The range {self.low}..{self.high} is upside down.", f"write {self.high}..{self.low}")
        if any(bound is not None and abs(bound) > _LIMIT for bound in (self.low, self.high)):
            raise refuse("A bound of the range is out of reach.", f"stay between -{_LIMIT} and {_LIMIT}")

    def holds(self, number: int | None) -> bool:
        """Whether a number is in the range; an unknown number is not."""
        if number is None:
            return False
        return (self.low is None or number >= self.low) and (self.high is None or number <= self.high)


@dataclass(frozen=True)
class DateRange(Part):
    """Local calendar dates from `start` to `end`, both included; None is unbounded."""

    start: dt.date | None = None
    end: dt.date | None = None

    def check(self) -> None:
        if self.start is None and self.end is None:
            raise refuse("A date range needs a first or a last day.", "write for example 2019-01-01..2020-12-31")
        if self.start is not None and self.end is not None and self.start > self.end:
            raise refuse("The first day of the date range is after the last one.", "swap the two dates")

    def holds(self, date: dt.date | None) -> bool:
        """Whether a date is in the range; an unknown date is not."""
        if date is None:
            return False
        return (self.start is None or date >= self.start) and (self.end is None or date <= self.end)


@dataclass(frozen=True)
class ValueRange(Part):
    """Measured values between `low` and `high`; an open bound is not included.

    `unit` is UCUM and must be the fact's own unit. A fact reported as a bound (`<5`) is in the
    range only when every value it may stand for is.
    """

    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    unit: str | None = None

    def check(self) -> None:
        try:
            bounds = [float(b) for b in (self.low, self.high) if b is not None]
        except OverflowError:
            bounds = [math.inf]
        if not bounds:
            raise refuse("A value range needs a bound.", "write for example <30, >=5 or 5..30")
        if not all(math.isfinite(b) for b in bounds):
            raise refuse("A bound of the value range is not a number.", "give finite numbers")
        if (self.low is None and self.low_open) or (self.high is None and self.high_open):
            raise refuse("A missing bound cannot be open.", "leave out low_open or high_open")
        if len(bounds) == 2 and (bounds[0] > bounds[1] or (bounds[0] == bounds[1] and self.low_open | self.high_open)):
            raise refuse("No value can be in this range.", "put the smaller bound first")
        if self.unit is not None and not self.unit.strip():
            raise refuse("The unit is empty.", "leave the unit out, or give it in UCUM, like g/L")
