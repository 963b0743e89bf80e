"""Contingency tables of one to three factors over several sites, and the chi-square test of two, in one round.

Pearson's chi-square without correction, Cramér's V. Small cells and whatever would give them away are suppressed
(`suppression`); the test is then told as a class of p only, since its exact value would let them be solved for.

Question: `factors`, one to three variables with their levels. Rows where one is missing or not listed are excluded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from estran.analysis.federated import design, safeguards, showing, suppression
from estran.analysis.federated.rounds import Arrays, Floats, Here, Params, Result, Spec, Sums
from estran.model.errors import UsageError

MOST_CELLS = 400
_CLASSES = (0.001, 0.01, 0.05)


@dataclass(frozen=True)
class Contingency:
    """Counts by one to three categories."""

    name: str = "contingency"
    masked: bool = True
    sealed: bool = False

    def start(self, spec: Spec) -> Params:
        """The only round, `count`."""
        _question(spec)
        showing.floor_of(spec)
        return Params(self.name, "count", spec)

    def local(self, params: Params, table: pa.Table, here: Here) -> Arrays:
        """The counts of every cell. Small ones are hidden by the masks, not refused: the sum is what is protected."""
        factors = _question(params.spec)
        shape = tuple(len(one.levels) for one in factors)
        at = np.stack([design.places(table, one) for one in factors])
        complete = (at >= 0).all(axis=0)
        safeguards.enough(int(np.count_nonzero(complete)), here.rules)
        cell = np.ravel_multi_index(tuple(at[:, complete]), shape)
        return {
            "counts": np.bincount(cell, minlength=int(np.prod(shape))).astype(float).reshape(shape),
            "excluded": np.array([float(np.count_nonzero(~complete))]), "sites": np.ones(1),
        }  # fmt: skip

    def step(self, params: Params, sums: Sums) -> Result:
        """The protected table and the test."""
        factors, floor = _question(params.spec), showing.floor_of(params.spec)
        counts = np.rint(sums["counts"]).astype(np.int64)
        every = suppression.with_margins(counts)
        hidden = suppression.suppressed(every, floor)
        shown: dict[str, Any] = {
            "factors": [{"name": one.name, "levels": list(one.levels)} for one in factors],
            "cells": _nested(every, hidden), "suppressed": int(hidden.sum()), "floor": floor,
            "sites": sums.count("sites"), "excluded": showing.counted(sums.count("excluded"), floor),
        }  # fmt: skip
        test = chi_square(counts.astype(float)) if len(factors) == 2 else None
        if test:
            shown["test"] = _class(test) if hidden.any() else test
        return Result(self.name, params.spec, shown, {"counts": counts.tolist(), "test": test})


def _question(spec: Spec) -> tuple[design.Term, ...]:
    factors = design.terms(spec, "factors")
    if len(factors) > 3 or not all(one.levels for one in factors):
        raise UsageError("A table has one to three factors, each with its levels.")
    if math.prod(len(one.levels) + 1 for one in factors) > MOST_CELLS:
        raise UsageError(f"A table has at most {MOST_CELLS} cells, margins included.")
    return factors


def _nested(every: suppression.Counts, hidden: suppression.Hidden) -> Any:
    """The table with margins as nested lists, null where a cell may not be told."""
    cells = every.astype(object)
    cells[hidden] = None
    return cells.tolist()


def chi_square(counts: Floats) -> dict[str, Any]:
    """Pearson's statistic over rows and columns that hold somebody; `smallest` is the smallest expected count."""
    held = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    total = held.sum()
    freedom = (held.shape[0] - 1) * (held.shape[1] - 1)
    if freedom < 1:
        return {"chi_square": 0.0, "freedom": 0, "p": 1.0, "cramer_v": None, "smallest": None}
    expected = np.outer(held.sum(axis=1), held.sum(axis=0)) / total
    statistic = float(((held - expected) ** 2 / expected).sum())
    return {
        "chi_square": statistic, "freedom": freedom, "p": showing.chi_p(statistic, freedom),
        "cramer_v": math.sqrt(statistic / (total * (min(held.shape) - 1))), "smallest": float(expected.min()),
    }  # fmt: skip


def _class(test: dict[str, Any]) -> dict[str, Any]:
    """Only on which side of the usual limits p lies."""
    under = next((limit for limit in _CLASSES if test["p"] < limit), None)
    return {"p_under": under, "p_at_least": None if under else _CLASSES[-1]}
