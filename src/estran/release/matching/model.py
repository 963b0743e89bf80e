"""How likely a pattern is of one person, after Fellegi and Sunter (1969), learnt from the records at hand.

What two different people look like is learnt within sites, where no two records are one person: twins, namesakes,
fathers and sons are all there, in their numbers. Since traits of twins and namesakes do not differ independently, the
law is a mixture of a few classes (latent classes, fitted by EM). What one person looks like is then learnt between
sites, by EM with the first law held still. Where INS are at hand, pairs with different ones are strangers for certain,
pairs with equal ones are not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estran.release.matching.compare import SHAPE

Floats = npt.NDArray[np.float64]
_CLASSES, _FITS, _ROUNDS, _STILL = 8, 5, 300, 1e-8
_HALF = 0.5  # a priori, spread over the levels of a trait: none is impossible
#: How one person's records agree, before anything was learnt: by trait and level, from worst to best.
_START = (
    (0.004, 0.004, 0.012, 0.01, 0.97), (0.02, 0.005, 0.975), (0.4, 0.03, 0.57), (0.004, 0.03, 0.1, 0.09, 0.336, 0.336, 0.104),
    (0.004, 0.02, 0.01, 0.09, 0.02, 0.01, 0.02, 0.363, 0.363, 0.1),
)  # fmt: skip


@dataclass(frozen=True)
class Counts:
    """How many pairs have each pattern. `strangers`: pairs known to be two persons; `one`: pairs of two sites that the INS
    tells to be one; `between`: pairs of two sites of which nothing is known. `scale`: how many pairs there are of the last
    kind, all records taken, per pair of the first."""

    strangers: Floats
    between: Floats
    one: Floats
    scale: float


def odds(counts: Counts) -> Floats:
    """Of each pattern, the odds that a pair of two sites is one person."""
    seen = np.flatnonzero(counts.strangers + counts.between + counts.one)
    levels = np.array(np.unravel_index(seen, SHAPE))
    fits = [_strangers(levels, counts.strangers[seen], start) for start in range(_FITS)]
    strangers = counts.scale * counts.strangers.sum() * np.mean(fits, axis=0)
    matches = _matches(levels, counts.between[seen], counts.one[seen], strangers)
    found = np.zeros(len(counts.strangers))
    found[seen] = matches / np.maximum(strangers, 1e-12)
    return found


def _strangers(levels: npt.NDArray[np.int64], weights: Floats, start: int) -> Floats:
    """The share of each pattern among strangers; EM ends elsewhere from another start, several are averaged."""
    total = weights.sum()
    if not total:
        return np.full(levels.shape[1], 1e-9)
    dice = np.random.default_rng(start)
    belongs = dice.dirichlet(np.full(_CLASSES, 0.3), levels.shape[1])
    last = -np.inf
    for _ in range(_ROUNDS):
        sizes = belongs.T @ weights
        joint = np.stack([_law(levels, belongs[:, k] * weights, 0.02) for k in range(_CLASSES)], 1) * (sizes / total)
        whole = joint.sum(1)
        belongs = joint / whole[:, None]
        fit = float(weights @ np.log(whole)) / total
        if fit - last < _STILL:
            break
        last = fit
    return np.asarray(whole)


def _matches(levels: npt.NDArray[np.int64], between: Floats, one: Floats, strangers: Floats) -> Floats:
    """How many pairs of one person have each pattern, among the pairs between sites without two INS."""
    law = np.prod([np.array(_START[trait])[row] for trait, row in enumerate(levels)], axis=0)
    number = between.sum() / 2
    for _ in range(_ROUNDS):
        expected = number * law
        share = expected / np.maximum(expected + strangers, 1e-300)  # none of either: no pair is in question
        before, number = number, float((share * between).sum())
        law = _law(levels, share * between + one, _HALF)
        if abs(number - before) < 1e-6 * max(1.0, number):
            break
    return np.asarray(number * law)


def _law(levels: npt.NDArray[np.int64], weights: Floats, prior: float) -> Floats:
    """The law of independent traits that fits weighted patterns, at these patterns."""
    law = np.ones(levels.shape[1])
    for trait, row in enumerate(levels):
        held = np.bincount(row, weights, SHAPE[trait]) + prior / SHAPE[trait]
        law *= (held / held.sum())[row]
    return law
