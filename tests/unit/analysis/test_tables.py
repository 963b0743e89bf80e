"""Descriptions, contingency tables and quantiles: equal to the pooled rows, and protected."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import chi2_contingency
from tests.unit.analysis.six_sites import Region

from estran.analysis.federated.contingency import chi_square
from estran.analysis.federated.rehearsal import rehearse
from estran.analysis.federated.rounds import Result
from estran.analysis.federated.suppression import suppressed, with_margins
from estran.model.errors import NotAllowed, UsageError

SEX = {"name": "sex", "levels": ["female", "male"]}
WARD = {"name": "ward", "levels": ["medicine", "surgery", "intensive"]}


def test_a_description_equals_numpy(region: Region) -> None:
    asked = {"variables": ["age", "cost", WARD, {"name": "crp", "low": 0, "high": 200}]}
    found = rehearse("describe", asked, region.sites())
    for row, values in zip(found.exact["numbers"], (region.x[:, 0], region.cost, region.x[:, 2]), strict=True):
        assert row["patients"] == len(values) and row["missing"] == 0
        assert row["mean"] == pytest.approx(values.mean(), rel=1e-12)
        assert row["variance"] == pytest.approx(values.var(ddof=1), rel=1e-10)
    levels = found.shown["categories"][0]["levels"]
    assert levels == {ward: int((region.ward == n).sum()) for n, ward in enumerate(WARD["levels"])}
    reach = found.shown["numbers"][2]["range"]
    crp = np.sort(region.x[:, 2])
    assert reach["low"] - 2 < crp[9] <= reach["low"] and reach["high"] < crp[-10] <= reach["high"] + 2


def test_few_missing_are_not_told_and_do_not_follow_from_the_patients(region: Region) -> None:
    age = pa.array(region.x[:, 0], mask=np.arange(len(region.died)) < 7)
    table = region.table.set_column(0, "age", age)
    sites = {f"site{n}": table.filter(pa.array(region.site == n)) for n in range(6)}
    found = rehearse("describe", {"variables": ["age"]}, sites)
    (row,) = found.shown["numbers"]
    assert row["missing"] == {"below": 10} and row["patients"] == 2995
    assert (found.exact["numbers"][0]["patients"], found.exact["numbers"][0]["missing"]) == (2993, 7)


def test_a_contingency_table_equals_scipy(region: Region) -> None:
    found = rehearse("contingency", {"factors": [WARD, SEX]}, region.sites())
    counts = np.array([[((region.ward == w) & (region.male == m)).sum() for m in (0, 1)] for w in range(3)])
    assert found.shown["cells"] == with_margins(counts).tolist() and found.shown["suppressed"] == 0
    peer = chi2_contingency(counts, correction=False)
    test = found.shown["test"]
    assert (test["chi_square"], test["p"], test["freedom"]) == pytest.approx((peer.statistic, peer.pvalue, peer.dof))
    assert test["smallest"] == pytest.approx(peer.expected_freq.min())


@settings(max_examples=10, deadline=None)
@given(st.integers(3, 6), st.integers(0, 10**6))
def test_however_rows_are_spread_over_sites_the_counts_are_the_same(sites: int, seed: int) -> None:
    spread = np.random.default_rng(seed).permutation(np.arange(len(small().died)) % sites)
    tables = small().sites(spread)
    assert rehearse("contingency", {"factors": [WARD, SEX]}, tables).exact == counts().exact
    found = rehearse("quantiles", {"variable": "age", "low": 0, "high": 128}, tables)
    assert found.shown["quantiles"] == halves().shown["quantiles"]


@cache
def small() -> Region:
    return Region(400)


@cache
def counts() -> Result:
    return rehearse("contingency", {"factors": [WARD, SEX]}, {"one": small().table})


@cache
def halves() -> Result:
    return rehearse("quantiles", {"variable": "age", "low": 0, "high": 128}, {"one": small().table})


def test_small_cells_hide_and_the_test_is_told_as_a_class(region: Region) -> None:
    old = pa.array(np.where(region.x[:, 0] > 105, "yes", "no"))
    table = region.table.append_column("old", old)
    sites = {f"site{n}": table.filter(pa.array(region.site == n)) for n in range(6)}
    found = rehearse("contingency", {"factors": [SEX, {"name": "old", "levels": ["no", "yes"]}]}, sites)
    small = np.array(found.exact["counts"]) < 10
    assert small.any()
    cells = np.array(found.shown["cells"], object)
    assert all(cell is None for cell in cells[:-1, :-1][small])
    assert all((line == None).sum() != 1 for line in [*cells, *cells.T])  # noqa: E711
    assert set(found.shown["test"]) == {"p_under", "p_at_least"}


def _range(every: np.ndarray, hidden: np.ndarray, cell: int) -> tuple[float, float]:
    """What a reader who knows all that is shown can say of a cell: the equations written out for the inner cells."""
    inner = tuple(one - 1 for one in every.shape)
    size = int(np.prod(inner))
    equations, values = [], []
    for place in np.flatnonzero(~hidden):
        at = np.unravel_index(place, every.shape)
        part = np.zeros(inner)
        part[tuple(slice(None) if a == n else a for a, n in zip(at, inner, strict=True))] = 1
        equations.append(part.reshape(-1))
        values.append(every.flat[place])
    at = np.unravel_index(cell, every.shape)
    goal = np.zeros(inner)
    goal[tuple(slice(None) if a == n else a for a, n in zip(at, inner, strict=True))] = 1
    goal = goal.reshape(-1)
    known = {"A_eq": np.array(equations), "b_eq": values} if equations else {}
    ends = [linprog(sign * goal, **known, bounds=[(0, None)] * size) for sign in (1, -1)]
    return ends[0].fun, np.inf if ends[1].status == 3 else -ends[1].fun


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([(4,), (2, 2), (3, 4), (2, 3, 2)]), st.integers(0, 10**6))
def test_no_small_cell_follows_from_what_is_shown(shape: tuple[int, ...], seed: int) -> None:
    dice = np.random.default_rng(seed)
    every = with_margins(np.floor(dice.exponential(40, shape)).astype(np.int64))
    hidden = suppressed(every, 10)
    assert np.all(hidden[every < 10])
    for cell in np.flatnonzero(every < 10)[:3]:
        low, high = _range(every, hidden, int(cell))
        assert low <= every.flat[cell] <= high and high - low >= 10 - 1e-6


def test_an_empty_level_takes_no_part_in_the_test() -> None:
    counts = np.array([[20.0, 30.0, 0.0], [40.0, 10.0, 0.0]])
    assert chi_square(counts)["freedom"] == 1
    assert chi_square(counts)["chi_square"] == pytest.approx(
        chi2_contingency(counts[:, :2], correction=False).statistic
    )
    assert chi_square(np.array([[5.0], [6.0]]))["p"] == 1.0


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4))
def test_quantiles_lie_where_they_are_said_to(seed: int, probabilities: list[float]) -> None:
    dice = np.random.default_rng(seed)
    values = dice.lognormal(3, 1, 400).round(int(dice.integers(0, 3)))
    tables = {f"s{n}": pa.table({"x": values[n::4]}) for n in range(4)}
    asked = {"variable": "x", "low": 0, "high": 64, "probabilities": probabilities, "error": 0.01}
    for row in rehearse("quantiles", asked, tables).shown["quantiles"]:
        truth = np.quantile(values, row["probability"], method="inverted_cdf")
        if row["estimate"] is None:
            assert not 0 <= truth <= 64
            continue
        assert row["low"] <= truth <= row["high"] and abs(row["estimate"] - truth) <= row["error"]
        assert ((values >= row["low"]) & (values <= row["high"])).sum() >= 10


def test_a_quantile_of_many_patients_is_as_narrow_as_asked(region: Region) -> None:
    asked = {"variable": "age", "low": 0, "high": 128, "probabilities": [0.5], "error": 0.5}
    (row,) = rehearse("quantiles", asked, region.sites()).shown["quantiles"]
    assert row["high"] - row["low"] <= 0.5 and abs(row["estimate"] - np.median(region.x[:, 0])) <= row["error"]


def test_refusals(region: Region) -> None:
    sites = region.sites()
    tiny = {**sites, "site5": sites["site5"].slice(0, 9)}
    for method, asked in (
        ("describe", {"variables": ["age"]}),
        ("contingency", {"factors": [SEX]}),
        ("quantiles", {"variable": "age", "low": 0, "high": 120}),
    ):
        with pytest.raises(NotAllowed, match="Fewer than 10 patients"):
            rehearse(method, asked, tiny)
    for method, wrong, reason in (
        ("contingency", {"factors": ["age"]}, "each with its levels"),
        ("describe", {"variables": [{"name": "age", "low": 5, "high": 1}]}, "lower one first"),
        ("quantiles", {"variable": "age", "low": 0, "high": 9, "probabilities": [1]}, "between 0 and 1"),
        ("mode", {}, "no method mode"),
    ):
        with pytest.raises(UsageError, match=reason):
            rehearse(method, wrong, sites)
