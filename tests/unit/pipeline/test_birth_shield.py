"""What would give a birth date back: instants, ages beside dates, and numbers typed as values."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from estran.model.moments import EPOCH
from estran.sources.pipeline.mask import NO_BIRTH, coarsen_instants, hide_ages, hide_numbers

BIRTH = (dt.date(2024, 3, 10) - EPOCH).days
HOUR = 3_600_000_000


def _micros(day: int, hour: int) -> int:
    return int(dt.datetime(2024, 3, day, hour, tzinfo=dt.UTC).timestamp() * 1_000_000)


def test_instants_of_the_birth_day_go_to_the_first_of_the_month_in_their_order() -> None:
    """23:30 UTC of the 9th is 0:30 of the 10th in Paris."""
    times = [_micros(9, 22), _micros(9, 23), _micros(10, 8), _micros(10, 22), _micros(10, 23), None, 0]
    births = np.array([BIRTH] * 7, np.int32)
    table, hit = coarsen_instants(pa.table({"known_at": pa.array(times, pa.int64())}), births, ("known_at",), "Europe/Paris")
    nine_days = 9 * 24 * HOUR
    assert table["known_at"].to_pylist() == [times[0], *(t - nine_days for t in times[1:4]), times[4], None, 0]
    assert hit.tolist() == [False, True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("date", "value", "unit", "left"),
    [
        (dt.date(2024, 3, 12), 2.0, "d", None),  # two days old: the birth date is two days before
        (dt.date(2024, 3, 12), 5.0, "d", 5.0),  # five days of fever say nothing
        (dt.date(2024, 3, 12), 50.0, "h", None),
        (dt.date(2024, 3, 24), 2.0, "wk", None),
        (dt.date(2024, 9, 12), 6.0, "mo", 6.0),  # whole months say no more than the stored month
        (dt.date(2034, 3, 12), 10.0, "a", 10.0),
        (dt.date(2034, 5, 20), 10.19, "a", 10.0),  # the decimals would
        (dt.date(2034, 5, 20), 17.5, "a", 17.5),
        (dt.date(2024, 3, 12), 2.0, "mg", 2.0),
        (None, 2.0, "d", 2.0),
    ],
)
def test_an_age_beside_a_date_is_told_in_whole_years_or_not_at_all(
    date: dt.date | None, value: float, unit: str, left: float | None
) -> None:
    facts = pa.table({"value": [value], "unit": [unit], "start_date": pa.array([date], pa.date32())})
    hidden, altered = hide_ages(facts, np.array([BIRTH], np.int32))
    assert hidden["value"].to_pylist() == [left]
    assert altered == ({} if left == value else {0: value})
    assert hide_ages(facts, np.array([NO_BIRTH], np.int32)) == (facts, {})


def test_a_number_of_the_person_is_no_value() -> None:
    """But the same digits with a unit, or of somebody else, are."""
    numbers = {1: frozenset({19560312.0, 8009876501.0}), 2: frozenset()}
    facts = pa.table(
        {
            "value": [19560312.0, 8009876501.0, 19560312.0, 19560312.0, 7.4, None],
            "unit": [None, None, "/uL", None, None, None],
            "stay_id": pa.array([None] * 6, pa.int32()),
        }
    )
    patients = np.array([1, 1, 1, 2, 1, 1], np.int32)
    hidden, altered = hide_numbers(facts, patients, lambda patient, _: numbers[patient])
    assert hidden["value"].to_pylist() == [None, None, 19560312.0, 19560312.0, 7.4, None]
    assert altered == {0: 19560312.0, 1: 8009876501.0}
