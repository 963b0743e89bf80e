"""Learning over several sites, without Flower: sums, votes, budgets, what a site refuses."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.learning import auc_of, compared, learned, plan_of, tables

from estran.analysis.learning.course import Course
from estran.analysis.learning.fit import parted
from estran.analysis.learning.measures import BARS, auc, histogram, loss, of_histogram
from estran.analysis.learning.plan import Plan, Privacy
from estran.analysis.learning.privacy import delta_of, epsilon_of, noise_for
from estran.analysis.learning.robust import krum, trimmed_mean
from estran.analysis.learning.rows import rows_of, split
from estran.analysis.learning.site import LEARNERS, contribution, figures
from estran.hub.learning.apps import masks
from estran.hub.learning.apps.ledger import Ledger


@pytest.fixture(autouse=True)
def _same_dice(monkeypatch):
    """Sites draw from the system's dice, here from the same at every run: by how much one model is better than another is
    a little chance as well."""
    make = np.random.default_rng
    dice = make(20261123)
    monkeypatch.setattr(np.random, "default_rng", lambda *seed: make(*seed) if seed else dice)


@pytest.mark.parametrize("model", ["logistic", "trees", "network"])
def test_as_good_as_pooled_and_better_than_each_site_alone(model):
    plan = plan_of(model=model)
    found, other = auc_of(plan, learned(plan, tables()).standing), compared(plan)
    assert abs(found - other["pooled"]) <= 0.01
    assert found > max(other["alone"])


@pytest.mark.parametrize("model", ["logistic", "trees", "network"])
def test_no_number_of_a_site_is_beyond_its_bound(model):
    plan = plan_of(model=model)
    learner = LEARNERS[model]
    said = contribution(plan, learner.start(plan), split(plan, rows_of(plan, tables()[0])))
    assert np.abs(said).max() <= learner.bound(plan)


def test_a_candidate_that_the_sites_vote_down_does_not_stand():
    plan = plan_of(model="logistic")
    course = Course(plan)
    before = course.standing["beta"].copy()
    splits = [split(plan, rows_of(plan, one)) for one in tables()]
    assert course.take(np.mean([contribution(plan, course.state, one) for one in splits], axis=0), 6)
    moves = []
    while True:
        moves.append(np.linalg.norm(course.state["beta"]))
        if course.decide([True] * 2 + [False] * 4):
            break
    assert moves == pytest.approx([moves[0], moves[0] / 2, moves[0] / 4])
    assert course.over
    assert (course.standing["beta"] == before).all()


@pytest.mark.parametrize("model", ["logistic", "trees", "network"])
def test_the_loss_of_all_sites_goes_with_the_sum(model):
    plan, learner = plan_of(model=model), LEARNERS[model]
    splits = [split(plan, rows_of(plan, one)) for one in tables()]
    course = Course(plan)
    course.take(np.mean([contribution(plan, course.state, one) for one in splits], axis=0), 6)
    course.decide([True] * 6)
    course.take(np.mean([contribution(plan, course.standing, one) for one in splits], axis=0), 6)
    x, y = (np.concatenate([getattr(one.train, name) for one in splits]) for name in ("x", "y"))
    wanted = [loss(y, learner.scores(plan, state, x)) for state in (learner.start(plan), course.standing)]
    assert [one["loss"] for one in course.told()] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(
    "more",
    [
        {"aggregation": "trimmed", "exposure_accepted": True, "model": "network"},
        {"model": "network", "privacy": Privacy(3.0, 1e-5)},
    ],
)
def test_no_loss_goes_with_what_the_hub_reads_of_one_site_or_beyond_a_budget(more):
    plan = plan_of(**more)
    start = LEARNERS["network"].start(plan)
    said = contribution(plan, start, split(plan, rows_of(plan, tables()[0])))
    assert len(said) == len(start["w"]) + 1
    assert parted(plan, said)[1] is None


def test_a_small_site_does_not_leave_the_loss_to_the_others():
    """Were it to put zeros, the loss of a sum of three could be that of one."""
    plan = plan_of()
    small = {name: values[:120] for name, values in tables()[2].items()}
    said = contribution(plan, LEARNERS["logistic"].start(plan), split(plan, rows_of(plan, small)))
    assert parted(plan, said)[1] == pytest.approx(math.log(2)) and (said[-2:] > 0).all()


def test_two_sites_are_too_few_for_a_sum():
    course = Course(plan_of())
    size = len(course.learner.start(course.plan)["beta"])
    assert not course.take(np.zeros(1 + size + size * (size + 1) // 2), 2)
    assert not course.standing["beta"].any()


def test_the_account_of_privacy_is_the_known_one():
    # Balle and Wang (2018), theorem 8, by numerical integration of the privacy loss: epsilon 1, noise 1.
    loss = np.linspace(-12, 12, 400_001)
    density = np.exp(-(loss**2) / 2) / math.sqrt(2 * math.pi)
    other = np.exp(-((loss - 1) ** 2) / 2) / math.sqrt(2 * math.pi)
    assert delta_of(1.0, 1.0, 1) == pytest.approx(np.trapezoid(np.maximum(other - math.e * density, 0), loss), abs=1e-6)
    assert delta_of(1.0, 2.0, 4) == pytest.approx(delta_of(1.0, 1.0, 1))
    noise = noise_for(Privacy(3.0, 1e-5), 24)
    assert epsilon_of(1e-5, noise, 24) == pytest.approx(3.0)


def test_with_a_budget_every_answer_is_noisy_and_clipped():
    plan = plan_of(model="network", hidden=0, privacy=Privacy(3.0, 1e-5))
    rows = split(plan, rows_of(plan, tables()[0]))
    state = LEARNERS["network"].start(plan)
    one, two = (contribution(plan, state, rows) for _ in range(2))
    assert (one[1:] != two[1:]).all()
    assert np.linalg.norm(one[1:] / one[0]) <= plan.clip * 1.0001


@pytest.mark.parametrize(
    "wrong",
    [
        {"aggregation": "krum"},
        {"aggregation": "trimmed", "model": "network"},
        {"privacy": Privacy(1.0), "model": "trees"},
        {"name": "../x"},
    ],
)
def test_a_plan_that_exposes_or_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=r"\w"):
        replace(plan_of(), **wrong)


def test_a_plan_is_read_as_it_was_told():
    plan = plan_of(model="network", privacy=Privacy(2.0))
    assert Plan.read(plan.told()) == plan
    with pytest.raises(ValueError, match="no field 'extra'"):
        Plan.read(plan.told() | {"extra": 1})


def test_robust_means_are_not_pulled_by_one_site():
    moves = np.vstack([np.random.default_rng(1).normal(1, 0.1, (5, 4)), np.full((1, 4), 100.0)])
    assert np.allclose(trimmed_mean(moves), 1, atol=0.3)
    assert np.allclose(krum(moves), 1, atol=0.4)


def test_figures_of_summed_histograms_are_those_of_all_rows():
    dice = np.random.default_rng(3)
    p = dice.random(5_000) * 0.8 + 0.1
    y = (dice.random(5_000) < p).astype(float)
    parts = [histogram(y[n::3], p[n::3]) for n in range(3)]
    told = of_histogram(np.sum(parts, axis=0))
    assert told is not None
    assert told.auc == pytest.approx(auc(y, p), abs=0.002)
    assert told.brier == pytest.approx(((y - p) ** 2).mean(), abs=0.002)
    assert told.auc - told.low == pytest.approx(told.high - told.auc)
    assert told.high - told.low == pytest.approx(2 * 1.96 * _deviation(p, y), rel=0.02)
    assert of_histogram(np.zeros((2, BARS))) is None


def _deviation(p, y):
    """Of the area, by DeLong's placements one by one."""
    cases, others = p[y == 1], p[y == 0]
    first = np.searchsorted(np.sort(others), cases) / len(others)
    second = 1 - np.searchsorted(np.sort(cases), others) / len(cases)
    return math.sqrt(first.var(ddof=1) / len(cases) + second.var(ddof=1) / len(others))


