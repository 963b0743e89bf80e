"""Questions as versioned JSON: `{"version": 1, "query": {"type": "and", "of": [...]}}`.

Strict: an unknown field, type or choice is refused with its path. Every node is an object whose
`type` is the node's TAG; fields at their default are left out; enumerations are lower-case words,
dates ISO; a code is `{"vocabulary", "code"}`.
"""

from __future__ import annotations

import datetime as dt
import types
import typing
from dataclasses import MISSING, fields
from enum import Enum, IntEnum
from typing import Any

import orjson

from estran.cohort.query import NODES, Node, Part
from estran.cohort.query.base import field_hints
from estran.model.codes import Context
from estran.model.errors import UsageError

VERSION = 1
MAX_DEPTH = 100
_KINDS = {kind.TAG: kind for kind in NODES}


def dumps(query: Node) -> str:
    """The question as JSON text."""
    return orjson.dumps(to_object(query), option=orjson.OPT_INDENT_2).decode()


def loads(text: str | bytes) -> Node:
    """The question that `dumps` wrote; UsageError with the path of what is wrong."""
    try:
        return from_object(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise UsageError("The question is not valid JSON.", where=f"line {error.lineno}, column {error.colno}") from None


def to_object(query: Node) -> dict[str, Any]:
    """The versioned envelope as plain Python objects."""
    return {"version": VERSION, "query": encode(query)}


def from_object(envelope: Any) -> Node:
    """The question of a versioned envelope; UsageError with the path of what is wrong."""
    if not isinstance(envelope, dict) or set(envelope) != {"version", "query"}:
        raise UsageError("A question is an object with 'version' and 'query'.", hint='{"version": 1, "query": {...}}')
    if type(envelope["version"]) is not int or envelope["version"] != VERSION:
        raise UsageError("This version of questions is not known.", where="version", hint=f"use version {VERSION}")
    return decode(envelope["query"])


def encode(value: Any) -> Any:
    """A node, a part or a plain value as JSON objects."""
    if isinstance(value, Part):
        start = {"type": value.TAG} if isinstance(value, Node) else {}
        given = ((name, getattr(value, name), usual) for name, usual in _shape(type(value)))
        return start | {name: encode(one) for name, one, usual in given if usual is MISSING or one != usual}
    if isinstance(value, tuple):
        return [encode(one) for one in value]
    if isinstance(value, Context):
        return context_name(value)
    if isinstance(value, IntEnum):
        return value.name.lower()
    if isinstance(value, Enum):
        return value.value
    return value.isoformat() if isinstance(value, dt.date) else value


_SHAPES: dict[type[Any], tuple[tuple[str, Any], ...]] = {}


def _shape(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    """Names and defaults of the fields of a part; looking them up each time took most of the time."""
    if kind not in _SHAPES:
        _SHAPES[kind] = tuple((field.name, field.default) for field in fields(kind))
    return _SHAPES[kind]


def context_name(context: Context) -> str:
    """`affirmed`, or the flags joined by + in their order."""
    return "+".join(flag.name.lower() for flag in Context if flag & context and flag.name) or "affirmed"


def context_of(name: str) -> Context:
    """The inverse of `context_name`; KeyError when a flag is not known."""
    found = Context.AFFIRMED
    for flag in name.split("+"):
        found |= Context[flag.upper()]
    return found


def decode(data: Any, where: str = "query", depth: int = 0) -> Node:
    """A node from its JSON object; UsageError with the path of what is wrong."""
    if depth > MAX_DEPTH:
        raise UsageError("The question is nested too deeply.", where=where)
    if not isinstance(data, dict) or not isinstance(data.get("type"), str):
        raise UsageError("A criterion is an object with a 'type'.", where=where, hint=f"one of {', '.join(_KINDS)}")
    kind = _KINDS.get(data["type"])
    if kind is None:
        raise UsageError(
            f"No criterion is called '{data['type']}'.", where=f"{where}.type", hint=f"use one of {', '.join(_KINDS)}"
        )
    node = _part(kind, {k: v for k, v in data.items() if k != "type"}, where, depth)
    assert isinstance(node, Node)  # noqa: S101 - the type checker's, never false
    return node


def _part(kind: type[Part], data: Any, where: str, depth: int) -> Part:
    if not isinstance(data, dict):
        raise UsageError("An object is expected here.", where=where)
    hints = field_hints(kind)
    for name in data:
        if name not in hints:
            raise UsageError(f"No field is called '{name}'.", where=where, hint=f"use {', '.join(hints) or 'none'}")
    for name, usual in _shape(kind):
        if usual is MISSING and name not in data:
            raise UsageError(f"The field '{name}' is missing.", where=where)
    values = {name: _value(hints[name], value, f"{where}.{name}", depth) for name, value in data.items()}
    try:
        return kind(**values)
    except UsageError as error:
        raise UsageError(error.what, where=" ".join(filter(None, (where, error.where))), hint=error.hint) from None


def _value(hint: Any, data: Any, where: str, depth: int) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        inner = next(one for one in arguments if one is not type(None))
        return None if data is None else _value(inner, data, where, depth)
    if origin is tuple:
        if not isinstance(data, list):
            raise UsageError("A list is expected here.", where=where)
        return tuple(_value(arguments[0], one, f"{where}[{n}]", depth) for n, one in enumerate(data))
    if issubclass(hint, Node):
        return decode(data, where, depth + 1)
    if issubclass(hint, Part):
        return _part(hint, data, where, depth)
    if issubclass(hint, Enum):
        return _choice(hint, data, where)
    return _date(data, where) if hint is dt.date else _plain(hint, data, where)


def _choice(hint: type[Enum], data: Any, where: str) -> Enum:
    try:
        if hint is Context:
            return context_of(data)
        return hint[data.upper()] if issubclass(hint, IntEnum) else hint(data)
    except (KeyError, ValueError, AttributeError):
        words = ", ".join(str(encode(one)) for one in hint)
        raise UsageError("This choice is not known.", where=where, hint=f"use one of {words}") from None


def _date(data: Any, where: str) -> dt.date:
    try:
        if len(data) != 10:
            raise ValueError
        return dt.date.fromisoformat(data)
    except (TypeError, ValueError):
        raise UsageError("A date is written YYYY-MM-DD.", where=where, hint="for example 2019-01-31") from None


def _plain(hint: type, data: Any, where: str) -> Any:
    accepted = (int, float) if hint is float else (hint,)
    if type(data) not in accepted:
        names = {int: "whole number", float: "number", str: "text", bool: "true or false"}
        raise UsageError(f"A {names[hint]} is expected here.", where=where)
    return data
