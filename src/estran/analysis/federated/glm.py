"""Generalised linear models over several sites: linear, logistic and Poisson regression.

Rounds: `count` (patients, sums), `spread` (squares around the common mean), then one `newton` round per step, each
site sending log-likelihood, gradient X'(y - μ) and information X'WX of its rows. The coefficients are those of the
pooled rows: sums are all that Newton's method reads (Wu et al. 2012, doi:10.1136/amiajnl-2012-000862, for GLORE).

Question: `family`, `outcome` (a number; or for `logistic` two levels, the second being the event), `covariates`,
`offset` (Poisson: a column already in logarithms).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from estran.analysis.federated import design, newton, safeguards, scaling, showing
from estran.analysis.federated.families import FAMILIES, LINEAR, LOGISTIC, POISSON, Family
from estran.analysis.federated.rounds import Arrays, Floats, Here, Params, Result, Spec, Sums
from estran.model.errors import UsageError

INTERCEPT = "(intercept)"


@dataclass(frozen=True)
class _Question:
    family: Family
    outcome: design.Term
    covariates: tuple[design.Term, ...]
    offset: str

    @property
    def names(self) -> list[str]:
        return design.columns(self.covariates)


@dataclass(frozen=True)
class _Rows:
    """The complete rows of a site."""

    x: Floats
    y: Floats
    offset: Floats
    excluded: int


@dataclass(frozen=True)
class Glm:
    """Linear, logistic and Poisson regression."""

    name: str = "glm"
    masked: bool = True
    sealed: bool = False

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
            return {
                "rows": np.array([len(rows.y)]), "excluded": np.array([rows.excluded]), "sites": np.ones(1),
                "x": rows.x.sum(axis=0), "y": np.array([rows.y.sum()]),
            }  # fmt: skip
        if params.phase == "spread":
            return {"squares": scaling.squares(rows.x, params), **_null_sums(asked.family, rows, params)}
        if params.phase == "newton":
            return _newton_sums(asked, rows, params, here)
        raise UsageError(f"A model has no round {params.phase}.")

    def step(self, params: Params, sums: Sums) -> Params | Result:
        """Means, then deviations, then Newton's steps to the end."""
        asked = _question(params.spec)
        if params.phase == "count":
            rows = sums.count("rows")
            return params.then(
                "spread", rows=rows, excluded=sums.count("excluded"), sites=sums.count("sites"),
                mean=(sums["x"] / rows).tolist(), y_mean=sums.number("y") / rows,
            )  # fmt: skip
        if params.phase == "spread":
            return _first_step(asked, params, sums)
        size = len(asked.names) + 1
        names = [INTERCEPT, *asked.names]
        information = sums["information"].reshape(size, size)
        following = newton.advance(
            params.state["memory"], sums.number("likelihood"), sums["gradient"], information, names
        )
        if following.done:
            return _result(asked, params, sums, following.beta, newton.inverse(information, names))
        return params.then("newton", beta=following.beta.tolist(), memory=following.memory)


def _question(spec: Spec) -> _Question:
    family = FAMILIES[design.text(spec, "family", among=tuple(FAMILIES))]
    outcome, covariates = design.term(spec.get("outcome")), design.terms(spec, fewest=0)
    if outcome.levels and (family is not LOGISTIC or len(outcome.levels) != 2):
        raise UsageError("Only the outcome of a logistic model has levels, and it has two: without and with the event.")
    offset = design.text(spec, "offset") if spec.get("offset") else ""
    if offset and family is not POISSON:
        raise UsageError("Only a Poisson model has an offset.")
    if {outcome.name, offset} & {one.name for one in covariates}:
        raise UsageError("The outcome and the offset cannot be covariates.")
    return _Question(family, outcome, covariates, offset)


def _rows(asked: _Question, table: pa.Table, here: Here) -> _Rows:
    """The complete rows; NotAllowed when the site's safeguards say no."""
    x, complete = design.matrix(table, asked.covariates)
    if asked.outcome.levels:
        at = design.places(table, asked.outcome)
        y = np.where(at < 0, np.nan, at)
    else:
        y = design.numbers(table, asked.outcome.name)
    offset = design.numbers(table, asked.offset) if asked.offset else np.zeros(table.num_rows)
    complete &= ~np.isnan(y) & ~np.isnan(offset)
    rows = _Rows(x[complete], y[complete], offset[complete], int(np.count_nonzero(~complete)))
    safeguards.enough(len(rows.y), here.rules)
    safeguards.not_saturated(x.shape[1] + 1, len(rows.y), here.rules)
    design.check_covariates(table, asked.covariates, complete, here.rules)
    if not asked.family.possible(rows.y):
        raise UsageError(
            f"{asked.outcome.name} has values that the outcome of a {asked.family.name} model cannot have."
        )
    if asked.family is LINEAR:
        safeguards.spread(rows.y, asked.outcome.name, here.rules)
    else:
        happened = int(np.count_nonzero(rows.y))
        count = len(rows.y) if asked.family is LOGISTIC else happened + here.rules.floor
        safeguards.events(happened, count, f"the outcome {asked.outcome.name}", here.rules)
    return rows


