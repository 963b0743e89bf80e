"""A small neural network (one hidden layer, tanh; none with `hidden = 0`) by federated averaging (McMahan et al., 2017).

A site goes a few epochs from the common weights and says how far it came, no further than `plan.clip`. With a privacy budget its
steps are over all its rows, each row's gradient clipped and noise added (Abadi et al., 2016), so whatever it says afterwards is
private already, towards the hub, the other sites and a secure aggregation that fails.
"""

from __future__ import annotations

import numpy as np

from estran.analysis.learning.learner import State, sigmoid
from estran.analysis.learning.plan import Plan
from estran.analysis.learning.privacy import noise_for
from estran.analysis.learning.rows import Floats, Rows

_BATCH = 64
_MOMENTUM = 0.9


class Network:
    """All weights in one vector `w`; `pace` is what is taken of the mean move."""

    def start(self, plan: Plan) -> State:
        dice, inputs = np.random.default_rng(plan.seed), 2 * len(plan.columns)
        if not plan.hidden:
            return {"w": np.zeros(inputs + 1), "pace": np.ones(1)}
        first = dice.normal(0, 1 / np.sqrt(inputs), (inputs, plan.hidden))
        last = dice.normal(0, 1 / np.sqrt(plan.hidden), plan.hidden)
        return {"w": np.concatenate([first.ravel(), np.zeros(plan.hidden), last, [0.0]]), "pace": np.ones(1)}

    def local(self, plan: Plan, state: State, rows: Rows, dice: np.random.Generator) -> Floats:
        go = _quietly if plan.privacy is not None else _freely
        move = shortened(go(plan, state["w"], rows, dice) - state["w"], plan.clip)
        weight = min(len(rows), plan.largest) / plan.largest
        return np.concatenate([[weight], weight * move])

    def step(self, plan: Plan, state: State, mean: Floats, sites: int) -> State:
        # The hub can see of a sum that it is longer than its parts may be, and of whom it cannot.
        move = shortened(mean[1:] / max(mean[0], 1e-9), plan.clip)
        return {"w": state["w"] + state["pace"] * move, "pace": np.ones(1)}

    def whole(self, state: State) -> bool:
        return True

    def over(self, state: State) -> bool:
        return False

    def backed(self, state: State) -> State:
        return state | {"pace": state["pace"] / 2}

    def bound(self, plan: Plan) -> float:
        return max(1.0, plan.clip)

    def scores(self, plan: Plan, state: State, x: Floats) -> Floats:
        return _forward(plan, state["w"], x)[1]


def shortened(move: Floats, longest: float) -> Floats:
    """The same direction, no longer than `longest`."""
    length = float(np.linalg.norm(move))
    return move if length <= longest else move * (longest / length)


def _parts(plan: Plan, w: Floats, inputs: int) -> tuple[Floats, Floats, Floats]:
    cut = inputs * plan.hidden
    return w[:cut].reshape(inputs, plan.hidden), w[cut : cut + plan.hidden], w[cut + plan.hidden :]


def _forward(plan: Plan, w: Floats, x: Floats) -> tuple[Floats, Floats]:
    """What the last layer reads, and the probabilities."""
    if plan.hidden:
        first, offset, w = _parts(plan, w, x.shape[1])
        x = np.tanh(x @ first + offset)
    return x, sigmoid(x @ w[:-1] + w[-1])


def _gradient(plan: Plan, w: Floats, x: Floats, y: Floats, clip: float | None) -> Floats:
    """Sum over rows of the gradient of the log loss; each row's no longer than `clip` when there is one."""
    read, p = _forward(plan, w, x)
    error = p - y
    back = np.zeros((len(y), 0))
    if plan.hidden:
        back = error[:, None] * _parts(plan, w, x.shape[1])[2][:-1] * (1 - read**2)
    if clip is not None:
        length = error**2 * ((read**2).sum(1) + 1) + (back**2).sum(1) * ((x**2).sum(1) + 1)
        keep = np.minimum(1.0, clip / np.sqrt(np.maximum(length, 1e-30)))
        error, back = error * keep, back * keep[:, None]
    last = np.concatenate([read.T @ error, [error.sum()]])
    return np.concatenate([(x.T @ back).ravel(), back.sum(0), last]) if plan.hidden else last


def _freely(plan: Plan, w: Floats, rows: Rows, dice: np.random.Generator) -> Floats:
    speed, w = np.zeros_like(w), w.copy()
    for _ in range(plan.epochs):
        order = dice.permutation(len(rows))
        for start in range(0, len(rows), _BATCH):
            some = order[start : start + _BATCH]
            speed = _MOMENTUM * speed - plan.rate * _gradient(plan, w, rows.x[some], rows.y[some], None) / len(some)
            w = w + speed
    return w


def _quietly(plan: Plan, w: Floats, rows: Rows, dice: np.random.Generator) -> Floats:
    """Full-batch steps under the budget: `plan.epochs` steps a round, `plan.most_rounds` rounds."""
    assert plan.privacy is not None  # noqa: S101 (for the type checker: who calls has looked)
    clip = plan.privacy.clip
    spread = noise_for(plan.privacy, plan.epochs * plan.most_rounds) * 2 * clip
    speed, w = np.zeros_like(w), w.copy()
    for _ in range(plan.epochs):
        gradient = _gradient(plan, w, rows.x, rows.y, clip) + dice.normal(0.0, spread, len(w))
        speed = _MOMENTUM * speed - 10 * plan.rate * gradient / len(rows)
        w = w + speed
    return w
