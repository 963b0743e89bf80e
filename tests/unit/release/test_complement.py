"""What may be told of the parts of a whole, and what an attacker who knows the whole makes of it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estran.release.complement import withheld

FLOOR = 10


def width(counts: dict[str, int], hidden: frozenset[str], part: str) -> int:
    """Between which counts of a withheld part the attacker hesitates, who knows the whole and the parts told.

    The worst one also knows which parts were withheld for being small: each of those is under the floor.
    """
    rest = sum(counts[one] for one in hidden)
    most = {one: FLOOR - 1 if counts[one] < FLOOR else rest for one in hidden}
    low = max(0, rest - sum(most[one] for one in hidden if one != part))
    return min(most[part], rest) - low


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_no_withheld_part_follows_from_the_whole(sizes: list[int]) -> None:
    counts = {str(n): size for n, size in enumerate(sizes)}
    hidden = withheld(counts, FLOOR)
    assert {part for part, count in counts.items() if count < FLOOR} <= hidden
    if hidden and hidden != counts.keys():
        assert sum(counts[part] for part in hidden) >= FLOOR
        assert all(width(counts, hidden, part) > 0 for part in hidden)


def test_how_often_a_small_part_follows_for_who_knows_the_rule_and_exact_numbers() -> None:
    """As the module says it: the choice of what goes with small parts tells something of its own."""
    views: dict[tuple[int, tuple[int | None, ...]], list[tuple[int, ...]]] = {}
    for sizes in itertools.product(range(9), repeat=4):
        hidden = withheld(dict(zip("abcd", sizes, strict=True)), 3)
        view = tuple(None if part in hidden else size for part, size in zip("abcd", sizes, strict=True))
        if sum(sizes) >= 3:
            views.setdefault((sum(sizes), view), []).append(sizes)
    follows = [
        view for (_, view), able in views.items()
        if any(size is None and len({one[n] for one in able}) == 1 and able[0][n] < 3 for n, size in enumerate(view))
    ]  # fmt: skip
    assert (len(views), len(follows)) == (2333, 128)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"35": 40, "29": 30, "22": 20}, {"35", "29", "22"}),  # nothing small, nothing withheld
        ({"35": 40, "29": 30, "22": 3}, {"35"}),  # 22 alone would follow from the total: 29 goes with it
        ({"35": 40, "29": 6, "22": 7}, set()),  # 6 + 7 = 13 leaves 6 of 18: too close to the most they could be
        ({"35": 40, "29": 6, "22": 5, "56": 0, "50": 0}, {"35"}),  # their sum is told, none of them
        ({"35": 40, "29": 0}, set()),  # "nobody" is not told either
        ({"35": 4}, set()),
    ],
)
def test_worked_cases(counts: dict[str, int], told: set[str]) -> None:
    assert counts.keys() - withheld(counts, FLOOR) == told
