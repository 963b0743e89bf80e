"""Chapter: time. One event after another, during a stay, the first, a window, follow-up and wash-out."""

from __future__ import annotations

import datetime as dt

import pytest
from tests.engines.asking import Hospital, chapter, each_engine


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    return Hospital(
        patients="""
            patient | news       | died
            1       | 2021-01-01 |
            2       |            |
            3       |            | 2020-02-15
            4       |            |
            5       |            |
            6       |            |
        """,
        stays="""
            stay | patient | kind  | start      | end
            10   | 1       | venue | 2020-01-05 | 2020-01-12
            20   | 2       | venue | 2020-01-10 |
        """,
        facts="""
            patient | code | start            | stay
            1       | V:a  | 2020-01-01 10:00 |
            1       | V:b  | 2020-01-11 10:00 | 10
            1       | V:b  | 2020-01-01 09:30 |
            2       | V:a  | 2020-01-10       |
            2       | V:b  | 2020-01-10       |
            2       | V:b  | 2020-03-01       |
            3       | V:a  | 2020-02-01 22:00 |
            3       | V:b  | 2020-02-02 03h   |
            4       | V:a  | 2020-03          |
            4       | V:b  | 2020-03-02       |
            4       | V:b  |                  |
            5       | V:a  | 2020-03-28 23:00 |
            5       | V:b  | 2020-03-29 23:00 |
            6       | V:a  | 2020-10-24 23:00 |
            6       | V:a  | 2020-10-25 23:00 |
        """,
    )


@chapter(
    ("V:a PUIS V:b", [1, 2, 3, 5]),  # the same day or later
    ("V:a PUIS V:b [1.. jours]", [1, 2, 3, 5]),
    ("V:a PUIS V:b [1..30 jours]", [1, 3, 5]),
    ("V:a PUIS V:b [10..10 jours]", [1]),
    ("V:a PUIS V:b [0..0 jours]", [1, 2]),
    ("V:b PUIS V:a [0..0 jours]", [1, 2]),
    ("V:a PUIS V:a", [6]),  # an event does not follow itself
    ("V:a PUIS V:b [..-1 jours]", []),
    ("V:b PUIS V:a [-1..0 jours]", [1, 2, 3, 5]),
    ("V:a PUIS V:b [1..2 jours] ET V:a", [3, 5]),  # a date known by its month only satisfies no number of days
)
def test_one_after_another_in_days(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


@chapter(
    ("V:a PUIS V:b [..6 heures]", [1, 3]),  # 09:30 is before 10:00; an hour counts from its beginning
    ("V:a PUIS V:b [0..6 heures]", [3]),
    ("V:a PUIS V:b [0..4 heures]", []),
    ("V:a PUIS V:b [0..23 heures]", [3, 5]),  # the clocks went forward that night
    ("V:a PUIS V:b [24..24 heures]", []),
    ("V:a PUIS V:a [24..24 heures]", []),
    ("V:a PUIS V:a [25..25 heures]", [6]),  # and back in October
    ("V:a PUIS V:b [-100..100 heures]", [1, 3, 5]),  # patient 2 has days only
)
def test_one_after_another_in_hours(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


@chapter(
    ("V:b PENDANT séjour()", [1, 2]),  # open stay 20 goes on
    ("V:a PENDANT séjour()", [2]),
    ("V:a PENDANT V:b", []),  # the stay of a fact: only one fact is linked to one
    ("V:b PENDANT V:b", [1]),
    ("(V:b PENDANT séjour()) PUIS V:b [1.. jours]", [2]),
)
def test_during(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


@chapter(
    ("PREMIER(V:b) PUIS V:b [1.. jours]", [1, 2]),
    ("DERNIER(V:b) PUIS V:b [1.. jours]", []),
    ("OCCURRENCE 2(V:b)", [1, 2]),  # undated events have no rank
    ("V:a PUIS PREMIER(V:b) [1.. jours]", [3, 5]),
    ("DANS 9 JOURS(V:a, V:b)", [1, 2, 3, 5]),
    ("DANS 0 JOURS(V:a, V:b)", [1, 2]),
    ("DANS 10 JOURS(V:a, V:b, V:b[2020-01-11])", [1]),
    ("SUIVI 14 JOURS(V:a)", [1, 2, 3]),  # until the last news, the death or the last fact
    ("SUIVI 15 JOURS(V:a)", [1, 2]),
    ("WASHOUT 30 JOURS(V:b, V:b)", [1, 2, 3, 4, 5]),
    ("WASHOUT 30 JOURS(V:b, V:a)", [1, 2, 4]),  # 1: at 09:30 on the day itself; 4: a month is not known to be within
    ("WASHOUT 30 JOURS(V:a, V:b)", [1, 2, 3, 5, 6]),
)
def test_choosing_events(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


@each_engine
def test_index_dates_are_those_of_the_leading_criterion(hospital: Hospital, engine: str) -> None:
    day = dt.date
    assert hospital.ask(engine, "sexe:F|inconnu ET PREMIER(V:b) ET V:a").index_dates == {
        1: day(2020, 1, 1), 2: day(2020, 1, 10), 3: day(2020, 2, 2), 4: day(2020, 3, 2), 5: day(2020, 3, 29),
    }  # fmt: skip
    assert hospital.ask(engine, "V:a PUIS V:b [1..30 jours]").index_dates[3] == day(2020, 2, 1)
    assert hospital.ask(engine, "NON V:a").index_dates == {}
