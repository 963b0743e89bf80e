"""Kaplan–Meier curves with Greenwood's intervals, and the log-rank test, over several sites in one round.

The sites send events and departures of each day and group; the curve of the sums is the curve of the pooled rows,
exactly (Kaplan & Meier 1958, doi:10.1080/01621459.1958.10501452). Shown are steps that each stand for at least
`floor` events, while at least `floor` patients are at risk; every value that is shown is exact.
Intervals: Greenwood's variance on the scale log(-log S) (Kalbfleisch & Prentice 2002, section 1.4). Log-rank: Mantel
1966, with the hypergeometric variance.

Question: `time`, `event`, `horizon`; `group` with its levels; `ticks`, days at which patients at risk are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from estran.analysis.federated import design, safeguards, showing
from estran.analysis.federated.following import FollowUp, days, follow_up
from estran.analysis.federated.rounds import Arrays, Floats, Here, Params, Result, Spec, Sums
from estran.model.errors import UsageError

ALL = "all"
_DEFAULT_TICKS = 6


@dataclass(frozen=True)
class _Question:
    follow: FollowUp
    group: design.Term | None
    ticks: tuple[int, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        return self.group.levels if self.group else (ALL,)


@dataclass(frozen=True)
class Curve:
    """A curve on its event days: patients at risk, events, survival just after, and its standard error."""

    day: Floats
    at_risk: Floats
    events: Floats
    survival: Floats
    error: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Survival:
    """Kaplan–Meier curves of groups and their log-rank test."""

    name: str = "survival"
    masked: bool = True
    sealed: bool = False

    def start(self, spec: Spec) -> Params:
        """The only round, `days`."""
        _question(spec)
        showing.floor_of(spec)
        return Params(self.name, "days", spec)

    def local(self, params: Params, table: pa.Table, here: Here) -> Arrays:
        """Events and departures of each group and day."""
        asked = _question(params.spec)
        found = days(asked.follow, table)
        at = design.places(table, asked.group) if asked.group else np.zeros(table.num_rows, np.int64)
        complete = found.complete & (at >= 0)
        groups, length = len(asked.labels), asked.follow.horizon + 1
        safeguards.enough(int(np.count_nonzero(complete)), here.rules)
        if asked.group:
            counts = np.bincount(at[complete], minlength=groups)
            safeguards.categories(counts, asked.group.name, here.rules)
        cell = at * length + found.last
        count = [np.bincount(cell[rows], minlength=groups * length) for rows in (complete & found.happened, complete)]
        return {
            "events": count[0].astype(float).reshape(groups, length), "sites": np.ones(1),
            "leaving": count[1].astype(float).reshape(groups, length),
            "excluded": np.array([float(np.count_nonzero(~complete))]),
        }  # fmt: skip

    def step(self, params: Params, sums: Sums) -> Result:
        """The curves, exact and as they may be shown."""
        asked, floor = _question(params.spec), showing.floor_of(params.spec)
        events, leaving = np.rint(sums["events"]), np.rint(sums["leaving"])
        at_risk = leaving[:, ::-1].cumsum(axis=1)[:, ::-1]
        curves = {label: curve(events[n], at_risk[n]) for n, label in enumerate(asked.labels)}
        shown: dict[str, Any] = {
            "groups": [
                _group(label, curves[label], events[n], at_risk[n], asked.ticks, floor)
                for n, label in enumerate(asked.labels)
            ],
            "sites": sums.count("sites"), "excluded": showing.counted(sums.count("excluded"), floor),
            "horizon": asked.follow.horizon,
        }  # fmt: skip
        if asked.group:
            shown["logrank"] = logrank(events, at_risk, floor)
        return Result(self.name, params.spec, shown, {"curves": curves})


def _question(spec: Spec) -> _Question:
    follow = follow_up(spec)
    group = design.term(spec["group"]) if spec.get("group") else None
    if group and not group.levels:
        raise UsageError("The groups of a curve must be listed as levels.")
    usual = sorted({round(day) for day in showing.ticks(0, follow.horizon, _DEFAULT_TICKS)})
    ticks = spec.get("ticks", usual)
    if not isinstance(ticks, list) or not all(isinstance(t, int) and 0 <= t <= follow.horizon for t in ticks):
        raise UsageError("ticks must be days within the horizon.")
    return _Question(follow, group, tuple(sorted(set(ticks))))


def curve(events: Floats, at_risk: Floats) -> Curve:
    """The product-limit estimate on the days with events."""
    day = np.flatnonzero(events > 0)
    d, n = events[day], at_risk[day]
    survival = np.cumprod((n - d) / n).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        hazard = np.cumsum(d / (n * (n - d)))
        error = np.where(survival > 0, survival * np.sqrt(hazard), 0.0)
        wide = showing.Z95 * np.sqrt(hazard) / np.log(survival)
        low, high = survival ** np.exp(-wide), survival ** np.exp(wide)
    gone = survival <= 0
    bounds = [np.where(gone, 0.0, bound).astype(float) for bound in (low, high)]
    return Curve(day.astype(float), n, d, survival, error.astype(float), *bounds)


def protected(found: Curve, floor: int) -> list[int]:
    """The places of the steps that may be shown: each stands for `floor` events or more, with as many at risk."""
    places, joined = [], 0.0
    for place, (events, at_risk) in enumerate(zip(found.events, found.at_risk, strict=True)):
        if at_risk - events < floor:
            break
        joined += events
        if joined >= floor:
            places.append(place)
            joined = 0.0
    return places


def _group(
    label: str, found: Curve, events: Floats, at_risk: Floats, ticks: tuple[int, ...], floor: int
) -> dict[str, Any]:
    places = protected(found, floor)
    followed = np.flatnonzero(at_risk >= floor)
    half = next((float(found.day[p]) for p in places if found.survival[p] <= 0.5), None)
    return {
        "group": label,
        "patients": showing.counted(round(at_risk[0]), floor),
        "events": showing.counted(round(events.sum()), floor),
        "median": half,
        "until": _until(int(followed[-1]) if len(followed) else 0, len(at_risk) - 1, [int(found.day[p]) for p in places]),
        "steps": [
            {
                "day": int(found.day[p]), "survival": float(found.survival[p]), "error": float(found.error[p]),
                "low": float(found.low[p]), "high": float(found.high[p]),
            }
            for p in places
        ],
        "at_risk": [{"day": tick, "patients": showing.rounded(round(at_risk[tick]), floor)} for tick in ticks],
    }  # fmt: skip


def _until(last: int, horizon: int, days: list[int]) -> int:
    """How far a curve may be drawn: the last day with enough at risk, on a coarse grid, since a patient left then."""
    step = max(1, horizon // 60)
    return max([last // step * step, *days[-1:]])


def logrank(events: Floats, at_risk: Floats, floor: int) -> dict[str, Any]:
    """Observed and expected events of each group, chi-square, degrees of freedom and probability."""
    d, n = events.sum(axis=0), at_risk.sum(axis=0)
    day = (d > 0) & (n > 1)
    d, n, share = d[day], n[day], at_risk[:, day] / n[day]
    expected = (d * share).sum(axis=1)
    between = events[:, day].sum(axis=1) - expected
    weight = d * (n - d) / (n - 1)
    variance = np.diag((weight * share).sum(axis=1)) - (weight * share) @ share.T
    present = np.flatnonzero(at_risk[:, 0] > 0)[:-1]
    statistic = 0.0
    if len(present) and d.sum() > 0:
        statistic = float(between[present] @ np.linalg.pinv(variance[np.ix_(present, present)]) @ between[present])
    return {
        "chi_square": statistic, "freedom": len(present), "p": showing.chi_p(statistic, len(present)),
        "expected": [float(one) for one in expected],
        "observed": [showing.counted(round(one), floor) for one in events.sum(axis=1)],
    }  # fmt: skip
