"""Combining criteria: and, or, not, at least n of, a scope, a window, the family."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from estran.cohort.query.base import Node, check_dated, refuse


class Unit(StrEnum):
    """What a condition is asked of: each patient, each stay, each document..."""

    PATIENT = "patient"
    STAY = "stay"
    DOCUMENT = "document"
    MOVEMENT = "movement"
    GROUP = "group"


class Kin(StrEnum):
    """`mother`: is the mother of a patient who...; `child`, `twin` likewise."""

    MOTHER = "mother"
    CHILD = "child"
    TWIN = "twin"


@dataclass(frozen=True)
class _Several(Node):
    of: tuple[Node, ...]

    def check(self) -> None:
        if len(self.of) < 2:
            raise refuse(f"'{self.TAG}' needs at least two criteria.", "use all_of or any_of, or the criterion itself")

    def children(self) -> tuple[Node, ...]:
        return self.of

    def with_children(self, children: tuple[Node, ...]) -> Node:
        return type(self)(children)


@dataclass(frozen=True)
class And(_Several):
    """Every criterion holds."""

    TAG: ClassVar[str] = "and"


@dataclass(frozen=True)
class Or(_Several):
    """At least one criterion holds. Its events are those of all, when all have some."""

    TAG: ClassVar[str] = "or"

    @property
    def dated(self) -> bool:
        return all(child.dated for child in self.of)


@dataclass(frozen=True)
class Not(Node):
    """The criterion does not hold; what is unknown does not hold, so `Not` of it does."""

    TAG: ClassVar[str] = "not"

    child: Node

    def children(self) -> tuple[Node, ...]:
        return (self.child,)

    def with_children(self, children: tuple[Node, ...]) -> Node:
        return Not(children[0])


@dataclass(frozen=True)
class AtLeast(Node):
    """At least `number` of the criteria hold."""

    TAG: ClassVar[str] = "at_least"

    number: int
    of: tuple[Node, ...]

    def check(self) -> None:
        if not 1 <= self.number <= len(self.of):
            raise refuse(f"At least {self.number} of {len(self.of)} criteria makes no sense.", "lower the number")

    def children(self) -> tuple[Node, ...]:
        return self.of

    def with_children(self, children: tuple[Node, ...]) -> Node:
        return AtLeast(self.number, children)


@dataclass(frozen=True)
class Same(Node):
    """One and the same stay (document, movement, fact group) meets the whole criterion inside.

    `Unit.PATIENT` goes back to the patient inside another scope. A fact group is a fact with every
    fact that hangs from it: an isolate and its antibiotics, a cycle, a prescription.
    """

    TAG: ClassVar[str] = "same"

    unit: Unit
    child: Node

    def children(self) -> tuple[Node, ...]:
        return (self.child,)

    def with_children(self, children: tuple[Node, ...]) -> Node:
        return Same(self.unit, children[0])

    @property
    def dated(self) -> bool:
        """A stay, document or movement found is an event; a group stands at its document."""
        return self.unit is not Unit.PATIENT


@dataclass(frozen=True)
class Window(Node):
    """One event of each criterion, all within `days` days (last date minus first date).

    Stands at the events of its first criterion that take part in such a window; needs days that
    are known. The same event may serve several criteria.
    """

    TAG: ClassVar[str] = "window"
    EVENTS: ClassVar[bool] = True

    days: int
    of: tuple[Node, ...]

    def check(self) -> None:
        if len(self.of) < 2:
            raise refuse("A window needs at least two criteria.", "add a criterion to the window")
        if not 0 <= self.days <= 100_000:
            raise refuse("The length of the window is out of reach.", "give a number of days from 0 to 100000")
        for child in self.of:
            check_dated(child, "A window")

    def children(self) -> tuple[Node, ...]:
        return self.of

    def with_children(self, children: tuple[Node, ...]) -> Node:
        return Window(self.days, children)


@dataclass(frozen=True)
class Family(Node):
    """Patients who are the mother (child, twin) of a patient meeting the criterion."""

    TAG: ClassVar[str] = "family"

    kin: Kin
    child: Node

    def children(self) -> tuple[Node, ...]:
        return (self.child,)

    def with_children(self, children: tuple[Node, ...]) -> Node:
        return Family(self.kin, children[0])


def all_of(*nodes: Node) -> Node:
    """And of several, or the one itself; UsageError when there is none."""
    return nodes[0] if len(nodes) == 1 else And(tuple(nodes))


def any_of(*nodes: Node) -> Node:
    """Or of several, or the one itself; UsageError when there is none."""
    return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))
