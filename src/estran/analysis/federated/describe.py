"""Descriptive tables over several sites: patients, missing, mean, variance, protected range; categories by count.

Two rounds, sums then squares around the common mean. A minimum or maximum is the value of one patient, and is never
told; instead, for a variable with the bounds `low` and `high`, the grid values up to which, and from which on, at
least `floor` patients lie. The missing are told to the nearest five, and so are the patients where the missing are too few
to be told: all patients, and with them the few who lack another variable, do not follow.

Question: `variables`, each a name, or an object with `levels` (a category) or `low` and `high`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from estran.analysis.federated import design, safeguards, scaling, showing
from estran.analysis.federated.rounds import Arrays, Floats, Here, Params, Result, Spec, Sums
from estran.model.errors import UsageError

_BINS = 100


@dataclass(frozen=True)
class Describe:
    """Descriptive tables."""

    name: str = "describe"
    masked: bool = True
    sealed: bool = False

    def start(self, spec: Spec) -> Params:
        """The round `count`."""
        _question(spec)
        showing.floor_of(spec)
        return Params(self.name, "count", spec)

    def local(self, params: Params, table: pa.Table, here: Here) -> Arrays:
        """Counts and sums of each variable; then squares around the common means."""
        terms, bounds = _question(params.spec)
        safeguards.enough(table.num_rows, here.rules)
        found: Arrays = {"sites": np.ones(1)}
        squares = []
        for one in terms:
            if one.levels:
                found[f"levels.{one.name}"] = _levels(table, one, here)
                continue
            values = design.numbers(table, one.name)
            known = values[~np.isnan(values)]
            safeguards.categories([len(known)], one.name, here.rules)
            if len(known):
                safeguards.spread(known, one.name, here.rules)
            found[f"number.{one.name}"] = np.array([len(known), table.num_rows - len(known), known.sum()], float)
            if one.name in bounds:
                found[f"bins.{one.name}"] = _bins(known, bounds[one.name])
            squares.append(known)
        if params.phase == "count":
            return found
        if params.phase != "spread":
            raise UsageError(f"A description has no round {params.phase}.")
        means = scaling.vector(params, "means", len(squares))
        return {"squares": np.array([((one - mean) ** 2).sum() for one, mean in zip(squares, means, strict=True)])}

    def step(self, params: Params, sums: Sums) -> Params | Result:
        """Means, then the tables."""
        terms, bounds = _question(params.spec)
        if params.phase == "count":
            numbers = [sums[f"number.{one.name}"] for one in terms if not one.levels]
            means = [float(total / n) if n else 0.0 for n, _, total in numbers]
            kept = {name: values.tolist() for name, values in sums.values.items()}
            return params.then("spread", means=means, kept=kept)
        floor, kept = showing.floor_of(params.spec), params.state["kept"]
        squares, means = iter(sums["squares"]), iter(params.state["means"])
        shown: dict[str, Any] = {"sites": round(kept["sites"][0]), "numbers": [], "categories": []}
        exact = []
        for one in terms:
            if one.levels:
                shown["categories"].append(_category(one, np.rint(kept[f"levels.{one.name}"]), floor))
                continue
            n, missing, _ = kept[f"number.{one.name}"]
            row = _number(one.name, round(n), round(missing), next(means), float(next(squares)))
            if one.name in bounds:
                row["range"] = _range(np.array(kept[f"bins.{one.name}"]), bounds[one.name], floor)
            exact.append(row)
            shown["numbers"].append(_protected(row, floor))
        return Result(self.name, params.spec, shown, {"numbers": exact, "kept": kept})


def _question(spec: Spec) -> tuple[tuple[design.Term, ...], dict[str, tuple[float, float]]]:
    terms = design.terms(spec, "variables")
    bounds = {}
    for one, said in zip(terms, spec["variables"], strict=True):
        if isinstance(said, dict) and ("low" in said or "high" in said):
            low, high = design.real(said, "low"), design.real(said, "high")
            if one.levels or low >= high:
                raise UsageError(f"The bounds of {one.name} must be two numbers, the lower one first.")
            bounds[one.name] = (low, high)
    return terms, bounds


def _levels(table: pa.Table, one: design.Term, here: Here) -> Floats:
    at = design.places(table, one)
    counts = np.bincount(at + 1, minlength=len(one.levels) + 1)
    safeguards.categories(counts[1:], one.name, here.rules)
    return counts.astype(float)


def _bins(values: Floats, bounds: tuple[float, float]) -> Floats:
    """Patients below the bounds, in each bin (its upper edge included), and above."""
    edges = np.linspace(*bounds, _BINS + 1)
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=_BINS + 2).astype(float)


def _range(counts: Floats, bounds: tuple[float, float], floor: int) -> dict[str, float | None]:
    edges = np.linspace(*bounds, _BINS + 1)
    up, down = np.cumsum(np.rint(counts))[:-1], np.cumsum(np.rint(counts)[::-1])[::-1][1:]
    low, high = np.flatnonzero(up >= floor), np.flatnonzero(down >= floor)
    return {
        "low": float(edges[low[0]]) if len(low) else None, "high": float(edges[high[-1]]) if len(high) else None,
        "step": (bounds[1] - bounds[0]) / _BINS,
    }  # fmt: skip


def _number(name: str, n: int, missing: int, mean: float, squares: float) -> dict[str, Any]:
    variance = squares / (n - 1) if n > 1 else None
    deviation = math.sqrt(variance) if variance is not None else None
    return {
        "variable": name, "patients": n, "missing": missing, "mean": mean if n else None, "variance": variance,
        "deviation": deviation,
    }  # fmt: skip


def _protected(row: dict[str, Any], floor: int) -> dict[str, Any]:
    n, missing = row["patients"], row["missing"]
    counts = {
        "patients": showing.counted(n, floor) if missing >= floor else showing.rounded(n, floor),
        "missing": showing.rounded(missing, floor),
    }
    hidden = {"mean": None, "variance": None, "deviation": None} if n < floor else {}
    return row | counts | hidden


def _category(one: design.Term, counts: Floats, floor: int) -> dict[str, Any]:
    """No total, so that no small count follows from the rest; the missing (or not listed) to the nearest five."""
    levels = {level: showing.counted(round(count), floor) for level, count in zip(one.levels, counts[1:], strict=True)}
    return {"variable": one.name, "levels": levels, "missing": showing.rounded(round(counts[0]), floor)}
