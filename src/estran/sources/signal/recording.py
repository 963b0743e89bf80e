"""A recording as every format gives it: channels, marks, gaps, heart rate; times in seconds from its start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from estran.sources import refusing


class Unread(refusing.Unread):
    """Why a recording gives no record: a refusal code and a sentence without any value."""


@dataclass(frozen=True)
class Channel:
    """One signal: label and unit as the source writes them, samples per second, samples in all."""

    label: str
    unit: str = ""
    frequency: float = 0.0
    samples: int = 0


@dataclass(frozen=True)
class Mark:
    """Something noted at `start`, lasting `seconds` when known; `code` is of the list `system`, or ""."""

    start: float
    seconds: float | None = None
    text: str = ""
    system: str = ""
    code: str = ""


@dataclass(frozen=True)
class Rate:
    """Heart rate over one hour of the recording, or over all of it: beats per minute."""

    start: float
    seconds: float
    median: float
    low: float  # of the minutes
    high: float
    beats: int


@dataclass(frozen=True)
class Subject:
    """Who was recorded, as far as the file says; `number` is the hospital's."""

    number: str = ""
    system: str = ""
    family_names: tuple[str, ...] = ()
    given_names: tuple[str, ...] = ()
    birth_date: str = ""  # YYYY-MM-DD
    sex: str = ""


@dataclass(frozen=True)
class Measure:
    """A quantity that the file itself states (an interval measured by the electrocardiograph)."""

    system: str
    code: str
    label: str
    value: float
    unit: str


@dataclass(frozen=True)
class Recording:
    """What one recording says. `start` is local ISO time ("" unknown), `key` its business id."""

    key: str
    format: str
    start: str = ""
    seconds: float = 0.0
    channels: tuple[Channel, ...] = ()
    marks: tuple[Mark, ...] = ()
    beats: tuple[tuple[str, int], ...] = ()  # beat type → count
    gaps: tuple[tuple[float, float], ...] = ()  # start, seconds
    whole: Rate | None = None
    hours: tuple[Rate, ...] = ()
    rate_from: str = ""  # beats, detected, channel
    measures: tuple[Measure, ...] = ()
    subject: Subject = field(default_factory=Subject)
    checksum: str = ""

    def packed(self) -> bytes:
        """As JSON, the same bytes for the same recording. Raises Unread when a number is out of all range."""
        try:
            return orjson.dumps(self, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError:
            raise Unread("malformed", "A number of the recording is out of range.") from None


def unpacked(body: bytes) -> Recording:
    """The recording that `packed` wrote."""
    said: dict[str, Any] = orjson.loads(body)
    tuples = {
        "channels": tuple(Channel(**c) for c in said["channels"]),
        "marks": tuple(Mark(**m) for m in said["marks"]),
        "beats": tuple((str(k), int(n)) for k, n in said["beats"]),
        "gaps": tuple((float(a), float(b)) for a, b in said["gaps"]),
        "hours": tuple(Rate(**r) for r in said["hours"]),
        "measures": tuple(Measure(**m) for m in said["measures"]),
    }
    who = said["subject"] | {n: tuple(said["subject"][n]) for n in ("family_names", "given_names")}
    whole = Rate(**said["whole"]) if said["whole"] else None
    return Recording(**{**said, **tuples, "subject": Subject(**who), "whole": whole})
