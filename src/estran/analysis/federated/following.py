"""Follow-up: whole days from an origin to an event or to the end of observation, on a daily grid.

A week's grid shifts a Cox coefficient by half a standard error (measured), so that the grid is the day. Follow-up
beyond the horizon of the question ends there without event. A patient whose observation ends on a day is at risk on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from estran.analysis.federated import design
from estran.analysis.federated.rounds import Spec
from estran.model.errors import UsageError

LONGEST = 20_000  # days


@dataclass(frozen=True)
class FollowUp:
    """How a question reads follow-up: columns of days and of the event (0/1, or two levels), and the last day."""

    time: str
    event: design.Term
    horizon: int


@dataclass(frozen=True)
class Days:
    """Each row's last day and whether the event happened then; rows that are not `complete` hold nothing."""

    last: NDArray[np.int64]
    happened: NDArray[np.bool_]
    complete: design.Rows


def follow_up(spec: Spec) -> FollowUp:
    """`time`, `event` and `horizon` of a question. UsageError when they are not well formed."""
    event = design.term(spec.get("event"))
    if len(event.levels) not in (0, 2):
        raise UsageError("An event has two levels: without and with it.")
    return FollowUp(design.text(spec, "time"), event, design.whole(spec, "horizon", 1, LONGEST))


def days(asked: FollowUp, table: pa.Table) -> Days:
    """Days of a table. UsageError when they are not whole, or an event is neither 0 nor 1."""
    time = design.numbers(table, asked.time)
    if asked.event.levels:
        event = design.places(table, asked.event).astype(float)
        event[event < 0] = np.nan
    else:
        event = design.numbers(table, asked.event.name)
    complete = ~np.isnan(time) & ~np.isnan(event) & ~(time < 0)
    known, what = time[complete], event[complete]
    if np.any(known != np.rint(known)):
        raise UsageError(f"{asked.time} must be in whole days.")
    if not np.all((what == 0) | (what == 1)):
        raise UsageError(f"{asked.event.name} must be 0 or 1.")
    last = np.where(complete, time, 0).astype(np.int64)
    return Days(np.minimum(last, asked.horizon), complete & (event == 1) & (last <= asked.horizon), complete)
