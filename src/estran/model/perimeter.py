"""What part of a site somebody may see: facilities, wards, kinds of document, a period, a list of patients."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from estran.model.codes import DocumentKind
from estran.model.errors import UsageError

MOST_PATIENTS = 1_000_000
_MOST_CODES = 500
_LISTS = ("facilities", "wards", "kinds")


@dataclass(frozen=True)
class Perimeter:
    """Every field that is given must hold; an empty one bounds nothing.

    `facilities` and `wards` are codes of units, each with everything below it. `since` and `until` are local
    calendar dates, both included. `patients` are pseudonymous numbers; None is everybody, () is nobody.
    """

    facilities: tuple[str, ...] = ()
    wards: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    since: dt.date | None = None
    until: dt.date | None = None
    patients: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """In one order, each value once. Raises UsageError when a field makes no sense."""
        for name in _LISTS:
            object.__setattr__(self, name, _codes(name, getattr(self, name)))
        if unknown := set(self.kinds) - set(DocumentKind):
            raise UsageError(f"There is no kind of document '{min(unknown)}'.", hint=f"use {', '.join(DocumentKind)}")
        if self.since and self.until and self.since > self.until:
            raise UsageError("The period ends before it begins.", hint="swap the two dates")
        if self.patients is not None:
            object.__setattr__(self, "patients", _numbers(self.patients))

    @property
    def whole(self) -> bool:
        """Whether it bounds nothing."""
        return self == WHOLE

    @property
    def dated(self) -> bool:
        """Whether it has a first or a last day."""
        return self.since is not None or self.until is not None

    def to_json(self) -> str:
        """The same perimeter always gives the same text."""
        given = {name: list(getattr(self, name)) for name in _LISTS if getattr(self, name)}
        days = {name: day.isoformat() for name in ("since", "until") if (day := getattr(self, name))}
        people = {} if self.patients is None else {"patients": list(self.patients)}
        return json.dumps(given | days | people, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Perimeter:
        """What `to_json` wrote; UsageError when it is anything else."""
        try:
            given = json.loads(text)
            values: dict[str, Any] = {name: tuple(given.pop(name)) for name in (*_LISTS, "patients") if name in given}
            values |= {name: dt.date.fromisoformat(given.pop(name)) for name in ("since", "until") if name in given}
        except (ValueError, TypeError, AttributeError):
            raise _unreadable() from None
        if not isinstance(given, dict) or given:
            raise _unreadable()
        return cls(**values)


def _codes(name: str, values: tuple[str, ...]) -> tuple[str, ...]:
    if len(values) > _MOST_CODES or any(not isinstance(v, str) or not v.strip() or not v.isprintable() for v in values):
        raise UsageError(
            "A perimeter names its units and kinds by their codes.", where=name, hint="leave empty ones out"
        )
    return tuple(sorted({value.strip() for value in values}))


def _numbers(values: tuple[int, ...]) -> tuple[int, ...]:
    fit = all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 2**31 for v in values)
    if len(values) > MOST_PATIENTS or not fit:
        raise UsageError("A perimeter lists patients by their pseudonymous numbers.", hint="for example 12, 40, 41")
    return tuple(sorted(set(values)))


def _unreadable() -> UsageError:
    return UsageError("The perimeter cannot be read.", hint="set it again")


WHOLE = Perimeter()
