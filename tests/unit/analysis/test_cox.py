"""Cox over six sites equals Cox on the pooled rows, and the hub reads nothing by day."""

from __future__ import annotations

import base64
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.duration.hazard_regression import PHReg
from tests.unit.analysis.six_sites import COVARIATES, Floats, Region, close, estimates, pooled_cox

from estran.analysis.federated import risk_sets
from estran.analysis.federated.cox import Cox
from estran.analysis.federated.rehearsal import rehearse
from estran.analysis.federated.rounds import Here, Params, Result, Sums
from estran.model.errors import CheckFailed, NotAllowed, UsageError


@cache
def mix() -> Region:
    return Region(1_200, seed=4)


def question(**more: object) -> dict[str, object]:
    return {"time": "time", "event": "event", "horizon": 600, "covariates": COVARIATES[:3], **more}


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_six_sites_equal_the_peer_on_pooled_rows(ties: str) -> None:
    found = rehearse("cox", question(ties=ties), mix().sites())
    beta, error = estimates(found)
    peer = PHReg(mix().time, mix().x[:, :3], status=mix().event, ties=ties).fit()
    assert close(beta, peer.params, 1e-8) and close(error, peer.bse, 1e-7)
    assert found.shown["likelihood"] == pytest.approx(peer.llf, rel=1e-10)
    assert (found.shown["patients"], found.shown["events"]) == (len(mix().time), mix().event.sum())


def test_a_baseline_of_each_site_equals_the_stratified_model() -> None:
    beta, error = estimates(rehearse("cox", question(baseline="site"), mix().sites()))
    peer = PHReg(mix().time, mix().x[:, :3], status=mix().event, ties="efron", strata=mix().site).fit()
    assert close(beta, peer.params, 1e-8) and close(error, peer.bse, 1e-7)


@cache
def small() -> Region:
    return Region(450)


@cache
def truth() -> dict[bool, tuple[Floats, Floats]]:
    return {efron: pooled_cox(small().x[:, :2], small().time, small().event, efron) for efron in (True, False)}


@settings(max_examples=4, deadline=None)
@given(st.booleans(), st.integers(1, 5), st.integers(0, 10**6))
def test_however_rows_are_spread_over_sites_the_answer_is_the_textbooks(efron: bool, sites: int, seed: int) -> None:
    spread = np.random.default_rng(seed).permutation(np.arange(len(small().time)) % sites)
    asked = question(covariates=COVARIATES[:2], ties="efron" if efron else "breslow")
    if sites == 2:
        with pytest.raises(NotAllowed, match="at least 3 sites"):
            rehearse("cox", asked, small().sites(spread))
        return
    beta, error = estimates(rehearse("cox", asked, small().sites(spread)))
    assert close(beta, truth()[efron][0], 1e-8) and close(error, truth()[efron][1], 1e-7)


def _by_hand(method: Cox, spec: dict[str, object], secret: bytes) -> list[tuple[Params, Sums]]:
    """The first four rounds over three sites with a common secret, without masks: what remains once the masks have vanished."""
    from estran.analysis.federated import masking

    parties = [masking.Party.new(f"s{n}") for n in range(3)]
    roster = {one.name: one.public for one in parties}
    tables = [small().table.filter(pa.array(np.arange(450) % 3 == n)) for n in range(3)]
    params: Params | Result = method.start(spec)
    seen = []
    while isinstance(params, Params) and len(seen) < 4:
        bound = masking.context("study", params)
        sent = [
            masking.mask(method.local(params, table, Here(common=secret)), party, roster, bound, secret)
            for table, party in zip(tables, parties, strict=True)
        ]
        sums = masking.unmask(sent, roster, bound)
        seen.append((params, sums))
        params = method.step(params, sums)
    return seen


