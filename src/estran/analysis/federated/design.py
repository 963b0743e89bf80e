"""Variables of a question, and the matrix that a table makes of them: categories as 0/1 columns, complete rows only.

The categories of a variable are part of the question, not of the data: a site that looked its own up would tell which
rare ones it has. A value outside the list counts as missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from estran.analysis.federated import safeguards
from estran.analysis.federated.rounds import Floats, Spec
from estran.analysis.federated.safeguards import Rules
from estran.model.errors import UsageError

MOST_TERMS = 200
MOST_LEVELS = 100
Rows = NDArray[np.bool_]


@dataclass(frozen=True)
class Term:
    """A variable: a number, or a category with the list of its `levels`, the first one being the reference."""

    name: str
    levels: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns in a matrix."""
        return tuple(f"{self.name}={level}" for level in self.levels[1:]) or (self.name,)


def term(said: Any) -> Term:
    """A variable of a question: its name, or an object with `name` and `levels`. UsageError when it is neither."""
    if isinstance(said, str) and said:
        return Term(said)
    if not isinstance(said, dict) or not isinstance(said.get("name"), str) or not said["name"]:
        raise UsageError("A variable of a federated analysis is a name, or an object with a name and levels.")
    levels = said.get("levels", [])
    if not isinstance(levels, list) or not all(isinstance(one, str) for one in levels):
        raise UsageError(f"The levels of {said['name']} must be a list of texts.")
    if levels and not (2 <= len(set(levels)) == len(levels) <= MOST_LEVELS):
        raise UsageError(f"{said['name']} must have 2 to {MOST_LEVELS} levels, each once, the reference first.")
    return Term(said["name"], tuple(levels))


def terms(spec: Spec, key: str = "covariates", fewest: int = 1) -> tuple[Term, ...]:
    """The list of variables under a key of a question. UsageError when it is not well formed."""
    listed = spec.get(key)
    if not isinstance(listed, list) or not fewest <= len(listed) <= MOST_TERMS:
        raise UsageError(f"{key} must be a list of {fewest} to {MOST_TERMS} variables.")
    found = tuple(term(one) for one in listed)
    if len({one.name for one in found}) != len(found):
        raise UsageError(f"A variable is named twice under {key}.")
    return found


def columns(found: Sequence[Term]) -> list[str]:
    """The names of the columns of all terms."""
    return [name for one in found for name in one.columns]


def text(spec: Spec, key: str, *, default: str | None = None, among: Sequence[str] = ()) -> str:
    """A text of a question. UsageError when it is missing or not among those that are possible."""
    value = spec.get(key, default)
    if not isinstance(value, str) or not value or (among and value not in among):
        raise UsageError(f"{key} must be {'one of ' + ', '.join(among) if among else 'a text'}.")
    return value


def whole(spec: Spec, key: str, low: int, high: int, default: int | None = None) -> int:
    """A whole number of a question. UsageError when it is missing or out of bounds."""
    value = spec.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UsageError(f"{key} must be a whole number from {low} to {high}.")
    return value


def real(spec: Spec, key: str) -> float:
    """A finite number of a question. UsageError when it is missing."""
    value = spec.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not np.isfinite(value):
        raise UsageError(f"{key} must be a number.")
    return float(value)


def numbers(table: pa.Table, name: str) -> Floats:
    """A column as numbers, missing ones (and those that are not finite) as NaN. UsageError when it has none."""
    column = _column(table, name)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type)):
        raise UsageError(f"{name} is not numeric.", hint="list its levels, or derive a number from it")
    values = pc.fill_null(pc.cast(column, pa.float64()), float("nan")).to_numpy(zero_copy_only=False).astype(float)
    return np.where(np.isfinite(values), values, np.nan)


def places(table: pa.Table, one: Term) -> NDArray[np.int64]:
    """For each row the place of its category in the list, -1 when it is missing or not listed."""
    column = pc.cast(_column(table, one.name), pa.string())
    found = pc.index_in(column, value_set=pa.array(one.levels, pa.string()))
    at: NDArray[np.int64] = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return at


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise UsageError(
            f"This site's table has no column {name}.", hint="check the variables that the sites agreed on"
        )
    return table.column(name)


def matrix(table: pa.Table, found: Sequence[Term]) -> tuple[Floats, Rows]:
    """One column per number and per level but the reference, and which rows are complete."""
    parts: list[Floats] = []
    complete = np.ones(table.num_rows, bool)
    for one in found:
        if one.levels:
            at = places(table, one)
            complete &= at >= 0
            parts += [(at == place).astype(float)[:, None] for place in range(1, len(one.levels))]
        else:
            values = numbers(table, one.name)
            complete &= ~np.isnan(values)
            parts.append(values[:, None])
    return np.concatenate([np.empty((table.num_rows, 0)), *parts], axis=1), complete


def check_covariates(table: pa.Table, found: Sequence[Term], rows: Rows, rules: Rules) -> None:
    """NotAllowed when a covariate would tell of few patients among the complete rows."""
    for one in found:
        if one.levels:
            counts = np.bincount(places(table, one)[rows], minlength=len(one.levels))
            safeguards.categories(counts, one.name, rules)
        else:
            safeguards.spread(numbers(table, one.name)[rows], one.name, rules)
