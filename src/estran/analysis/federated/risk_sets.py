"""Sums over risk sets on event days: what a common baseline hazard ties the sites together by.

The hub sees none of it by day. A sum over the patients at risk on each day would give patients away: where one patient
leaves between two days, the difference of the two sums is that patient's covariates. So

- totals by day (events, sums of risk) go back to the sites sealed with a secret that the hub has not
  (`masking.read_sealed`), each total guarded by a check sum with secret weights, so that the hub cannot bend them;
- with them gradient and the first part of the information are plain sums over each site's own patients;
- the second part, the sum over days of products of totals of all sites, is M'M where M adds up over the sites. Every
  site sends its part of Q M, Q being the same random rotation at all sites, drawn from their secret for this round
  (uniform over all rotations: Stewart 1980, doi:10.1137/0717034). (QM)'(QM) = M'M, and QM tells nothing else of M.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from estran.analysis.federated.masking import read_sealed, stream
from estran.analysis.federated.rounds import SEALED, Arrays, Floats, Here, Params
from estran.model.errors import CheckFailed, UsageError

_TAG = "tag."
_AT_ONCE = 32  # reflections drawn from one stretch of the stream


@dataclass(frozen=True)
class Weights:
    """Per event day: Σ 1/den, Σ f/den; Σ 1/den², Σ f/den², Σ f²/den² over the day's events, and Σ log den.

    den = S0 - f·D0 with f = 0 for every event (Breslow), or 0/d, 1/d, … (d-1)/d (Efron).
    """

    first: Floats
    own: Floats
    squared: tuple[Floats, Floats, Floats]
    logs: float


def seal(name: str, values: Floats, params: Params, here: Here) -> Arrays:
    """Totals for the sites only, with their check sum."""
    check = values.reshape(-1) @ _secret_weights(name, values.size, params.number, params, here)
    return {SEALED + name: values, SEALED + _TAG + name: np.array([check])}


def carry(name: str, sealed: Mapping[str, bytes]) -> dict[str, str]:
    """At the hub: what it hands back to the sites unread."""
    return {key: base64.b64encode(sealed[SEALED + key]).decode() for key in (name, _TAG + name)}


def unseal(name: str, params: Params, length: int, here: Here, number: int) -> Floats:
    """At a site: the totals over all sites sealed in the round `number`; CheckFailed when they were bent."""
    said = params.state.get("sealed." + name)
    if not isinstance(said, dict):
        raise UsageError(f"This round lacks the totals of {name}.")
    try:
        whole, tag = (base64.b64decode(said[key], validate=True) for key in (name, _TAG + name))
    except (KeyError, ValueError, TypeError):
        raise UsageError(f"The totals of {name} cannot be read.") from None
    values = read_sealed(whole, SEALED + name, here.common, length)
    (check,) = read_sealed(tag, SEALED + _TAG + name, here.common, 1)
    weights = _secret_weights(name, length, number, params, here)
    if not abs(check - values @ weights) <= 1e-9 * (np.abs(values) @ weights + 1e-6):
        raise CheckFailed("The totals of the sites were altered on their way through the hub.")
    return values


def _secret_weights(name: str, length: int, number: int, params: Params, here: Here) -> Floats:
    """Numbers from 1 to 2 that only the sites know, bound to the round and the coefficients that the totals belong to."""
    bound = json.dumps([name, number, params.state.get("beta") if number else None])
    return 1 + _uniform(hmac.digest(here.common, b"check" + bound.encode(), "sha256"), length)


def _uniform(key: bytes, length: int) -> Floats:
    words = np.frombuffer(stream(key, length * 8), np.uint64)
    return ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def weights(events: Floats, risk: Floats, dying: Floats | None) -> Weights:
    """The weights of event days; `dying` is the risk of those who have the event that day, for Efron's method."""
    each = np.repeat(np.arange(len(events)), events.astype(np.int64))
    begin = np.repeat(np.cumsum(events) - events, events.astype(np.int64))
    part = np.zeros(len(each)) if dying is None else (np.arange(len(each)) - begin) / events[each]
    den = risk[each] - part * (0.0 if dying is None else dying[each])
    if np.any(den <= 0):
        raise CheckFailed("The totals of the sites do not fit together.")

    def summed(values: Floats) -> Floats:
        return np.bincount(each, values, minlength=len(events)).astype(float)

    squared = (summed(1 / den**2), summed(part / den**2), summed(part**2 / den**2))
    return Weights(summed(1 / den), summed(part / den), squared, float(np.log(den).sum()))


def products(found: Weights, at_risk: Floats, dying: Floats | None) -> Floats:
    """A site's part of M: M'M is the sum over days and events of (S1 - f·D1)(S1 - f·D1)'/den²."""
    one, cross, own = found.squared
    root = np.sqrt(one)
    if dying is None:
        return at_risk * root[:, None]
    tied = own > 0  # days of two events or more
    below = np.sqrt(np.maximum(own[tied] - cross[tied] ** 2 / one[tied], 0))
    upper: Floats = at_risk * root[:, None] - dying * (cross / root)[:, None]
    return np.concatenate([upper, dying[tied] * below[:, None]])


def rotated(matrix: Floats, params: Params, here: Here) -> Floats:
    """Q times a matrix: random reflections of falling dimension, and random signs."""
    turned, rows = matrix.copy(), len(matrix)
    key = hmac.digest(here.common, b"rotation" + params.to_json().encode(), "sha256")
    signs = np.where(_uniform(key, rows) < 0.5, -1.0, 1.0)
    turned *= signs[:, None]
    for place, normal in _normals(key, rows):
        normal[0] += np.copysign(np.linalg.norm(normal), normal[0])
        below = turned[place:]
        below -= np.outer(normal * (2 / (normal @ normal)), normal @ below)
    return turned


def _normals(key: bytes, rows: int) -> Iterator[tuple[int, Floats]]:
    """From the last place but one to the first: standard normal numbers for the places from there to the end."""
    for first in range((rows - 2) // _AT_ONCE * _AT_ONCE, -1, -_AT_ONCE):
        drawn = special.ndtri(_uniform(hmac.digest(key, first.to_bytes(4, "big"), "sha256"), _AT_ONCE * (rows - first)))
        block = drawn.reshape(_AT_ONCE, rows - first)
        for place in range(min(first + _AT_ONCE, rows - 1) - 1, first - 1, -1):
            yield place, block[place - first, place - first :]


def by_day(values: Floats, place: NDArray[np.int64], length: int) -> Floats:
    """Sums of rows by the place of their day, one column at a time."""
    return np.stack([np.bincount(place, column, minlength=length) for column in values.T], axis=1)


def from_the_end(sums: Floats) -> Floats:
    """Sums over a day and all later ones."""
    return np.asarray(sums[::-1].cumsum(axis=0)[::-1])