def test_figures_of_all_sites_are_of_ten_cases_at_least():
    plan = plan_of()
    course, bars = Course(plan), np.zeros((2, BARS))
    bars[0, 80], bars[1, 120] = 300, 9
    assert course.figures(bars.ravel() / plan.largest / 3, 3) is None
    bars[1, 120] = 10
    assert course.figures(bars.ravel() / plan.largest / 3, 3).auc == 1


def test_a_site_with_fewer_than_ten_cases_tells_no_figure():
    plan = plan_of()
    small = {name: values[:120] for name, values in tables()[2].items()}
    assert figures(plan, LEARNERS["logistic"].start(plan), split(plan, rows_of(plan, small))) is None


def test_masks_cancel_and_hang_on_the_whole_secret():
    secret = bytes(range(32))
    one = masks.mask(secret, masks.WORD, [(3, 2), (), (4,)])
    again = masks.mask(secret, masks.WORD, [(3, 2), (), (4,)])
    assert [part.shape for part in one] == [(3, 2), (), (4,)]
    assert all((a == b).all() for a, b in zip(one, again, strict=True))
    # Two secrets whose words give the same exclusive or: Flower's own generator could not tell them apart.
    swapped = secret[4:8] + secret[:4] + secret[8:]
    assert (masks.mask(swapped, masks.WORD, [(4,)])[0] != masks.mask(secret, masks.WORD, [(4,)])[0]).all()


