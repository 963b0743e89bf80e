"""Masked sums: exact, hidden, bound to sites and round, never under three sites."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from estran.analysis.federated import masking
from estran.analysis.federated.fixed_point import LARGEST, decode, encode, minus, plus
from estran.analysis.federated.rounds import Params
from estran.model.errors import CheckFailed, NotAllowed

BOUND = bytes(range(32))
NUMBERS = st.floats(-2e18, 2e18, allow_subnormal=False)


def sites(count: int) -> tuple[list[masking.Party], dict[str, bytes]]:
    parties = [masking.Party.new(f"site{n}") for n in range(count)]
    return parties, {one.name: one.public for one in parties}


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.float64, st.integers(0, 30), elements=NUMBERS))
def test_numbers_survive_as_integers(values: np.ndarray) -> None:
    assert np.all(np.abs(decode(encode(values)) - values) <= np.maximum(2.0**-56, np.abs(values) * 2.0**-52))
    assert np.array_equal(decode(minus(encode(values))), -decode(encode(values)))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-(2**50), 2**50), min_size=1, max_size=40), st.randoms())
def test_integers_add_up_exactly_in_any_order(values: list[int], order: object) -> None:
    words = [encode(np.array([float(one)])) for one in values]
    order.shuffle(words)  # type: ignore[attr-defined]
    total = words[0]
    for one in words[1:]:
        total = plus(total, one)
    assert decode(total)[0] == sum(values)


@settings(max_examples=10, deadline=None)
@given(st.integers(3, 8), st.integers(0, 10**6))
def test_the_sum_of_masked_contributions_is_the_sum(count: int, seed: int) -> None:
    dice, (parties, roster) = np.random.default_rng(seed), sites(count)
    counts, floats = dice.integers(0, 10**9, (count, 4)).astype(float), dice.normal(0, 1e6, (count, 3, 2))
    sent = [
        masking.mask({"counts": counts[n], "floats": floats[n]}, party, roster, BOUND)
        for n, party in enumerate(parties)
    ]
    dice.shuffle(sent)  # type: ignore[arg-type]
    found = masking.unmask(sent, roster, BOUND)
    assert np.array_equal(found["counts"], counts.sum(axis=0))
    assert found["floats"].shape == (3, 2) and np.allclose(found["floats"], floats.sum(axis=0), rtol=1e-15, atol=1e-9)


def test_a_contribution_looks_like_noise_and_is_another_one_each_round() -> None:
    parties, roster = sites(3)
    values = {"x": np.zeros(4_000)}
    words = [np.frombuffer(masking.mask(values, parties[0], roster, bytes([n]) * 32).words, np.uint8) for n in (1, 2)]
    for one in words:
        assert abs(np.unpackbits(one).mean() - 0.5) < 0.005  # 512,000 bits: six standard errors are 0.0042
        assert len(np.unique(one.view(np.uint64))) == 8_002
    assert not np.any(words[0].view(np.uint64) == words[1].view(np.uint64))


def test_under_three_sites_nothing_is_masked() -> None:
    parties, roster = sites(2)
    with pytest.raises(NotAllowed, match="at least 3 sites"):
        masking.mask({"x": np.ones(1)}, parties[0], roster, BOUND)
    same = {"a": parties[0].public, "b": parties[1].public, "c": parties[1].public}
    with pytest.raises(NotAllowed, match="a key of its own"):
        masking.mask({"x": np.ones(1)}, parties[0], same, BOUND)


def test_a_lost_site_is_named_and_the_rest_cannot_be_read() -> None:
    parties, roster = sites(4)
    sent = [masking.mask({"x": np.ones(2)}, one, roster, BOUND) for one in parties]
    with pytest.raises(masking.SiteLost) as lost:
        masking.unmask(sent[:3], roster, BOUND)
    assert lost.value.sites == ("site3",)
    fewer = {name: key for name, key in roster.items() if name != "site3"}
    with pytest.raises(CheckFailed, match="do not vanish"):
        masking.unmask(sent[:3], fewer, BOUND)


def test_sites_that_were_told_another_list_or_round_do_not_add_up() -> None:
    parties, roster = sites(3)
    other = {**roster, "site9": masking.Party.new("site9").public}
    for wrong in (
        masking.mask({"x": np.ones(2)}, parties[2], other, BOUND),
        masking.mask({"x": np.ones(2)}, parties[2], roster, bytes(32)),
    ):
        sent = [masking.mask({"x": np.ones(2)}, one, roster, BOUND) for one in parties[:2]]
        with pytest.raises(CheckFailed, match="do not vanish"):
            masking.unmask([*sent, wrong], roster, BOUND)


def test_shapes_that_differ_are_refused() -> None:
    parties, roster = sites(3)
    sent = [masking.mask({"x": np.ones(2 + (n == 2))}, one, roster, BOUND) for n, one in enumerate(parties)]
    with pytest.raises(CheckFailed, match="different shapes"):
        masking.unmask(sent, roster, BOUND)


@pytest.mark.parametrize("value", [LARGEST, -LARGEST, np.inf, np.nan])
def test_what_could_overflow_is_refused_at_the_site(value: float) -> None:
    parties, roster = sites(3)
    with pytest.raises(CheckFailed, match="too large"):
        masking.mask({"x": np.array([value])}, parties[0], roster, BOUND)


def test_a_thousand_sites_of_the_largest_number_do_not_wrap_around() -> None:
    largest = encode(np.array([np.nextafter(LARGEST, 0)]))
    total = largest
    for _ in range(10):
        total = plus(total, total)
    assert decode(total)[0] == pytest.approx(1024 * LARGEST)


def test_sealed_sums_are_read_by_the_sites_and_by_nobody_else() -> None:
    parties, roster = sites(3)
    secret = bytes(reversed(range(32)))
    boxes = masking.share(parties[0], roster, secret, b"study")
    assert {masking.take(one, roster, boxes[one.name], b"study") for one in parties[1:]} == {secret}
    with pytest.raises(CheckFailed, match="does not come from"):
        masking.take(parties[1], roster, boxes["site2"], b"study")
    totals = {"sealed.days": np.arange(50.0), "open": np.ones(1)}
    found = masking.unmask([masking.mask(totals, one, roster, BOUND, secret) for one in parties], roster, BOUND)
    assert "sealed.days" not in found.values and found.number("open") == 3
    data = found.sealed["sealed.days"]
    assert np.array_equal(masking.read_sealed(data, "sealed.days", secret, 50), 3 * np.arange(50.0))
    guess = masking.read_sealed(data, "sealed.days", bytes(32), 50)
    assert not np.any(np.isclose(guess, 3 * np.arange(50.0)))
    with pytest.raises(CheckFailed, match="needs the secret"):
        masking.mask(totals, parties[0], roster, BOUND)


def test_a_round_is_bound_to_its_study_and_parameters() -> None:
    params = Params("glm", "newton", {"a": 1}, {"beta": [0.1]}, 3)
    assert Params.from_json(params.to_json()) == params
    assert len({masking.context(study, one) for study in "ab" for one in (params, params.then("newton"))}) == 4
