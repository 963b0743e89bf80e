"""Confidence intervals at 95 %."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Z = 1.959963984540054  # the 97.5th percentile of the normal law
T = TypeVar("T")


@dataclass(frozen=True)
class Estimate:
    """A figure with the bounds of its interval, and the number of things that it rests on.

    `value` is None when it is not defined (nothing to compare, or everybody always said the same); the bounds are None
    when they are not.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0


def wilson(successes: int, trials: int) -> Estimate:
    """A proportion with Wilson's score interval (Wilson 1927; method 3 of Newcombe, Stat Med 1998;17:857)."""
    if trials == 0:
        return Estimate(None)
    share, square = successes / trials, Z * Z
    middle = share + square / (2 * trials)
    half = Z * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    low = 0.0 if successes == 0 else (middle - half) / scale
    high = 1.0 if successes == trials else (middle + half) / scale
    return Estimate(share, low, high, trials)


def ratio(over: Estimate, under: Estimate) -> Estimate:
    """The ratio of two independent proportions, its bounds recovered from theirs (MOVER-R: Donner and Zou, Stat Methods
    Med Res 2012;21:347). Not defined when the one below is 0; no upper bound when it may be."""
    a, la, ua, b, lb, ub = over.value, over.low, over.high, under.value, under.low, under.high
    if a is None or b is None or la is None or ua is None or lb is None or ub is None or b == 0:
        return Estimate(None)
    low = (a * b - math.sqrt(max((a * b) ** 2 - la * ub * (2 * a - la) * (2 * b - ub), 0.0))) / (ub * (2 * b - ub))
    far = lb * (2 * b - lb)
    high = None
    if far > 0:
        high = (a * b + math.sqrt(max((a * b) ** 2 - ua * lb * (2 * a - ua) * (2 * b - lb), 0.0))) / far
    return Estimate(a / b, max(low, 0.0), high, over.n + under.n)


def jackknife(items: Sequence[T], figure: Callable[[Sequence[T]], float | None], low: float, high: float) -> Estimate:
    """A figure of independent items, its interval from leaving each out in turn (Quenouille and Tukey), kept within
    `low` and `high`. Without bounds when the figure is not defined once an item is left out."""
    value = figure(items)
    n = len(items)
    if value is None or n < 3:
        return Estimate(value, n=n)
    left = [figure([*items[:place], *items[place + 1 :]]) for place in range(n)]
    known = [one for one in left if one is not None]
    if len(known) < n:
        return Estimate(value, n=n)
    mean = sum(known) / n
    error = math.sqrt((n - 1) / n * sum((one - mean) ** 2 for one in known))
    return Estimate(value, max(low, value - Z * error), min(high, value + Z * error), n)
