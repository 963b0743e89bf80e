"""Small cells of a table, and the further cells that must go so that no margin gives them away.

A cell under the floor is suppressed (primary). Then, as long as a line (a row, a column, …, with its margin) has one
suppressed cell only, the smallest other one goes as well (secondary); and linear programming looks at the table as a
reader would, all margins known: each primary cell must be free to vary by the floor or more, or more cells go
(Hundepool et al. 2012, Statistical Disclosure Control, chapter 4, doi:10.1002/9781118348239). Margins are cells like
others. The tables of sums have one pattern, whatever the sites.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

Counts = NDArray[np.int64]
Hidden = NDArray[np.bool_]


def with_margins(counts: Counts) -> Counts:
    """A table of any number of ways with the sums along each of its ways at the end."""
    for way in range(counts.ndim):
        counts = np.concatenate([counts, counts.sum(axis=way, keepdims=True)], axis=way)
    return counts


def suppressed(table: Counts, floor: int) -> Hidden:
    """The cells of a table with margins that may not be told."""
    primary = table < floor
    hidden = primary.copy()
    if not primary.any():
        return hidden
    lines = list(_lines(table.shape))
    while True:
        _complete(table, hidden, lines)
        found = _given_away(table, primary, hidden, lines, floor)
        if found is None:
            return hidden
        near = [cell for line in lines if found in line for cell in line]
        every = near if any(not hidden.flat[cell] for cell in near) else range(table.size)
        more = _smallest(table, hidden, every)
        if more is None:
            return hidden
        hidden.flat[more] = True


def _lines(shape: tuple[int, ...]) -> Iterator[list[int]]:
    """The flat places of the cells of each line; its margin is the last."""
    places = np.arange(int(np.prod(shape))).reshape(shape)
    for way in range(len(shape)):
        for line in np.moveaxis(places, way, -1).reshape(-1, shape[way]):
            yield [int(place) for place in line]


def _complete(table: Counts, hidden: Hidden, lines: list[list[int]]) -> None:
    """No line is left with one suppressed cell."""
    changed = True
    while changed:
        changed = False
        for line in lines:
            if sum(bool(hidden.flat[cell]) for cell in line) == 1:
                more = _smallest(table, hidden, line)
                if more is not None:
                    hidden.flat[more] = changed = True


def _smallest(table: Counts, hidden: Hidden, cells: list[int] | range) -> int | None:
    left = [cell for cell in cells if not hidden.flat[cell]]
    return min(left, key=lambda cell: (int(table.flat[cell]), cell)) if left else None


def _given_away(table: Counts, primary: Hidden, hidden: Hidden, lines: list[list[int]], floor: int) -> int | None:
    """A primary cell that a reader of the table can tell within less than the floor; None when there is none."""
    if hidden.all():
        return None
    unknown = np.flatnonzero(hidden)
    column = {int(cell): n for n, cell in enumerate(unknown)}
    rows, right = [], []
    for line in lines:
        if not any(cell in column for cell in line):
            continue
        row, value = np.zeros(len(unknown)), 0.0
        for n, cell in enumerate(line):
            sign = -1.0 if n == len(line) - 1 else 1.0
            if cell in column:
                row[column[cell]] = sign
            else:
                value -= sign * float(table.flat[cell])
        rows.append(row)
        right.append(value)
    system = (np.array(rows), np.array(right))
    return next(
        (int(cell) for cell in np.flatnonzero(primary) if _freedom(column[int(cell)], system, floor) < floor), None
    )


def _freedom(place: int, system: tuple[NDArray[np.float64], NDArray[np.float64]], floor: int) -> float:
    """How far the cell at a place may be from its smallest possible value; unbounded is far enough."""
    goal = np.zeros(system[0].shape[1])
    goal[place] = 1.0
    ends = [linprog(sign * goal, A_eq=system[0], b_eq=system[1], bounds=(0, None)) for sign in (1.0, -1.0)]
    if ends[1].status == 3:  # unbounded
        return float(floor)
    return float(-ends[1].fun - ends[0].fun)
