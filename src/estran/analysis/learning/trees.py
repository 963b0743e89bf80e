"""Gradient-boosted trees out of histograms that are summed over the sites (as XGBoost's, Chen and Guestrin, 2016).

Each stage grows a few trees side by side, each on a part of the columns, and takes their mean: as many trees with fewer rounds, a round
being what costs. Trees are complete; bins are equal parts of the bounds in the plan, so no quantile of anybody's data is told.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from estran.analysis.learning.learner import State, share, sigmoid
from estran.analysis.learning.plan import Plan
from estran.analysis.learning.rows import Floats, Rows

_PART = 0.7  # of the columns, for each tree
_PACE = 0.5
_LEAST = 1e-9
Ints = npt.NDArray[np.int64]


class Trees:
    """`column`, `cut` [tree, node] and `leaf` [tree, leaf] in heap order, `base` log odds, `at` = stage and level under way; stage -1
    asks for the mean of the outcome."""

    def start(self, plan: Plan) -> State:
        many, nodes = plan.most_rounds * plan.trees, 2**plan.depth - 1
        return {
            "column": np.zeros((many, nodes)), "cut": np.full((many, nodes), float(plan.bins)), "leaf": np.zeros((many, nodes + 1)),
            "base": np.zeros(1), "at": np.array([-1.0, 0.0]), "pace": np.ones(1),
        }  # fmt: skip

    def local(self, plan: Plan, state: State, rows: Rows, dice: np.random.Generator) -> Floats:
        stage, level = _at(state)
        if stage < 0:
            return np.array([len(rows), rows.y.sum()]) * share(plan, rows)
        bins = _bins(plan, rows.x)
        p = sigmoid(_raw(plan, state, bins, stage))
        slope, bend = rows.y - p, p * (1 - p)
        parts = []
        for tree in range(stage * plan.trees, (stage + 1) * plan.trees):
            node = _node(state, bins, tree, level)
            for column in _columns(plan, tree, rows.x.shape[1]):
                place = node * plan.bins + bins[:, column]
                parts += [np.bincount(place, one, 2**level * plan.bins) for one in (slope, bend)]
        return np.asarray(np.concatenate(parts) * share(plan, rows), np.float64)

    def step(self, plan: Plan, state: State, mean: Floats, sites: int) -> State:
        stage, level = _at(state)
        if stage < 0:
            rate = float(np.clip(mean[1] / max(mean[0], _LEAST), 1e-4, 1 - 1e-4))
            return state | {"base": np.array([np.log(rate / (1 - rate))]), "at": np.zeros(2)}
        made = {name: value.copy() for name, value in state.items()}
        sums = mean.reshape(plan.trees, -1, 2, 2**level, plan.bins)
        penalty = plan.ridge / (plan.largest * sites)
        for number in range(plan.trees):
            _grow(plan, made, stage * plan.trees + number, level, sums[number], penalty)
        made["at"] = np.array([stage, level + 1.0] if level + 1 < plan.depth else [stage + 1.0, 0.0])
        return made

    def whole(self, state: State) -> bool:
        stage, level = _at(state)
        return stage > 0 and level == 0

    def over(self, state: State) -> bool:
        return False

    def backed(self, state: State) -> State:
        return state | {"pace": state["pace"] / 2}

    def bound(self, plan: Plan) -> float:
        return 1.0

    def scores(self, plan: Plan, state: State, x: Floats) -> Floats:
        return sigmoid(_raw(plan, state, _bins(plan, x), _at(state)[0]))


def _at(state: State) -> tuple[int, int]:
    return int(state["at"][0]), int(state["at"][1])


def _bins(plan: Plan, x: Floats) -> Ints:
    return np.asarray(np.clip(((x + 1) / 2 * plan.bins).astype(np.int64), 0, plan.bins - 1), np.int64)


def _columns(plan: Plan, tree: int, columns: int) -> Ints:
    """The columns of one tree: in the plan's seed, so everybody draws the same."""
    some = max(1, round(_PART * columns))
    return np.sort(np.random.default_rng((plan.seed, tree)).permutation(columns)[:some])


def _node(state: State, bins: Ints, tree: int, level: int) -> Ints:
    """Where each row is in a tree, among the nodes of `level`."""
    node, row = np.zeros(len(bins), np.int64), np.arange(len(bins))
    column, cut = state["column"][tree].astype(np.int64), state["cut"][tree]
    for above in range(level):
        place = node + 2**above - 1
        node = 2 * node + (bins[row, column[place]] >= cut[place])
    return node


def _raw(plan: Plan, state: State, bins: Ints, stages: int) -> Floats:
    found = np.full(len(bins), state["base"][0])
    for tree in range(max(0, stages) * plan.trees):
        found += state["leaf"][tree][_node(state, bins, tree, plan.depth)] * (_PACE / plan.trees)
    return found


def _grow(plan: Plan, made: State, tree: int, level: int, sums: Floats, penalty: float) -> None:
    """Cut the nodes of one level; below the last one are the leaves. `sums`: column, slope or bend, node, bin."""
    left = sums.cumsum(3)[..., :-1]
    total = sums.sum(3, keepdims=True)
    right = total - left
    gain = sum(side[:, 0] ** 2 / (np.maximum(side[:, 1], 0) + penalty + _LEAST) for side in (left, right))
    columns = _columns(plan, tree, 2 * len(plan.columns))
    nodes, first = 2**level, 2**level - 1
    flat = np.asarray(gain).transpose(1, 0, 2).reshape(nodes, -1)
    best = flat.argmax(1)
    which, cut = best // (plan.bins - 1), best % (plan.bins - 1)
    made["column"][tree, first : first + nodes] = columns[which]
    made["cut"][tree, first : first + nodes] = cut + 1
    if level + 1 == plan.depth:
        node = np.arange(nodes)
        for at, side in enumerate((left, right)):
            slope, bend = side[which, 0, node, cut], np.maximum(side[which, 1, node, cut], 0)
            made["leaf"][tree, at::2] = made["pace"][0] * slope / (bend + penalty + _LEAST)
