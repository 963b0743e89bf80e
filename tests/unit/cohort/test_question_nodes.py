"""Nonsense cannot be built, and every refusal says what to do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from estran.cohort.query import (
    And,
    AtLeast,
    Code,
    CodeCriterion,
    CohortRef,
    DateRange,
    Demographic,
    Everyone,
    Family,
    FollowUp,
    IdList,
    IntRange,
    Kin,
    Node,
    Not,
    Occurrence,
    Or,
    Rank,
    Same,
    Sequence,
    TextCriterion,
    Unit,
    ValueRange,
    Washout,
    Window,
    all_of,
    any_of,
    at,
    codes_of,
    leading,
    own_leaves,
    resolve,
    walk,
)
from estran.model.errors import UsageError

A = CodeCriterion((Code("V", "a"),))
B = CodeCriterion((Code("V", "b"),))


@pytest.mark.parametrize(
    "build",
    [
        IntRange,
        lambda: IntRange(5, 4),
        lambda: IntRange(True, 4),
        DateRange,
        lambda: DateRange(dt.date(2020, 1, 2), dt.date(2020, 1, 1)),
        lambda: DateRange(dt.datetime(2020, 1, 2)),
        ValueRange,
        lambda: ValueRange(float("nan")),
        lambda: ValueRange(10**400),
        lambda: ValueRange(2, 1),
        lambda: ValueRange(1, 1, low_open=True),
        lambda: ValueRange(1, high_open=True),
        lambda: Code("", "x"),
        lambda: Code("V", " x"),
        lambda: CodeCriterion(()),
        lambda: CodeCriterion((Code("V", "a", excluded=True),)),
        lambda: CodeCriterion((Code("V", "a"), Code("V", "a"))),
        lambda: CodeCriterion(A.codes, times=0),
        lambda: CodeCriterion(A.codes, apart=3),
        lambda: CodeCriterion(A.codes, statuses=()),
        lambda: CodeCriterion(A.codes, roles=("DP", "DP")),
        lambda: CodeCriterion("CIM10:I50"),
        Demographic,
        lambda: Demographic(sexes=("F",)),
        lambda: TextCriterion(""),
        lambda: TextCriterion('"never closed'),
        lambda: IdList((-1,)),
        lambda: And((A,)),
        lambda: Or(()),
        lambda: AtLeast(3, (A, B)),
        lambda: Window(3, (A, Everyone())),
        lambda: Window(-1, (A, B)),
        lambda: Sequence(A, Not(B)),
        lambda: Sequence(A, And((A, B))),
        lambda: Occurrence(A, Rank.FIRST, 2),
        lambda: FollowUp(A, 0),
        lambda: Washout(A, Everyone(), 3),
        lambda: Same("stay", A),
        all_of,
    ],
)
def test_nonsense_cannot_be_built(build: Callable[[], Node]) -> None:
    with pytest.raises(UsageError) as refusal:
        build()
    assert refusal.value.hint


def test_ids_are_kept_sorted_and_once() -> None:
    assert IdList((3, 1, 3)) == IdList((1, 3))


def test_one_criterion_needs_no_and() -> None:
    assert all_of(A) is A
    assert any_of(A, B) == Or((A, B))


def test_paths_lead_to_nodes() -> None:
    question = And((A, Not(Or((B, Everyone())))))
    assert [path for path, _ in walk(question)] == ["0", "0.0", "0.1", "0.1.0", "0.1.0.0", "0.1.0.1"]
    assert at(question, "0.1.0.0") is B
    with pytest.raises(KeyError):
        at(question, "0.5")


def test_codes_that_a_question_names() -> None:
    nested = Same(Unit.STAY, And((A, CodeCriterion(B.codes, values=(Code("V", "c"),)))))
    assert [str(code) for code in codes_of(And((nested, A)))] == ["V:a", "V:b", "V:c"]


def test_the_leading_criterion_dates_the_question() -> None:
    assert leading(And((Everyone(), Or((A, Everyone())), B))) == "0.1.0"
    assert leading(And((Not(A), Family(Kin.MOTHER, A)))) is None
    assert leading(Sequence(A, B)) == "0"


def test_criteria_of_relatives_are_not_the_patients_own() -> None:
    assert [path for path, _ in own_leaves(And((Family(Kin.MOTHER, A), Not(B))))] == ["0.1.0"]


def test_cohorts_are_replaced_by_what_they_stand_for() -> None:
    question = Not(And((A, CohortRef("mine"))))
    assert resolve(question, lambda name: IdList((1,))) == Not(And((A, IdList((1,)))))
