"""Tokens trait by trait: equal for what is written alike, of two runs never, and no clear trait in any of them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from estran.identity import french
from estran.identity.matching import NEAR_FAMILY, NEAR_GIVEN, RECORD, Rows, matching_tokens, run_key
from estran.identity.traits import Person, Statement, Traits, fold, stated
from estran.model.codes import Precision

KEY = run_key(bytes(32), "run1")
BORN = dt.date(1956, 3, 12)


@pytest.fixture(autouse=True)
def _same_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fills free places is the same at every run: of thousands of tokens of four bytes two are alike now and then."""
    drawn = np.random.default_rng(20261123)
    monkeypatch.setattr("estran.identity.matching.secrets.token_bytes", drawn.bytes)


def traits(
    family: str | tuple[str, ...], given: str, born: dt.date = BORN, ins: str | None = None, **more: object
) -> Traits:
    names = family if isinstance(family, tuple) else (family,)
    said = Person(names, tuple(given.split("/")), born, **({"sex": "female", "birth_place": "29019"} | more))  # type: ignore[arg-type]
    found: Traits = {}
    fold(found, stated(Statement((("IPP", "1"),), said, ins, 1, 0)), (1, 0))
    return found


def record(made: Traits, key: bytes = KEY, *, with_ins: bool = True) -> Rows:
    (row,) = matching_tokens([(7, made)], key, with_ins=with_ins).rows
    return row


def shares(one: Rows, other: Rows, field: str) -> bool:
    return bool(np.intersect1d(one[field], other[field]).size)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("LE GOFF", "Le-Goff"),
        ("LEGOFF", "le goff"),
        ("ST-GERMAIN", "Saint Germain"),
        ("LECŒUR", "LECOEUR"),
        ("D’ARC", "D'ARC"),
    ],
)
def test_case_hyphens_ligatures_and_apostrophes_make_no_difference(one: str, other: str) -> None:
    first, second = record(traits(one, "Hélène")), record(traits(other, "helene"))
    assert first["family"][:, 0].tolist() == second["family"][:, 0].tolist()
    assert first["given"][:, 0].tolist() == second["given"][:, 0].tolist()


@pytest.mark.parametrize(
    ("one", "other"), [("MARTIN", "MARTINN"), ("MARTIN", "MATRIN"), ("MARTIN", "MARTYN"), ("PHILIPOT", "FILIPEAU")]
)
def test_a_wrong_letter_or_the_same_sound_is_near_on_the_same_date_only(one: str, other: str) -> None:
    first, second = record(traits(one, "Anne")), record(traits(other, "Anne"))
    assert shares(first, second, "near_family") and first["family"][0, 0] != second["family"][0, 0]
    assert not shares(first, record(traits(other, "Anne", BORN + dt.timedelta(1))), "near_family")


def test_names_are_bound_to_year_and_to_day_and_month() -> None:
    first, later = record(traits("ROUX", "Anne")), record(traits("ROUX", "Anne", BORN.replace(year=1957)))
    assert first["family"][0, 0] != later["family"][0, 0] and first["family"][1, 0] == later["family"][1, 0]
    assert first["day_month"] == later["day_month"] and first["date"] != later["date"]


def test_married_names_and_further_given_names_have_places_of_their_own() -> None:
    first, second = record(traits(("ROUX", "HAMON"), "Anne Marie")), record(traits(("HAMON",), "Marie/Anne"))
    assert first["family"][0, 1] == second["family"][0, 0] and first["given"][0, 1] == second["given"][0, 0]
    compound = record(traits("ROUX-HAMON", "Anne-Marie"))
    assert shares(compound, first, "family") and shares(compound, first, "given")


def test_day_and_month_exchanged_are_recognised() -> None:
    first, second = record(traits("ROUX", "Anne")), record(traits("ROUX", "Anne", dt.date(1956, 12, 3)))
    assert first["turned"] == second["date"] and second["turned"] == first["date"]


def test_what_is_not_known_has_no_token() -> None:
    found = record(traits("ROUX", "Anne", birth_precision=Precision.UNKNOWN, sex="unknown", birth_place=None))
    assert not any(found[name] for name in ("ins", "date", "turned", "day_month", "month_year", "sex"))
    assert not found["place"].any()
    assert found["family"][0, 0] and not found["family"][1, 0] and not found["near_family"][0]


def test_provisional_identities_are_left_out_until_a_later_statement_is_sure() -> None:
    doubtful = traits("ROUX", "Anne", provisional=True)
    assert not len(matching_tokens([(7, doubtful)], KEY, with_ins=True).rows)
    fold(doubtful, stated(Statement((("IPP", "1"),), Person(provisional=False))), (2, 0))
    assert len(matching_tokens([(7, doubtful)], KEY, with_ins=True).rows) == 1


def test_the_ins_only_where_a_decision_allows_it() -> None:
    assert record(traits("ROUX", "Anne", ins="2 56 03 29 019 001 23"))["ins"]
    assert not record(traits("ROUX", "Anne", ins="256032901900123"), with_ins=False)["ins"]


def test_tokens_of_two_runs_share_nothing() -> None:
    people = [(n, traits(f"NOM{chr(65 + n)}", "Anne", BORN + dt.timedelta(n))) for n in range(20)]
    first, second = (matching_tokens(people, run_key(bytes(32), run), with_ins=True).rows for run in ("run1", "run2"))
    for name in RECORD.names or ():
        assert not np.intersect1d(first[name][first[name] != 0], second[name]).size, name


def test_no_clear_trait_is_in_what_leaves() -> None:
    made = traits(("KERVELLA", "HAMON"), "Soizic", ins="256032901900123")
    sent = matching_tokens([(7, made)], KEY, with_ins=True).rows.tobytes()
    for word in ("KERVELLA", "HAMON", "Soizic", "29019", "256032901900123", "1956", "female"):
        for form in (word, word.lower(), french.sound(french.joined(word)) or word):
            assert form.encode() not in sent


def test_the_number_of_tokens_does_not_tell_how_long_a_name_is() -> None:
    for name in ("LI", "KERVELLA", "MAXIMILIENNE-DE-LA-ROCHEFOUCAULD"):
        found = record(traits(name, name))
        assert (
            np.count_nonzero(found["near_family"]) == NEAR_FAMILY
            and np.count_nonzero(found["near_given"]) == NEAR_GIVEN
        )
