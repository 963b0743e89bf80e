"""Events as columns of numbers, and the arithmetic that relates them.

An event belongs to a *key*: a patient, or a stay, document, movement or fact group of the bucket,
as one integer. `ident` numbers an event within its bucket: kind, then document and fact, or stay,
or the rank of the movement; equal moments are ordered by it.
"""

from __future__ import annotations

import array
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from estran.cohort.query import Unit

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Keys: TypeAlias = BitMap  # sets of groups are a GroupSet, which does all that is asked of it here

NO_DAY = -(1 << 31)
FACT, DOCUMENT, STAY, MOVEMENT, GROUP = range(5)
_KIND_BIT, NUMBER_BIT = 60, 29
NUMBER_MASK = (1 << NUMBER_BIT) - 1
_DAY_BITS, _MINUTE_BITS = 21, 30
_FAR = {_DAY_BITS: 1 << 18, _MINUTE_BITS: 1 << 28}  # no two moments are further apart


@dataclass(frozen=True)
class Events:
    """Parallel columns; one that was not asked for is None.

    `day` since 1970 (NO_DAY unknown), `minute` since local midnight (-1 unknown), `precision` as
    stored, `stay` -1 when not known.
    """

    key: Ints
    patient: Ints
    day: Ints | None = None
    minute: Ints | None = None
    precision: Ints | None = None
    ident: Ints | None = None
    stay: Ints | None = None
    document: Ints | None = None

    def __len__(self) -> int:
        return len(self.key)

    def take(self, rows: Ints | Bools) -> Events:
        """Some rows, by place or by mask."""
        if rows.dtype == np.bool_ and rows.all():
            return self
        if rows.dtype == np.bool_ and rows.all():
            return self
        columns: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        taken: dict[str, Any] = {name: None if values is None else values[rows] for name, values in columns.items()}
        return Events(**taken)

    def keyed(self, rows: Ints, keys: Ints) -> Events:
        """The rows with other keys."""
        return replace(self.take(rows), key=keys)

    @property
    def days(self) -> Ints:
        return given(self.day)

    @property
    def minutes(self) -> Ints:
        return given(self.minute)

    @property
    def idents(self) -> Ints:
        return given(self.ident)

    def known(self, precision: int) -> Bools:
        """Rows with a date of at least a precision."""
        found: Bools = (self.days != NO_DAY) & (given(self.precision) >= precision)
        return found


def given(values: Ints | None) -> Ints:
    """A column that was asked for."""
    if values is None:
        raise AssertionError("a column was not asked for")
    return values


def concatenate(parts: list[Events]) -> Events:
    """Rows of several, with the columns that all have; each event of a key once where events are numbered."""
    if len(parts) == 1:
        return parts[0]
    columns: dict[str, Any] = {}
    for field in fields(Events):
        values = [getattr(part, field.name) for part in parts]
        columns[field.name] = None if any(v is None for v in values) else np.concatenate(values)
    found = Events(**columns)
    if found.ident is None:
        return found
    order = np.lexsort((found.ident, found.key))
    key, ident = found.key[order], found.ident[order]
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = (key[1:] != key[:-1]) | (ident[1:] != ident[:-1])
    return found.take(order[fresh])


def number(kind: int, first: Ints, second: Ints | int = 0) -> Ints:
    """Identity of events."""
    found: Ints = (np.int64(kind) << _KIND_BIT) | (first.astype(np.int64) << NUMBER_BIT) | second
    return found


def parts_of(ident: int) -> tuple[int, int, int]:
    """Kind and the two numbers of an identity."""
    return ident >> _KIND_BIT, (ident >> NUMBER_BIT) & ((1 << (_KIND_BIT - NUMBER_BIT)) - 1), ident & NUMBER_MASK


class GroupSet:
    """A set of fact groups, whose numbers are too large for a bitmap, as sorted numbers."""

    def __init__(self, numbers: Ints) -> None:
        """`numbers` are sorted and distinct."""
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __and__(self, other: GroupSet) -> GroupSet:
        return GroupSet(self.numbers[contained(self.numbers, other.numbers)])

    def __or__(self, other: GroupSet) -> GroupSet:
        return GroupSet(distinct(np.concatenate([self.numbers, other.numbers])))

    def __sub__(self, other: GroupSet) -> GroupSet:
        return GroupSet(self.numbers[~contained(self.numbers, other.numbers)])


def key_set(keys: Ints, unit: Unit) -> Keys:
    """A set of keys."""
    if unit is Unit.GROUP:
        return cast(Keys, GroupSet(distinct(keys)))
    return BitMap(array.array("I", distinct(keys).astype(np.uint32).tobytes()))


def key_array(keys: Keys) -> Ints:
    """The sorted members of a set of keys."""
    if isinstance(keys, GroupSet):
        return keys.numbers
    return np.frombuffer(keys.to_array(), dtype=np.uint32).astype(np.int64)


