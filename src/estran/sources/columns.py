"""Columns of a batch in the making: facts by the hundred thousand, gathered without a tuple each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from estran.model.moments import Moment
from estran.sources.schemas import DATE, F64, I8, I16, I32, STR

_NOWHEN = (None, None, 0)
_PROFILE = (("code", I32), ("unit", STR), ("low", F64), ("high", F64))
_FACT_DEFAULTS = {"status": 0, "context": 0, "origin": 0}

Profile = tuple[int, str | None, float | None, float | None]  # code, unit, low, high


def column(rows: Sequence[tuple[Any, ...]], at: int, kind: pa.DataType) -> pa.Array:
    """Item `at` of every row."""
    return pa.array([row[at] for row in rows], kind)


def sparse(items: Mapping[int, Any] | None, size: int, default: Any, kind: pa.DataType) -> pa.Array:
    """A column of `size` rows that few rows say something in."""
    if not items:
        return pa.repeat(pa.scalar(default, kind), size)
    column = [default] * size
    for row, value in items.items():
        column[row] = value
    return pa.array(column, kind)


def moments(starts: Sequence[Moment | None]) -> dict[str, pa.Array]:
    """The three columns of moments."""
    known = [m or _NOWHEN for m in starts]
    return {
        "start_date": pa.array([m[0] for m in known], I32).cast(DATE),
        "start_minute": pa.array([m[1] for m in known], I16),
        "precision": pa.array([int(m[2]) for m in known], I8),
    }


class FactColumns:
    """Facts gathered column by column.

    Most results of a laboratory differ by their value alone: what they share (code, unit, range) is
    a *profile*, listed once; moments are kept as runs; columns that are mostly empty are kept by row.
    """

    __slots__ = ("counts", "profiles", "rare", "starts", "values")

    def __init__(self) -> None:
        self.profiles: list[int] = []
        self.values: list[float | None] = []
        self.starts: list[Moment | None] = []  # with `counts`: so many facts in a row at this moment
        self.counts: list[int] = []
        self.rare: dict[str, dict[int, Any]] = {}

    def __len__(self) -> int:
        return len(self.profiles)

    def add(self, profile: int, start: Moment | None, value: float | None, rare: Mapping[str, Any]) -> int:
        """Add a fact; returns its place."""
        row = len(self.profiles)
        self.profiles.append(profile)
        self.values.append(value)
        if row and self.starts[-1] is start:
            self.counts[-1] += 1
        else:
            self.starts.append(start)
            self.counts.append(1)
        if rare:
            for name, item in rare.items():
                if item is not None:
                    self.rare.setdefault(name, {})[row] = item
        return row

    def at(self, start: Moment | None, count: int) -> None:
        """The next `count` facts happened at `start`."""
        if not count:
            return
        if self.starts and self.starts[-1] is start:
            self.counts[-1] += count
        else:
            self.starts.append(start)
            self.counts.append(count)

    def extend(self, other: FactColumns) -> None:
        """Add all of `other`."""
        base = len(self.profiles)
        self.profiles += other.profiles
        self.values += other.values
        self.starts += other.starts
        self.counts += other.counts
        for name, items in other.rare.items():
            self.rare.setdefault(name, {}).update({base + row: item for row, item in items.items()})

    def cut(self, size: int) -> None:
        """Forget every fact from place `size` on."""
        surplus = len(self.profiles) - size
        del self.profiles[size:], self.values[size:]
        while surplus > 0:
            last = self.counts.pop()
            start = self.starts.pop()
            if last > surplus:
                self.starts.append(start)
                self.counts.append(last - surplus)
            surplus -= last
        for items in self.rare.values():
            for row in [r for r in items if r >= size]:
                del items[row]

    def table(self, schema: pa.Schema, profiles: list[Profile], places: dict[str, pa.Array]) -> pa.Table:
        """The table of `schema`; `places` holds its columns `document` and `fact_no`."""
        index = pa.array(self.profiles, I32)
        counts = np.array(self.counts, dtype=np.int64)
        runs = pa.array(np.repeat(np.arange(len(counts)), counts))
        columns = {
            **places,
            **{name: array.take(runs) for name, array in moments(self.starts).items()},
            **{name: column(profiles, at, kind).take(index) for at, (name, kind) in enumerate(_PROFILE)},
            "value": pa.array(self.values, F64),
        }
        for item in schema:
            if item.name not in columns:
                default = _FACT_DEFAULTS.get(item.name)
                columns[item.name] = sparse(self.rare.get(item.name), len(self), default, item.type)
        return pa.table([columns[name] for name in schema.names], schema=schema)
