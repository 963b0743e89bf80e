"""Regression over six sites equals regression of the pooled rows; what has no answer is said; what tells of few is refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.analysis.six_sites import COVARIATES, Floats, Region, close, estimates, pooled_newton

from estran.analysis.federated.glm import Glm
from estran.analysis.federated.rehearsal import rehearse
from estran.analysis.federated.rounds import Here, Params
from estran.analysis.federated.safeguards import Rules
from estran.model.errors import CheckFailed, NotAllowed, UsageError

OUTCOMES = {"logistic": "died", "linear": "cost", "poisson": "stays"}


def question(family: str, **more: object) -> dict[str, object]:
    offset = {"offset": "logdays"} if family == "poisson" else {}
    return {"family": family, "outcome": OUTCOMES[family], "covariates": COVARIATES, **offset, **more}


@pytest.mark.parametrize("family", OUTCOMES)
def test_six_sites_equal_statsmodels_and_our_own_newton_on_pooled_rows(region: Region, family: str) -> None:
    found = rehearse("glm", question(family), region.sites())
    beta, error = estimates(found)
    y = {"logistic": region.died, "linear": region.cost, "poisson": region.stays}[family]
    offset = np.log(region.days) if family == "poisson" else None
    law = {"logistic": sm.families.Binomial(), "linear": sm.families.Gaussian(), "poisson": sm.families.Poisson()}[
        family
    ]
    peer = sm.GLM(y, sm.add_constant(region.x), family=law, offset=offset).fit(tol=1e-14, maxiter=100)
    assert close(beta, peer.params, 1e-9) and close(error, peer.bse, 1e-9)
    own, own_error = pooled_newton(family, region.x, y, 0.0 if offset is None else offset)
    skip = 1 if family == "linear" else 0  # there the peer of ours moved the intercept
    assert close(beta[skip:], own[skip:], 1e-8) and close(error, own_error, 1e-8)
    for name, truth in (("deviance", peer.deviance), ("null_deviance", peer.null_deviance), ("likelihood", peer.llf), ("pearson", peer.pearson_chi2)):  # fmt: skip
        assert found.shown[name] == pytest.approx(truth, rel=1e-9)
    assert (found.shown["patients"], found.shown["sites"]) == (len(y), 6)
    assert found.shown["freedom"] == peer.df_resid


def test_wald_statistics_and_intervals_are_those_of_the_peer(region: Region) -> None:
    found = rehearse("glm", question("linear"), region.sites())
    peer = sm.OLS(region.cost, sm.add_constant(region.x)).fit()
    rows = found.shown["coefficients"]
    assert [one["p"] for one in rows[1:]] == pytest.approx(list(peer.pvalues[1:]), rel=1e-6)
    assert np.allclose([[one["low"], one["high"]] for one in rows], peer.conf_int(), rtol=1e-6, atol=0)
    logistic = rehearse("glm", question("logistic"), region.sites()).shown["coefficients"][1]
    assert logistic["odds_ratio"] == pytest.approx([np.exp(logistic[k]) for k in ("estimate", "low", "high")])


@settings(max_examples=5, deadline=None)
@given(st.sampled_from(sorted(OUTCOMES)), st.integers(3, 7), st.integers(0, 10**6))
def test_however_rows_are_spread_over_sites_the_answer_is_the_same(family: str, sites: int, seed: int) -> None:
    spread = np.random.default_rng(seed).permutation(np.arange(len(small().died)) % sites)
    beta, error = estimates(rehearse("glm", question(family), small().sites(spread)))
    truth, truth_error = alone()[family]
    assert close(beta, truth, 1e-9) and close(error, truth_error, 1e-9)


@cache
def small() -> Region:
    return Region(800)


@cache
def alone() -> dict[str, tuple[Floats, Floats]]:
    return {family: estimates(rehearse("glm", question(family), {"one": small().table})) for family in OUTCOMES}


def _with(region: Region, name: str, values: object) -> dict[str, pa.Table]:
    place = region.table.column_names.index(name) if name in region.table.column_names else None
    table = region.table.append_column(name, values) if place is None else region.table.set_column(place, name, values)
    return {f"site{n}": table.filter(pa.array(region.site == n)) for n in range(6)}


def test_incomplete_rows_are_left_out_and_told_when_they_are_enough(region: Region) -> None:
    gone = np.arange(len(region.died)) % 50 == 0
    sites = _with(region, "crp", pa.array(region.x[:, 2], mask=gone))
    found = rehearse("glm", question("logistic"), sites)
    beta, _ = estimates(found)
    assert close(beta, pooled_newton("logistic", region.x[~gone], region.died[~gone])[0], 1e-9)
    assert found.shown["excluded"] == found.exact["excluded"] == gone.sum() == 60
    few = _with(region, "crp", pa.array(region.x[:, 2], mask=np.arange(len(region.died)) < 4))
    assert rehearse("glm", question("logistic"), few).shown["excluded"] == {"below": 10}


def test_an_outcome_may_be_two_levels(region: Region) -> None:
    sites = _with(region, "state", pa.array(np.where(region.died == 1, "dead", "alive")))
    asked = question("logistic", outcome={"name": "state", "levels": ["alive", "dead"]})
    assert close(estimates(rehearse("glm", asked, sites))[0], pooled_newton("logistic", region.x, region.died)[0], 1e-9)


@pytest.mark.parametrize("family", ["logistic", "poisson"])
def test_separation_is_detected_and_its_variable_named(region: Region, family: str) -> None:
    y = region.died * (region.ward != 1)  # never in surgery
    sites = _with(region, "seen", pa.array(y))
    asked = {"family": family, "outcome": "seen", "covariates": COVARIATES}
    with pytest.raises(CheckFailed, match="separated: ward=surgery foretells"):
        rehearse("glm", asked, sites)


def test_collinear_and_constant_columns_are_named(region: Region) -> None:
    twice = _with(region, "months", pa.array(region.x[:, 0] * 12))
    with pytest.raises(CheckFailed, match=r"not identified: age, months"):
        rehearse("glm", question("logistic", covariates=["age", "months", "crp"]), twice)
    same = _with(region, "one", pa.array(np.full(len(region.died), 1e9)))
    with pytest.raises(CheckFailed, match="one is the same for all patients"):
        rehearse("glm", question("logistic", covariates=["age", "one"]), same)


def test_a_small_site_refuses_and_says_why(region: Region) -> None:
    sites = region.sites()
    for table, reason in (
        (sites["site5"].slice(0, 8), "Fewer than 10 patients"),
        (sites["site5"].slice(0, 15), "more than 0.33 per patient"),
        (sites["site5"].slice(0, 25), "A category of|have the outcome"),
    ):
        with pytest.raises(NotAllowed, match=reason):
            rehearse("glm", question("logistic"), {**sites, "site5": table})


def test_two_extreme_patients_may_not_carry_a_variable(region: Region) -> None:
    crp = region.x[:, 2].copy()
    crp[np.flatnonzero(region.site == 4)[:2]] = 1e7
    with pytest.raises(NotAllowed, match="variance of crp"):
        rehearse("glm", question("logistic"), _with(region, "crp", pa.array(crp)))


def test_coefficients_made_up_to_single_out_patients_are_refused(region: Region) -> None:
    sent: list[Params] = []

    class Listening(Glm):
        def local(self, params: Params, table: pa.Table, here: Here) -> dict[str, np.ndarray]:
            sent.append(params)
            return super().local(params, table, here)

    from estran.analysis.federated.alone import play

    play(Listening(), question("logistic", covariates=["age", "crp"]), region.table, Here(Rules()))
    last = sent[-1]
    oldest = np.sort((region.x[:, 0] - last.state["mean"][0]) / last.state["scale"][0])[-3:].mean()
    steep = Params("glm", "newton", last.spec, {**last.state, "beta": [-200 * oldest, 200.0, 0.0]}, last.number)
    with pytest.raises(NotAllowed, match="rests on fewer than 10 patients"):
        Glm().local(steep, region.table, Here(Rules()))


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"family": "probit"}, "one of linear"),
        (question("linear", offset="logdays"), "Only a Poisson model"),
        (question("logistic", covariates=["age", "age"]), "named twice"),
        (question("logistic", covariates=["died"]), "cannot be covariates"),
        (question("logistic", covariates=[{"name": "sex", "levels": ["female"]}]), "2 to 100 levels"),
        (question("logistic", covariates=["height"]), "no column height"),
        (question("logistic", covariates=["ward"]), "not numeric"),
        (question("logistic", outcome="stays"), "cannot have"),
        (question("logistic", floor=5), "from 10 to"),
    ],
)
def test_questions_that_are_not_well_formed(region: Region, spec: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        rehearse("glm", spec, region.sites())
