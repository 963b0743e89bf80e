"""What a kind of model is, to those who let several sites learn it.

Each round every site makes one vector of bounded numbers out of its rows; only the mean of these vectors over the sites is needed to
go on, which is what secure aggregation gives.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from estran.analysis.learning.plan import Plan
from estran.analysis.learning.rows import Floats, Rows

State = dict[str, Floats]


class Learner(Protocol):
    """Stateless; the state of a model is a dictionary of arrays, the same that travels."""

    def start(self, plan: Plan) -> State:
        """The model that nobody has taught anything."""

    def local(self, plan: Plan, state: State, rows: Rows, dice: np.random.Generator) -> Floats:
        """What a site says of its rows: numbers within ± `bound`."""

    def step(self, plan: Plan, state: State, mean: Floats, sites: int) -> State:
        """The state after a round, out of the mean of what `sites` sites said."""

    def whole(self, state: State) -> bool:
        """Whether this state is a model that can be put to the vote, and not one half built."""

    def over(self, state: State) -> bool:
        """Whether further rounds would change nothing."""

    def backed(self, state: State) -> State:
        """The same model, to go on from more carefully after its successor was voted down."""

    def bound(self, plan: Plan) -> float:
        """Largest number that a site may say."""

    def scores(self, plan: Plan, state: State, x: Floats) -> Floats:
        """Probability of the outcome for each row."""


def share(plan: Plan, rows: Rows) -> float:
    """What one row weighs in the vector of a site: no site weighs more than `plan.largest` rows."""
    return 1.0 / max(plan.largest, len(rows))


def sigmoid(z: Floats) -> Floats:
    """1 / (1 + exp(-z)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * z)), np.float64)
