"""The families of generalised linear models with their canonical links (McCullagh & Nelder 1989, chapter 2).

With a canonical link Newton's method and iteratively reweighted least squares are the same, the expected
information being the observed one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from estran.analysis.federated.rounds import Floats


@dataclass(frozen=True)
class Family:
    """Mean and weight (variance of the outcome in the family) at a linear predictor; likelihood and deviance of rows."""

    name: str
    ratio: str  # what exp(coefficient) is called; empty when it means nothing
    mean: Callable[[Floats], Floats]
    weight: Callable[[Floats], Floats]  # of the mean
    likelihood: Callable[[Floats, Floats], Floats]  # outcome, predictor → log-likelihood of each row
    deviance: Callable[[Floats, Floats], Floats]  # outcome, mean → deviance of each row
    possible: Callable[[Floats], bool]
    highest: float  # predictor beyond which a step went too far; sums stay within what can be added up


def _logistic_deviance(y: Floats, mean: Floats) -> Floats:
    parts: Floats = -2 * (special.xlogy(y, mean) + special.xlog1py(1 - y, -mean))
    return parts


def _poisson_deviance(y: Floats, mean: Floats) -> Floats:
    parts: Floats = 2 * (special.xlogy(y, np.divide(y, mean, out=np.ones_like(y), where=y > 0)) - (y - mean))
    return parts


LINEAR = Family(
    "linear", "", lambda eta: eta, np.ones_like, lambda y, eta: -((y - eta) ** 2) / 2, lambda y, mean: (y - mean) ** 2,
    lambda y: True, 1e9,
)  # fmt: skip
LOGISTIC = Family(
    "logistic", "odds_ratio", special.expit, lambda mean: mean * (1 - mean),
    lambda y, eta: y * eta - np.logaddexp(0, eta), _logistic_deviance, lambda y: bool(np.all((y == 0) | (y == 1))), 700,
)  # fmt: skip
POISSON = Family(
    "poisson", "rate_ratio", np.exp, lambda mean: mean,
    lambda y, eta: y * eta - np.exp(eta) - special.gammaln(y + 1), _poisson_deviance,
    lambda y: bool(np.all((y >= 0) & (y == np.rint(y)))), 25,
)  # fmt: skip
FAMILIES = {one.name: one for one in (LINEAR, LOGISTIC, POISSON)}
