"""Pseudonyms and dates of one project."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estran.identity.keys import SiteKey
from estran.release.dates import WEEKS, DatePolicy, masked_sql, shifts
from estran.release.rekey import ProjectKey

SITE = SiteKey("k", bytes(range(32)))
ONE, OTHER = ProjectKey.of(SITE, "2026-014"), ProjectKey.of(SITE, "2026-015")


def test_a_pseudonym_is_26_letters_and_digits_and_always_the_same() -> None:
    (first,), (again,) = ONE.pseudonyms([7]), ProjectKey.of(SITE, "2026-014").pseudonyms([7])
    assert first == again and len(first) == 26 and first.isalnum() and first == first.lower()
    assert "secret" not in repr(ONE) and str(ONE.secret) not in repr(ONE)


def test_no_patient_has_one_pseudonym_in_two_projects_nor_at_two_sites() -> None:
    people = range(20_000)
    elsewhere = ProjectKey.of(SiteKey("l", bytes(32)), "2026-014")
    sets = [set(key.pseudonyms(people)) for key in (ONE, OTHER, elsewhere)]
    assert [len(found) for found in sets] == [20_000] * 3
    assert not sets[0] & sets[1] and not sets[0] & sets[2]


def test_shifts_are_whole_weeks_of_every_size_within_a_year_and_the_projects_own() -> None:
    drawn = shifts(ONE, range(50_000))
    counts = Counter(drawn.tolist())
    assert set(counts) == {7 * week for week in range(-WEEKS, WEEKS + 1)}
    assert max(counts.values()) < 1.3 * 50_000 / 105 and min(counts.values()) > 0.7 * 50_000 / 105
    assert (drawn == shifts(OTHER, range(50_000))).mean() < 0.02


WRITTEN = [
    "vu le 12/03/2021.", "vu le 12/03/21", "le 3 février 2024 à 10h", "le 1er août 2019", "en mars 2018,", "le 12 mars",
    "le 12.03.2021", "2021-03-12", "12-03-2021", "03/2021", "on March 3, 2021", "3rd of: 3 march 2021", "20210312",
]  # fmt: skip


def masked(policy: DatePolicy, text: str) -> str:
    with duckdb.connect() as connection:
        return str(connection.execute(f"SELECT {masked_sql(policy, '?')}", [text]).fetchall()[0][0])


@pytest.mark.parametrize("text", WRITTEN)
def test_a_written_date_is_taken_out_of_a_text(text: str) -> None:
    for policy in (DatePolicy.SHIFT, DatePolicy.YEAR):
        assert "[DATE]" in masked(policy, text)
        assert not any(part in masked(policy, text) for part in ("2021", "2024", "2018", "2019", "mars", "février"))
    assert masked(DatePolicy.TRUE, text) == text


@pytest.mark.parametrize(
    "text", ["TA 12/8", "NT-proBNP 6 840 ng/L", "3 comprimés", "1,5 mg/L", "FEVG 35 %", "stade 3a", "marsupialisation"]
)
def test_what_is_no_date_stays(text: str) -> None:
    assert masked(DatePolicy.SHIFT, text) == text


def test_a_year_stays_where_years_are_told() -> None:
    assert masked(DatePolicy.YEAR, "depuis 2005") == "depuis 2005"
    assert masked(DatePolicy.SHIFT, "depuis 2005") == "depuis [DATE]"


@given(
    st.dates(dt.date(1950, 1, 1), dt.date(2049, 12, 31)),
    st.sampled_from(["%d/%m/%Y", "%d/%m/%y", "%d-%m-%Y", "%Y-%m-%d", "%d.%m.%Y"]),
)
def test_every_date_in_digits_is_taken_out(day: dt.date, form: str) -> None:
    assert masked(DatePolicy.SHIFT, f"vu le {day.strftime(form)} matin") == "vu le [DATE] matin"
