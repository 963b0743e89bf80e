"""Geometry of one variable at the sites of a pool: a line from quartile to quartile, a tick in the middle, one scale for all."""

from __future__ import annotations

from dataclasses import dataclass

from estran.hub.pooling.desk import Compared

WIDTH, MARGIN = 180.0, 6.0


@dataclass(frozen=True)
class Mark:
    """One site: `middle` is where its tick stands, None without one; `low` to `high` the line, of no length without."""

    middle: float | None
    low: float
    high: float


def marks(compared: Compared) -> tuple[Mark, ...]:
    """One mark per site, in the order of the cells; shares where there are no values."""
    ends = [value for cell in compared.cells for value in (cell.low, cell.middle, cell.high) if value is not None]
    if not ends:
        return tuple(_share(cell.share) for cell in compared.cells)
    start, end = min(ends), max(ends)
    scale = (WIDTH - 2 * MARGIN) / ((end - start) or 1.0)

    def place(value: float) -> float:
        return round(MARGIN + (value - start) * scale, 1)

    found = []
    for cell in compared.cells:
        middle = None if cell.middle is None else place(cell.middle)
        both = (
            (place(cell.low), place(cell.high))
            if cell.low is not None and cell.high is not None
            else (middle or 0.0,) * 2
        )
        found.append(Mark(middle, *both))
    return tuple(found)


def _share(share: float | None) -> Mark:
    if share is None:
        return Mark(None, 0.0, 0.0)
    return Mark(None, MARGIN, round(MARGIN + (WIDTH - 2 * MARGIN) * share, 1))
