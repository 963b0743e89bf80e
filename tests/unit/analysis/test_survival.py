"""Curves and log-rank over six sites equal those of the pooled rows; what is shown stands for enough events."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.duration.survfunc import SurvfuncRight, survdiff
from tests.unit.analysis.six_sites import Region

from estran.analysis.federated.rehearsal import rehearse
from estran.analysis.federated.rounds import Result
from estran.analysis.federated.survival import curve, protected
from estran.model.errors import NotAllowed, UsageError

WARDS = ("medicine", "surgery", "intensive")


def question(**more: object) -> dict[str, object]:
    return {"time": "time", "event": "event", "horizon": 600, "group": {"name": "ward", "levels": list(WARDS)}, **more}


def test_curves_equal_the_peer_exactly(region: Region) -> None:
    found = rehearse("survival", question(), region.sites())
    for place, ward in enumerate(WARDS):
        rows = region.ward == place
        own, peer = found.exact["curves"][ward], SurvfuncRight(region.time[rows], region.event[rows])
        assert np.array_equal(own.day, peer.surv_times)
        assert np.array_equal(own.at_risk, peer.n_risk) and np.array_equal(own.events, peer.n_events)
        assert np.allclose(own.survival, peer.surv_prob, rtol=1e-13, atol=0)
        assert np.allclose(own.error, peer.surv_prob_se, rtol=1e-10, equal_nan=True)


def test_the_log_rank_test_equals_the_peer(region: Region) -> None:
    found = rehearse("survival", question(), region.sites()).shown["logrank"]
    statistic, p = survdiff(region.time, region.event, region.ward)
    assert (found["chi_square"], found["p"]) == pytest.approx((statistic, p), rel=1e-9)
    assert found["freedom"] == 2 and sum(found["expected"]) == pytest.approx(sum(found["observed"]))


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 9), st.integers(0, 10**6))
def test_however_rows_are_spread_over_sites_the_curve_is_the_same_to_the_bit(sites: int, seed: int) -> None:
    spread = np.random.default_rng(seed).permutation(np.arange(len(small().time)) % sites)
    found = rehearse("survival", question(group=None), small().sites(spread))
    assert np.array_equal(found.exact["curves"]["all"].survival, alone().exact["curves"]["all"].survival)
    assert {**found.shown, "sites": 1} == alone().shown


@cache
def small() -> Region:
    return Region(500)


@cache
def alone() -> Result:
    return rehearse("survival", question(group=None), {"one": small().table})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), min_size=1, max_size=60), st.integers(10, 30))
def test_each_step_shown_stands_for_enough_events_and_patients(days: list[tuple[int, int]], floor: int) -> None:
    events, censored = (np.array(one, float) for one in zip(*days, strict=True))
    at_risk = (events + censored)[::-1].cumsum()[::-1]
    exact = curve(events, at_risk)
    before = -1
    for place in protected(exact, floor):
        assert exact.events[before + 1 : place + 1].sum() >= floor
        assert exact.at_risk[place] - exact.events[place] >= floor
        before = place


def test_a_shown_step_has_the_exact_survival_and_a_log_log_interval(region: Region) -> None:
    found = rehearse("survival", question(ticks=[0, 30, 600]), region.sites())
    shown, exact = found.shown["groups"][0], found.exact["curves"]["medicine"]
    truth = dict(zip(exact.day, exact.survival, strict=True))
    assert len(shown["steps"]) > 20 and all(step["survival"] == truth[step["day"]] for step in shown["steps"])
    step = shown["steps"][10]
    half = 1.959963984540054 * step["error"] / (step["survival"] * np.log(step["survival"]))
    assert (
        step["low"] == pytest.approx(step["survival"] ** np.exp(-half))
        and step["low"] < step["survival"] < step["high"]
    )
    assert [one["day"] for one in shown["at_risk"]] == [0, 30, 600] and shown["at_risk"][0]["patients"] % 5 == 0
    assert shown["at_risk"][2]["patients"] == {"below": 10}
    assert shown["median"] == next(s["day"] for s in shown["steps"] if s["survival"] <= 0.5)


def test_exact_curves_never_are_part_of_the_text(region: Region) -> None:
    found = rehearse("survival", question(), region.sites())
    assert "curves" not in found.to_json() and "exact" not in repr(found)


def test_refusals(region: Region) -> None:
    sites = region.sites()
    with pytest.raises(NotAllowed, match="category of ward"):
        rehearse("survival", question(), {**sites, "site5": sites["site5"].slice(0, 20)})
    for wrong, reason in (({"group": "ward"}, "listed as levels"), ({"ticks": [700]}, "within the horizon")):
        with pytest.raises(UsageError, match=reason):
            rehearse("survival", question(**wrong), sites)
