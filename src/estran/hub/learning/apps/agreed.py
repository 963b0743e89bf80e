"""The plan that lies in the bundle, and how a model's arrays travel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from estran.analysis.learning.learner import State
from estran.analysis.learning.plan import Plan
from estran.analysis.learning.rows import Floats
from estran.analysis.learning.site import LEARNERS

FILE_NAME = "plan.json"


def plan() -> Plan:
    """Of the bundle that this file came with: signed together with it."""
    return Plan.read(json.loads((Path(__file__).parent / FILE_NAME).read_text("utf-8")))


def packed(state: State) -> list[Floats]:
    """The arrays of a state in the order of their names."""
    return [state[name] for name in sorted(state)]


def unpacked(agreed: Plan, arrays: Sequence[Floats]) -> State:
    """Inverse of `packed`; ValueError when the arrays are not those of the plan's model."""
    wanted = LEARNERS[agreed.model].start(agreed)
    if [one.shape for one in packed(wanted)] != [one.shape for one in arrays]:
        raise ValueError("These are not the arrays of the model.")
    return dict(zip(sorted(wanted), arrays, strict=True))
