"""Columns brought to mean 0 and deviation 1 over all sites, and coefficients brought back.

Two rounds, sums then squares around the mean, so that no digit is lost to large means (Chan, Golub & LeVeque 1983,
doi:10.1080/00031305.1983.10483115). Estimates do not depend on the scaling but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from estran.analysis.federated.rounds import Floats, Params
from estran.model.errors import CheckFailed, UsageError


def vector(params: Params, key: str, size: int) -> Floats:
    """Numbers of the state of a round. UsageError when they are not as many finite numbers as there must be."""
    try:
        found = np.array(params.state[key], float)
    except (KeyError, ValueError, TypeError):
        raise UsageError(f"This round lacks {key}.") from None
    if found.shape != (size,) or not np.all(np.isfinite(found)):
        raise UsageError(f"This round has a {key} that does not fit the question.")
    return found


def scaled(matrix: Floats, params: Params) -> Floats:
    """The columns around the common mean, in common deviations."""
    scale = vector(params, "scale", matrix.shape[1])
    if np.any(scale <= 0):
        raise UsageError("This round has a scale that is not positive.")
    moved: Floats = (matrix - vector(params, "mean", matrix.shape[1])) / scale
    return moved


def squares(matrix: Floats, params: Params) -> Floats:
    """Sum of squares of each column around the common mean."""
    around: Floats = ((matrix - vector(params, "mean", matrix.shape[1])) ** 2).sum(axis=0)
    return around


def scale_of(sums: Floats, rows: int, means: Floats, names: Sequence[str]) -> list[float]:
    """The deviation of each column; CheckFailed when one does not vary."""
    deviation = np.sqrt(np.maximum(sums, 0) / rows)
    flat = deviation <= 1e-9 * np.abs(means) + 1e-12
    if np.any(flat):
        still = [name for name, same in zip(names, flat, strict=True) if same]
        raise CheckFailed(f"{', '.join(still)} is the same for all patients.", hint="leave it out")
    return [float(one) for one in deviation]


def back(means: Floats, scale: Floats, intercept: bool) -> Floats:
    """The matrix that turns coefficients of scaled columns into those of the columns as they are."""
    if not intercept:
        return np.diag(1 / scale)
    turn = np.diag(np.concatenate([[1.0], 1 / scale]))
    turn[0, 1:] = -means / scale
    return turn
