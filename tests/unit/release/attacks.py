"""What an attacker who knows everything but one thing makes of the gate's answers.

The attacker knows who the target is (a question singles the target out), and asks whether the target belongs to a
sensitive set. Each attack returns how often the guess is right, half the targets belonging: 0.5 is blind.
"""

from __future__ import annotations

import random
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from statistics import fmean

import numpy as np
from pyroaring import BitMap

from estran.release.disclosure import Answer, Gate, Rules, Shown

PEOPLE, SENSITIVE = 4_000, 600
Attack = Callable[[Gate, BitMap, int, int, random.Random], bool]


class Memory:
    """A book of answered sets in memory."""

    def __init__(self) -> None:
        self._by_size: dict[int, list[Answer]] = defaultdict(list)
        self._number = 0

    def near(self, sizes: Collection[int], margin: int) -> Iterator[Answer]:
        close = {n for size in sizes for n in range(size - margin + 1, size + margin)}
        found = [one for n in close for one in self._by_size.get(n, ())]
        return iter(sorted(found, key=lambda one: one.number))

    def keep(self, answered: Sequence[tuple[BitMap, Shown]]) -> list[Answer]:
        kept = []
        for patients, shown in answered:
            self._number += 1
            kept.append(Answer(self._number, patients, shown))
            self._by_size[len(patients)].append(kept[-1])
        return kept


def half(dice: random.Random) -> BitMap:
    """Every second person, at random."""
    bits = np.unpackbits(np.frombuffer(dice.randbytes(PEOPLE // 8), np.uint8))
    return BitMap(array("I", np.flatnonzero(bits).astype(np.uint32).tobytes()))


def asked(gate: Gate, people: BitMap) -> int:
    return gate.answers([people])[0].shown.value


def differences(gate: Gate, sensitive: BitMap, target: int, queries: int, dice: random.Random) -> bool:
    """Membership: a cohort, then the same cohort without the target, on one slice of people after another."""
    gaps = []
    for _ in range(queries // 2):
        part = half(dice) | BitMap([target])
        gaps.append(asked(gate, sensitive & part) - asked(gate, (sensitive & part) - BitMap([target])))
    return _guess(gaps, dice)


def splits(gate: Gate, sensitive: BitMap, target: int, queries: int, dice: random.Random) -> bool:
    """Split cohorts: the whole as the sum of two halves, halved otherwise each time, with and without the target."""
    with_target, without = [], []
    for n in range(queries // 2):
        part = half(dice)
        cohort, sums = (sensitive, with_target) if n % 2 else (sensitive - BitMap([target]), without)
        sums.append(asked(gate, cohort & part) + asked(gate, cohort - part))
    return fmean(with_target) - fmean(without) > 0.5


def padding(gate: Gate, sensitive: BitMap, target: int, queries: int, dice: random.Random) -> bool:
    """The attacker knows of other people too: twelve of them leave the cohort together with the target or without."""
    gaps = []
    for _ in range(queries // 2):
        part = half(dice) | BitMap([target])
        gone = BitMap(dice.sample(list((sensitive & part) - BitMap([target])), gate.rules.near + 2))
        gaps.append(asked(gate, sensitive & part) - asked(gate, (sensitive & part) - gone - BitMap([target])) - len(gone))
    return _guess(gaps, dice)


def accuracy(attack: Attack, rules: Rules, queries: int, games: int, seed: int = 1) -> float:
    """Share of right guesses over games, each with a target and a gate of its own."""
    dice = random.Random(seed)
    right = 0
    for game in range(games):
        target, belongs = dice.randrange(PEOPLE), bool(game % 2)
        sensitive = BitMap(dice.sample(range(PEOPLE), SENSITIVE)) - BitMap([target])
        gate = Gate(rules, dice.randbytes(32), Memory())
        right += attack(gate, sensitive | BitMap([target] if belongs else []), target, queries, dice) == belongs
    return right / games


def _guess(gaps: Iterable[float], dice: random.Random) -> bool:
    """A gap of one person on average, or of none; blind when it says nothing."""
    mean = fmean(gaps)
    return mean > 0.5 if mean != 0.5 else dice.random() < 0.5
