"""The result gate: what it shows, and what an attacker makes of it at the quota."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap
from tests.unit.release.attacks import Attack, Memory, accuracy, differences, padding, splits

from estran.model.errors import UsageError
from estran.release.disclosure import Gate, Rules, digest, margin

GAMES = 240  # the standard error of an accuracy is then 0.032
BLIND, ERROR = 0.60, 0.032


def gate(rules: Rules | None = None) -> Gate:
    return Gate(rules or Rules(), b"k" * 32, Memory())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5_000))
def test_a_count_is_rounded_never_under_the_floor_and_told_with_its_margin(size: int) -> None:
    (answer,) = gate().answers([BitMap(range(size))])
    shown = answer.shown
    assert shown.below == (10 if size < 10 else 0)
    assert shown.value == 0 if shown.below else shown.value >= 10 and shown.value % 5 == 0


def test_the_margin_holds_nineteen_times_out_of_twenty() -> None:
    door = gate()
    errors = [door.answers([BitMap(range(n, n + 500 + n % 7))])[0].shown.value - 500 - n % 7 for n in range(0, 60_000, 30)]
    assert np.mean(np.abs(errors) <= margin(Rules())) >= 0.94
    assert abs(np.mean(errors)) < 1.5


def test_the_same_set_has_one_answer_whoever_asks() -> None:
    first, second = (Gate(Rules(), b"k" * 32, Memory()).answers([BitMap(range(40, 400))])[0].shown for _ in range(2))
    assert first == second
    other = Gate(Rules(), b"l" * 32, Memory()).answers([BitMap(range(40, 400))])[0].shown
    assert digest(BitMap([1, 2])) == digest(BitMap([2, 1])) != digest(BitMap([1]))
    assert {first.value, other.value} <= set(range(0, 1000, 5))


def test_a_set_close_to_an_answered_one_gets_its_answer() -> None:
    door, people = gate(), BitMap(range(200))
    (whole,) = door.answers([people])
    without, nine, ten = door.answers([people - BitMap([7]), people - BitMap(range(9)), people - BitMap(range(10))])
    assert without == nine == whole
    assert ten.number != whole.number


def test_close_sets_of_one_question_share_an_answer() -> None:
    people = BitMap(range(200))
    one, two = gate().answers([people, people - BitMap([3])])
    assert one == two


def test_cells_have_noise_of_their_own_and_keep_it() -> None:
    door = gate()
    (answer,) = door.answers([BitMap(range(1_000))])
    first = door.cells(answer, "sex", {"female": 600, "male": 395, "other": 5})
    assert first == door.cells(answer, "sex", {"female": 600, "male": 395, "other": 5})
    assert first["other"].below == 10 and not first["male"].below
    assert first != door.cells(answer, "age", {"female": 600, "male": 395, "other": 5})


@pytest.mark.parametrize(("attack", "asked"), [(differences, 200), (splits, 200), (padding, 200)])
def test_at_the_quota_an_attacker_is_nearly_blind(attack: Attack, asked: int) -> None:
    assert Rules().quota == asked
    assert accuracy(attack, Rules(), asked, GAMES) <= BLIND + ERROR


def test_without_the_gate_the_same_attack_always_wins() -> None:
    open_door = Rules(floor=1, near=1, step=1, spread=0.01)
    assert accuracy(differences, open_door, 2, 40) == 1.0


def test_rules_are_positive() -> None:
    with pytest.raises(UsageError):
        Rules(spread=0)
