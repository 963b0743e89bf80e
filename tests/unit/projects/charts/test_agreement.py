"""Agreement and intervals against published, hand-worked examples."""

from __future__ import annotations

import numpy as np
import pytest

from estran.projects.charts.agreement import (
    agreement_weights,
    cohen_kappa,
    fleiss_kappa,
    kappa_of_table,
    krippendorff_alpha,
)
from estran.projects.charts.intervals import Estimate, Z, jackknife, ratio, wilson
from estran.projects.charts.labels import Span
from estran.projects.charts.span_agreement import Both, matched, span_f1

# Cohen 1968 (two psychiatrists, 200 patients): proportions, and disagreement weights.
COHEN = np.array([[0.44, 0.07, 0.09], [0.05, 0.20, 0.05], [0.01, 0.03, 0.06]]) * 200
COHEN_WEIGHTS = 1 - np.array([[0, 1, 3], [1, 0, 6], [3, 6, 0]]) / 6
# Fleiss, Cohen and Everitt 1969, tables 1 and 2.
EVERITT = np.array([[0.53, 0.05, 0.02], [0.11, 0.14, 0.05], [0.01, 0.06, 0.03]]) * 200
EVERITT_WEIGHTS = np.array([[1, 0, 0.4444], [0, 1, 0.6667], [0.4444, 0.6667, 1]])
# Fleiss' worked table: 10 things, 14 raters, 5 categories.
FLEISS = (
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
)  # fmt: skip
# Krippendorff's example of three observers and fifteen units, 0 where nothing was said.
KRIPPENDORFF = (
    (0, 0, 0, 0, 0, 3, 4, 1, 2, 1, 1, 3, 3, 0, 3),
    (1, 0, 2, 1, 3, 3, 4, 3, 0, 0, 0, 0, 0, 0, 0),
    (0, 0, 2, 1, 3, 4, 4, 0, 2, 1, 1, 3, 3, 0, 4),
)


def variance(found: Estimate) -> float:
    assert found.low is not None
    assert found.high is not None
    return ((found.high - found.low) / 2 / Z) ** 2


def test_kappa_of_cohen_s_psychiatrists() -> None:
    assert kappa_of_table(COHEN, np.eye(3)).value == pytest.approx(0.492, abs=5e-4)
    assert kappa_of_table(COHEN, COHEN_WEIGHTS).value == pytest.approx(0.348, abs=5e-4)


def test_kappa_and_its_variance_as_fleiss_cohen_and_everitt_worked_them() -> None:
    plain, weighted = kappa_of_table(EVERITT, np.eye(3)), kappa_of_table(EVERITT, EVERITT_WEIGHTS)
    assert plain.value == pytest.approx(0.429, abs=5e-4)
    assert variance(plain) == pytest.approx(0.002885, abs=1e-6)
    assert weighted.value == pytest.approx(0.507, abs=5e-4)
    assert variance(weighted) == pytest.approx(0.003248, abs=1e-6)


def test_kappa_by_hand() -> None:
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert cohen_kappa(pairs).value == pytest.approx((0.7 - 0.5) / 0.5)  # both say yes: .6 x .5, no: .4 x .5
    assert cohen_kappa(pairs).n == 50


def test_linear_and_quadratic_weights() -> None:
    assert agreement_weights(3, 1).tolist() == [[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]]
    assert agreement_weights(3, 2)[0].tolist() == [1, 0.75, 0]
    order = ("exclude", "doubt", "include")
    near = [("include", "doubt")] * 3 + [(one, one) for one in order for _ in range(4)]
    far = [("include", "exclude")] * 3 + near[3:]
    assert (cohen_kappa(near, order, 1).value or 0) > (cohen_kappa(far, order, 1).value or 0)


def test_no_kappa_where_chance_explains_everything() -> None:
    assert cohen_kappa([("yes", "yes")] * 5) == Estimate(None, n=5)
    assert cohen_kappa([]) == Estimate(None)
    assert fleiss_kappa([]).value is None
    assert krippendorff_alpha([["a", "a"], ["a", "a"]]).value is None


def test_fleiss_kappa_of_the_worked_table() -> None:
    ratings = [[k for k, count in enumerate(row) for _ in range(count)] for row in FLEISS]
    found = fleiss_kappa([*ratings, [1, 2]])  # the last thing was rated twice only: left out
    assert found.value == pytest.approx(0.210, abs=5e-4)
    assert found.n == 10
    assert found.low is not None
    assert found.low < 0.210 < (found.high or 0)


def test_krippendorff_s_alpha_with_missing_ratings() -> None:
    units = [[rating for rating in unit if rating] for unit in zip(*KRIPPENDORFF, strict=True)]
    assert krippendorff_alpha(units).value == pytest.approx(0.691, abs=5e-4)
    assert krippendorff_alpha(units, interval=True).value == pytest.approx(0.811, abs=5e-4)


@pytest.mark.parametrize(
    ("r", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_s_interval_as_newcombe_tabulated_it(r: int, n: int, low: float, high: float) -> None:
    found = wilson(r, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_a_ratio_lies_within_its_bounds_and_needs_something_below() -> None:
    found = ratio(wilson(2, 50), wilson(40, 50))
    assert found.value == pytest.approx(0.05)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.05 < found.high
    assert ratio(wilson(2, 50), wilson(0, 50)).value is None
    assert ratio(wilson(0, 0), wilson(1, 2)).value is None


def test_the_jackknife_of_a_mean_has_the_standard_error_of_the_mean() -> None:
    values = [1.0, 2.0, 4.0, 7.0]
    found = jackknife(values, lambda some: sum(some) / len(some), -100, 100)
    error = np.std(values, ddof=1) / 2
    assert (found.high or 0) - 3.5 == pytest.approx(Z * error)


A, B, C = Span(0, 5, "d"), Span(10, 20, "d"), Span(30, 40, "x", ("negated",))


def test_f1_of_spans_by_hand() -> None:
    """First marks three, second three: one the same, one overlapping, one with another label."""
    one = Both((A, B, C), (A, Span(12, 22, "d"), Span(30, 40, "d")))
    assert span_f1([one]).value == pytest.approx(2 * 1 / 6)
    assert span_f1([one], overlap=True).value == pytest.approx(2 * 2 / 6)
    assert span_f1([one], label="x").value == 0
    assert span_f1([Both((), ())]).value is None
    assert span_f1([Both((C,), (Span(30, 40, "x"),))]).value == 1, "attributes are not compared"


def test_each_span_agrees_with_one_other_at_most() -> None:
    first, second = [Span(0, 10, "d"), Span(2, 4, "d")], [Span(0, 3, "d"), Span(3, 20, "d")]
    assert len(matched(first, second, overlap=True)) == 2
    assert len(matched([Span(0, 30, "d")], [A, B], overlap=True)) == 1


def test_f1_has_an_interval_over_documents() -> None:
    documents = [Both((A, B), (A, B))] * 4 + [Both((A,), (B,))]
    found = span_f1(documents)
    assert found.n == 5
    assert found.low is not None
    assert 0 <= found.low < (found.value or 0) <= (found.high or 0) <= 1
