"""Newton's method on sums over the sites: the next coefficients, or why there are none.

Each round brings the objective (a log-likelihood), its gradient and its information at the coefficients asked for.
Coefficients are those of standardised columns, so that one tolerance fits all.

On separated data the likelihood has no maximum: the objective nears its bound geometrically, and Newton's decrement
falls by a factor e each round where it should fall faster and faster (Albert & Anderson 1984,
doi:10.1093/biomet/71.1.1, for the phenomenon; the factor is that of exp(-η) under steps of one). Four such rounds in
a row are taken for separation, and the columns that still move by such steps are named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from estran.analysis.federated.rounds import Floats
from estran.model.errors import CheckFailed

MOST_STEPS = 30
_CONVERGED = 1e-15  # of the decrement: the step is then 3e-8 standard errors, and the one after it 1e-15
_COLLINEAR = 1e-11  # of the smallest to the largest eigenvalue of the information
_SLOW = (0.2, 0.6)  # around 1/e
_SLOW_ROUNDS = 4


@dataclass(frozen=True)
class Next:
    """Where to look next, and what to remember; `done` when `beta` is the maximum to working precision."""

    beta: Floats
    done: bool
    memory: Mapping[str, Any]


def begin(size: int) -> dict[str, Any]:
    """What is remembered before the first round."""
    return {"beta": [0.0] * size, "best": None, "kept": [0.0] * size, "decrements": [], "steps": 0}


def advance(
    memory: Mapping[str, Any], objective: float, gradient: Floats, information: Floats, names: Sequence[str]
) -> Next:
    """One Newton step, halved while the objective falls. CheckFailed when there is no maximum, or it is not found."""
    beta, best = np.array(memory["beta"]), memory["best"]
    steps = int(memory["steps"]) + 1
    if not np.isfinite(objective) or (best is not None and objective < best - 1e-9 * (1 + abs(best))):
        back = (beta + np.array(memory["kept"])) / 2
        return _go({**memory, "beta": back.tolist(), "steps": steps}, back, False)
    step = solve(information, gradient, names)
    decrement = float(gradient @ step)
    passed = [*memory["decrements"], decrement]
    there = beta + step
    if decrement <= _CONVERGED:
        return Next(there, True, memory)
    _mind_separation(passed, step, names)
    return _go(
        {"beta": there.tolist(), "best": objective, "kept": beta.tolist(), "decrements": passed, "steps": steps},
        there,
        True,
    )


def _go(memory: Mapping[str, Any], beta: Floats, forward: bool) -> Next:
    if memory["steps"] >= MOST_STEPS:
        raise CheckFailed(
            "The model did not converge." if forward else "The likelihood does not rise any more.",
            hint="leave variables out, join categories together, or look at extreme values",
        )
    return Next(beta, False, memory)


def _mind_separation(passed: Sequence[float], step: Floats, names: Sequence[str]) -> None:
    last = np.array(passed[-_SLOW_ROUNDS - 1 :])
    if len(last) <= _SLOW_ROUNDS:
        return
    ratios = last[1:] / last[:-1]
    if np.all((ratios > _SLOW[0]) & (ratios < _SLOW[1])):
        size = np.abs(step)
        moving = [
            name for name, one in zip(names, size, strict=True) if one > 0.2 * size.max() and name != "(intercept)"
        ]
        raise CheckFailed(
            f"The outcome is separated: {', '.join(moving) or 'the intercept'} foretells it without error in some group, and "
            "has no finite coefficient.",
            hint="join categories together, or leave the variable out",
        )


def solve(information: Floats, right: Floats, names: Sequence[str]) -> Floats:
    """The solution of the symmetric system; CheckFailed when columns are collinear, and which."""
    values, vectors = np.linalg.eigh(information)
    if len(values) and values[0] <= _COLLINEAR * values[-1]:
        together = [name for name, part in zip(names, np.abs(vectors[:, 0]), strict=True) if part > 0.1]
        raise CheckFailed(
            f"The model is not identified: {', '.join(together)} do not vary independently of each other.",
            hint="leave one of them out",
        )
    solved: Floats = vectors @ ((vectors.T @ right).T / values).T
    return solved


def inverse(information: Floats, names: Sequence[str]) -> Floats:
    """The covariance matrix; CheckFailed when columns are collinear."""
    return solve(information, np.eye(len(information)), names)
