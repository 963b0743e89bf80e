"""Cutting fixed-width lines: thousands at once, as columns.

The lines of a chunk stay in one buffer. A field of many lines is a matrix of bytes taken by index; a
position past the end of its line reads as a space, as the formats mean it (trailing blanks are often lost).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estran.sources.pmsi.layout import Field, Group, Layout

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NO_DAY = -(2**31)  # no date
_SPACE, _ZERO = 32, 48
_FIRST, _LAST = np.datetime64("1830-01-02", "D"), np.datetime64("2200-12-30", "D")


@dataclass(frozen=True)
class Lines:
    """Lines of one buffer: where each starts and ends, its number in the file and in its member."""

    data: Bytes
    starts: Ints
    ends: Ints
    numbers: Ints
    places: Ints

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, rows: Ints | Bools) -> Lines:
        """Some of the lines."""
        return Lines(self.data, self.starts[rows], self.ends[rows], self.numbers[rows], self.places[rows])

    def lengths(self) -> Ints:
        return self.ends - self.starts

    def bytes_of(self, row: int) -> bytes:
        return self.data[self.starts[row] : self.ends[row]].tobytes()

    def cut(self, at: Ints, ends: Ints, length: int) -> Bytes:
        """Matrix of the `length` bytes from each of `at`, spaces from `ends` on."""
        index = at[:, None] + np.arange(length, dtype=np.int64)
        outside = index >= ends[:, None]
        cut = self.data[np.minimum(index, len(self.data) - 1)] if len(self.data) else np.zeros_like(index, np.uint8)
        cut[outside] = _SPACE
        return cut

    def head(self, item: Field) -> Bytes:
        """A field of the fixed part of every line."""
        return self.cut(self.starts + item.start, self.ends, item.length)


@dataclass(frozen=True)
class Items:
    """The items of a repeated zone over all lines: the line of each, and its place."""

    group: Group
    line: Ints
    at: Ints


def texts(cut: Bytes) -> list[str]:
    """Each row as text, trimmed."""
    return [raw.decode("latin-1").strip() for raw in _strings(cut).tolist()]


def distinct(cut: Bytes) -> tuple[list[str], Ints]:
    """The different texts, trimmed, and which of them each row is. Blank ones are "" (once or more)."""
    if not len(cut):
        return [], np.empty(0, np.int64)
    values, index = np.unique(_strings(cut), return_inverse=True)
    return [raw.decode("latin-1").strip() for raw in values.tolist()], index.reshape(-1).astype(np.int64)


def _strings(cut: Bytes) -> npt.NDArray[np.bytes_]:
    return np.ascontiguousarray(cut).view(f"S{cut.shape[1]}").reshape(-1)


def blank(cut: Bytes) -> Bools:
    """Rows that are spaces only."""
    return np.asarray((cut == _SPACE).all(axis=1))


def numbers(cut: Bytes, decimals: int = 0) -> tuple[npt.NDArray[np.float64], Bools]:
    """Values, NaN where blank, and which rows are neither blank nor a number."""
    value = np.zeros(len(cut), np.float64)
    started, ended, wrong = (np.zeros(len(cut), np.bool_) for _ in range(3))
    for place in range(cut.shape[1]):
        byte = cut[:, place]
        digit = (byte >= _ZERO) & (byte < _ZERO + 10)
        wrong |= ~digit & (byte != _SPACE)
        wrong |= digit & ended
        value = np.where(digit, value * 10 + (byte.astype(np.int64) - _ZERO), value)
        ended |= started & ~digit
        started |= digit
    value[~started | wrong] = np.nan
    return value / 10**decimals, wrong


def days(cut: Bytes, kind: str = "d") -> tuple[npt.NDArray[np.int32], Bools]:
    """Days since 1970 of JJMMAAAA (d), MMAAAA (m: the first of the month) or SSAAAA (w: the Monday), NO_DAY
    where blank or all zeros, and which rows are neither that nor a date."""
    digits = cut.astype(np.int64) - _ZERO
    void = blank(cut) | (digits == 0).all(axis=1)
    wrong = ((digits < 0) | (digits > 9)).any(axis=1) & ~void
    digits[wrong | void] = 1  # any digits that can be computed with
    year = digits[:, -4:] @ np.array([1000, 100, 10, 1])
    lead = digits[:, :-4]
    pairs = lead[:, 0::2] * 10 + lead[:, 1::2]
    found, bad = _weeks(pairs[:, 0], year) if kind == "w" else _dates(pairs, year)
    outside = (found < _FIRST) | (found > _LAST)
    wrong |= (bad | outside) & ~void
    result = found.astype(np.int64)
    result[wrong | void] = NO_DAY
    return result.astype(np.int32), wrong


def _dates(pairs: Ints, year: Ints) -> tuple[npt.NDArray[np.datetime64], Bools]:
    day, month = (pairs[:, 0], pairs[:, 1]) if pairs.shape[1] == 2 else (np.ones(len(pairs), np.int64), pairs[:, 0])
    months = ((year - 1970) * 12 + np.clip(month, 1, 12) - 1).astype("datetime64[M]")
    found = months.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
    bad = (month < 1) | (month > 12) | (day < 1) | (found.astype("datetime64[M]") != months)
    return found, np.asarray(bad)


def _weeks(week: Ints, year: Ints) -> tuple[npt.NDArray[np.datetime64], Bools]:
    """Mondays of ISO weeks: the week of 4 January is the first."""
    fourth = (year - 1970).astype("datetime64[Y]").astype("datetime64[D]") + np.timedelta64(3, "D")
    weekday = (fourth.astype(np.int64) + 3) % 7
    return fourth + ((week - 1) * 7 - weekday).astype("timedelta64[D]"), np.asarray((week < 1) | (week > 53))


def zones(lines: Lines, layout: Layout) -> tuple[dict[str, Items], Bools, Bools, Bools]:
    """The repeated zones of lines of one layout; which lines are shorter than their counters say, which are
    longer, and which have a counter that is no number (all those have no items)."""
    starts, ends, count = lines.starts, lines.ends, len(lines)
    at = starts + layout.width
    short, wrong = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    found: dict[str, Items] = {}
    for group in layout.groups:
        owner, times, bad = _times(lines, layout, group, found)
        np.logical_or.at(wrong, owner[bad], True)
        times = np.where(bad, 0, times)
        # A line cannot hold more items than it has characters for: what a counter promises beyond is not made.
        room = np.maximum(ends - at, 0) // group.width + 2
        total = np.bincount(owner, times, minlength=count).astype(np.int64)
        short |= (total > room) & (not group.times)
        times = np.where(short[owner], 0, times)
        total[short] = 0
        line = np.repeat(owner, times)
        first = np.cumsum(total) - total
        rank = np.arange(len(line)) - first[line]
        found[group.name] = Items(group, line, at[line] + rank * group.width)
        if not group.times:
            # Blanks at the end of a line are often lost, so the last item may be cut, but not before its
            # number of times (or its first character).
            enough = group.fields["nombre"].end if "nombre" in group.fields else 1
            short |= (total > 0) & (at + (total - 1) * group.width + enough > ends)
        at = at + total * group.width
    closed = bool(layout.groups and not layout.groups[-1].times and not layout.open)
    long = ~short & ~wrong & (ends > at) & closed & _has_rest(lines, at)
    unusable = short | long | wrong
    if unusable.any():
        found = {name: _without(items, unusable) for name, items in found.items()}
    return found, short, long, wrong


def _without(items: Items, lines: Bools) -> Items:
    kept = ~lines[items.line]
    return Items(items.group, items.line[kept], items.at[kept])


def _times(lines: Lines, layout: Layout, group: Group, found: dict[str, Items]) -> tuple[Ints, Ints, Bools]:
    """How often the zone repeats for each owner (a line, or an item of the parent group), the owners' lines,
    and which counters are no number."""
    every = np.arange(len(lines))
    if group.times:
        return every, np.full(len(lines), group.times, np.int64), np.zeros(len(lines), np.bool_)
    if group.parent:
        parent = found[group.parent]
        item = parent.group.fields[group.count]
        cut, owner = lines.cut(parent.at + item.start, lines.ends[parent.line], item.length), parent.line
    else:
        cut, owner = lines.head(layout.fields[group.count]), every
    value, wrong = numbers(cut)
    return owner, np.nan_to_num(value).astype(np.int64), wrong


def _has_rest(lines: Lines, at: Ints) -> Bools:
    """Whether something that is not blank follows `at`; looked at only where lines go on."""
    rest = np.zeros(len(lines), np.bool_)
    for row in np.flatnonzero(lines.ends > at).tolist():
        rest[row] = bool((lines.data[at[row] : lines.ends[row]] != _SPACE).any())
    return rest
