"""Counting patients whom several sites know."""

from __future__ import annotations

import numpy as np
import pytest

from estran.model.errors import UsageError
from estran.release.disclosure import Rules
from estran.release.linkage import Records, distinct, keyed, pack, protected_distinct, seed_of, unpack

KEY = bytes(32)


def records(*rows: tuple[int, int]) -> Records:
    """Records by the numbers of an INS and of traits, 0 for none."""
    return Records(*(np.array([[row[place]] * 16 for row in rows], np.uint8).reshape(-1, 16) for place in (0, 1)))


def test_the_same_ins_or_without_one_the_same_traits_is_one_patient() -> None:
    angers, brest = records((1, 11), (2, 12), (0, 13)), records((1, 99), (0, 12), (0, 13))
    assert distinct([angers, brest]) == 3


def test_two_ins_are_two_patients_whatever_their_traits() -> None:
    assert distinct([records((1, 11)), records((2, 11))]) == 2
    assert distinct([records((1, 11)), records((2, 11)), records((0, 11))]) == 2


def test_who_has_no_token_counts_as_one_each() -> None:
    assert distinct([records((0, 0), (0, 0)), records((0, 0))]) == 3


def test_questions_have_keys_of_their_own() -> None:
    one = records((1, 11), (0, 12))
    first, second = keyed(one, KEY, "q1"), keyed(one, KEY, "q2")
    assert first.traits.tobytes() != second.traits.tobytes() != one.traits.tobytes()
    assert not first.ins[1].any()  # none stays none
    assert distinct([first, keyed(one, KEY, "q1")]) == 2


def test_what_is_packed_comes_back_in_another_order_that_tells_nothing() -> None:
    one = records((3, 30), (1, 10), (2, 20))
    packed = pack(one, bytes(32))
    assert packed == pack(one.of(np.array([2, 0, 1])), bytes(32))
    back, seed = unpack(packed)
    assert seed == bytes(32) and distinct([back, one]) == 3
    with pytest.raises(UsageError):
        unpack(packed[:-1])
    with pytest.raises(UsageError):
        unpack(packed[:32] + bytes([0, 1, 0, 0, 0, 0, 0, 0]) + packed[40 : 40 + 32 * 128])


def test_how_long_a_parcel_is_follows_from_what_the_hub_is_told() -> None:
    everybody = np.random.default_rng(2).integers(1, 256, (600, 16), dtype=np.uint8)
    sizes = {
        (number, told): (len(pack(Records(everybody[:number], everybody[:number]), bytes(32), told)) - 40) // 32
        for number, told in ((3, 10), (10, 10), (240, 256), (256, 260), (250, 260), (300, 290), (600, 290), (513, 512))
    }
    assert list(sizes.values()) == [256, 256, 256, 512, 512, 512, 1024, 1024]


def test_the_noise_of_a_total_depends_on_the_sets_alone() -> None:
    everybody = np.random.default_rng(1).integers(1, 256, (500, 16), dtype=np.uint8)
    none = np.zeros_like(everybody)
    one, other = Records(none[:300], everybody[:300]), Records(none[200:], everybody[200:])
    seeds = [seed_of(b"secret", name) for name in (b"a", b"b")]
    totals = set()
    for question in ("q1", "q2", "q3"):
        sites = [(keyed(site, KEY, question), seed) for site, seed in zip((one, other), seeds, strict=True)]
        totals.add(protected_distinct(sites, Rules()))
    assert len(totals) == 1
    (shown,) = totals
    assert abs(shown.value - 500) <= 60 and shown.value % 5 == 0 and shown.margin == 32
    assert protected_distinct([(records((1, 1)), seeds[0]), (records((1, 1)), seeds[1])], Rules()).below == 10
