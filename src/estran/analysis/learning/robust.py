"""Aggregation that a few bad sites cannot pull far. It needs each site's update in the clear, at the hub: a mode of its own, which a plan
has to ask for in so many words."""

from __future__ import annotations

import numpy as np

from estran.analysis.learning.plan import KRUM, Plan
from estran.analysis.learning.rows import Floats


def robust_mean(plan: Plan, updates: list[Floats]) -> Floats:
    """What to go on with, out of [weight, weight × move] of each site; sites weigh the same, as a bad one lies about its weight too.
    ValueError under three sites."""
    if len(updates) < 3:
        raise ValueError("Robust aggregation takes three sites or more.")
    moves = np.stack([one[1:] / max(one[0], 1e-9) for one in updates])
    found = krum(moves) if plan.aggregation == KRUM else trimmed_mean(moves)
    return np.concatenate([[1.0], found])


def trimmed_mean(moves: Floats) -> Floats:
    """Mean of each coordinate without its lowest and highest fifth, one at least (Yin et al., 2018)."""
    cut = max(1, len(moves) // 5)
    return np.asarray(np.sort(moves, axis=0)[cut : len(moves) - cut].mean(0), np.float64)


def krum(moves: Floats) -> Floats:
    """The move that lies nearest to its neighbours, one site being bad (Blanchard et al., 2017)."""
    apart = ((moves[:, None] - moves[None]) ** 2).sum(2)
    near = np.sort(apart, axis=1)[:, 1 : max(2, len(moves) - 2)].sum(1)
    return np.asarray(moves[near.argmin()], np.float64)
