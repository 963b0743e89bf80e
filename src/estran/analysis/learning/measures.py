"""How well probabilities tell who had the outcome, out of two histograms of them: those of the cases, and those of the others.

Histograms of several sites add up, so the figures of all sites together are found without anybody's rows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt

import numpy as np

from estran.analysis.learning.rows import Floats

BARS = 200
FEWEST = 10  # cases, and others, below which a site tells no figure


@dataclass(frozen=True)
class Performance:
    """`auc`: area under the ROC curve, with its 95 % confidence interval from `low` to `high`; `brier`: mean squared error of the probability; `observed` and `expected`: mean outcome and
    mean probability; `loss`: mean log loss."""

    auc: float
    low: float
    high: float
    brier: float
    loss: float
    observed: float
    expected: float

    def rounded(self) -> dict[str, float]:
        """To three decimals, as it is told."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


def auc(y: Floats, p: Floats) -> float:
    """Area under the ROC curve, exact: the part of (case, other) pairs in the right order, ties counting half. nan without both."""
    _, place, many = np.unique(p, return_inverse=True, return_counts=True)
    rank = (np.cumsum(many) - (many - 1) / 2)[place]
    cases = y.sum()
    others = len(y) - cases
    if not cases or not others:
        return float("nan")
    return float((rank[y == 1].sum() - cases * (cases + 1) / 2) / (cases * others))


def histogram(y: Floats, p: Floats) -> Floats:
    """Others and cases [2, BARS] by log odds, which spreads rare outcomes better than the probability."""
    bar = np.clip(((np.log(p / (1 - p)) + 8) / 16 * BARS).astype(np.int64), 0, BARS - 1)
    return np.bincount(bar + BARS * (y == 1), minlength=2 * BARS).astype(np.float64).reshape(2, BARS)


def of_histogram(bars: Floats) -> Performance | None:
    """The figures of a histogram of patients, each bar being of its middle; None without cases or without others."""
    others, cases = np.maximum(bars[0], 0), np.maximum(bars[1], 0)
    if others.sum() <= 0 or cases.sum() <= 0:
        return None
    p = 1 / (1 + np.exp(-((np.arange(BARS) + 0.5) / BARS * 16 - 8)))
    every = others.sum() + cases.sum()
    area, low, high = _area(others, cases)
    return Performance(
        area,
        low,
        high,
        float((cases * (1 - p) ** 2 + others * p**2).sum() / every),
        float(-(cases * np.log(p) + others * np.log(1 - p)).sum() / every),
        float(cases.sum() / every),
        float(((cases + others) * p).sum() / every),
    )


def _area(others: Floats, cases: Floats) -> tuple[float, float, float]:
    """Area under the ROC curve with its 95 % confidence interval (DeLong, DeLong and Clarke-Pearson, 1988)."""
    below = (np.cumsum(others) - others / 2) / others.sum()
    above = 1 - (np.cumsum(cases) - cases / 2) / cases.sum()
    area = float((cases * below).sum() / cases.sum())
    spread = sum(
        float((many * (place - area) ** 2).sum()) / max(float(many.sum()) - 1, 1.0) / float(many.sum())
        for many, place in ((cases, below), (others, above))
    )
    half = 1.959964 * sqrt(spread)
    return area, max(0.0, area - half), min(1.0, area + half)


def losses(y: Floats, p: Floats) -> Floats:
    """Log loss of each row, probabilities a millionth from 0 and 1 at least."""
    bounded = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(-(y * np.log(bounded) + (1 - y) * np.log(1 - bounded)), np.float64)


def loss(y: Floats, p: Floats) -> float:
    """Mean log loss."""
    return float(losses(y, p).mean())
