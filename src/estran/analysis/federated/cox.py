"""Cox's proportional hazards over several sites, on a daily grid, with Breslow's or Efron's treatment of ties.

`baseline: common` (the default) gives the estimates of the pooled rows: after `count` and `spread`, two rounds per
Newton step, `risk` (sums of risk by event day, for the sites only) and `slope` (log-likelihood, gradient, information,
nothing by day: `risk_sets`). `baseline: site` gives each site a baseline hazard of its own, which also adjusts for the
site; then a step is one round, `strata`, and nothing by day leaves a site at all.

Cox 1972; Breslow 1974, doi:10.2307/2529620; Efron 1977, doi:10.1080/01621459.1977.10480613; over sites: Lu et al.
2015, doi:10.1093/jamia/ocv083 (WebDISCO), whose sums by day the hub would read.

Question: `time`, `event`, `horizon`, `covariates`, `ties` (efron or breslow), `baseline`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from estran.analysis.federated import design, newton, risk_sets, safeguards, scaling, showing
from estran.analysis.federated.following import FollowUp, days, follow_up
from estran.analysis.federated.rounds import Arrays, Floats, Here, Params, Result, Spec, Sums
from estran.model.errors import CheckFailed, UsageError

EFRON, BRESLOW = "efron", "breslow"
COMMON, SITE = "common", "site"
_HIGHEST = 30.0  # predictor beyond which a step went too far; sums stay within what can be added up


@dataclass(frozen=True)
class _Question:
    follow: FollowUp
    covariates: tuple[design.Term, ...]
    efron: bool
    common: bool

    @property
    def names(self) -> list[str]:
        return design.columns(self.covariates)


@dataclass(frozen=True)
class _Rows:
    """The complete rows of a site."""

    x: Floats
    last: NDArray[np.int64]
    happened: NDArray[np.bool_]
    excluded: int


@dataclass(frozen=True)
class _Risk:
    """A site's rows at some coefficients: risk exp(βx), and the place of each row's day among the event days."""

    x: Floats
    eta: Floats
    risk: Floats
    reached: NDArray[np.int64]  # event days passed, the row's own included
    dead: NDArray[np.bool_]


@dataclass(frozen=True)
class Cox:
    """Proportional hazards regression."""

    name: str = "cox"
    masked: bool = True
    sealed: bool = True

    def start(self, spec: Spec) -> Params:
        """The round `count`."""
        _question(spec)
        showing.floor_of(spec)
        return Params(self.name, "count", spec)

    def local(self, params: Params, table: pa.Table, here: Here) -> Arrays:
        """The sums of the rows that are complete, once they pass the site's safeguards."""
        asked = _question(params.spec)
        rows = _rows(asked, table, here)
        if params.phase == "count":
            return _counts(asked, rows, params, here)
        if params.phase == "spread":
            return {"squares": scaling.squares(rows.x, params)}
        if params.phase == "strata" and not asked.common:
            events = np.bincount(rows.last[rows.happened], minlength=asked.follow.horizon + 1).astype(float)
            return _slope_alone(asked, rows, events, params, here)
        if params.phase in ("risk", "slope") and asked.common:
            events = np.rint(risk_sets.unseal("events", params, asked.follow.horizon + 1, here, 0))
            if np.any(events < 0):
                raise CheckFailed("The totals of the sites do not fit together.")
            return (_risk_sums if params.phase == "risk" else _slope_sums)(asked, rows, events, params, here)
        raise UsageError(f"A Cox model has no round {params.phase}.")

    def step(self, params: Params, sums: Sums) -> Params | Result:
        """Means, deviations, then Newton's steps to the end."""
        asked = _question(params.spec)
        if params.phase == "count":
            counts = {key: sums.count(key) for key in ("rows", "excluded", "sites", "events")}
            if counts["events"] == 0:
                raise CheckFailed("No event happened.")
            sealed = {"sealed.events": risk_sets.carry("events", sums.sealed)} if asked.common else {}
            return params.then("spread", mean=(sums["x"] / counts["rows"]).tolist(), **counts, **sealed)
        if params.phase == "spread":
            state = params.state
            scale = scaling.scale_of(sums["squares"], state["rows"], np.array(state["mean"]), asked.names)
            memory = newton.begin(len(asked.names))
            return params.then("risk" if asked.common else "strata", scale=scale, beta=memory["beta"], memory=memory)
        if params.phase == "risk":
            totals = {"sealed.risk": risk_sets.carry("risk", sums.sealed)}
            return params.then("slope", risk_round=params.number, **totals)
        return _advance(asked, params, sums)


