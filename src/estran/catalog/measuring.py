"""Measuring a snapshot and keeping what was found: the work of a job, never of a page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from estran.catalog import quality
from estran.catalog.curves import curves
from estran.catalog.steering import steering
from estran.catalog.tables import document_kinds, sources, tables
from estran.catalog.variables import variables
from estran.state import Entry, StateDatabase, Tallied
from estran.warehouse import Snapshot

PARTS: tuple[Callable[[Snapshot], Iterator[Entry]], ...] = (
    tables,
    document_kinds,
    sources,
    variables,
    curves,
    steering,
)


@dataclass(frozen=True)
class Measured:
    """What a measurement did."""

    snapshot: int
    entries: int
    seconds: float


def measure(snapshot: Snapshot, state: StateDatabase) -> Measured:
    """Describe a snapshot anew; nothing is done when it is the one described last."""
    began = time.perf_counter()
    if state.catalogue.snapshot() == snapshot.version:
        return Measured(snapshot.version, 0, 0.0)
    count = state.catalogue.replace(entry for part in PARTS for entry in part(snapshot))
    return Measured(snapshot.version, count, time.perf_counter() - began)


def check(snapshot: Snapshot, state: StateDatabase) -> tuple[int, tuple[Tallied, ...], float]:
    """Run every check on a snapshot and keep the results: number of the run, results, seconds."""
    outcome = quality.run(snapshot)
    return (
        state.catalogue.keep_run(snapshot.version, outcome.seconds, outcome.results),
        outcome.results,
        outcome.seconds,
    )
