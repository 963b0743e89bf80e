"""Meta-analysis against statsmodels, and against the restricted likelihood maximised by other means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import t
from statsmodels.stats.meta_analysis import combine_effects
from tests.unit.analysis.six_sites import COVARIATES, Region, estimates

from estran.analysis.federated.meta import pool
from estran.analysis.federated.rehearsal import rehearse
from estran.model.errors import CheckFailed, NotAllowed, UsageError


@settings(max_examples=15, deadline=None)
@given(st.integers(3, 12), st.floats(0, 1), st.integers(0, 10**6))
def test_pooling_equals_statsmodels_and_the_restricted_likelihood(k: int, spread: float, seed: int) -> None:
    dice = np.random.default_rng(seed)
    variances = dice.uniform(0.01, 0.2, k)
    effects = dice.normal(0.5, np.sqrt(variances + spread))
    with np.errstate(invalid="ignore"):  # a negative tau² of the peer, which ours cuts off at 0
        found, peer = pool(effects, variances, "dl"), combine_effects(effects, variances, method_re="dl")
    assert found["fixed"]["estimate"] == pytest.approx(peer.mean_effect_fe, rel=1e-9)
    assert found["fixed"]["error"] == pytest.approx(peer.sd_eff_w_fe, rel=1e-9)
    assert found["tau2"] == pytest.approx(max(0, peer.tau2), abs=1e-12)
    random = (peer.mean_effect_re, peer.sd_eff_w_re) if peer.tau2 > 0 else (peer.mean_effect_fe, peer.sd_eff_w_fe)
    assert (found["random"]["estimate"], found["random"]["error"]) == pytest.approx(random, rel=1e-9)
    assert found["q"] == pytest.approx(peer.q, rel=1e-9) and found["i2"] == pytest.approx(max(0, peer.i2), abs=1e-12)

    def minus_likelihood(tau2: float) -> float:
        weight = 1 / (variances + tau2)
        around = effects - weight @ effects / weight.sum()
        return float(np.log(variances + tau2).sum() + np.log(weight.sum()) + weight @ around**2)

    reml = pool(effects, variances, "reml")["tau2"]
    best = minimize_scalar(minus_likelihood, bounds=(0, 20), method="bounded", options={"xatol": 1e-10})
    assert minus_likelihood(reml) <= best.fun + 1e-8


def test_the_prediction_interval_is_the_published_formula() -> None:
    found = pool(np.array([0.1, 0.9, 0.4, 1.2]), np.full(4, 0.05))
    wide = t.ppf(0.975, 2) * np.sqrt(found["tau2"] + found["random"]["error"] ** 2)
    assert found["prediction"] == pytest.approx(
        [found["random"]["estimate"] - wide, found["random"]["estimate"] + wide]
    )
    assert sum(found["weights"]) == pytest.approx(1) and pool(np.ones(2), np.ones(2))["prediction"] is None


@pytest.mark.parametrize("method", ["glm", "cox"])
def test_each_site_sends_its_own_coefficient(region: Region, method: str) -> None:
    logistic = {"method": "glm", "family": "logistic", "outcome": "died", "covariates": COVARIATES[:3]}
    cox = {"method": "cox", "time": "time", "event": "event", "horizon": 600, "covariates": COVARIATES[:3]}
    sites = region.sites()
    model = {"glm": logistic, "cox": cox}[method]
    found = rehearse("meta", {"model": model, "term": "sex=male", "sites": sorted(sites)}, sites).shown
    assert [one["site"] for one in found["sites"]] == sorted(sites)
    beta, error = estimates(rehearse(method, model, {"alone": sites["site3"]}))
    place = 2 if method == "glm" else 1
    assert (found["sites"][3]["estimate"], found["sites"][3]["error"]) == pytest.approx((beta[place], error[place]))
    assert found["ratio"] == {"glm": "odds_ratio", "cox": "hazard_ratio"}[method]
    assert found["sites"][3]["patients"] == sites["site3"].num_rows


def test_refusals(region: Region) -> None:
    sites = region.sites()
    model = {"method": "glm", "family": "linear", "outcome": "cost", "covariates": ["age"]}
    asked = {"model": model, "term": "age", "sites": sorted(sites)}
    for wrong, reason in (
        ({"term": "height"}, "no coefficient height"),
        ({"model": {"method": "describe"}}, "question of glm or cox"),
        ({"sites": ["site0"]}, "3 sites or more"),
    ):
        with pytest.raises(UsageError, match=reason):
            rehearse("meta", {**asked, **wrong}, sites)
    with pytest.raises(NotAllowed, match="Fewer than 10"):
        rehearse("meta", asked, {**sites, "site5": sites["site5"].slice(0, 5)})
    with pytest.raises(CheckFailed, match="two estimates"):
        pool(np.ones(1), np.ones(1))