def _question(spec: Spec) -> _Question:
    follow, covariates = follow_up(spec), design.terms(spec)
    ties = design.text(spec, "ties", default=EFRON, among=(EFRON, BRESLOW))
    baseline = design.text(spec, "baseline", default=COMMON, among=(COMMON, SITE))
    if {follow.time, follow.event.name} & {one.name for one in covariates}:
        raise UsageError("Follow-up and event cannot be covariates.")
    return _Question(follow, covariates, ties == EFRON, baseline == COMMON)


def _rows(asked: _Question, table: pa.Table, here: Here) -> _Rows:
    x, complete = design.matrix(table, asked.covariates)
    found = days(asked.follow, table)
    complete &= found.complete
    rows = _Rows(x[complete], found.last[complete], found.happened[complete], int(np.count_nonzero(~complete)))
    happened = int(np.count_nonzero(rows.happened))
    safeguards.enough(len(rows.last), here.rules)
    safeguards.not_saturated(x.shape[1], len(rows.last), here.rules)
    safeguards.events(happened, happened + here.rules.floor, f"the event {asked.follow.event.name}", here.rules)
    design.check_covariates(table, asked.covariates, complete, here.rules)
    return rows


def _counts(asked: _Question, rows: _Rows, params: Params, here: Here) -> Arrays:
    counts = {
        "rows": np.array([float(len(rows.last))]), "excluded": np.array([float(rows.excluded)]), "sites": np.ones(1),
        "events": np.array([float(np.count_nonzero(rows.happened))]), "x": rows.x.sum(axis=0),
    }  # fmt: skip
    if not asked.common:
        return counts
    by_day = np.bincount(rows.last[rows.happened], minlength=asked.follow.horizon + 1).astype(float)
    return counts | risk_sets.seal("events", by_day, params, here)


def _at(asked: _Question, rows: _Rows, day: NDArray[np.int64], params: Params) -> _Risk:
    x = scaling.scaled(rows.x, params)
    eta = x @ scaling.vector(params, "beta", x.shape[1])
    reached = np.searchsorted(day, rows.last, side="right")
    eta = np.clip(eta, -_HIGHEST, _HIGHEST)
    return _Risk(x, eta, np.exp(eta), reached, rows.happened)


def _totals(asked: _Question, at: _Risk, days: int) -> Floats:
    """Per event day the risk of those at risk, then (Efron) of those who have the event that day."""
    alive = risk_sets.from_the_end(np.bincount(at.reached, at.risk, minlength=days + 1)[1:].astype(float))
    if not asked.efron:
        return alive
    return np.concatenate([alive, np.bincount(at.reached[at.dead] - 1, at.risk[at.dead], minlength=days)])


def _risk_sums(asked: _Question, rows: _Rows, events: Floats, params: Params, here: Here) -> Arrays:
    day = np.flatnonzero(events)
    return risk_sets.seal("risk", _totals(asked, _at(asked, rows, day, params), len(day)), params, here)


def _slope_sums(asked: _Question, rows: _Rows, events: Floats, params: Params, here: Here) -> Arrays:
    day = np.flatnonzero(events)
    length = len(day) * (2 if asked.efron else 1)
    number = design.whole(params.state, "risk_round", 0, params.number)
    totals = risk_sets.unseal("risk", params, length, here, number)
    at = _at(asked, rows, day, params)
    found, sums, matrix = _slope(asked, at, events[day], totals, here)
    sites = design.whole(params.state, "sites", 1, 1 << 20)
    likelihood = np.array([at.eta[at.dead].sum() - found.logs / sites])
    return {**sums, "likelihood": likelihood, "rotated": risk_sets.rotated(matrix, params, here)}


