"""WFDB headers (header(5) of the WFDB Applications Guide), read without opening anything else.

Every name in a header is a bare file name: a path, an address or a parent folder is refused, so that no
header can make the reader open what lies elsewhere.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from estran.sources.signal.recording import Channel, Unread

LARGEST = 8 << 20  # bytes of a header
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_NUMBER = r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?"
_RECORD = re.compile(
    rf"^(?P<name>{_NAME})(?:/(?P<segments>\d+))?\s+(?P<channels>\d+)"
    rf"(?:\s+(?P<frequency>{_NUMBER})(?:/{_NUMBER})?(?:\({_NUMBER}\))?)?"
    r"(?:\s+(?P<samples>\d+))?(?:\s+(?P<time>[\d:.]+))?(?:\s+(?P<date>\d+/\d+/\d+))?\s*$"
)
_SIGNAL = re.compile(
    rf"^(?P<file>~|{_NAME})\s+(?P<format>\d+)(?:x(?P<frame>\d+))?(?::(?P<skew>\d+))?(?:\+(?P<offset>\d+))?"
    rf"(?:\s+(?P<gain>{_NUMBER})(?:\([-+]?\d+\))?(?:/(?P<unit>\S+))?)?"
    r"(?:\s+\d+)?(?:\s+[-+]?\d+)?(?:\s+[-+]?\d+)?(?:\s+[-+]?\d+)?(?:\s+\d+)?(?:\s+(?P<label>.*?))?\s*$"
)
_SEGMENT = re.compile(rf"^(?P<name>~|{_NAME})\s+(?P<samples>\d+)\s*$")
_MOST_CHANNELS, _MOST_SEGMENTS = 10_000, 1_000_000
_DEFAULT_FREQUENCY = 250.0


@dataclass(frozen=True)
class Header:
    """One header. `segments` of a multi-segment record are (record name or "~" for a gap, samples)."""

    name: str
    frequency: float  # frames per second
    samples: int  # frames; 0 unknown
    start: str  # local ISO time, "" unknown
    channels: tuple[Channel, ...]
    files: tuple[str, ...]
    segments: tuple[tuple[str, int], ...]


def read_header(raw: bytes) -> Header:
    """Raises Unread."""
    if len(raw) > LARGEST:
        raise Unread("malformed", "The WFDB header is larger than 8 MB.")
    try:
        return _header(raw)
    except (ValueError, OverflowError):  # a number with more digits than any has, a time with two points
        raise Unread("malformed", "The WFDB header holds an impossible number.") from None


def _header(raw: bytes) -> Header:
    text = raw.decode("utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = _RECORD.match(lines[0]) if lines else None
    if not found:
        raise Unread("malformed", "The first line of the WFDB header is not a record line.")
    frequency = float(found["frequency"] or _DEFAULT_FREQUENCY)
    count, segments = int(found["channels"]), int(found["segments"] or 0)
    if not 0 < frequency < 1e7 or count > _MOST_CHANNELS or segments > _MOST_SEGMENTS:
        raise Unread("malformed", "The record line of the WFDB header holds an impossible number.")
    samples, start = int(found["samples"] or 0), _start(found["time"], found["date"])
    if found["segments"]:
        parts = tuple(_segment(line) for line in lines[1 : segments + 1])
        if len(parts) != segments:
            raise Unread("truncated", "The WFDB header names fewer segments than it says.")
        return Header(found["name"], frequency, samples, start, (), (), parts)
    signals = [_signal(line, frequency, samples) for line in lines[1 : count + 1]]
    if len(signals) != count:
        raise Unread("truncated", "The WFDB header describes fewer signals than it says.")
    files = tuple(dict.fromkeys(file for _, file in signals if file != "~"))
    return Header(found["name"], frequency, samples, start, tuple(c for c, _ in signals), files, ())


def _segment(line: str) -> tuple[str, int]:
    found = _SEGMENT.match(line)
    if not found:
        raise Unread("malformed", "A segment line of the WFDB header is not a bare record name and a length.")
    return found["name"], int(found["samples"])


def _signal(line: str, frequency: float, samples: int) -> tuple[Channel, str]:
    found = _SIGNAL.match(line)
    if not found:
        raise Unread("malformed", "A signal line of the WFDB header cannot be read, or names a file elsewhere.")
    per_frame = int(found["frame"] or 1)
    label = (found["label"] or "").strip()[:80]
    return Channel(label, found["unit"] or "mV", frequency * per_frame, samples * per_frame), found["file"]


def _start(time: str | None, date: str | None) -> str:
    """Local ISO time; a time without a date tells no moment."""
    if not time or not date:
        return ""
    day, month, year = (int(part) for part in date.split("/"))
    clock = [0, 0, *(float(part) for part in time.split(":") if part)][-3:]
    try:
        moment = dt.datetime(year, month, day, int(clock[0]), int(clock[1]), int(clock[2]))
    except ValueError:
        return ""
    return moment.isoformat()
