"""Chance that is the same wherever it is drawn: one generator per shard, seeded by words."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from itertools import accumulate
from random import Random
from statistics import NormalDist
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")

# Quantiles of the normal law: looking one up is faster than computing it, and the same on every machine.
_NORMALS = tuple(NormalDist().inv_cdf((rank + 0.5) / 8192) for rank in range(8192))


class Weighted(Generic[T]):
    """Items drawn in proportion to their weights."""

    __slots__ = ("_bounds", "items")

    def __init__(self, pairs: Iterable[tuple[T, float]]) -> None:
        kept = [(item, weight) for item, weight in pairs if weight > 0]
        self.items = [item for item, _ in kept]
        self._bounds = list(accumulate(weight for _, weight in kept))

    def __bool__(self) -> bool:
        return bool(self.items)

    def at(self, share: float) -> T:
        """The item at `share` (0 to 1, 1 excluded) of the total weight."""
        return self.items[min(bisect(self._bounds, share * self._bounds[-1]), len(self.items) - 1)]


class Dice:
    """Draws of one shard, always in the same order."""

    __slots__ = ("_random", "chance")

    def __init__(self, *words: object) -> None:
        seed = blake2b("|".join(map(str, words)).encode(), digest_size=8).digest()
        self._random = Random(int.from_bytes(seed, "big"))
        self.chance: Callable[[], float] = self._random.random  # 0 to 1, 1 excluded

    def below(self, count: int) -> int:
        """A whole number from 0 to `count` - 1."""
        return int(self.chance() * count)

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self.chance() * (high - low + 1))

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self.chance() * len(items))]

    def picks(self, items: Sequence[T], count: int) -> list[T]:
        """`count` of the items, below 65,536 of them, the same one possibly again."""
        drawn = np.frombuffer(self.bytes(2 * count), "<u2").astype(np.int64)
        return [items[place] for place in (drawn * len(items) >> 16).tolist()]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The same items in another order."""
        ranks = np.frombuffer(self.bytes(4 * len(items)), "<u4")
        return [items[place] for place in np.argsort(ranks, kind="stable").tolist()]

    def draw(self, weighted: Weighted[T]) -> T:
        return weighted.at(self.chance())

    def normal(self) -> float:
        """A standard normal value."""
        return _NORMALS[self._random.getrandbits(13)]

    def noise(self, size: int = 1024) -> Callable[[], int]:
        """A function that gives `size` bytes one by one: choices among alternatives of a text."""
        return iter(self._random.randbytes(size)).__next__

    def bytes(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def poisson(self, mean: float) -> int:
        """A count of rare events; the mean should be below 20."""
        from math import exp

        limit, count, product = exp(-mean), 0, self.chance()
        while product > limit:
            count += 1
            product *= self.chance()
        return count
