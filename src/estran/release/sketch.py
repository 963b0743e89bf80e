"""Sketches of sets of patients, of which several sites' can be united: how many distinct patients, nobody named.

A HyperLogLog (Flajolet et al. 2007) whose ranks are cut at `cap`: each patient's token falls into one of `buckets`
and has a rank r with probability 2^-r (cap: all that is left); a bucket keeps the highest rank that fell into it. Cut
this way, every (bucket, rank) holds many patients of the site, so that a value tells of none (k-anonymous buckets,
Yu and Weber 2020, here by construction and checked on the site's own patients). The number is the maximum of the
likelihood, which allows for the cut, and its error follows from Fisher's information.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estran.model.errors import UsageError

UInt64s = npt.NDArray[np.uint64]
UInt8s = npt.NDArray[np.uint8]
FEWEST_PER_CELL = 10  # patients of the site behind each value of a bucket
FEWEST_PER_BUCKET = 4  # patients of the set per bucket on average: fewer, and the sketch is better than the count shown
WORST_ERROR = 0.2  # standard error beyond which a sketch is not worth sending
_GROWN = 4  # a union of sites may hold so many times the patients of one: the sketch must still tell
_HIGHEST_CAP = 24
CAP = 4  # the same at every site, so that sketches unite without loss
_BUCKETS = tuple(2**n for n in range(12, 5, -1))  # 4096 … 64
_MAGIC = b"ESTRSKT1"


@dataclass(frozen=True)
class Estimate:
    """Distinct patients; `error` is the standard error as a share of the value. Both infinite when every bucket is
    full: the set is too large for the sketch."""

    value: float
    error: float

    @property
    def interval(self) -> tuple[int, int]:
        """Within which the number lies nineteen times out of twenty."""
        half = 1.96 * self.error * self.value
        return max(0, math.floor(self.value - half)), math.ceil(self.value + half)


@dataclass(frozen=True)
class Sketch:
    """`ranks` is by bucket: 0 for none, else the highest rank, at most `cap`."""

    cap: int
    ranks: UInt8s

    @property
    def buckets(self) -> int:
        return len(self.ranks)

    def dump(self) -> bytes:
        """As bytes, one per bucket after a head of nine."""
        return _MAGIC + bytes([self.cap]) + self.ranks.tobytes()

    @classmethod
    def load(cls, data: bytes) -> Sketch:
        """Inverse of `dump`; UsageError when it is no sketch."""
        ranks = np.frombuffer(data[len(_MAGIC) + 1 :], np.uint8)
        if data[: len(_MAGIC)] != _MAGIC or len(ranks) not in _BUCKETS or not 1 <= data[len(_MAGIC)] <= _HIGHEST_CAP:
            raise UsageError("This is no sketch.")
        if int(ranks.max()) > data[len(_MAGIC)]:
            raise UsageError("This sketch holds a rank beyond its cut.")
        return cls(data[len(_MAGIC)], ranks)

    def estimate(self) -> Estimate:
        """How many distinct tokens went in."""
        counts = np.bincount(self.ranks, minlength=self.cap + 1).astype(float)
        if counts[self.cap] == self.buckets:
            return Estimate(math.inf, math.inf)
        load = _most_likely(counts, self.cap)
        return Estimate(load * self.buckets, _error(load, self.cap, self.buckets))


def united(sketches: Sequence[Sketch]) -> Sketch:
    """The sketch of the union, as fine as the coarsest of them; UsageError when there is none."""
    if not sketches:
        raise UsageError("There is no sketch to unite.")
    buckets, cap = min(one.buckets for one in sketches), min(one.cap for one in sketches)
    folded = [np.minimum(one.ranks, cap).reshape(-1, buckets).max(axis=0) for one in sketches]
    return Sketch(cap, np.maximum.reduce(folded).astype(np.uint8))


class Crowd:
    """Everybody of a site, by the numbers of their tokens: how few of them stand behind a value, whoever is selected."""

    def __init__(self, everybody: UInt64s) -> None:
        self.fewest = {buckets: _fewest_per_cell(everybody, buckets) for buckets in _BUCKETS}


def safe_sketch(tokens: UInt64s, everybody: Crowd) -> Sketch | None:
    """The finest sketch of `tokens` that the rules allow among the tokens of `everybody` of the site, or None.

    Every value of a bucket stands for at least FEWEST_PER_CELL patients of the site, the set has at least
    FEWEST_PER_BUCKET per bucket, and the error is at most WORST_ERROR, of this
    set and of one four times as large, as a union of sites may be.
    """
    for buckets in _BUCKETS:
        load = len(tokens) / buckets
        if load >= FEWEST_PER_BUCKET and everybody.fewest[buckets] >= FEWEST_PER_CELL:
            error = max(_error(load, CAP, buckets), _error(_GROWN * load, CAP, buckets))
            return sketch(tokens, buckets) if error <= WORST_ERROR else None
    return None


def sketch(tokens: UInt64s, buckets: int, cap: int = CAP) -> Sketch:
    """The sketch of some tokens, whatever the rules."""
    ranks = np.zeros(buckets, np.uint8)
    np.maximum.at(ranks, _bucket(tokens, buckets), _ranks(tokens, cap))
    return Sketch(cap, ranks)


def _bucket(tokens: UInt64s, buckets: int) -> npt.NDArray[np.intp]:
    """The lowest bits: a coarser sketch is then a fold of a finer one."""
    return (tokens & np.uint64(buckets - 1)).astype(np.intp)


def _ranks(tokens: UInt64s, cap: int) -> UInt8s:
    """One more than the leading zeros of the upper 32 bits, at most `cap`."""
    upper = (tokens >> np.uint64(32)).astype(np.float64)
    exponents = np.frexp(upper)[1]  # bit length; 0 for 0
    ranks: UInt8s = np.minimum(33 - exponents, cap).astype(np.uint8)
    return ranks


def _fewest_per_cell(everybody: UInt64s, buckets: int) -> int:
    """The least number of patients of the site behind a value of a bucket."""
    cells = _bucket(everybody, buckets) * (CAP + 1) + _ranks(everybody, CAP)
    counts = np.bincount(cells, minlength=buckets * (CAP + 1)).reshape(buckets, CAP + 1)
    return int(counts[:, 1:].min())


def _most_likely(counts: npt.NDArray[np.float64], cap: int) -> float:
    """Patients per bucket for which the counts of ranks are likeliest; bisection on the derivative."""
    if counts[0] == counts.sum():
        return 0.0
    low, high = 1e-9, 1e9
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _slope(counts, middle, cap) > 0 else (low, middle)
        if high / low < 1 + 1e-12:
            break
    return math.sqrt(low * high)


def _bounds(cap: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Rates a, b of P(highest rank = r) = exp(-a·load) - exp(-b·load), for r from 0 to `cap`; b is infinite for 0."""
    ranks = np.arange(cap + 1)
    a = np.where(ranks < cap, 2.0**-ranks, 0.0)  # none of a higher rank
    b = np.concatenate(([np.inf], 2.0 ** -(ranks[1:] - 1.0)))  # none of this rank or higher
    return a, b


def _slope(counts: npt.NDArray[np.float64], load: float, cap: int) -> float:
    """Derivative of the log-likelihood."""
    return float((counts * _scores(load, cap)).sum())


def _scores(load: float, cap: int) -> npt.NDArray[np.float64]:
    a, b = _bounds(cap)
    gap = np.where(np.isinf(b), 0.0, b - a)
    grown = -np.expm1(-gap * load)  # 1 - exp(-(b - a)·load)
    with np.errstate(divide="ignore", invalid="ignore"):
        rising = np.where(np.isinf(b), 0.0, gap * np.exp(-gap * load) / grown)
    return rising - a


def _error(load: float, cap: int, buckets: int) -> float:
    """Standard error of the estimate as a share of it, by Fisher's information."""
    if load <= 0:
        return 0.0
    a, b = _bounds(cap)
    chances = np.exp(-a * load) - np.where(np.isinf(b), 0.0, np.exp(-np.where(np.isinf(b), 0.0, b) * load))
    information = float((chances * _scores(load, cap) ** 2).sum())
    return math.inf if information <= 0 else 1 / (load * math.sqrt(information * buckets))
