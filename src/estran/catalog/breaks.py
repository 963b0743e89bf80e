"""Breaks in a series of weekly counts: the weeks from which a feed gave lastingly more or less than before.

The rule, in four steps:

1. counts are put on the scale of Anscombe's transform, 2·√(n + 3/8), on which Poisson noise has deviation 1;
2. the noise is what weeks differ by from one to the next: σ = 1.4826·MAD of the differences / √2, never below 1;
   a week further than `CLIP`·σ from the median of its `AROUND` neighbours is brought back to that distance, so
   that a public holiday or one day's double sending makes no break;
3. the series is cut where it lowers Σ(x - mean of its segment)² + β·(number of cuts) most, exactly, by dynamic
   programming over all cuts (Jackson et al. 2005, the problem that PELT prunes), with β = `STRICT`·σ²·ln(weeks)
   and no segment shorter than `SHORTEST` weeks;
4. a cut is told when the median counts on its two sides differ by `LEAST` of the larger or more.

How often it is right is measured in `tests/unit/catalog/test_breaks.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

SHORTEST = 5
STRICT = 4.0
LEAST = 0.2
CLIP = 3.0
AROUND = 9

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Break:
    """From week `at` (its place in the series) on, the usual count is `after` where it was `before`."""

    at: int
    before: float
    after: float

    @property
    def change(self) -> float:
        """How much less (negative) or more, as a share of the level before; 1 when there was nothing before."""
        return (self.after - self.before) / self.before if self.before else 1.0


def breaks(counts: Sequence[int]) -> list[Break]:
    """The breaks of a series of weekly counts, in order; none in fewer than twice `SHORTEST` weeks."""
    if len(counts) < 2 * SHORTEST:
        return []
    raw = np.asarray(counts, np.float64)
    scaled = 2 * np.sqrt(raw + 0.375)
    noise = max(1.0, 1.4826 * _mad(np.diff(scaled)) / math.sqrt(2))
    cuts = _cut(_calm(scaled, noise), STRICT * noise**2 * math.log(len(raw)))
    edges = [0, *cuts, len(raw)]
    levels = [float(np.median(raw[a:b])) for a, b in pairwise(edges)]
    found = [Break(at, before, after) for at, (before, after) in zip(cuts, pairwise(levels), strict=True)]
    return [one for one in found if abs(one.after - one.before) >= LEAST * max(one.before, one.after) > 0]


def _mad(values: Floats) -> float:
    return float(np.median(np.abs(values - np.median(values))))


def _calm(values: Floats, noise: float) -> Floats:
    """Lone spikes brought back to `CLIP` deviations from what is around them."""
    half = AROUND // 2
    padded = np.pad(values, half, mode="edge")
    middle = np.median(np.lib.stride_tricks.sliding_window_view(padded, AROUND), axis=1)
    return np.clip(values, middle - CLIP * noise, middle + CLIP * noise)


def _cut(values: Floats, penalty: float) -> list[int]:
    """Where the cheapest segmentation cuts, in order."""
    size = len(values)
    total, squares = np.concatenate([[0], np.cumsum(values)]), np.concatenate([[0], np.cumsum(values**2)])
    best = np.full(size + 1, np.inf)
    best[0] = -penalty
    came = np.zeros(size + 1, np.int64)
    for end in range(SHORTEST, size + 1):
        starts = np.arange(0, end - SHORTEST + 1)
        sums = total[end] - total[starts]
        cost = best[starts] + squares[end] - squares[starts] - sums**2 / (end - starts) + penalty
        came[end] = int(np.argmin(cost))
        best[end] = cost[came[end]]
    cuts: list[int] = []
    at = int(came[size])
    while at > 0:
        cuts.append(at)
        at = int(came[at])
    return cuts[::-1]
