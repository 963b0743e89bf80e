"""Linking records of several sites, on invented people whose names are misspelt, changed or missing."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.linkage_people import Record, hospitals

from estran.identity.matching import RECORD, matching_tokens, run_key
from estran.release.matching.clusters import Pairs, one_to_one, persons
from estran.release.matching.compare import SHAPE, TRAITS, patterns
from estran.release.matching.linking import SURE, Linked, link_records
from estran.release.matching.model import Counts, odds
from estran.release.matching.pairs import LARGEST, candidates

KEY = run_key(bytes(32), "test")


def pairs_of(numbers: np.ndarray) -> int:
    _, counts = np.unique(numbers, return_counts=True)
    return int((counts * (counts - 1) // 2).sum())


def quality(linked: Linked, truth: list[np.ndarray]) -> tuple[float, float]:
    """Precision and recall over pairs of records."""
    found, who = np.concatenate(linked.persons), np.concatenate(truth)
    right = pairs_of(found * 10**7 + who)
    return right / pairs_of(found), right / pairs_of(who)


@pytest.fixture(scope="module")
def written() -> list[list[Record]]:
    return hospitals(1500, 3, 7)


def linked(written: list[list[Record]], *, with_ins: bool) -> tuple[Linked, list[np.ndarray]]:
    made = [
        matching_tokens(((n, one.traits) for n, one in enumerate(site)), KEY, with_ins=with_ins) for site in written
    ]
    truth = [
        np.array([one.person for one in site])[tokens.patients] for site, tokens in zip(written, made, strict=True)
    ]
    return link_records([tokens.rows for tokens in made]), truth


def test_few_records_are_linked_rightly_with_ins_and_without(written: list[list[Record]]) -> None:
    """A fraction of what the benchmark measures, and so with wider limits."""
    for with_ins, least in ((True, 0.95), (False, 0.9)):
        found, truth = linked(written, with_ins=with_ins)
        precision, recall = quality(found, truth)
        assert precision >= 0.99 and recall >= least


def test_nobody_has_two_records_of_one_site(written: list[list[Record]]) -> None:
    found, _ = linked(written, with_ins=False)
    assert all(len(np.unique(one)) == len(one) for one in found.persons)
    assert found.distinct == len(np.unique(np.concatenate(found.persons)))
    assert found.shared(0, 1) == len(set(found.persons[0].tolist()) & set(found.persons[1].tolist()))


def level(trait: str, one: Record, other: Record) -> str:
    rows = np.concatenate([matching_tokens([(0, who.traits)], KEY, with_ins=False).rows for who in (one, other)])
    found = np.unravel_index(patterns(rows, np.array([0]), np.array([1])), SHAPE)
    return TRAITS[trait][int(found[list(TRAITS).index(trait)][0])]


SOMEBODY = Record(1, ("ROUX",), ("Anne",), "female", dt.date(1981, 3, 27), "35287", None)


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (("Nathan", "Noah"), ("Noah", "Maël"), "one in the other"),
        (("Jean-Marc",), ("Jean",), "a half"),
        (("Jean Claude",), ("Jean-Claude",), "exchanged"),
        (("Aya", "Lina"), ("Lina", "Aya"), "exchanged"),
        (("Anne", "Lou"), ("Anne", "Lou", "Zoé"), "both same"),
        (("Anna", "Jade"), ("Zoé", "Jade"), "a further name"),
        (("Solenn",), ("Soleenn",), "near"),
        (("Paul",), ("Yves",), "other"),
    ],
)
def test_how_given_names_agree(one: tuple[str, ...], other: tuple[str, ...], said: str) -> None:
    assert level("given", replace(SOMEBODY, given=one), replace(SOMEBODY, given=other)) == said


def test_a_place_is_compared_where_the_dates_have_the_year_or_day_and_month_in_common() -> None:
    def told(born: dt.date, place: str = "35287") -> str:
        return level("place", SOMEBODY, replace(SOMEBODY, born=born, place=place))

    assert told(dt.date(1982, 3, 27)) == told(dt.date(1981, 3, 2)) == "same"
    assert told(dt.date(1982, 3, 27), "29019") == "other" and told(dt.date(1990, 5, 1)) == "not known"


def chain(*chances: float) -> Pairs:
    """Records 0, 1, 2… one after the other."""
    return Pairs(np.arange(len(chances)), np.arange(1, len(chances) + 1), np.array(chances))


def test_what_two_pairs_tell_holds_for_the_third() -> None:
    assert len(set(persons(chain(0.99, 0.99), np.array([0, 1, 2], np.int16), np.zeros(3, np.uint64)).tolist())) == 1


def test_two_ins_are_two_persons_and_the_likelier_pair_wins() -> None:
    found = persons(chain(0.95, 0.99), np.array([0, 1, 2], np.int16), np.array([5, 0, 6], np.uint64))
    assert found[0] != found[1] == found[2]


def test_two_records_of_a_site_are_two_persons() -> None:
    found = persons(chain(0.99, 0.95), np.array([0, 1, 0], np.int16), np.zeros(3, np.uint64))
    assert found[0] == found[1] != found[2]


def test_two_rivals_leave_both_in_doubt() -> None:
    twins = Pairs(np.array([0, 0]), np.array([1, 2]), np.array([0.99, 0.99]))
    shared = one_to_one(twins, np.array([0, 1, 1], np.int16)).chance
    assert shared.max() < 0.51 < SURE
    apart = one_to_one(twins, np.array([0, 1, 2], np.int16)).chance  # of two sites: no rivals
    assert apart.min() > 0.98


def test_nothing_is_linked_of_nobody() -> None:
    found = link_records([np.zeros(0, RECORD), np.zeros(0, RECORD)])
    assert found.distinct == found.review == 0


def test_a_date_that_stands_for_not_known_makes_no_pairs() -> None:
    rows = np.zeros(LARGEST + 1, RECORD)
    rows["ins"] = 1
    assert not len(candidates(rows)[0]) and len(candidates(rows[:-1])[0]) == LARGEST * (LARGEST - 1) // 2


def test_where_the_ins_tells_every_pair_nothing_else_is_learnt() -> None:
    none, told = np.zeros(int(np.prod(SHAPE))), np.zeros(int(np.prod(SHAPE)))
    told[-1] = 300
    assert not odds(Counts(none, none, told, 1.0)).any()
