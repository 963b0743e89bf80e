"""The account of differential privacy: how much noise a budget asks for.

Only the plain Gaussian mechanism is used, many times, on all rows of a site. T uses with noise of `noise` times the sensitivity are
one use with noise / sqrt(T) (Dong, Roth and Su, 2022), and for one use the smallest delta of an epsilon is known exactly
(Balle and Wang, 2018, theorem 8): nothing is bounded loosely, and no library is needed.
"""

from __future__ import annotations

from math import erfc, exp, sqrt

from estran.analysis.learning.plan import Privacy

_MOST = 700.0  # exp of more is no number


def delta_of(epsilon: float, noise: float, times: int) -> float:
    """The smallest delta with which `times` uses of the Gaussian mechanism are (epsilon, delta)-private; `noise` in sensitivities."""
    mu = sqrt(times) / noise
    rest = _normal(-mu / 2 - epsilon / mu)
    return _normal(mu / 2 - epsilon / mu) - (exp(epsilon) * rest if epsilon < _MOST else 0.0)


def epsilon_of(delta: float, noise: float, times: int) -> float:
    """The smallest epsilon likewise."""
    low, high = 0.0, 1.0
    while delta_of(high, noise, times) > delta and high < _MOST:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(middle, noise, times) > delta else (low, middle)
    return high


def noise_for(privacy: Privacy, times: int) -> float:
    """The least noise, in sensitivities, that keeps `times` uses within the budget."""
    low, high = 1e-3, 1.0
    while delta_of(privacy.epsilon, high, times) > privacy.delta:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(privacy.epsilon, middle, times) > privacy.delta else (low, middle)
    return high


def _normal(z: float) -> float:
    return 0.5 * erfc(-z / sqrt(2))
