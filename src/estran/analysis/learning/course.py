"""The course of a run as the hub leads it: what is asked, what comes of the answers, which model stands.

A candidate becomes the model when more than half of the sites find it no worse than the one before, on patients of theirs that taught
neither: with one bad site among them that votes for everything, the median of the others decides. Otherwise the hub takes half the step out of the same sum, and after three refusals in a row ends with the model that stands:
what a poisoned site can do is to end a run early, or to spoil each step by less than the votes tell. No sum is asked for
twice of one and the same model: two sums that differ by a site would tell of that site.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from estran.analysis.learning.fit import parted
from estran.analysis.learning.learner import Learner, State
from estran.analysis.learning.measures import BARS, FEWEST, Performance, of_histogram
from estran.analysis.learning.plan import FEWEST_SITES, Plan
from estran.analysis.learning.robust import robust_mean
from estran.analysis.learning.rows import Floats, Split
from estran.analysis.learning.site import LEARNERS, contribution, no_worse

REFUSALS = 3
LOSSES = 5  # rounds in a row that no sum came of


@dataclass(frozen=True)
class Round:
    """What is kept of a round: `sites` that took part in the sum, `votes` for and against when there was a candidate, `loss` of the model
    that the round began with, per row that teaches, where it is told."""

    number: int
    sites: int
    votes: tuple[int, int] | None = None
    accepted: bool | None = None
    seconds: float = 0.0
    loss: float | None = None


@dataclass
class Course:
    """One run. `standing` is the model that was accepted last, `state` what is being worked on."""

    plan: Plan
    rounds: list[Round] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.learner: Learner = LEARNERS[self.plan.model]
        self.standing: State = self.learner.start(self.plan)
        self.state = self._before = self.standing
        self._mean, self._sites = np.zeros(0), 0
        self.refused = self.put = self.lost = 0

    @property
    def over(self) -> bool:
        """Whether nothing is to be asked any more."""
        if self.refused >= REFUSALS or self.put >= self.plan.most_rounds or self.lost >= LOSSES:
            return True
        return self.learner.over(self.standing)

    def take(self, mean: Floats | None, sites: int, seconds: float = 0.0) -> bool:
        """Go on from the mean over `sites` sites; whether a candidate is to be put to the vote. A round without a sum, or of too few
        sites, changes nothing."""
        self.rounds.append(Round(len(self.rounds) + 1, sites, seconds=seconds))
        if mean is None or sites < FEWEST_SITES or not self._plausible(mean):
            self.lost += 1
            return False
        mean, loss = parted(self.plan, mean)
        self.rounds[-1] = replace(self.rounds[-1], loss=loss)
        self.lost, self._before, self._mean, self._sites = 0, self.state, mean, sites
        self.state = self.learner.step(self.plan, self.state, mean, sites)
        return self.learner.whole(self.state)

    def take_each(self, updates: Sequence[Floats], seconds: float = 0.0) -> bool:
        """The same, of updates in the clear: robust aggregation."""
        few = len(updates) < FEWEST_SITES
        return self.take(None if few else robust_mean(self.plan, list(updates)), len(updates), seconds)

    def _plausible(self, mean: Floats) -> bool:
        """A mean of numbers within the bound is within it, but for the rounding of the secure sum."""
        return bool(np.isfinite(mean).all() and np.abs(mean).max() <= self.learner.bound(self.plan) * 1.001 + 1e-3)

    def decide(self, votes: Sequence[bool]) -> bool:
        """Let the candidate stand, or make a more careful one; whether the vote is over. Without a vote nothing stands."""
        accepted = carried(votes)
        self.rounds[-1] = replace(self.rounds[-1], votes=(sum(votes), len(votes) - sum(votes)), accepted=accepted)
        if accepted:
            self.standing, self.refused, self.put = self.state, 0, self.put + 1
            return True
        self.refused += 1
        self._before = self.learner.backed(self._before)
        self.state = self.learner.step(self.plan, self._before, self._mean, self._sites)
        return self.refused >= REFUSALS

    def figures(self, picture: Floats, sites: int) -> Performance | None:
        """Of these sites together, out of the mean of their pictures; None of fewer than ten cases or others."""
        bars = picture.reshape(2, BARS) * self.plan.largest * sites
        return None if bars.sum(1).min() < FEWEST - 0.5 else of_histogram(bars)

    def told(self) -> list[dict[str, Any]]:
        """The rounds as a card tells them."""
        return [
            {"round": one.number, "sites": one.sites, "for": one.votes[0] if one.votes else None, "against": one.votes[1] if one.votes else None,
             "accepted": one.accepted, "loss": None if one.loss is None else round(one.loss, 4), "seconds": round(one.seconds, 1)} for one in self.rounds
        ]  # fmt: skip


def carried(votes: Sequence[bool]) -> bool:
    """Whether more than half of the sites are for it, three at least having voted."""
    return len(votes) >= FEWEST_SITES and 2 * sum(map(bool, votes)) > len(votes)


Answers = Callable[[State, int], list[Floats]]


def rehearse(plan: Plan, answers: Answers, votes: Callable[[State, State], list[bool]]) -> Course:
    """A run in one process, without any protection: for tests, and to know beforehand what a run gives."""
    course = Course(plan)
    while not course.over:
        said = answers(course.state, len(course.rounds) + 1)
        mean = np.mean(said, axis=0) if said else None
        put = course.take(mean, len(said)) if plan.secure else course.take_each(said)
        while put and not course.decide(votes(course.standing, course.state)):
            pass
    return course


def alone(plan: Plan, split: Split) -> State:
    """The model that a site learns of its own rows; nobody is told of it, so it needs no noise."""
    own = replace(plan, privacy=None)
    learner = LEARNERS[own.model]
    state, put = learner.start(own), 0
    while put < own.most_rounds and not learner.over(state):
        state = learner.step(own, state, parted(own, contribution(own, state, split))[0], 1)
        put += learner.whole(state)
    return state


def worth_it(plan: Plan, final: State, split: Split) -> bool:
    """The last vote: whether the common model is, for this site's patients, no worse than its own."""
    return no_worse(plan, alone(plan, split), final, split)
