"""The one result gate: a count of patients as it may be shown to a person.

Four rules, each against an attack that was tried (decision 0010):

- *floor*: fewer patients than this are never told, zero included;
- *near*: a set that differs from an answered one by fewer patients than this gets that one's answer, so that
  a cohort and the same cohort without one known person tell nothing;
- *noise*: discrete Laplace, drawn from a keyed hash of the set itself: the same set always gets the same answer,
  whoever asks, and asking again averages nothing out;
- *quota*: answers to sets nobody had asked for are counted per person; over the quota a human decides.

What is shown is rounded to the nearest `step`. Sources: dwork2006calibrating (noise for counts), gadotti2019signal
(why sticky noise alone does not do), and the measurements in `tests/unit/release`.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pyroaring import BitMap

from estran.model.errors import UsageError

_DIGEST = "sha256"


@dataclass(frozen=True)
class Rules:
    """The numbers of the gate: patients for `floor`, `near` and `step`, scale of the noise, answers per `days`."""

    floor: int = 10
    near: int = 10
    step: int = 5
    spread: float = 10.0
    quota: int = 200
    days: int = 30

    def __post_init__(self) -> None:
        if min(self.floor, self.near, self.step, self.days) < 1 or self.spread <= 0 or self.quota < 0:
            raise UsageError("The rules of the result gate must be positive numbers.")


@dataclass(frozen=True)
class Shown:
    """A count fit to be shown: `value` to write and draw, or `below`: only "fewer than `below`" may be said.

    `margin` is how far from the truth `value` is at most, nineteen times out of twenty; 0 for an exact count.
    """

    value: int
    below: int = 0
    margin: int = 0


@dataclass(frozen=True)
class Answer:
    """An answered set and what is shown of it."""

    number: int
    patients: BitMap
    shown: Shown


class Book(Protocol):
    """The sets answered so far, of the whole site."""

    def near(self, sizes: Collection[int], margin: int) -> Iterable[Answer]:
        """Answered sets whose number of patients differs from one of `sizes` by less than `margin`, the oldest first."""

    def keep(self, answered: Sequence[tuple[BitMap, Shown]]) -> Sequence[Answer]:
        """Add answered sets, at once."""


class Gate:
    """The gate of one site. `key` is secret: who knows it can take the noise off."""

    def __init__(self, rules: Rules, key: bytes, book: Book) -> None:
        self.rules = rules
        self._key = key
        self._book = book

    def answers(self, asked: Sequence[BitMap]) -> list[Answer]:
        """What may be shown of each set, in order."""
        anchors: list[Answer | int] = []  # an answered set, or the place of a new one
        new: list[BitMap] = []
        near = list(self._book.near({len(patients) for patients in asked}, self.rules.near))
        for patients in asked:
            known = next((one for one in near if self._close(one.patients, patients)), None)
            if known is None:
                place = next((n for n, other in enumerate(new) if self._close(other, patients)), len(new))
                new += [patients] if place == len(new) else []
            anchors.append(place if known is None else known)
        kept = self._book.keep([(one, self._shown(len(one), digest(one))) for one in new]) if new else []
        return [kept[anchor] if isinstance(anchor, int) else anchor for anchor in anchors]

    def _close(self, one: BitMap, other: BitMap) -> bool:
        return one.symmetric_difference_cardinality(other) < self.rules.near

    def cells(self, answer: Answer, name: str, counts: Mapping[str, int]) -> dict[str, Shown]:
        """The cells of a breakdown of an answered set, each with noise of its own; disjoint cells only."""
        place = digest(answer.patients) + name.encode()
        return {cell: self._shown(count, place + b"/" + cell.encode()) for cell, count in counts.items()}

    def fixed(self, count: int, place: str) -> Shown:
        """A count that nobody chose (all patients, the patients of one code): its noise belongs to the `place`."""
        return self._shown(count, b"place/" + place.encode())

    def _shown(self, count: int, place: bytes) -> Shown:
        rules = self.rules
        if count < rules.floor:
            return Shown(0, below=rules.floor)
        noisy = count + _laplace(self._uniform(place), rules.spread)
        rounded = (noisy + rules.step // 2) // rules.step * rules.step
        return Shown(max(rounded, rules.floor), margin=margin(rules))

    def _uniform(self, place: bytes) -> float:
        """A number between 0 and 1, always the same for the same place."""
        drawn = int.from_bytes(hmac.digest(self._key, place, _DIGEST)[:8], "big")
        return (drawn + 0.5) / 2**64


def digest(patients: BitMap) -> bytes:
    """What stands for a set: equal for equal sets only."""
    return hmac.digest(b"estran/set", bytes(patients.to_array()), _DIGEST)


def margin(rules: Rules) -> int:
    """How far a shown count may be from the truth, nineteen times out of twenty, in patients."""
    return math.ceil(rules.spread * math.log(20)) + rules.step // 2


def _laplace(uniform: float, spread: float) -> int:
    """The discrete Laplace law of scale `spread` at a quantile: two geometric tails around zero."""
    decay = math.exp(-1 / spread)
    if uniform < decay / (1 + decay):
        return -math.floor(math.log(uniform * (1 + decay)) / math.log(decay))
    return max(0, math.ceil(math.log((1 - uniform) * (1 + decay)) / math.log(decay)) - 1)
