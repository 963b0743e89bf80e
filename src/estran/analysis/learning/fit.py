"""How well a model fits those who teach it: one figure of all sites together, told within the sum of a round.

Two numbers stand behind what a site says in a round: its rows, and their log loss. Both are masked with the rest, and a sum of one model
is opened once, so that the hub reads the loss of each round's model over all sites of the sum. Every site of the sum says it, those
with few cases too: were they to leave it out, what is left of three could be one site's own. Nothing of it is told
where the hub would read it of a site, or where a privacy budget has to cover all that is told.
"""

from __future__ import annotations

import numpy as np

from estran.analysis.learning.learner import Learner, State, share
from estran.analysis.learning.measures import losses
from estran.analysis.learning.plan import Plan
from estran.analysis.learning.rows import Floats, Rows

_WORST = 14.0  # above the log loss of any row, which is bounded


def told_with(plan: Plan) -> bool:
    """Whether the loss goes with the sums of this plan."""
    return plan.secure and plan.privacy is None


def fit(plan: Plan, learner: Learner, state: State, rows: Rows) -> Floats:
    """The two numbers of a site, within ± 1."""
    lost = losses(rows.y, learner.scores(plan, state, rows.x)).sum() / _WORST
    return np.array([len(rows), lost]) * share(plan, rows)


def parted(plan: Plan, mean: Floats) -> tuple[Floats, float | None]:
    """What the learner goes on from, and the mean log loss per row; None where none is told, or where it is none."""
    if not told_with(plan):
        return mean, None
    rows, lost = mean[-2:]
    loss = float(lost / rows * _WORST) if rows > 0 else -1.0
    return mean[:-2], loss if 0 <= loss <= _WORST else None
