"""Sketches: the number, its error as stated, unions, and that no bucket stands for few."""

from __future__ import annotations

import numpy as np
import pytest

from estran.model.errors import UsageError
from estran.release.sketch import CAP, FEWEST_PER_CELL, Crowd, Sketch, _ranks, safe_sketch, sketch, united


def tokens(seed: int, number: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, number, dtype=np.uint64)


@pytest.mark.parametrize(
    ("number", "buckets", "cap"), [(500, 128, 20), (3_000, 256, 6), (3_000, 256, 4), (20_000, 1_024, 6)]
)
def test_the_error_stated_is_the_error_made(number: int, buckets: int, cap: int) -> None:
    found = [sketch(tokens(seed, number), buckets, cap).estimate() for seed in range(200)]
    misses = [(one.value - number) / number for one in found]
    assert abs(np.mean(misses)) < 0.02
    assert np.std(misses) == pytest.approx(np.mean([one.error for one in found]), rel=0.2)
    inside = sum(one.interval[0] <= number <= one.interval[1] for one in found)
    assert inside >= 180


def test_a_union_counts_common_patients_once() -> None:
    people = tokens(1, 30_000)
    sites = [sketch(people[start : start + 12_000], 1_024, 8) for start in (0, 6_000, 12_000, 18_000)]
    assert united(sites).ranks.tolist() == sketch(people, 1_024, 8).ranks.tolist()


def test_sketches_of_different_fineness_unite_as_the_coarsest() -> None:
    people = tokens(2, 9_000)
    fine, coarse = sketch(people[:6_000], 1_024, 9), sketch(people[3_000:], 256, 5)
    assert united([fine, coarse]).ranks.tolist() == sketch(people, 256, 5).ranks.tolist()


def test_every_value_of_a_safe_sketch_stands_for_ten_patients_of_the_site() -> None:
    everybody = tokens(3, 100_000)
    made = safe_sketch(everybody[:6_000], Crowd(everybody))
    assert made is not None and (made.buckets, made.cap) == (512, CAP)
    places = (everybody & np.uint64(made.buckets - 1)).astype(int)
    behind = np.zeros((made.buckets, made.cap + 1), int)
    np.add.at(behind, (places, _ranks(everybody, made.cap)), 1)
    assert behind[:, 1:].min() >= FEWEST_PER_CELL
    low, high = made.estimate().interval
    assert low <= 6_000 <= high


@pytest.mark.parametrize(("selected", "everybody"), [(50, 100_000), (300, 2_000), (50_000, 60_000)])
def test_where_a_sketch_would_tell_of_few_there_is_none(selected: int, everybody: int) -> None:
    people = tokens(4, everybody)
    assert safe_sketch(people[:selected], Crowd(people)) is None


def test_a_set_too_large_for_a_sketch_is_told_as_such() -> None:
    assert sketch(tokens(6, 50_000), 64).estimate().error == float("inf")


def test_bytes_and_back() -> None:
    made = sketch(tokens(5, 1_000), 64, 7)
    back = Sketch.load(made.dump())
    assert (back.cap, back.ranks.tolist()) == (made.cap, made.ranks.tolist())
    for bad in (b"", b"ESTRSKT1", made.dump()[:-1], made.dump()[:-1] + b"\xff"):
        with pytest.raises(UsageError):
            Sketch.load(bad)
