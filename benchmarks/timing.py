"""Timing one thing many times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

REPEATS, WARM = 11, 2


def timed(work: Callable[[], Any], repeats: int = REPEATS, warm: int = WARM) -> dict[str, float]:
    """Milliseconds: the first time, then the median, best and worst of `repeats` warm ones."""
    first = _once(work)
    for _ in range(warm):
        work()
    return {"first": first, **spread(_once(work) for _ in range(repeats))}


def timed_each(work: Callable[[Any], Any], things: Iterable[Any]) -> dict[str, float]:
    """Milliseconds over different things, each asked once: the first, then the spread of the others."""
    times = [_once(lambda thing=thing: work(thing)) for thing in things]
    return {"first": times[0], **spread(times[1:])}


def spread(times: Iterable[float]) -> dict[str, float]:
    """Median, best, worst and 95th percentile."""
    found = sorted(times)
    return {
        "median": statistics.median(found), "best": found[0], "worst": found[-1],
        "p95": found[min(len(found) - 1, int(0.95 * len(found)))], "repeats": len(found),
    }  # fmt: skip


def _once(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000
