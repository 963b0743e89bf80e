"""What every node of a question has in common: it is frozen, and nonsense cannot be built."""

from __future__ import annotations

import datetime as dt
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar

from estran.model.errors import UsageError

_hints: dict[type[Part], dict[str, Any]] = {}


def field_hints(kind: type[Part]) -> dict[str, Any]:
    """The types of the fields of a part, in order."""
    if kind not in _hints:
        hints = typing.get_type_hints(kind)
        _hints[kind] = {f.name: hints[f.name] for f in fields(kind)}
    return _hints[kind]


def fits(value: object, hint: Any) -> bool:
    """Whether a value has the type that an annotation asks for."""
    return _check(hint)(value)


@cache
def _check(hint: Any) -> Callable[[Any], bool]:
    """What `fits` asks of a value; annotations are taken apart once, since live counts build many nodes."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        checks = [_check(one) for one in parts]
        return lambda value: any(check(value) for check in checks)
    if origin is tuple:
        member = _check(parts[0])
        return lambda value: isinstance(value, tuple) and all(map(member, value))
    if hint is float:
        return lambda value: isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return lambda value: isinstance(value, int) and not isinstance(value, bool)
    if hint is dt.date:
        return lambda value: isinstance(value, dt.date) and not isinstance(value, dt.datetime)
    return lambda value: isinstance(value, hint)


@dataclass(frozen=True)
class Part:
    """A value inside a node: validated at birth, UsageError otherwise."""

    TAG: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for name, hint in field_hints(type(self)).items():
            if not fits(getattr(self, name), hint):
                raise UsageError(
                    f"'{name}' of {type(self).__name__} does not have the right type.",
                    where=f"{type(self).__name__}.{name}",
                    hint=f"give it a value of type {getattr(hint, '__name__', hint)}",
                )
        self.check()

    def check(self) -> None:
        """What the types alone cannot say; raises UsageError."""


@dataclass(frozen=True)
class Node(Part):
    """A question about patients. `TAG` is its name in JSON; `EVENTS` says whether it has dates."""

    EVENTS: ClassVar[bool] = False

    def children(self) -> tuple[Node, ...]:
        """The questions inside this one, in reading order."""
        return ()

    def with_children(self, children: tuple[Node, ...]) -> Node:
        """The same node over other children."""
        return self

    @property
    def dated(self) -> bool:
        """Whether the node gives events, which have a moment, and not only patients."""
        return self.EVENTS


def refuse(what: str, hint: str) -> UsageError:
    """A UsageError with a way out."""
    return UsageError(what, hint=hint)


def check_dated(node: Node, role: str) -> None:
    """Raise UsageError when a temporal node is given a question without dates."""
    if not node.dated:
        raise refuse(
            f"{role} needs events, which have a date; '{node.TAG}' only says which patients.",
            "use a code, a text, a document, a stay or a movement there, and put the rest beside it with and",
        )
