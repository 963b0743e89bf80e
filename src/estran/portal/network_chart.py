"""Geometry of the picture of a network's answers: one bar per site, and how far each may be from the truth."""

from __future__ import annotations

from dataclasses import dataclass

from estran.hub.gathering import Gathered, SiteAnswer

LEFT, WIDTH, ROW = 210.0, 560.0, 30.0


@dataclass(frozen=True)
class Row:
    """One site. `width` is the bar, `low` and `high` the ends of its whisker; all 0 when there is no number."""

    site: SiteAnswer
    y: float
    width: float
    low: float
    high: float


@dataclass(frozen=True)
class Picture:
    """All sites, and the interval of the distinct total on the same scale."""

    rows: tuple[Row, ...]
    height: float
    low: float
    high: float
    value: float | None


def picture(found: Gathered) -> Picture:
    """The picture of a question."""
    total = found.total
    ends = [site.shown.value + site.shown.margin for site in found.sites if site.shown is not None]
    scale = WIDTH / max([*ends, total.high, 1])
    rows = tuple(_row(site, n * ROW, scale) for n, site in enumerate(found.sites))
    value = None if total.shown is None or total.shown.below or total.method == "bounds" else total.shown.value * scale
    return Picture(rows, len(rows) * ROW, total.low * scale, total.high * scale, value)


def _row(site: SiteAnswer, y: float, scale: float) -> Row:
    shown = site.shown
    if shown is None or shown.below:
        return Row(site, y, 0.0, 0.0, 0.0)
    low, high = max(0, shown.value - shown.margin), shown.value + shown.margin
    return Row(site, y, shown.value * scale, low * scale, high * scale)
