"""The form of a perimeter: what was typed, and what it means."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from estran.model.errors import UsageError
from estran.model.perimeter import Perimeter
from estran.projects.bounding import listed


@dataclass(frozen=True)
class Given:
    """The fields as they are written. `listed` says that the list of patients counts, be it empty."""

    facilities: str = ""
    wards: str = ""
    since: str = ""
    until: str = ""
    kinds: tuple[str, ...] = ()
    listed: bool = False
    patients: str = ""


def written(bounds: Perimeter) -> Given:
    """A perimeter as its form shows it."""
    return Given(
        ", ".join(bounds.facilities), ", ".join(bounds.wards), bounds.since.isoformat() if bounds.since else "",
        bounds.until.isoformat() if bounds.until else "", bounds.kinds, bounds.patients is not None,
        ", ".join(map(str, bounds.patients or ())),
    )  # fmt: skip


def read(given: Given) -> Perimeter:
    """What the form says; UsageError when a field cannot be read."""
    return Perimeter(
        _codes(given.facilities), _codes(given.wards), given.kinds, _day(given.since), _day(given.until),
        listed(given.patients) if given.listed else None,
    )  # fmt: skip


def _codes(text: str) -> tuple[str, ...]:
    return tuple(code.strip() for code in text.split(",") if code.strip())


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise UsageError("A day is written YYYY-MM-DD.") from None
