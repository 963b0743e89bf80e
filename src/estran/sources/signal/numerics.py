"""Live numerics of monitors (IHE PCD-01, MDC codes) brought down to one value per parameter and minute.

A monitor says a heart rate every second; a warehouse needs to know what it was in each minute. The median
is the value, lowest and highest are kept beside it. One message is one record: what is brought together is
what one message says, so that neither order nor repetition of messages changes anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from estran.model.moments import MICROS_PER_MINUTE
from estran.sources.records import Code
from estran.sources.signal.facts import local


@dataclass(frozen=True)
class Reading:
    """One value of one parameter: `code` as the monitor gives it, `unit` in UCUM, `at` in microseconds UTC."""

    code: Code
    unit: str | None
    at: int
    value: float


@dataclass(frozen=True)
class Minute:
    """A parameter over the minute that begins at `at` (microseconds UTC)."""

    code: Code
    unit: str | None
    at: int
    median: float
    low: float
    high: float
    count: int


LOW, HIGH, COUNT = (
    local("low", "Valeur la plus basse de la minute"), local("high", "Valeur la plus haute de la minute"),
    local("count", "Valeurs de la minute"),
)  # fmt: skip


def by_minute(readings: Sequence[Reading]) -> list[Minute]:
    """One row per parameter, unit and minute, in order of first meeting, then of time.

    Values that are not finite numbers are left out: a monitor writes them for a sensor that fell off.
    """
    series: dict[tuple[Code, str | None], list[Reading]] = {}
    for one in readings:
        series.setdefault((one.code, one.unit), []).append(one)
    return [minute for (code, unit), found in series.items() for minute in _minutes(code, unit, found)]


def _minutes(code: Code, unit: str | None, readings: list[Reading]) -> list[Minute]:
    times = np.array([r.at for r in readings], dtype=np.int64)
    values = np.array([r.value for r in readings], dtype=np.float64)
    sound = np.isfinite(values)
    minutes, values = times[sound] // MICROS_PER_MINUTE, values[sound]
    order = np.lexsort((values, minutes))
    minutes, values = minutes[order], values[order]
    starts = np.flatnonzero(np.concatenate(([True], minutes[1:] != minutes[:-1]))) if len(minutes) else np.zeros(0, int)
    return [
        Minute(code, unit, int(minutes[a]) * MICROS_PER_MINUTE, float(np.median(values[a:b])), float(values[a]), float(values[b - 1]), int(b - a))
        for a, b in zip(starts, [*starts[1:], len(values)], strict=True)
    ]
