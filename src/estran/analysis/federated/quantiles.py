"""Quantiles over several sites by protected bisection: counts in ever narrower bins, never a value.

Each round, the bin that holds a quantile is cut in eight, until it is as narrow as asked for, or until cutting it
would leave the quantile in a bin with fewer than `floor` patients: what is told is the last bin with enough of them.
The quantile (the smallest value up to which a share p of the patients lie) is certain to be in the bin; `estimate` is
interpolated in it, and `error` is how far the quantile may be from it.

Question: `variable`, `low` and `high` (bounds that the values are looked for in), `probabilities`, `error` (as narrow
as that will do).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from estran.analysis.federated import design, safeguards, showing
from estran.analysis.federated.rounds import Arrays, Floats, Here, Params, Result, Spec, Sums
from estran.model.errors import CheckFailed, UsageError

_CUT = 8
_MOST_CUTS = 12
_MOST = 20

Bin = dict[str, float]  # low, high; patients up to `low` and up to `high`, and whether it is settled


@dataclass(frozen=True)
class _Question:
    variable: str
    low: float
    high: float
    probabilities: tuple[float, ...]
    error: float


@dataclass(frozen=True)
class Quantiles:
    """Quantiles of a number."""

    name: str = "quantiles"
    masked: bool = True
    sealed: bool = False

    def start(self, spec: Spec) -> Params:
        """The first round: one bin, between the bounds."""
        asked = _question(spec)
        showing.floor_of(spec)
        edges = [np.linspace(asked.low, asked.high, _CUT + 1).tolist()]
        return Params(self.name, "first", spec, {"edges": edges})

    def local(self, params: Params, table: pa.Table, here: Here) -> Arrays:
        """Patients with a value, and how many are at or below each edge."""
        asked = _question(params.spec)
        values = design.numbers(table, asked.variable)
        known = np.sort(values[~np.isnan(values)])
        safeguards.enough(len(known), here.rules)
        edges = _edges(params)
        return {
            "counts": np.searchsorted(known, edges.reshape(-1), side="right").astype(float).reshape(edges.shape),
            "patients": np.array([float(len(known))]), "missing": np.array([float(len(values) - len(known))]),
            "below": np.array([float(np.count_nonzero(known < asked.low))]), "sites": np.ones(1),
        }  # fmt: skip

    def step(self, params: Params, sums: Sums) -> Params | Result:
        """Choose the bin of each quantile; cut on, or tell."""
        asked, floor, total = _question(params.spec), showing.floor_of(params.spec), sums.count("patients")
        if total < floor:
            raise CheckFailed(f"Fewer than {floor} patients have a value of {asked.variable}.")
        counts, edges = np.rint(sums["counts"]), _edges(params)
        bins: list[Bin]
        if params.phase == "first":
            begin = {
                "low": asked.low,
                "high": asked.high,
                "under": float(sums.count("below")),
                "upto": counts[0, -1],
                "done": 0.0,
            }
            bins = [dict(begin) for _ in asked.probabilities]
            edges, counts = np.repeat(edges, len(bins), 0), np.repeat(counts, len(bins), 0)
        else:
            bins = [dict(one) for one in params.state["bins"]]
        ranks = [max(1, math.ceil(p * total - 1e-9)) for p in asked.probabilities]
        bins = [
            _narrower(one, rank, edges[n], counts[n], asked, floor)
            for n, (one, rank) in enumerate(zip(bins, ranks, strict=True))
        ]
        if all(one["done"] for one in bins) or params.number + 1 >= _MOST_CUTS:
            return _result(asked, params, sums, bins, ranks)
        following = [np.linspace(one["low"], one["high"], _CUT + 1).tolist() for one in bins]
        return params.then("next", edges=following, bins=bins)


def _question(spec: Spec) -> _Question:
    low, high = design.real(spec, "low"), design.real(spec, "high")
    listed = spec.get("probabilities", [0.25, 0.5, 0.75])
    if (
        not isinstance(listed, list)
        or not 1 <= len(listed) <= _MOST
        or not all(isinstance(p, int | float) and 0 < p < 1 for p in listed)
    ):
        raise UsageError(f"probabilities must be 1 to {_MOST} numbers between 0 and 1.")
    error = design.real(spec, "error") if "error" in spec else (high - low) / 1000
    if low >= high or error <= 0:
        raise UsageError("The bounds must be two numbers, the lower one first, and the error more than 0.")
    return _Question(design.text(spec, "variable"), low, high, tuple(map(float, listed)), error)


def _edges(params: Params) -> Floats:
    edges = np.array(params.state.get("edges"), float)
    if edges.ndim != 2 or edges.shape[1] != _CUT + 1 or len(edges) > _MOST or not np.all(np.isfinite(edges)):
        raise UsageError("This round has edges that do not fit the question.")
    return edges


def _narrower(one: Bin, rank: int, edges: Floats, counts: Floats, asked: _Question, floor: int) -> Bin:
    """The part of a bin that the rank is in; the bin as it was, settled, when that part holds too few."""
    if one["done"]:
        return one
    if not one["under"] < rank <= one["upto"]:
        return {**one, "done": 1.0}
    uppers = [*counts[1:-1], one["upto"]]
    place = next(n for n, count in enumerate(uppers) if rank <= count)
    under = one["under"] if place == 0 else float(uppers[place - 1])
    part = {"low": float(edges[place]), "high": float(edges[place + 1]), "under": under, "upto": float(uppers[place])}
    if part["upto"] - part["under"] < floor:
        return {**one, "done": 1.0}
    return {**part, "done": float(part["high"] - part["low"] <= asked.error)}


def _result(asked: _Question, params: Params, sums: Sums, bins: list[Bin], ranks: list[int]) -> Result:
    floor = showing.floor_of(params.spec)
    rows: list[dict[str, Any]] = []
    for p, one, rank in zip(asked.probabilities, bins, ranks, strict=True):
        if not one["under"] < rank <= one["upto"] or one["upto"] - one["under"] < floor:
            rows.append({"probability": p, "estimate": None, "low": None, "high": None, "error": None})
            continue
        share = (rank - one["under"]) / (one["upto"] - one["under"])
        estimate = one["low"] + share * (one["high"] - one["low"])
        error = max(estimate - one["low"], one["high"] - estimate)
        rows.append({"probability": p, "estimate": estimate, "low": one["low"], "high": one["high"], "error": error})
    shown = {
        "variable": asked.variable, "quantiles": rows, "patients": showing.rounded(sums.count("patients"), floor),
        "missing": showing.counted(sums.count("missing"), floor), "sites": sums.count("sites"),
    }  # fmt: skip
    return Result("quantiles", params.spec, shown, {"patients": sums.count("patients")})
