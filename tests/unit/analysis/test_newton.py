"""Newton's method on given sums: a step that goes too far is halved, and what does not converge is said."""

from __future__ import annotations

import numpy as np
import pytest

from estran.analysis.federated import newton
from estran.model.errors import CheckFailed


def test_a_step_that_leads_down_is_halved_until_it_leads_up() -> None:
    y, memory = np.exp(3.0), newton.begin(1)
    heights = []
    for _ in range(newton.MOST_STEPS):
        (beta,) = memory["beta"]
        mean = np.exp(beta)
        heights.append(y * beta - mean)
        following = newton.advance(memory, heights[-1], np.array([y - mean]), np.array([[mean]]), ["x"])
        if following.done:
            break
        memory = dict(following.memory)
    assert following.done and following.beta[0] == pytest.approx(3.0, rel=1e-12)
    assert heights[1] < heights[0]  # the first whole step went to 19


def test_an_endless_climb_is_given_up() -> None:
    memory = newton.begin(1)
    with pytest.raises(CheckFailed, match="did not converge"):
        for turn in range(newton.MOST_STEPS + 1):
            memory = dict(newton.advance(memory, float(turn), np.array([1.0]), np.eye(1), ["x"]).memory)


def test_what_is_not_a_number_is_stepped_back_from() -> None:
    memory = {**newton.begin(1), "beta": [8.0], "kept": [2.0], "best": -1.0}
    assert newton.advance(memory, float("nan"), np.ones(1), np.eye(1), ["x"]).beta.tolist() == [5.0]
