"""Meta-analysis: one estimate per site, pooled, with the heterogeneity between the sites.

Each site fits the model on its own rows, under its own safeguards, and sends one coefficient with its variance; here
the hub tells the sites apart, which is what a forest plot is for. Fixed effect by inverse variance; random effects
with τ² by DerSimonian & Laird 1986 (doi:10.1016/0197-2456(86)90046-2) or by restricted maximum likelihood (Viechtbauer
2005, doi:10.3102/10769986030003261); Q (Cochran 1954), I² (Higgins & Thompson 2002, doi:10.1002/sim.1186), prediction
interval with Student's law of k - 2 degrees (Higgins et al. 2009, doi:10.1111/j.1467-985X.2008.00552.x).

Question: `model` (a question of `glm` or `cox` with its `method`), `term` (a coefficient of it), `sites` (their
names), `tau` (reml or dl).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import special

from estran.analysis.federated import design, showing
from estran.analysis.federated.alone import play
from estran.analysis.federated.cox import Cox
from estran.analysis.federated.glm import Glm
from estran.analysis.federated.masking import FEWEST_SITES
from estran.analysis.federated.rounds import Arrays, Floats, Here, Method, Params, Result, Spec, Sums
from estran.model.errors import CheckFailed, UsageError

MODELS: dict[str, Method] = {"glm": Glm(), "cox": Cox()}
REML, DL = "reml", "dl"
_MOST_STEPS = 500


@dataclass(frozen=True)
class Meta:
    """A coefficient of each site, pooled."""

    name: str = "meta"
    masked: bool = False
    sealed: bool = False

    def start(self, spec: Spec) -> Params:
        """The only round, `estimate`."""
        _question(spec)
        return Params(self.name, "estimate", spec)

    def local(self, params: Params, table: pa.Table, here: Here) -> Arrays:
        """The site's own coefficient and its variance."""
        method, model, term, _, _ = _question(params.spec)
        found = play(method, model, table, here).shown
        row = next((one for one in found["coefficients"] if one["term"] == term), None)
        if row is None:
            raise UsageError(f"The model has no coefficient {term}.")
        return {name: np.array([float(value)]) for name, value in (
            ("estimate", row["estimate"]), ("variance", row["error"] ** 2), ("patients", found["patients"])
        )}  # fmt: skip

    def step(self, params: Params, sums: Sums) -> Result:
        """The pooled estimate, and each site's."""
        _, model, term, sites, tau = _question(params.spec)
        estimates, variances = sums["estimate"].reshape(-1), sums["variance"].reshape(-1)
        if len(estimates) != len(sites):
            raise CheckFailed("There are not as many estimates as sites.")
        pooled = pool(estimates, variances, tau)
        told = (sites, sums["patients"].reshape(-1).tolist(), estimates.tolist(), variances.tolist(), pooled["weights"])
        rows = [_site(*one) for one in zip(*told, strict=True)]
        ratio = {"linear": "", "logistic": "odds_ratio", "poisson": "rate_ratio"}.get(
            model.get("family", ""), "hazard_ratio"
        )
        shown = {"term": term, "sites": rows, "ratio": ratio, **{k: v for k, v in pooled.items() if k != "weights"}}
        return Result(self.name, params.spec, shown)


def _site(name: str, patients: float, estimate: float, variance: float, weight: float) -> dict[str, Any]:
    error = math.sqrt(variance)
    return {
        "site": name, "patients": round(patients), "estimate": estimate, "error": error,
        "low": estimate - showing.Z95 * error, "high": estimate + showing.Z95 * error, "weight": weight,
    }  # fmt: skip


def _question(spec: Spec) -> tuple[Method, Spec, str, list[str], str]:
    model = spec.get("model")
    if not isinstance(model, dict) or model.get("method") not in MODELS:
        raise UsageError("model must be a question of glm or cox, with its method.")
    sites = spec.get("sites")
    if not isinstance(sites, list) or not all(isinstance(one, str) for one in sites) or len(set(sites)) < FEWEST_SITES:
        raise UsageError(f"sites must list {FEWEST_SITES} sites or more.")
    method = MODELS[model["method"]]
    question = {**model, "baseline": "site"} if method.name == "cox" else model
    method.start(question)
    return method, question, design.text(spec, "term"), sites, design.text(spec, "tau", default=REML, among=(REML, DL))


def pool(estimates: Floats, variances: Floats, tau: str = REML) -> dict[str, Any]:
    """Fixed and random effects of two studies or more; `weights` are those of the random effects, summing to 1."""
    k = len(estimates)
    if k < 2 or np.any(variances <= 0) or not np.all(np.isfinite(estimates)):
        raise CheckFailed("A meta-analysis needs two estimates or more, each with a variance.")
    fixed = _effect(estimates, variances)
    weight = 1 / variances
    q = float(weight @ (estimates - fixed["estimate"]) ** 2)
    between = max(0.0, (q - (k - 1)) / float(weight.sum() - (weight**2).sum() / weight.sum()))
    if tau == REML:
        between = _reml(estimates, variances, between)
    random = _effect(estimates, variances + between)
    share = 1 / (variances + between)
    return {
        "fixed": fixed, "random": random, "method": tau, "tau2": between, "q": q, "freedom": k - 1,
        "q_p": showing.chi_p(q, k - 1), "i2": max(0.0, (q - (k - 1)) / q) if q > 0 else 0.0,
        "prediction": _prediction(random, between, k), "weights": (share / share.sum()).tolist(),
    }  # fmt: skip


def _effect(estimates: Floats, variances: Floats) -> dict[str, float]:
    weight = 1 / variances
    estimate, error = float(weight @ estimates / weight.sum()), float(1 / math.sqrt(weight.sum()))
    return {
        "estimate": estimate, "error": error, "low": estimate - showing.Z95 * error,
        "high": estimate + showing.Z95 * error, "p": showing.normal_p(estimate / error),
    }  # fmt: skip


def _reml(estimates: Floats, variances: Floats, begin: float) -> float:
    """τ² that maximises the restricted likelihood, by Fisher scoring, a step being halved while it leads down."""
    between, height = begin, _restricted(estimates, variances, begin)
    for _ in range(_MOST_STEPS):
        weight = 1 / (variances + between)
        total, square = weight.sum(), (weight**2).sum()
        around = estimates - weight @ estimates / total
        slope = (weight**2 @ around**2 - total + square / total) / 2
        information = (square - 2 * (weight**3).sum() / total + (square / total) ** 2) / 2
        following = max(0.0, between + float(slope / information))
        close = 1e-10 * (between + float(variances.min()))
        while abs(following - between) > close and _restricted(estimates, variances, following) < height:
            following = (following + between) / 2
        if abs(following - between) <= close:
            return following
        between, height = following, _restricted(estimates, variances, following)
    raise CheckFailed("The variance between the sites did not converge.", hint="ask for tau dl")


def _restricted(estimates: Floats, variances: Floats, between: float) -> float:
    """Twice the restricted log-likelihood of τ², up to a constant."""
    weight = 1 / (variances + between)
    around = estimates - weight @ estimates / weight.sum()
    return float(np.log(weight).sum() - np.log(weight.sum()) - weight @ around**2)


def _prediction(random: dict[str, float], between: float, k: int) -> Sequence[float] | None:
    """Where the effect in another site would lie, 19 times out of 20; None under three sites."""
    if k < 3:
        return None
    wide = float(special.stdtrit(k - 2, 0.975)) * math.sqrt(between + random["error"] ** 2)
    return [random["estimate"] - wide, random["estimate"] + wide]
