"""The closed list of expressions and conditions that a mapping may use, as frozen nodes.

A mapping never holds SQL or Python: what is written here is all there is, and each node knows which
columns it reads. Turned into SQL by `compiling`, with names and values quoted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from estran.sources.tabular.marks import Path


class Misfit(ValueError):
    """A part of an expression is not what it should be; `path` leads to it."""

    def __init__(self, message: str, path: Path = ()) -> None:
        super().__init__(message)
        self.message, self.path = message, path


@dataclass(frozen=True)
class Column:
    """A column of the table, or of a lookup table when `lookup` is given. Names are in lower case."""

    name: str
    lookup: str = ""

    def __str__(self) -> str:
        return f"{self.lookup}.{self.name}" if self.lookup else self.name


@dataclass(frozen=True)
class Constant:
    """Always the same text."""

    value: str


@dataclass(frozen=True)
class Coalesce:
    """The first filled one."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Concat:
    """The filled ones one after another."""

    parts: tuple[Expression, ...]
    separator: str = ""


@dataclass(frozen=True)
class Substring:
    """`length` characters from place `start` (1 is the first)."""

    of: Expression
    start: int
    length: int | None = None


@dataclass(frozen=True)
class Changed:
    """Upper or lower case, or digits only."""

    of: Expression
    how: str  # lower, upper, digits


@dataclass(frozen=True)
class Replace:
    """Every `this` becomes `by`."""

    of: Expression
    this: str
    by: str


@dataclass(frozen=True)
class Pad:
    """Filled up on the left to `length` characters."""

    of: Expression
    length: int
    fill: str = "0"


@dataclass(frozen=True)
class Mapped:
    """A value looked up in a table of the mapping. Others: refused, kept, or one value for all."""

    of: Expression
    table: tuple[tuple[str, str], ...]
    otherwise: str | None = None  # None refuses the row
    keeps: bool = False


@dataclass(frozen=True)
class Choose:
    """One expression where a condition holds, another (or nothing) where it does not."""

    when: Condition
    then: Expression
    other: Expression | None = None


Expression = Choose | Column | Constant | Coalesce | Concat | Substring | Changed | Replace | Pad | Mapped


@dataclass(frozen=True)
class Filled:
    """The expression has a value."""

    of: Expression


@dataclass(frozen=True)
class OneOf:
    """The expression is one of these texts."""

    of: Expression
    values: tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """The expression is a number above or below this one."""

    of: Expression
    above: bool
    bound: float


@dataclass(frozen=True)
class Every:
    """All of them, or any of them."""

    parts: tuple[Condition, ...]
    every: bool = True


@dataclass(frozen=True)
class Negated:
    """Not this."""

    of: Condition


Condition = Filled | OneOf | Compared | Every | Negated

_EXPRESSIONS = (
    "column", "constant", "coalesce", "concat", "substring", "lower", "upper", "digits", "replace", "pad", "map",
    "if",
)  # fmt: skip
_CONDITIONS = ("filled", "empty", "equals", "in", "above", "below", "all", "any", "not")


def expression(given: Any) -> Expression:
    """The node written as `given`: a column's name, or one entry of the list. Raises Misfit."""
    if isinstance(given, str):
        return _column(given)
    if not isinstance(given, dict):
        raise Misfit("Write the name of a column, or one of: " + ", ".join(_EXPRESSIONS) + ".")
    kind = _kind(given, _EXPRESSIONS)
    options = _options(given, kind)
    found: Expression = _at(kind, lambda: _READ[kind](given[kind], options))
    return found


def condition(given: Any) -> Condition:
    """The condition written as `given`. Raises Misfit."""
    if not isinstance(given, dict):
        raise Misfit("A condition is one of: " + ", ".join(_CONDITIONS) + ".")
    kind = _kind(given, _CONDITIONS)
    if len(given) > (2 if kind in ("equals", "in", "above", "below") else 1):
        raise Misfit("A condition has one of: " + ", ".join(_CONDITIONS) + ".")
    found: Condition = _at(kind, lambda: _condition(kind, given))
    return found


def _condition(kind: str, given: dict[str, Any]) -> Condition:
    inner = given[kind]
    if kind in ("all", "any"):
        return Every(tuple(_each(inner, condition)), kind == "all")
    if kind == "not":
        return Negated(condition(inner))
    if kind in ("filled", "empty"):
        filled = Filled(expression(inner))
        return filled if kind == "filled" else Negated(filled)
    return _comparison(kind, inner, given)


