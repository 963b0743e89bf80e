"""Attacks on the fingerprint, each with the score that it leaves; the figures are in docs/reference/datamart.md.

40,000 values of 40 variables, 500 recipients, codes of 1,024 bits. `python -m tests.unit.release.test_fingerprint`
writes the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from estran.identity.keys import SiteKey
from estran.release.fingerprint import BITS, CERTAIN, STEP, Marks, _movable
from estran.release.rekey import ProjectKey

ROWS, VARIABLES, PEOPLE = 40_000, 40, 500
MARKS = Marks(ProjectKey.of(SiteKey("k", bytes(range(32))), "2026-014"))
RECIPIENTS = [f"person-{n}" for n in range(PEOPLE)]
GUILTY = RECIPIENTS[7]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Values with what their virtual key is made of."""

    values: Floats
    names: npt.NDArray[np.uint64]
    days: npt.NDArray[np.int64]

    def take(self, chosen: npt.NDArray[np.int64]) -> Rows:
        return Rows(self.values[chosen], self.names[chosen], self.days[chosen])

    def valued(self, values: Floats) -> Rows:
        return Rows(values, self.names, self.days)


def source(seed: int = 1) -> Rows:
    """Laboratory-like values with one decimal."""
    chance = np.random.default_rng(seed)
    names = np.array([MARKS.name(f"v{n}") for n in range(VARIABLES)], np.uint64)[chance.integers(0, VARIABLES, ROWS)]
    values = np.round(chance.lognormal(4.4, 0.5, ROWS), 1)
    return Rows(values, names, chance.integers(-400, 400, ROWS))


def copy_for(rows: Rows, recipient: str) -> Rows:
    none = np.zeros(len(rows.values), np.int64)
    return rows.valued(MARKS.put(rows.values, rows.names, rows.days, none, recipient))


def scores(rows: Rows) -> dict[str, float]:
    votes = MARKS.read(rows.values, rows.names, rows.days, np.zeros(len(rows.values), np.int64))
    return {score.recipient: score.z for score in MARKS.scores(votes, RECIPIENTS)}


def outcome(leaked: Rows, guilty: list[str]) -> tuple[list[float], float]:
    """The scores of the guilty, and the largest of the innocent, either way."""
    found = scores(leaked)
    return [found[one] for one in guilty], max(abs(z) for name, z in found.items() if name not in guilty)


def subset(share: float) -> Callable[[Rows, np.random.Generator], Rows]:
    return lambda rows, chance: rows.take(chance.permutation(len(rows.values))[: int(share * len(rows.values))])


def randomised(share: float) -> Callable[[Rows, np.random.Generator], Rows]:
    """Steps of the values redrawn, up or down by one or left, as somebody would who knows the method."""

    def attack(rows: Rows, chance: np.random.Generator) -> Rows:
        moved = rows.values * (1 + STEP) ** chance.integers(-1, 2, len(rows.values))
        hit = chance.random(len(rows.values)) < share
        return rows.valued(np.where(hit, np.round(moved, 1), rows.values))

    return attack


def flipped(rows: Rows, chance: np.random.Generator) -> Rows:
    moved = rows.values * (1 + STEP) ** chance.choice([-1, 1], len(rows.values))
    hit = chance.random(len(rows.values)) < 0.9
    return rows.valued(np.where(hit, np.round(moved, 1), rows.values))


def noisy(rows: Rows, chance: np.random.Generator) -> Rows:
    moved = rows.values * (1 + chance.uniform(-0.015, 0.015, len(rows.values)))
    hit = chance.random(len(rows.values)) < 0.6
    return rows.valued(np.where(hit, np.round(moved, 1), rows.values))


def mixed(rows: Rows, chance: np.random.Generator) -> Rows:
    """Four rows of ours in a hundred, all others from elsewhere."""
    foreign = source(99)
    ours = chance.random(ROWS) < 0.04
    return Rows(
        np.where(ours, rows.values, foreign.values),
        np.where(ours, rows.names, foreign.names),
        np.where(ours, rows.days, foreign.days),
    )


def rounded(rows: Rows, _: np.random.Generator) -> Rows:
    return rows.valued(np.exp(np.round(np.log(rows.values) / np.log1p(2 * STEP)) * np.log1p(2 * STEP)))


Attack = Callable[[Rows, np.random.Generator], Rows]
CAUGHT: dict[str, Attack] = {
    "shuffle, nothing else": subset(1.0),
    "10 % of the rows": subset(0.1),
    "5 % of the rows": subset(0.05),
    "steps of 60 % of the values redrawn": randomised(0.6),
    "noise of ± 1.5 % on 60 % of the values": noisy,
    "new decimals: all rounded to integers": lambda rows, _: rows.valued(np.round(rows.values)),
}
LOST: dict[str, Attack] = {
    "4 % ours, 96 % from elsewhere": mixed,
    "every value rounded to 1 %": rounded,
}


