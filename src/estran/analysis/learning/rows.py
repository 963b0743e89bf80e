"""Rows of a site as a model reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estran.analysis.learning.plan import Column, Plan

Floats = npt.NDArray[np.float64]
FEWEST_ROWS = 50


@dataclass(frozen=True)
class Rows:
    """`x`: each column from -1 to 1 (0 when missing), then for each whether it is missing; `y`: 0 or 1."""

    x: Floats
    y: Floats

    def __len__(self) -> int:
        return len(self.y)

    def where(self, keep: npt.NDArray[np.bool_]) -> Rows:
        """Some of them."""
        return Rows(self.x[keep], self.y[keep])


@dataclass(frozen=True)
class Split:
    """A site's rows: those that teach, and those that only validate."""

    train: Rows
    held: Rows


def rows_of(plan: Plan, columns: Mapping[str, npt.ArrayLike]) -> Rows:
    """The rows that have an outcome; ValueError when a column is missing or the outcome is not 0 or 1."""
    missing = [name for name in (plan.outcome, *(one.name for one in plan.columns)) if name not in columns]
    if missing:
        raise ValueError(f"The training table has no column '{missing[0]}'.")
    y = np.asarray(columns[plan.outcome], np.float64)
    known = ~np.isnan(y)
    if not np.isin(y[known], (0.0, 1.0)).all():
        raise ValueError("The outcome is 0 or 1.")
    values = [_scaled(one, np.asarray(columns[one.name], np.float64)) for one in plan.columns]
    absent = np.isnan(np.column_stack(values))
    x = np.hstack([np.where(absent, 0.0, np.column_stack(values)), absent.astype(np.float64)])
    return Rows(x[known], y[known])


def split(plan: Plan, rows: Rows) -> Split:
    """Train and validate, the same at every call; ValueError when there are too few rows to learn anything from."""
    if len(rows) < FEWEST_ROWS:
        raise ValueError(f"A site takes part with {FEWEST_ROWS} patients or more.")
    held = np.random.default_rng(plan.seed).random(len(rows)) < plan.held
    return Split(rows.where(~held), rows.where(held))


def _scaled(column: Column, values: Floats) -> Floats:
    low, high = (np.log(column.low), np.log(column.high)) if column.log else (column.low, column.high)
    bounded = np.clip(values, column.low, column.high)
    used = np.log(bounded) if column.log else bounded
    return np.asarray(2 * (used - low) / (high - low) - 1, np.float64)