def test_the_hub_reads_no_sum_by_day() -> None:
    spec = question(covariates=["age", "crp"])
    events = len(np.unique(small().time[small().event == 1]))
    (_, first), _, (_, risk), (asked, slope), *_ = _by_hand(Cox(), spec, b"s" * 32)
    assert set(first.values) == {"rows", "excluded", "sites", "events", "x"} and set(risk.values) == set()
    assert {name: slope[name].size for name in ("gradient", "information", "likelihood")} == {
        "gradient": 2, "information": 4, "likelihood": 1,
    }  # fmt: skip
    # What is as long as the days is rotated by a secret: another secret, other numbers, the same products.
    again = _by_hand(Cox(), spec, b"t" * 32)[3][1]
    one, other = slope["rotated"], again["rotated"]
    assert len(one) >= events and abs(np.corrcoef(one.reshape(-1), other.reshape(-1))[0, 1]) < 0.2
    assert np.allclose(one.T @ one, other.T @ other, rtol=1e-9)
    # and the totals by day that go back through the hub are noise to it
    carried = base64.b64decode(asked.state["sealed.risk"]["risk"])[32:]
    assert abs(np.unpackbits(np.frombuffer(carried, np.uint8)).mean() - 0.5) < 0.02


def test_totals_bent_by_the_hub_are_found_out() -> None:
    seen = _by_hand(Cox(), question(covariates=["age", "crp"]), b"s" * 32)
    slope = next(params for params, _ in seen if params.phase == "slope")
    data = bytearray(base64.b64decode(slope.state["sealed.risk"]["risk"]))
    data[32 + 8] ^= 1  # one step of 2^8 in the first day's total
    bent = {**slope.state["sealed.risk"], "risk": base64.b64encode(bytes(data)).decode()}
    forged = Params("cox", "slope", slope.spec, {**slope.state, "sealed.risk": bent}, slope.number)
    moved = Params("cox", "slope", slope.spec, {**slope.state, "beta": [0.5, 0.5]}, slope.number)
    for one in (forged, moved):
        with pytest.raises(CheckFailed, match="altered on their way"):
            Cox().local(one, small().table, Here(common=b"s" * 32))


def test_the_rotation_is_one() -> None:
    params = Params("cox", "slope", {}, {}, 4)
    for size in (1, 2, 33, 70):
        turn = risk_sets.rotated(np.eye(size), params, Here(common=b"k" * 32))
        assert np.allclose(turn @ turn.T, np.eye(size), atol=1e-12)
    assert abs(turn.mean()) < 0.01 and np.abs(turn).max() < 0.7  # no direction is kept


def test_monotone_likelihood_is_detected() -> None:
    event = small().event * (small().ward != 2)
    table = small().table.set_column(small().table.column_names.index("event"), "event", pa.array(event))
    asked = question(baseline="site", covariates=COVARIATES)
    with pytest.raises(CheckFailed, match="separated: ward=intensive"):
        rehearse("cox", asked, {"one": table})


def test_refusals() -> None:
    sites = mix().sites()
    few = sites["site5"].filter(pa.compute.equal(sites["site5"]["event"], 0.0))
    with pytest.raises(NotAllowed, match="have the event event"):
        rehearse("cox", question(), {**sites, "site5": few})
    for wrong, reason in (
        ({"horizon": 0}, "from 1 to"),
        ({"ties": "exact"}, "one of efron"),
        ({"covariates": ["time"]}, "cannot be covariates"),
        ({"time": "cost"}, "whole days"),
        ({"event": "ward"}, "not numeric"),
    ):
        with pytest.raises(UsageError, match=reason):
            rehearse("cox", question(**wrong), sites)


def test_follow_up_ends_at_the_horizon() -> None:
    beta, _ = estimates(rehearse("cox", question(horizon=120, covariates=["age"]), mix().sites()))
    event = mix().event * (mix().time <= 120)
    truth = PHReg(np.minimum(mix().time, 120), mix().x[:, :1], status=event, ties="efron").fit()
    assert close(beta, truth.params, 1e-8)
