"""Logistic regression by Newton's method: gradient and curvature are sums over rows, so the result is that of the pooled rows."""

from __future__ import annotations

import numpy as np

from estran.analysis.learning.learner import State, share, sigmoid
from estran.analysis.learning.plan import Plan
from estran.analysis.learning.rows import Floats, Rows

_STILL = 1e-5  # a step shorter than this changes nothing that secure aggregation can tell from its own rounding


class Logistic:
    """Coefficients `beta`, the intercept first; `pace` is what is taken of a Newton step."""

    def start(self, plan: Plan) -> State:
        size = 2 * len(plan.columns) + 1
        return {"beta": np.zeros(size), "pace": np.ones(1), "moved": np.full(1, np.inf)}

    def local(self, plan: Plan, state: State, rows: Rows, dice: np.random.Generator) -> Floats:
        x = np.hstack([np.ones((len(rows), 1)), rows.x])
        p = sigmoid(x @ state["beta"])
        curvature = (x * (p * (1 - p))[:, None]).T @ x
        upper = np.triu_indices(x.shape[1])
        return np.concatenate([[len(rows)], x.T @ (rows.y - p), curvature[upper]]) * share(plan, rows)

    def step(self, plan: Plan, state: State, mean: Floats, sites: int) -> State:
        beta = state["beta"]
        size = len(beta)
        gradient, curvature = mean[1 : size + 1], np.zeros((size, size))
        curvature[np.triu_indices(size)] = mean[size + 1 :]
        curvature = curvature + np.triu(curvature, 1).T
        penalty = np.full(size, plan.ridge / (plan.largest * sites))
        penalty[0] = 0.0
        # A column that is never missing has no curvature of its own: the smallest weight keeps the matrix invertible.
        move = np.linalg.solve(curvature + np.diag(penalty + 1e-9), gradient - penalty * beta) * state["pace"]
        return {"beta": beta + move, "pace": np.ones(1), "moved": np.array([np.abs(move).max()])}

    def whole(self, state: State) -> bool:
        return True

    def over(self, state: State) -> bool:
        return bool(state["moved"][0] < _STILL)

    def backed(self, state: State) -> State:
        return state | {"pace": state["pace"] / 2}

    def bound(self, plan: Plan) -> float:
        return 1.0

    def scores(self, plan: Plan, state: State, x: Floats) -> Floats:
        return sigmoid(state["beta"][0] + x @ state["beta"][1:])
