"""Time between events. An event without the precision that a relation asks for never satisfies it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from estran.cohort.query.base import Node, check_dated, refuse
from estran.cohort.query.ranges import IntRange

MAX_DAYS = 100_000
AFTER = IntRange(low=0)


class TimeUnit(StrEnum):
    """Days compare local dates; hours compare elapsed real minutes."""

    DAY = "day"
    HOUR = "hour"


@dataclass(frozen=True)
class Sequence(Node):
    """`first`, then another event `then` that starts `delay` later; stands at `first`.

    The delay counts from start to start, bounds included, and may be negative. In days both events
    need a precision of a day at least; in hours, of an hour. In hours the delay is in real minutes,
    so nights of clock change count 23 or 25 hours. An event never follows itself.
    """

    TAG: ClassVar[str] = "sequence"
    EVENTS: ClassVar[bool] = True

    first: Node
    then: Node
    delay: IntRange = AFTER
    unit: TimeUnit = TimeUnit.DAY

    def check(self) -> None:
        check_dated(self.first, "A sequence")
        check_dated(self.then, "A sequence")

    def children(self) -> tuple[Node, ...]:
        return (self.first, self.then)

    def with_children(self, children: tuple[Node, ...]) -> Node:
        return Sequence(children[0], children[1], self.delay, self.unit)


@dataclass(frozen=True)
class During(Node):
    """`event` starts between the first and the last day of the stay of `within`; stands at `event`.

    A stay or a movement found by `within` gives its own days; a fact or document, those of its stay,
    and none when it has no known stay. What has not ended goes on.
    """

    TAG: ClassVar[str] = "during"
    EVENTS: ClassVar[bool] = True

    event: Node
    within: Node

    def check(self) -> None:
        check_dated(self.event, "The criterion 'during'")
        check_dated(self.within, "The criterion 'during'")

    def children(self) -> tuple[Node, ...]:
        return (self.event, self.within)

    def with_children(self, children: tuple[Node, ...]) -> Node:
        return During(children[0], children[1])


class Rank(StrEnum):
    """Which of the dated events, in order of their start."""

    FIRST = "first"
    LAST = "last"
    NTH = "nth"


@dataclass(frozen=True)
class Occurrence(Node):
    """The first, last or nth event of each patient (of each stay in a same-stay scope...).

    Undated events are left out. Order: date, then minute (without a time of day first), then
    facts, documents, stays, movements by their numbers.
    """

    TAG: ClassVar[str] = "occurrence"
    EVENTS: ClassVar[bool] = True

    child: Node
    rank: Rank = Rank.FIRST
    number: int = 1

    def check(self) -> None:
        check_dated(self.child, "First, last or nth")
        if not 1 <= self.number <= 10_000 or (self.rank is not Rank.NTH and self.number != 1):
            raise refuse("The rank of the occurrence is out of reach.", "use first, last, or nth with a number from 1")

    def children(self) -> tuple[Node, ...]:
        return (self.child,)

    def with_children(self, children: tuple[Node, ...]) -> Node:
        return Occurrence(children[0], self.rank, self.number)


@dataclass(frozen=True)
class FollowUp(Node):
    """Events after which the patient was observed for at least `days` days.

    Observation ends at the latest of last news, death, and the start of any fact of the patient.
    """

    TAG: ClassVar[str] = "follow_up"
    EVENTS: ClassVar[bool] = True

    child: Node
    days: int

    def check(self) -> None:
        check_dated(self.child, "A follow-up")
        if not 1 <= self.days <= MAX_DAYS:
            raise refuse("The length of the follow-up is out of reach.", f"give 1 to {MAX_DAYS} days")

    def children(self) -> tuple[Node, ...]:
        return (self.child,)

    def with_children(self, children: tuple[Node, ...]) -> Node:
        return FollowUp(children[0], self.days)


@dataclass(frozen=True)
class Washout(Node):
    """Events of `child` with no event of `without` in the `days` days before the day they start."""

    TAG: ClassVar[str] = "washout"
    EVENTS: ClassVar[bool] = True

    child: Node
    without: Node
    days: int

    def check(self) -> None:
        check_dated(self.child, "A wash-out")
        check_dated(self.without, "A wash-out")
        if not 1 <= self.days <= MAX_DAYS:
            raise refuse("The length of the wash-out is out of reach.", f"give 1 to {MAX_DAYS} days")

    def children(self) -> tuple[Node, ...]:
        return (self.child, self.without)

    def with_children(self, children: tuple[Node, ...]) -> Node:
        return Washout(children[0], children[1], self.days)
