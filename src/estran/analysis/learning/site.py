"""What one site does in a run: its part of a sum, its vote on a candidate, its own figures. The one place where rows are read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from estran.analysis.learning.fit import fit, told_with
from estran.analysis.learning.learner import Learner, State, share
from estran.analysis.learning.logistic import Logistic
from estran.analysis.learning.measures import FEWEST, auc, histogram, loss, of_histogram
from estran.analysis.learning.network import Network
from estran.analysis.learning.plan import Plan
from estran.analysis.learning.rows import Floats, Split
from estran.analysis.learning.trees import Trees

_ORDER = 4  # the AUC of a site swings more than its log loss
LEARNERS: Mapping[str, Learner] = {"logistic": Logistic(), "trees": Trees(), "network": Network()}


def contribution(plan: Plan, state: State, split: Split) -> Floats:
    """The site's vector of a round, none of its numbers beyond the bound of the model, with the loss of the model behind it where that is
    told. Noise is drawn from the system's own dice."""
    learner = LEARNERS[plan.model]
    bound = learner.bound(plan)
    said = np.clip(learner.local(plan, state, split.train, np.random.default_rng()), -bound, bound)
    return np.concatenate([said, fit(plan, learner, state, split.train)]) if told_with(plan) else said


def vote(plan: Plan, before: State, candidate: State, split: Split) -> bool:
    """Whether this site lets the candidate pass."""
    return no_worse(plan, before, candidate, split)


def no_worse(plan: Plan, before: State, candidate: State, split: Split) -> bool:
    """Whether a model is no worse than another on patients of this site that taught neither: in log loss and, where there are cases enough
    to tell, in the order in which it puts them."""
    learner, held = LEARNERS[plan.model], split.held
    was, now = (learner.scores(plan, one, held.x) for one in (before, candidate))
    if loss(held.y, now) > loss(held.y, was) + plan.tolerance:
        return False
    few = min(held.y.sum(), len(held) - held.y.sum()) < FEWEST
    return bool(few) or auc(held.y, now) >= auc(held.y, was) - _ORDER * plan.tolerance


def picture(plan: Plan, state: State, split: Split) -> Floats:
    """The site's part of the histogram from which the figures of all sites together are read."""
    held = split.held
    scores = LEARNERS[plan.model].scores(plan, state, held.x)
    return histogram(held.y, scores).ravel() * share(plan, held)


def figures(plan: Plan, state: State, split: Split) -> dict[str, float] | None:
    """The site's own figures, to three decimals; None when they would be of fewer than ten cases or others."""
    held = split.held
    cases = held.y.sum()
    if min(cases, len(held) - cases) < FEWEST:
        return None
    found = of_histogram(histogram(held.y, LEARNERS[plan.model].scores(plan, state, held.x)))
    return None if found is None else found.rounded()
