"""Live numerics of monitors (IHE PCD-01, MDC codes) brought down to one value per parameter and minute.

A monitor says a heart rate every second; a warehouse needs to know what it was in each minute. The median
is the value, lowest and highest are kept beside it. One message is one record: what is brought together is
what one message says, so that neither order nor repetition of messages changes anything.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from estran.model.moments import MICROS_PER_MINUTE
from estran.sources.signal.facts import local

Series = TypeVar("Series", bound=Hashable)


@dataclass(frozen=True)
class Reading(Generic[Series]):
    """One value of one parameter: `series` tells it from others (its code, unit, channel), `at` in microseconds UTC."""

    series: Series
    at: int
    value: float


@dataclass(frozen=True)
class Minute(Generic[Series]):
    """A parameter over the minute that begins at `at` (microseconds UTC)."""

    series: Series
    at: int
    median: float
    low: float
    high: float
    count: int


LOW, HIGH, COUNT = (
    local("low", "Valeur la plus basse de la minute"), local("high", "Valeur la plus haute de la minute"),
    local("count", "Valeurs de la minute"),
)  # fmt: skip


def by_minute(readings: Sequence[Reading[Series]]) -> list[Minute[Series]]:
    """One row per series and minute, in order of first meeting, then of time.

    Values that are not finite numbers are left out: a monitor writes them for a sensor that fell off.
    """
    series: dict[Series, list[Reading[Series]]] = {}
    for one in readings:
        series.setdefault(one.series, []).append(one)
    return [minute for name, found in series.items() for minute in _minutes(name, found)]


def _minutes(series: Series, readings: list[Reading[Series]]) -> list[Minute[Series]]:
    times = np.array([r.at for r in readings], dtype=np.int64)
    values = np.array([r.value for r in readings], dtype=np.float64)
    sound = np.isfinite(values)
    minutes, values = times[sound] // MICROS_PER_MINUTE, values[sound]
    order = np.lexsort((values, minutes))
    minutes, values = minutes[order], values[order]
    starts = np.flatnonzero(np.concatenate(([True], minutes[1:] != minutes[:-1]))) if len(minutes) else np.zeros(0, int)
    return [
        Minute(series, int(minutes[a]) * MICROS_PER_MINUTE, float(np.median(values[a:b])), float(values[a]), float(values[b - 1]), int(b - a))
        for a, b in zip(starts, [*starts[1:], len(values)], strict=True)
    ]
