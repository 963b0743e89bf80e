"""Geometry of the charts; templates turn it into SVG. Nothing here knows a count that the gate did not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from estran.projects.gate import Shown

AGE_BANDS = ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80-89", "90+")


@dataclass(frozen=True)
class Bar:
    """A rectangle and what it stands for."""

    label: str
    x: float
    y: float
    width: float
    height: float
    shown: Shown


def share(shown: Shown, largest: int) -> float:
    """Percentage of the largest; a masked count has no length."""
    return round(100 * shown.value / largest, 2) if largest > 0 else 0.0


def largest(counts: Sequence[Shown]) -> int:
    """The largest value shown, at least 1."""
    return max((c.value for c in counts), default=1) or 1


def columns(labels: Sequence[str], counts: Sequence[Shown], width: float = 340, height: float = 90) -> list[Bar]:
    """Columns standing on the bottom line."""
    top, step = largest(counts), width / max(len(counts), 1)
    gap = min(3.0, step * 0.25)
    return [
        Bar(label, n * step + gap / 2, height * (1 - c.value / top), step - gap, height * c.value / top, c)
        for n, (label, c) in enumerate(zip(labels, counts, strict=True))
    ]


def ticks(labels: Sequence[str], most: int = 6) -> list[tuple[int, str]]:
    """Which labels to write under columns so that they do not touch, with their place."""
    every = max(1, -(-len(labels) // most))
    return [(n, label) for n, label in enumerate(labels) if n % every == 0]


def pyramid(
    women: Sequence[Shown], men: Sequence[Shown], half: float = 140, row: float = 17
) -> list[tuple[str, Bar, Bar]]:
    """Oldest first: the label of the band, the bar of women (growing left) and of men (growing right)."""
    top = largest([*women, *men])
    rows = []
    for n, band in enumerate(reversed(AGE_BANDS)):
        w, m = women[len(AGE_BANDS) - 1 - n], men[len(AGE_BANDS) - 1 - n]
        left, right = half * w.value / top, half * m.value / top
        y = n * row
        rows.append((band, Bar(band, half - left, y, left, row - 4, w), Bar(band, half + 44, y, right, row - 4, m)))
    return rows
