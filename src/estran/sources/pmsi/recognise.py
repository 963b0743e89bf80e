"""Which layout a line is of, by its marks; and what the name of a file says of its sending."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from estran.model.moments import of_parts
from estran.sources.pmsi.cutting import Ints, Lines
from estran.sources.pmsi.layout import Kind, Layout, Mark

_TRANSMISSION = re.compile(r"(?<!\d)(\d{9})\.(\d{4})\.(\d{1,2})(?!\d)")
_STAMP = re.compile(r"(?<!\d)(20\d{2})-?(\d{2})-?(\d{2})(?:[T.]?(\d{2})(\d{2})(\d{2})?)?(?!\d)")


class Recogniser:
    """Layouts by their marks: those with the longest texts are looked for first."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self.layouts: list[tuple[Kind, Layout]] = [(kind, layout) for kind in kinds for layout in kind.layouts]
        signatures: dict[tuple[tuple[int, int, bool], ...], dict[bytes, int]] = {}
        for number, (_, layout) in enumerate(self.layouts):
            for marks in layout.marks:
                shape = tuple((m.start, m.length, bool(m.digits)) for m in marks)
                # The last table read wins: a hospital's own table may replace one of the package.
                signatures.setdefault(shape, {})[b"".join(m.text for m in marks)] = number
        self._signatures = sorted(signatures.items(), key=lambda item: _strength(item[0]), reverse=True)

    def find(self, lines: Lines) -> Ints:
        """Index in `layouts` of the layout of each line, -1 where none is known."""
        found = np.full(len(lines), -1, np.int64)
        longest = np.array([layout.longest for _, layout in self.layouts] + [0])
        for shape, by_text in self._signatures:
            left = np.flatnonzero(found < 0)
            if not len(left):
                break
            numbers = _matches(lines, left, shape, by_text)
            numbers[lines.lengths()[left] > longest[numbers]] = -1
            found[left] = numbers
        return found


def _strength(shape: tuple[tuple[int, int, bool], ...]) -> tuple[int, int]:
    texts = sum(length for _, length, digits in shape if not digits)
    return texts, sum(length for _, length, digits in shape if digits)


def _matches(lines: Lines, rows: Ints, shape: tuple[tuple[int, int, bool], ...], by_text: dict[bytes, int]) -> Ints:
    chosen = lines.take(rows)
    marks = [(Mark(start, digits=length) if digits else Mark(start, b" " * length)) for start, length, digits in shape]
    cuts = [(mark, chosen.cut(chosen.starts + mark.start, chosen.ends, mark.length)) for mark in marks]
    kept = np.ones(len(rows), np.bool_)
    for mark, cut in cuts:
        if mark.digits:
            kept &= ((cut >= 48) & (cut <= 57)).all(axis=1)
    written = [cut for mark, cut in cuts if not mark.digits]
    if not written:
        return np.where(kept, by_text[b""], -1).astype(np.int64)
    joined = np.ascontiguousarray(np.hstack(written))
    values, index = np.unique(joined.view(f"S{joined.shape[1]}").reshape(-1), return_inverse=True)
    known: npt.NDArray[np.int64] = np.array([by_text.get(value, -1) for value in values.tolist()], np.int64)
    return np.where(kept, known[index.reshape(-1)], -1)


def transmission_of(*names: str) -> str:
    """FINESS, year and month of the transmission that a file is part of, as ATIH's programs name files
    (`910019447.2017.0.rsa`); "" when no name says it."""
    for name in names:
        if found := _TRANSMISSION.search(name):
            return f"{found[1]}.{found[2]}.{int(found[3])}"
    return ""


def sent_of(zone: str, *names: str) -> int | None:
    """Microseconds UTC of the moment that a file's name gives (`20250130112254`, `2025-01-30`), if any."""
    for name in names:
        for found in _STAMP.finditer(name):
            year, month, day, hour, minute = (int(found[n] or 0) for n in range(1, 6))
            try:
                moment = of_parts(year, month, day, hour, minute, zone)
                second = dt.timedelta(seconds=int(found[6] or 0))
            except ValueError:
                continue
            return instant_of(moment.date, moment.minute or 0, zone) + int(second.total_seconds() * 1_000_000)
    return None


def instant_of(day: int, minute: int, zone: str) -> int:
    """Microseconds UTC of a minute of a local day."""
    from estran.model.moments import MICROS_PER_MINUTE, utc_minutes

    minutes = utc_minutes(np.array([day], np.int32), np.array([minute], np.int16), zone)
    return int(minutes[0]) * MICROS_PER_MINUTE
