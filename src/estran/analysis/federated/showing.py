"""Counts and estimates as a result shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from estran.analysis.federated.design import whole
from estran.analysis.federated.rounds import Floats, Spec

Z95 = float(special.ndtri(0.975))
STEP = 5


def floor_of(spec: Spec) -> int:
    """Patients under whom a count of a result is not told: 10 unless the question asks for more caution."""
    return whole(spec, "floor", 10, 1000, default=10)


def counted(count: int, floor: int) -> int | dict[str, int]:
    """A count, or only that it is below the floor."""
    return count if count >= floor else {"below": floor}


def rounded(count: int, floor: int) -> int | dict[str, int]:
    """A count of a series, to the nearest five: neighbours must not tell of one patient."""
    return (count + STEP // 2) // STEP * STEP if count >= floor else {"below": floor}


def said(value: float) -> float | None:
    """A number for JSON, which knows neither infinity nor NaN."""
    return float(value) if math.isfinite(value) else None


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between two bounds, about so many."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * one for one in (1, 2, 5, 10) if power * one >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [one * step for one in range(first, last + 1)]


def normal_p(statistic: float) -> float:
    """Two-sided probability of a standard normal statistic."""
    return float(2 * special.ndtr(-abs(statistic)))


def student_p(statistic: float, freedom: float) -> float:
    """Two-sided probability of a Student statistic."""
    return float(2 * special.stdtr(freedom, -abs(statistic)))


def chi_p(statistic: float, freedom: int) -> float:
    """Probability of a chi-square statistic at least as large."""
    return float(special.chdtrc(freedom, max(statistic, 0.0))) if freedom > 0 else 1.0


def coefficients(
    names: Sequence[str], beta: Floats, covariance: Floats, freedom: float | None, ratio: str = ""
) -> list[dict[str, Any]]:
    """Estimate, standard error, Wald statistic, p and 95 % interval of each; `ratio` names the exponential, if any.

    Student's law with `freedom` degrees, the normal one without.
    """
    wide = float(special.stdtrit(freedom, 0.975)) if freedom else Z95
    rows = []
    for name, estimate, error in zip(names, beta, np.sqrt(np.diag(covariance)), strict=True):
        wald = float(estimate / error)
        row: dict[str, Any] = {
            "term": name, "estimate": float(estimate), "error": float(error), "wald": wald,
            "p": student_p(wald, freedom) if freedom else normal_p(wald),
            "low": float(estimate - wide * error), "high": float(estimate + wide * error),
        }  # fmt: skip
        if ratio:
            with np.errstate(over="ignore"):
                row[ratio] = [said(float(np.exp(one))) for one in (row["estimate"], row["low"], row["high"])]
        rows.append(row)
    return rows