@pytest.mark.parametrize("name", CAUGHT)
def test_a_copy_is_traced_through(name: str) -> None:
    leaked = CAUGHT[name](copy_for(source(), GUILTY), np.random.default_rng(5))
    (guilty,), innocent = outcome(leaked, [GUILTY])
    assert guilty >= CERTAIN > innocent


def test_turning_the_marks_over_names_the_recipient_too() -> None:
    (guilty,), innocent = outcome(flipped(copy_for(source(), GUILTY), np.random.default_rng(5)), [GUILTY])
    assert abs(guilty) >= CERTAIN > innocent


@pytest.mark.parametrize("name", LOST)
def test_what_takes_the_mark_away_accuses_nobody(name: str) -> None:
    leaked = LOST[name](copy_for(source(), GUILTY), np.random.default_rng(5))
    assert max(map(abs, scores(leaked).values())) < CERTAIN


def pooled(guilty: list[str], chance: np.random.Generator) -> Rows:
    """Each value from one of the copies."""
    copies = np.stack([copy_for(source(), one).values for one in guilty])
    return source().valued(copies[chance.integers(0, len(guilty), ROWS), np.arange(ROWS)])


def majority(guilty: list[str]) -> Rows:
    """Of each value, what most copies say."""
    return source().valued(
        np.sort(np.stack([copy_for(source(), one).values for one in guilty]), axis=0)[len(guilty) // 2]
    )


@pytest.mark.parametrize("size", [2, 3])
def test_those_who_pool_their_copies_are_all_found(size: int) -> None:
    guilty = RECIPIENTS[:size]
    found, innocent = outcome(pooled(guilty, np.random.default_rng(5)), guilty)
    assert min(found) >= CERTAIN > innocent


def test_a_majority_of_three_names_somebody_guilty_and_nobody_innocent() -> None:
    found, innocent = outcome(majority(RECIPIENTS[:3]), RECIPIENTS[:3])
    assert max(found) >= CERTAIN > innocent


def test_nobody_is_named_by_values_that_nobody_marked() -> None:
    worst = [max(map(abs, scores(source(seed)).values())) for seed in range(20)]
    assert max(worst) < CERTAIN, "10,000 innocents"


def test_few_values_move_by_one_step_and_the_mean_stays() -> None:
    rows = source()
    marked = copy_for(rows, GUILTY)
    moved = marked.values != rows.values
    assert 0.05 < moved.mean() < 0.15
    change = marked.values / rows.values - 1
    assert np.abs(change).max() < 2.5 * STEP
    assert abs(change.mean()) < 2e-5
    assert np.array_equal(np.round(marked.values, 1), marked.values), "no decimal that a laboratory would not write"


def test_values_without_room_for_a_step_are_left_alone() -> None:
    rows = Rows(np.array([3.0, 4.1, 0.0, -5.5, np.nan, np.inf, 12.0]), np.full(7, 9, np.uint64), np.zeros(7, np.int64))
    assert not _movable(rows.values).any()
    assert np.array_equal(copy_for(rows, GUILTY).values, rows.values, equal_nan=True)


def test_codes_differ_and_are_the_projects_own() -> None:
    other = Marks(ProjectKey.of(SiteKey("k", bytes(range(32))), "2026-015"))
    agree = (MARKS.code("anne") == MARKS.code("bertrand")).mean()
    assert 0.5 < agree < 0.9 and len(MARKS.code("anne")) == BITS
    assert not np.array_equal(MARKS.code("anne"), other.code("anne"))
    leaked = copy_for(source(), GUILTY)
    votes = other.read(leaked.values, leaked.names, leaked.days, np.zeros(ROWS, np.int64))
    assert max(abs(one.z) for one in other.scores(votes, RECIPIENTS)) < CERTAIN


def report() -> str:
    """The table of the documentation."""
    lines = ["| attack | guilty z | largest innocent z |", "|---|---:|---:|"]
    for name, attack in (CAUGHT | {"90 % of the steps turned over": flipped} | LOST).items():
        (guilty,), innocent = outcome(attack(copy_for(source(), GUILTY), np.random.default_rng(5)), [GUILTY])
        lines.append(f"| {name} | {guilty:.1f} | {innocent:.1f} |")
    for size in (2, 3, 4, 6):
        found, innocent = outcome(pooled(RECIPIENTS[:size], np.random.default_rng(5)), RECIPIENTS[:size])
        lines.append(f"| {size} pool their copies at random | {min(found):.1f} to {max(found):.1f} | {innocent:.1f} |")
    for size in (3, 5):
        found, innocent = outcome(majority(RECIPIENTS[:size]), RECIPIENTS[:size])
        lines.append(f"| {size} pool, majority of each value | {min(found):.1f} to {max(found):.1f} | {innocent:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
