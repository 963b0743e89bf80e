"""Whether redacted counts can be worked out again from what a table shows.

Each row and each column with a total is an equation. A redacted cell is deduced when every solution of the
equations gives it the same value; several redacted cells of one line are deduced together as their sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estran.release.airlock.table import Kind, Table

_MOST_UNKNOWN = 500
_NONE = 1e-6


@dataclass(frozen=True)
class Equation:
    """A line of the table: what its redacted cells sum up to. `line` is "row" or "column", `place` its number from 0."""

    line: str
    place: int
    unknown: tuple[tuple[int, int], ...]
    rest: float


@dataclass(frozen=True)
class Deduced:
    """A value that follows from the totals; `row`, `column` from 0."""

    row: int
    column: int
    value: float


def equations(table: Table) -> list[Equation]:
    """The lines that have a total and at least one redacted cell."""
    return [one for one in (*_down(table), *_across(table)) if one.unknown]


def _down(table: Table) -> Iterator[Equation]:
    totals = np.flatnonzero(table.total_rows)
    if len(totals) != 1:
        return
    for place in table.of(Kind.COUNT):
        column = table.columns[place]
        if not np.isnan(column.values[totals[0]]):
            cells = [(row, place) for row in range(len(table.rows)) if row != totals[0]]
            yield _equation(table, "column", place, cells, float(column.values[totals[0]]))


def _across(table: Table) -> Iterator[Equation]:
    counts = table.of(Kind.COUNT)
    totals = [place for place in counts if table.columns[place].is_total]
    if len(totals) != 1 or len(counts) < 3:
        return
    for row in range(len(table.rows)):
        total = table.columns[totals[0]].values[row]
        if not np.isnan(total):
            yield _equation(table, "row", row, [(row, place) for place in counts if place != totals[0]], float(total))


def _equation(table: Table, line: str, place: int, cells: list[tuple[int, int]], total: float) -> Equation:
    unknown = tuple(cell for cell in cells if table.columns[cell[1]].redacted[cell[0]])
    known = sum(float(np.nan_to_num(table.columns[column].values[row])) for row, column in cells)
    return Equation(line, place, unknown, total - known)


def deduced(found: list[Equation]) -> list[Deduced]:
    """The redacted cells whose value follows from the equations."""
    cells = sorted({cell for one in found for cell in one.unknown})
    if not cells or len(cells) > _MOST_UNKNOWN:
        return []
    place = {cell: number for number, cell in enumerate(cells)}
    matrix = np.zeros((len(found), len(cells)))
    for number, one in enumerate(found):
        matrix[number, [place[cell] for cell in one.unknown]] = 1
    solution = np.linalg.lstsq(matrix, np.array([one.rest for one in found]), rcond=None)[0]
    fixed = np.abs(_null_space(matrix)).max(axis=0, initial=0.0) < _NONE
    return [Deduced(*cell, round(float(solution[place[cell]]), 6)) for cell in cells if fixed[place[cell]]]


def _null_space(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rows that span what may be added to a solution."""
    _, sizes, base = np.linalg.svd(matrix)
    found: npt.NDArray[np.float64] = base[int((sizes > _NONE).sum()) :]
    return found