def _comparison(kind: str, inner: Any, given: dict[str, Any]) -> Condition:
    """`equals: column`, `to: value`; `in: column`, `values: [...]`; `above: column`, `than: number`."""
    name = {"equals": "to", "in": "values"}.get(kind, "than")
    if name not in given:
        raise Misfit(f"'{kind}' goes with '{name}'.")
    value = given[name]
    if kind in ("above", "below"):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise Misfit(f"'{name}' is not a number.")
        return Compared(expression(inner), kind == "above", float(value))
    values = value if kind == "in" else [value]
    if not isinstance(values, list) or not values:
        raise Misfit(f"'{name}' is not a list of values.")
    return OneOf(expression(inner), tuple(_text(v, name) for v in values))


def _kind(given: dict[str, Any], known: tuple[str, ...]) -> str:
    found = [name for name in known if name in given]
    if len(found) != 1:
        raise Misfit("Give exactly one of: " + ", ".join(known) + ".")
    return found[0]


_OPTIONS = {
    "concat": ("separator",), "substring": ("from", "length"), "replace": ("this", "by"), "pad": ("length", "with"),
    "map": ("to", "otherwise"), "if": ("then", "else"),
}  # fmt: skip


def _options(given: dict[str, Any], kind: str) -> dict[str, Any]:
    for name in given:
        if name != kind and name not in _OPTIONS.get(kind, ()):
            raise Misfit(f"'{name}' does not go with '{kind}'.", (name,))
    return given


def _at(name: str | int, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Misfit as misfit:
        raise Misfit(misfit.message, (name, *misfit.path)) from None


def _each(given: Any, read: Callable[[Any], Any]) -> Iterator[Any]:
    if not isinstance(given, list) or not given:
        raise Misfit("This is not a list.")
    for place, item in enumerate(given):
        yield _at(place, lambda item=item: read(item))  # type: ignore[misc]


def _column(name: Any) -> Column:
    if not isinstance(name, str) or not name.strip() or len(name) > 200:
        raise Misfit("This is not the name of a column.")
    lookup, dot, column = name.strip().lower().partition(".")
    return Column(column, lookup) if dot else Column(lookup)


def _text(value: Any, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Misfit(f"'{name}' is not a text.")
    return str(value)


def _whole(value: Any, name: str, least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 100_000:
        raise Misfit(f"'{name}' is not a whole number from {least}.")
    return value


def _substring(inner: Any, given: dict[str, Any]) -> Substring:
    length = _whole(given["length"], "length") if "length" in given else None
    return Substring(expression(inner), _whole(given.get("from", 1), "from"), length)


def _mapped(inner: Any, given: dict[str, Any]) -> Mapped:
    table = given.get("to")
    if not isinstance(table, dict) or not table:
        raise Misfit("'map' goes with 'to', a list of `value: becomes`.")
    pairs = tuple((str(key), _text(value, "to")) for key, value in table.items())
    otherwise = given.get("otherwise")
    keeps = otherwise == "keep"
    return Mapped(expression(inner), pairs, None if keeps or otherwise is None else _text(otherwise, "otherwise"), keeps)


def _choose(inner: Any, given: dict[str, Any]) -> Choose:
    if "then" not in given:
        raise Misfit("'if' goes with 'then', and may have 'else'.")
    return Choose(condition(inner), expression(given["then"]), expression(given["else"]) if "else" in given else None)


def _changed(how: str) -> Callable[[Any, dict[str, Any]], Changed]:
    return lambda inner, _: Changed(expression(inner), how)


_READ: dict[str, Callable[[Any, dict[str, Any]], Expression]] = {
    "column": lambda inner, _: _column(inner),
    "constant": lambda inner, _: Constant(_text(inner, "constant")),
    "coalesce": lambda inner, _: Coalesce(tuple(_each(inner, expression))),
    "concat": lambda inner, given: Concat(tuple(_each(inner, expression)), _text(given.get("separator", ""), "separator")),
    "substring": _substring,
    "lower": _changed("lower"),
    "upper": _changed("upper"),
    "digits": _changed("digits"),
    "replace": lambda inner, given: Replace(expression(inner), _text(given.get("this"), "this"), _text(given.get("by", ""), "by")),
    "pad": lambda inner, given: Pad(expression(inner), _whole(given.get("length"), "length"), _fill(given.get("with", "0"))),
    "map": _mapped,
    "if": _choose,
}


def _fill(value: Any) -> str:
    text = _text(value, "with")
    if len(text) != 1:
        raise Misfit("'with' is one character.")
    return text


def columns_of(node: Expression | Condition) -> Iterator[Column]:
    """The columns that a node reads."""
    if isinstance(node, Column):
        yield node
    elif isinstance(node, Coalesce | Concat | Every):
        for part in node.parts:
            yield from columns_of(part)
    elif isinstance(node, Choose):
        for one in (node.when, node.then, *([node.other] if node.other else [])):
            yield from columns_of(one)
    elif not isinstance(node, Constant):
        yield from columns_of(node.of)


def source_of(node: Expression) -> str:
    """The node's columns, as a refusal names the field."""
    return ", ".join(dict.fromkeys(str(c) for c in columns_of(node))) or "constant"
