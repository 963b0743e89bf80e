"""The rule that finds breaks: on planted ones, and on series without any."""

from __future__ import annotations

import numpy as np
import pytest

from estran.catalog.breaks import SHORTEST, Break, breaks

YEARS = 3
SERIES = 200


def weeks(rng: np.random.Generator, *levels: tuple[int, float]) -> list[int]:
    """Poisson counts: for each level, so many weeks at so much."""
    return [int(n) for count, level in levels for n in rng.poisson(level, count)]


def test_a_feed_that_stops_and_comes_back_is_told_to_the_week() -> None:
    rng = np.random.default_rng(1)
    found = breaks(weeks(rng, (60, 80), (10, 0), (60, 80)))
    assert [one.at for one in found] == [60, 70]
    assert (found[0].after, found[1].before) == (0.0, 0.0)
    assert found[0].change == -1.0 and found[1].change == 1.0


def test_a_lone_week_makes_no_break() -> None:
    rng = np.random.default_rng(2)
    for spike in (0, 400):
        counts = weeks(rng, (100, 80))
        counts[50] = spike
        assert breaks(counts) == []


def test_nothing_is_said_of_short_or_empty_series() -> None:
    assert breaks([]) == breaks([5] * (2 * SHORTEST - 1)) == breaks([0] * 200) == []


def test_a_break_is_the_change_of_the_usual_count() -> None:
    assert breaks([10] * 20 + [40] * 20) == [Break(20, 10.0, 40.0)]


@pytest.mark.parametrize("level", [4, 20, 100, 500])
def test_false_alarms_are_rare_on_steady_series(level: int) -> None:
    """Of 200 series of three years, at most one in fifty has a break that is not there."""
    rng = np.random.default_rng(level)
    alarms = sum(bool(breaks(weeks(rng, (52 * YEARS, level)))) for _ in range(SERIES))
    assert alarms <= SERIES // 50, f"{alarms} of {SERIES}"


@pytest.mark.parametrize(
    ("level", "after", "least"), [(20, 10, 0.95), (100, 70, 0.95), (500, 375, 0.95), (20, 30, 0.9)]
)
def test_planted_breaks_are_found_near_their_week(level: int, after: int, least: float) -> None:
    rng = np.random.default_rng(level + after)
    hits = 0
    for _ in range(SERIES):
        at = int(rng.integers(20, 136))
        found = breaks(weeks(rng, (at, level), (156 - at, after)))
        hits += len(found) == 1 and abs(found[0].at - at) <= 3
    assert hits >= least * SERIES, f"{hits} of {SERIES}"


def test_overdispersed_series_raise_few_alarms() -> None:
    """Counts that vary twice as much as Poisson ones (negative binomial) raise the noise, and with it the bar."""
    rng = np.random.default_rng(7)
    alarms = sum(bool(breaks(rng.negative_binomial(33, 0.25, 52 * YEARS).tolist())) for _ in range(SERIES))
    assert alarms <= SERIES // 20, f"{alarms} of {SERIES}"
