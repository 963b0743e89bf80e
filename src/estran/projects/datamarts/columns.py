"""One value per patient and variable, out of the ordered events of a variable: whole arrays, no loop over rows.

Events come in order of patient, moment and value, so that every aggregate, sums included, is the same to the bit
however the facts lay on disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from estran.projects.datamarts.spec import Aggregate, Of, Spec, Variable
from estran.projects.datamarts.tables import events_sql
from estran.release.dates import DatePolicy

_MOMENT_BITS = 28
_DAY_ZERO = -51_135  # 1829-12-31, the day of moment 0
_BATCH = 500_000  # events handed over at once

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Events:
    """The events of one variable: rank of the patient, moment (0: unknown), value (NaN: none)."""

    ranks: Ints
    moments: Ints
    values: Floats

    def where(self, keep: npt.NDArray[np.bool_]) -> Events:
        """Those to keep."""
        return Events(self.ranks[keep], self.moments[keep], self.values[keep])


@dataclass(frozen=True)
class People:
    """What is known of each patient, by rank: index day and whether there is one, shift, month of birth since 1970."""

    index: Ints
    indexed: npt.NDArray[np.bool_]
    shifts: Ints
    births: Ints

    @property
    def count(self) -> int:
        return len(self.shifts)


def columns(connection: duckdb.DuckDBPyConnection, spec: Spec) -> Iterator[tuple[Variable, pa.Array]]:
    """The column of each variable that has one value per patient, in order; events are read variable after variable."""
    people = _people(connection)
    kept = [n for n, one in enumerate(spec.variables) if one.aggregate is not Aggregate.ALL]
    if not kept:
        return
    events = _by_variable(connection, kept, people.count)
    waiting = next(events, None)
    for number in kept:
        mine = Events(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        if waiting is not None and waiting[0] == number:  # nothing may have answered
            mine, waiting = waiting[1], next(events, None)
        variable = spec.variables[number]
        yield variable, _column(variable, mine, people, spec.dates)


def _people(connection: duckdb.DuckDBPyConnection) -> People:
    rows = connection.sql(
        "SELECT index_day, shift, date_diff('month', DATE '1970-01-01', birth_month) AS birth FROM member ORDER BY rank"
    ).to_arrow_table()
    index, births = rows.column("index_day"), rows.column("birth")
    return People(
        np.asarray(index.fill_null(0).to_numpy(), np.int64),
        np.asarray(index.is_valid().to_numpy(), np.bool_),
        np.asarray(rows.column("shift").to_numpy(), np.int64),
        np.asarray(births.fill_null(-(2**31)).to_numpy(), np.int64),
    )


def _by_variable(
    connection: duckdb.DuckDBPyConnection, variables: list[int], people: int
) -> Iterator[tuple[int, Events]]:
    """The events of each variable that has any, in order of the variables."""
    reader = connection.sql(events_sql(variables), params={"people": people}).to_arrow_reader(_BATCH)
    current, pieces = -1, list[tuple[Ints, Floats]]()
    for batch in reader:
        keys = np.asarray(batch.column(0).to_numpy(), np.int64)
        values = np.asarray(batch.column(1).fill_null(float("nan")).to_numpy(zero_copy_only=False), np.float64)
        owners = (keys >> _MOMENT_BITS) // max(people, 1)
        starts = np.concatenate([[0], np.flatnonzero(np.diff(owners)) + 1, [len(keys)]])
        for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            if stop > start and int(owners[start]) != current:
                if pieces:
                    yield current, _events(pieces, people)
                current, pieces = int(owners[start]), []
            pieces.append((keys[start:stop], values[start:stop]))
    if pieces:
        yield current, _events(pieces, people)


def _events(pieces: list[tuple[Ints, Floats]], people: int) -> Events:
    keys = np.concatenate([piece[0] for piece in pieces])
    values = np.concatenate([piece[1] for piece in pieces])
    return Events((keys >> _MOMENT_BITS) % people, keys & ((1 << _MOMENT_BITS) - 1), values)


def _column(variable: Variable, events: Events, people: People, policy: DatePolicy) -> pa.Array:
    kind = variable.aggregate
    if kind is Aggregate.COUNT:
        return pa.array(np.bincount(events.ranks, minlength=people.count).astype(np.int32))
    if kind is Aggregate.ANY:
        return pa.array(np.bincount(events.ranks, minlength=people.count) > 0)
    if variable.of is Of.VALUE:
        return _values(kind, events.where(~np.isnan(events.values)), people.count)
    return _days(variable, events.where(events.moments > 0), people, policy)


def _values(kind: Aggregate, events: Events, people: int) -> pa.Array:
    events = events.where(events.moments > 0) if kind in (Aggregate.FIRST, Aggregate.LAST) else events
    result = np.full(people, np.nan)
    if len(events.ranks):
        starts, stops = _groups(events.ranks)
        result[events.ranks[starts]] = _reduced(kind, events.values, starts, stops)
    return pa.array(result, mask=np.isnan(result))


def _reduced(kind: Aggregate, values: Floats, starts: Ints, stops: Ints) -> Floats:
    if kind is Aggregate.FIRST:
        return values[starts]
    if kind is Aggregate.LAST:
        return values[stops - 1]
    if kind is Aggregate.MEAN:
        found: Floats = np.add.reduceat(values, starts) / (stops - starts)
        return found
    reduce = np.minimum.reduceat if kind is Aggregate.MIN else np.maximum.reduceat
    extreme: Floats = reduce(values, starts)
    return extreme


def _days(variable: Variable, events: Events, people: People, policy: DatePolicy) -> pa.Array:
    days, known = np.zeros(people.count, np.int64), np.zeros(people.count, np.bool_)
    if len(events.ranks):
        starts, stops = _groups(events.ranks)
        chosen = starts if variable.aggregate is Aggregate.FIRST else stops - 1
        days[events.ranks[chosen]] = events.moments[chosen] // 1500 + _DAY_ZERO
        known[events.ranks[chosen]] = True
    if variable.of is Of.DAYS:
        return pa.array((days - people.index).astype(np.int32), mask=~(known & people.indexed))
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    if policy is DatePolicy.YEAR:
        return pa.array((months.astype("datetime64[Y]").astype(np.int64) + 1970).astype(np.int16), mask=~known)
    if policy is DatePolicy.SHIFT:
        days = days + people.shifts
    else:  # as `release.dates.date_sql`
        at_birth = months.astype(np.int64) == people.births
        days = np.where(at_birth, months.astype("datetime64[D]").astype(np.int64), days)
    return pa.array(days.astype(np.int32), pa.int32(), mask=~known).cast(pa.date32())


def _groups(ranks: Ints) -> tuple[Ints, Ints]:
    """Where each patient's events start and stop."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(ranks)) + 1])
    return starts, np.concatenate([starts[1:], [len(ranks)]])