def _null_sums(family: Family, rows: _Rows, params: Params) -> Arrays:
    """What the deviance without covariates is made of."""
    if family is POISSON:
        parts = (_times_log(rows.y), rows.y * rows.offset, np.exp(rows.offset))
        return {"null": np.array([part.sum() for part in parts])}
    if family is LINEAR:
        mean = scaling.vector(replace(params, state={"y": [params.state.get("y_mean")]}), "y", 1)[0]
        return {"null": np.array([((rows.y - mean) ** 2).sum(), 0, 0])}
    return {"null": np.zeros(3)}


def _times_log(y: Floats) -> Floats:
    """y log y, 0 at 0."""
    logs: Floats = y * np.log(np.where(y > 0, y, 1.0))
    return logs


def _newton_sums(asked: _Question, rows: _Rows, params: Params, here: Here) -> Arrays:
    x = np.column_stack([np.ones(len(rows.y)), scaling.scaled(rows.x, params)])
    beta = scaling.vector(params, "beta", x.shape[1])
    y = _scaled_outcome(asked.family, rows.y, params)
    family = asked.family
    predictor = np.clip(x @ beta + rows.offset, min(-700.0, -family.highest), family.highest)
    mean = family.mean(predictor)
    weights, residuals = family.weight(mean), y - mean
    safeguards.weight(weights, "the weights of the model", here.rules)
    safeguards.weight(residuals, "the residuals", here.rules)
    return {
        "likelihood": np.array([family.likelihood(y, predictor).sum()]),
        "deviance": np.array([family.deviance(y, mean).sum()]),
        "pearson": np.array([(residuals**2 / np.maximum(weights, 1e-300)).sum()]),
        "gradient": x.T @ residuals,
        "information": (x.T @ (x * weights[:, None])).reshape(-1),
    }


def _scaled_outcome(family: Family, y: Floats, params: Params) -> Floats:
    if family is not LINEAR:
        return y
    mean, scale = scaling.vector(params, "outcome", 2)
    if scale <= 0:
        raise UsageError("This round has a scale that is not positive.")
    moved: Floats = (y - mean) / scale
    return moved


def _first_step(asked: _Question, params: Params, sums: Sums) -> Params:
    """Newton begins where the model without covariates ends."""
    state, rows = params.state, params.state["rows"]
    mean, null = np.array(state["mean"]), sums["null"]
    scale = scaling.scale_of(sums["squares"], rows, mean, asked.names)
    outcome = [0.0, 1.0]
    share = state["y_mean"]
    if asked.family is LINEAR:
        outcome = [share, scaling.scale_of(null[:1], rows, np.array([share]), [asked.outcome.name])[0]]
        first, deviance = 0.0, float(null[0])
    elif asked.family is LOGISTIC:
        first = math.log(share / (1 - share))
        deviance = -2 * rows * (share * math.log(share) + (1 - share) * math.log(1 - share))
    else:
        first = math.log(share * rows / null[2])
        deviance = 2 * float(null[0] - first * share * rows - null[1])
    beta = [first] + [0.0] * len(asked.names)
    memory = {**newton.begin(len(beta)), "kept": beta, "beta": beta}
    return params.then("newton", scale=scale, outcome=outcome, beta=beta, null_deviance=deviance, memory=memory)


def _result(asked: _Question, params: Params, sums: Sums, beta: Floats, covariance: Floats) -> Result:
    state, rows = params.state, params.state["rows"]
    freedom = rows - len(beta)
    unit = state["outcome"][1]
    turn = scaling.back(np.array(state["mean"]), np.array(state["scale"]), intercept=True)
    deviance = sums.number("deviance") * unit**2
    dispersion = deviance / freedom if asked.family is LINEAR else 1.0
    estimate = turn @ beta * unit
    estimate[0] += state["outcome"][0]
    spread = turn @ covariance @ turn.T * dispersion
    likelihood = sums.number("likelihood")
    if asked.family is LINEAR:
        likelihood = -rows / 2 * (math.log(2 * math.pi * deviance / rows) + 1)
    floor = showing.floor_of(params.spec)
    student = freedom if asked.family is LINEAR else None
    fitted: dict[str, Any] = {
        "coefficients": showing.coefficients([INTERCEPT, *asked.names], estimate, spread, student, asked.family.ratio),
        "covariance": spread.tolist(), "patients": rows, "excluded": showing.counted(state["excluded"], floor),
        "sites": state["sites"], "deviance": deviance, "null_deviance": state["null_deviance"], "freedom": freedom,
        "null_freedom": rows - 1, "likelihood": likelihood, "dispersion": dispersion,
        "pearson": sums.number("pearson") * unit**2, "steps": len(state["memory"]["decrements"]) + 1,
        "aic": -2 * likelihood + 2 * (len(beta) + (asked.family is LINEAR)),
    }  # fmt: skip
    return Result("glm", params.spec, fitted, {"excluded": state["excluded"]})
