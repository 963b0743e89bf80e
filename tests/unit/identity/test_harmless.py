"""A short text that no patient's masks could change need not be read with each patient's masks."""

from __future__ import annotations

import datetime as dt

from hypothesis import example, given, settings
from hypothesis import strategies as st

from estran.identity.deid import Deidentifier, harmless
from estran.identity.traits import Known

letters = st.text("abcdLMOé", max_size=6)
figures = st.text("0123456789", max_size=8)
names = st.lists(st.one_of(letters, st.tuples(letters, letters).map(" ".join)), max_size=3).map(tuple)
knowns = st.builds(
    Known,
    family_names=names, given_names=names, relatives=names, cities=names, addresses=names,
    birth_dates=st.lists(st.dates(dt.date(1900, 1, 1), dt.date(2030, 1, 1)), max_size=2).map(tuple),
    phones=st.lists(figures, max_size=2).map(tuple),
    mails=st.lists(letters.map("{}@b.fr".format), max_size=1).map(tuple),
    numbers=st.lists(st.tuples(letters, figures).map("".join), max_size=3).map(tuple),
)  # fmt: skip
shorts = st.text("abcdLMOé0123456789 -/.'@", max_size=12)


@settings(max_examples=400, deadline=None)
@given(shorts, knowns)
@example("M Li", Known(family_names=("Li",)))
@example("1/2/56", Known(birth_dates=(dt.date(1956, 2, 1),)))
def test_harmless_texts_are_never_masked(text: str, known: Known) -> None:
    if harmless(text):
        assert Deidentifier(known).redact(text) == text


def test_codes_and_signs_are_harmless_names_and_numbers_are_not() -> None:
    assert all(map(harmless, ("L17", "+", "12", "g", "A1", "< 5")))
    assert not any(map(harmless, ("Petit", "M Li", "1/2/1956", "800123", "a@b")))