def test_a_site_refuses_settings_and_lists_that_would_lay_it_bare():
    good = {
        "sample_num": 6,
        "share_num": 6,
        "threshold": 5,
        "clipping_range": 1.0,
        "target_range": masks.TARGET,
        "mod_range": masks.WORD,
        "max_weight": 1.0,
    }
    masks.refuse_setup(good, 1.0)
    for wrong in ({"threshold": 2}, {"sample_num": 2, "share_num": 2}, {"clipping_range": 8.0}, {"mod_range": 2**23}):
        with pytest.raises(ValueError, match="settings"):
            masks.refuse_setup(good | wrong, 1.0)
    everybody = [1, 2, 3, 4, 5, 6]
    masks.refuse_opening([1, 2, 3, 4, 5], [6], everybody, 1, 6)
    for active, lost in (
        ([1, 2, 3, 4, 5, 6], [6]),
        ([1, 2, 3, 4], [5, 6]),
        ([1, 2, 3, 4, 5], []),
        ([2, 3, 4, 5, 6], [1]),
    ):
        with pytest.raises(ValueError, match="sites"):
            masks.refuse_opening(active, lost, everybody, 1, 6)


def test_a_sum_of_one_model_is_opened_once(tmp_path):
    plan, path = plan_of(), tmp_path / "asked"
    state = LEARNERS["logistic"].start(plan)
    Ledger(path).ask(plan, state)
    Ledger(path).ask(plan, state)  # not opened: the round failed, and is repeated
    Ledger(path).open()
    with pytest.raises(ValueError, match="before"):
        Ledger(path).ask(plan, state | {"pace": np.full(1, 0.5)})


def test_a_budget_is_for_the_rounds_of_the_plan(tmp_path):
    plan, path = plan_of(model="network", hidden=0, rounds=2, privacy=Privacy(3.0)), tmp_path / "asked"
    for n in range(2):
        Ledger(path).ask(plan, {"w": np.full(3, float(n))})
        Ledger(path).open()
    with pytest.raises(ValueError, match="rounds"):
        Ledger(path).ask(plan, {"w": np.full(3, 9.0)})