def _slope_alone(asked: _Question, rows: _Rows, events: Floats, params: Params, here: Here) -> Arrays:
    """A site with a baseline of its own: everything is known here."""
    day = np.flatnonzero(events)
    at = _at(asked, rows, day, params)
    found, sums, matrix = _slope(asked, at, events[day], _totals(asked, at, len(day)), here)
    size = matrix.shape[1]
    information = sums["information"].reshape(size, size) - matrix.T @ matrix
    likelihood = np.array([at.eta[at.dead].sum() - found.logs])
    return {"gradient": sums["gradient"], "information": information.reshape(-1), "likelihood": likelihood}


def _slope(
    asked: _Question, at: _Risk, events: Floats, totals: Floats, here: Here
) -> tuple[risk_sets.Weights, Arrays, Floats]:
    """A site's gradient and first part of the information, and its part of M."""
    days = len(events)
    risk, dying = totals[:days], totals[days:] if asked.efron else None
    found = risk_sets.weights(events, risk, dying)
    hazard = np.concatenate([[0.0], np.cumsum(found.first)])[at.reached]
    own = at.reached[at.dead] - 1
    hazard[at.dead] -= found.own[own]
    expected = at.risk * hazard  # of each row, by its follow-up
    safeguards.weight(expected, "the expected events", here.rules)
    safeguards.weight(at.dead - expected, "the residuals", here.rules)
    sums = {
        "gradient": at.x.T @ (at.dead - expected), "information": (at.x.T @ (at.x * expected[:, None])).reshape(-1),
    }  # fmt: skip
    weighted = at.x * at.risk[:, None]
    alive = risk_sets.from_the_end(risk_sets.by_day(weighted, at.reached, days + 1)[1:])
    deaths = risk_sets.by_day(weighted[at.dead], own, days) if asked.efron else None
    return found, sums, risk_sets.products(found, alive, deaths)


def _advance(asked: _Question, params: Params, sums: Sums) -> Params | Result:
    size = len(asked.names)
    information = sums["information"].reshape(size, size)
    if asked.common:
        information = information - sums["rotated"].T @ sums["rotated"]
    likelihood = sums.number("likelihood")
    following = newton.advance(params.state["memory"], likelihood, sums["gradient"], information, asked.names)
    null = params.state.get("null_likelihood", likelihood)  # the first step begins at 0
    if following.done:
        covariance = newton.inverse(information, asked.names)
        return _result(asked, params, likelihood, null, following.beta, covariance)
    phase = "risk" if asked.common else "strata"
    return params.then(phase, beta=following.beta.tolist(), memory=following.memory, null_likelihood=null)


def _result(
    asked: _Question, params: Params, likelihood: float, null: float, beta: Floats, covariance: Floats
) -> Result:
    state, floor = params.state, showing.floor_of(params.spec)
    turn = scaling.back(np.array(state["mean"]), np.array(state["scale"]), intercept=False)
    spread = turn @ covariance @ turn.T
    ratio = max(0.0, 2 * (likelihood - null))
    fitted = {
        "coefficients": showing.coefficients(asked.names, turn @ beta, spread, None, "hazard_ratio"),
        "covariance": spread.tolist(), "patients": state["rows"], "events": state["events"], "sites": state["sites"],
        "excluded": showing.counted(state["excluded"], floor), "likelihood": likelihood, "null_likelihood": null,
        "likelihood_ratio": {"chi_square": ratio, "freedom": len(beta), "p": showing.chi_p(ratio, len(beta))},
        "ties": EFRON if asked.efron else BRESLOW, "baseline": COMMON if asked.common else SITE,
        "steps": len(state["memory"]["decrements"]) + 1,
    }  # fmt: skip
    return Result("cox", params.spec, fitted, {"excluded": state["excluded"]})
