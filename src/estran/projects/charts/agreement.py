"""How far reviewers agree beyond chance, with 95 % intervals.

Sources: Cohen 1960 and 1968, Fleiss 1971, Fleiss, Cohen and Everitt 1969 (Psychol Bull 72:323) for the variance of
kappa, Krippendorff 2011 for alpha. The tests hold their published examples.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from estran.projects.charts.intervals import Estimate, Z, jackknife

Floats = NDArray[np.float64]
Rating = Hashable
Pair = tuple[Rating, Rating]


def cohen_kappa(pairs: Sequence[Pair], order: Sequence[Rating] = (), power: int = 0) -> Estimate:
    """Kappa of two reviewers; each pair is what both said of one thing.

    With `order` (the categories from least to most) and `power`, disagreements weigh by their distance: 1 linear,
    2 quadratic. The interval is the large-sample one.
    """
    names = list(order) or sorted({one for pair in pairs for one in pair}, key=str)
    place = {name: number for number, name in enumerate(names)}
    table = np.zeros((len(names), len(names)))
    for (first, second), count in Counter(pairs).items():
        table[place[first], place[second]] += count
    return kappa_of_table(table, agreement_weights(len(names), power))


def agreement_weights(categories: int, power: int) -> Floats:
    """1 on the diagonal; elsewhere 0, or less the farther apart when `power` is 1 (linear) or 2 (quadratic)."""
    apart = np.abs(np.subtract.outer(np.arange(categories), np.arange(categories))).astype(float)
    if power == 0 or categories < 2:
        return np.asarray((apart == 0).astype(float))
    return np.asarray(1 - (apart / (categories - 1)) ** power)


def kappa_of_table(table: Floats, weights: Floats) -> Estimate:
    """Kappa of a square table of counts; `weights` are 1 for full agreement (Fleiss, Cohen and Everitt 1969, eq. 8)."""
    n = float(table.sum())
    if n == 0:
        return Estimate(None)
    p = table / n
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    observed, chance = float((weights * p).sum()), float((weights * np.outer(rows, columns)).sum())
    if chance >= 1 - 1e-12:
        return Estimate(None, n=round(n))
    kappa = (observed - chance) / (1 - chance)
    of_row, of_column = weights @ columns, rows @ weights
    spread = (weights * (1 - chance) - np.add.outer(of_row, of_column) * (1 - observed)) ** 2
    centre = observed * chance - 2 * chance + observed
    variance = (float((p * spread).sum()) - centre**2) / (n * (1 - chance) ** 4)
    half = Z * math.sqrt(max(variance, 0.0))
    return Estimate(kappa, max(-1.0, kappa - half), min(1.0, kappa + half), round(n))


def fleiss_kappa(ratings: Sequence[Sequence[Rating]]) -> Estimate:
    """Kappa of as many ratings for each thing, whoever gave them; things rated less often than the most are left out.

    The interval is the jackknife's over things.
    """
    most = max((len(one) for one in ratings), default=0)
    whole = [Counter(one) for one in ratings if len(one) == most and most > 1]
    return jackknife(whole, _fleiss, -1.0, 1.0)


def _fleiss(counted: Sequence[Mapping[Rating, int]]) -> float | None:
    if not counted:
        return None
    raters = sum(counted[0].values())
    within = sum(sum(n * n for n in one.values()) - raters for one in counted)
    observed = within / (len(counted) * raters * (raters - 1))
    totals: Counter[Rating] = Counter()
    for one in counted:
        totals.update(one)
    chance = sum((n / (len(counted) * raters)) ** 2 for n in totals.values())
    return None if chance >= 1 - 1e-12 else (observed - chance) / (1 - chance)


def krippendorff_alpha(units: Sequence[Sequence[Rating]], interval: bool = False) -> Estimate:
    """Alpha of ratings of which some may be missing; with `interval` the ratings are numbers, compared by squared
    distance. Things rated once say nothing and are left out. The interval is the jackknife's over things."""
    rated = [tuple(unit) for unit in units if len(unit) > 1]
    return jackknife(rated, _by_distance if interval else _by_name, -1.0, 1.0)


def _by_name(units: Sequence[Sequence[Rating]]) -> float | None:
    """1 - observed / expected disagreement, each unit weighing its number of ratings."""
    totals = Counter(value for unit in units for value in unit)
    n = sum(totals.values())
    if n < 2:
        return None
    pairs = [(len(unit) ** 2 - sum(m * m for m in Counter(unit).values())) / (len(unit) - 1) for unit in units]
    expected = (n * n - sum(m * m for m in totals.values())) / (n - 1)
    return None if expected == 0 else 1 - sum(pairs) / expected


def _by_distance(units: Sequence[Sequence[Rating]]) -> float | None:
    values = [np.asarray(unit, float) for unit in units]
    if not values:
        return None
    everything = np.concatenate(values)
    expected = _square_distances(everything) / (len(everything) - 1)
    observed = sum(_square_distances(unit) / (len(unit) - 1) for unit in values)
    return None if expected == 0 else 1 - observed / expected


def _square_distances(values: Floats) -> float:
    """The sum over ordered pairs of the squared difference."""
    return float(2 * (len(values) * (values**2).sum() - values.sum() ** 2))