def spread(keys: Ints) -> tuple[int, int] | None:
    """Smallest key and width, when keys are dense enough to be counted in a table."""
    if not len(keys):
        return None
    low, high = int(keys.min()), int(keys.max())
    return (low, high - low + 1) if high - low < 16 * len(keys) + 4096 else None


def distinct(keys: Ints) -> Ints:
    """Sorted distinct keys (`np.unique` hashes, which is ten times slower on many large numbers)."""
    found = spread(keys)
    if found is None:
        keys = ascending(keys)[0]
        fresh: Ints = keys[np.append(True, keys[1:] != keys[:-1])[: len(keys)]]
        return fresh
    present = np.zeros(found[1], np.bool_)
    present[keys - found[0]] = True
    return np.flatnonzero(present) + found[0]


def frequent(keys: Ints, least: int) -> Bools:
    """Rows whose key stands in at least so many rows."""
    found = spread(keys)
    if found is None:
        _, back, counts = np.unique(keys, return_inverse=True, return_counts=True)
        several: Bools = counts[back] >= least
        return several
    several = (np.bincount(keys - found[0], minlength=found[1]) >= least)[keys - found[0]]
    return several


def ascending(values: Ints) -> tuple[Ints, Ints | None]:
    """Sorted values and the order that sorts them; None when they were sorted already, as facts often are."""
    if len(values) < 2 or bool((values[1:] >= values[:-1]).all()):
        return values, None
    order = np.argsort(values, kind="stable")
    return values[order], order


def places(wanted: Ints, known: Ints) -> Ints:
    """Where each wanted value is in a sorted column, -1 when it is not there."""
    if not len(known):
        return np.full(len(wanted), -1, np.int64)
    found = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[found] == wanted, found, -1)


def contained(values: Ints, known: Ints) -> Bools:
    """Which values are in a sorted column."""
    found: Bools = places(values, known) >= 0
    return found


def expand(wanted: Ints, known: Ints) -> tuple[Ints, Ints]:
    """Every pair of rows with the same value; `known` is sorted. Rows of `wanted`, rows of `known`."""
    low, high = np.searchsorted(known, wanted, "left"), np.searchsorted(known, wanted, "right")
    count = high - low
    rows = np.repeat(np.arange(len(wanted)), count)
    offset = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    return rows, np.repeat(low, count) + offset


# Comparing moments inside a key: the key in the high bits, the moment in the low ones


def _small(*keys: Ints) -> list[Ints]:
    """The same keys small enough to leave room for a moment."""
    if all(not len(k) or int(k.max()) < 1 << 32 for k in keys):
        return list(keys)
    ranks = np.unique(np.concatenate(keys), return_inverse=True)[1].astype(np.int64)
    return np.split(ranks, np.cumsum([len(k) for k in keys])[:-1])


def on_days(*events: Events) -> list[Ints]:
    """Key and day as one number, for several sets of events with known days."""
    keys = _small(*(e.key for e in events))
    return [(k << _DAY_BITS) + e.days + (1 << (_DAY_BITS - 1)) for k, e in zip(keys, events, strict=True)]


def on_minutes(events: list[Events], minutes: list[Ints]) -> list[Ints]:
    """Key and minute of universal time as one number."""
    keys = _small(*(e.key for e in events))
    return [(k << _MINUTE_BITS) + m + (1 << (_MINUTE_BITS - 1)) for k, m in zip(keys, minutes, strict=True)]


def between(first: Ints, then: Ints, low: int | None, high: int | None, minutes: bool = False) -> tuple[Ints, Ints]:
    """For each moment of `first`, where those of the sorted `then`, in the same key and `low` to `high` later,
    begin and end."""
    bits = _MINUTE_BITS if minutes else _DAY_BITS
    far = _FAR[bits]
    start = first + max(-far, min(far, -far if low is None else low))
    end = first + max(-far, min(far, far if high is None else high))
    begin = np.searchsorted(then, start, "left")
    return begin, np.maximum(np.searchsorted(then, end, "right"), begin)


def count_between(first: Ints, then: Ints, low: int | None, high: int | None) -> Ints:
    """For each moment of `first`, how many of the sorted `then`, in the same key, are `low` to `high` days later."""
    begin, end = between(first, then, low, high)
    return end - begin


def in_order(events: Events) -> Events:
    """Dated events by key, moment and identity."""
    events = events.take(events.days != NO_DAY)
    keys = _small(events.key)[0]
    moments, order = ascending((keys << 30) + ((events.days + (1 << 17)) << 12) + events.minutes + 1)
    order = np.arange(len(events)) if order is None else order
    equal = moments[1:] == moments[:-1]
    tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
    order[tied] = order[tied][np.lexsort((events.idents[order[tied]], moments[tied]))]
    return events.take(order)


def starts(sorted_keys: Ints) -> Ints:
    """Where each run of equal keys begins, and one more entry for the end."""
    if not len(sorted_keys):
        return np.zeros(1, np.int64)
    return np.concatenate([[0], np.flatnonzero(np.diff(sorted_keys)) + 1, [len(sorted_keys)]])
