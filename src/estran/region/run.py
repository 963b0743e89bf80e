"""Making the region: shards side by side, then what they share."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson

from estran.model.errors import UsageError
from estran.region import planted
from estran.region.folder import describe
from estran.region.plan import Plan
from estran.region.shard import Made, Shard

Progress = Callable[[int, int, int], None]  # shards done, shards, documents so far


@dataclass
class Summary:
    """What was written; `documents` counts messages, reports and files, `records` every line or message sent."""

    patients: int
    stays: int = 0
    documents: int = 0
    texts: int = 0
    records: int = 0
    bytes: int = 0
    seconds: float = 0.0
    truth: dict[str, int] = field(default_factory=dict)  # rows per table
    planted: dict[str, Any] = field(default_factory=dict)


def make(plan: Plan, out: Path, *, processes: int = 1, progress: Progress | None = None) -> Summary:
    """Write the region under `out`, which must be empty or new. Raises UsageError."""
    if out.exists() and any(out.iterdir()):
        raise UsageError("The directory is not empty.", where=str(out), hint="name a new directory")
    started = time.perf_counter()
    summary, seen = Summary(plan.patients), planted.Observed()
    for number, made in enumerate(_shards(plan, out, processes), 1):
        _add(summary, seen, made)
        if progress:
            progress(number, plan.shards, summary.documents)
    for hospital in plan.hospitals:
        (out / hospital.key).mkdir(parents=True, exist_ok=True)
        describe(out / hospital.key, hospital)
    summary.planted = planted.report(plan, seen)
    (out / "truth" / "planted.json").write_bytes(orjson.dumps(summary.planted, option=orjson.OPT_INDENT_2))
    summary.seconds = time.perf_counter() - started
    return summary


def _shards(plan: Plan, out: Path, processes: int) -> Iterator[Made]:
    """What each shard made, in order; at most `processes` at once."""
    if processes < 2 or plan.shards < 2:
        for number in range(plan.shards):
            yield make_shard(plan, number, out)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(make_shard, [plan] * plan.shards, range(plan.shards), [out] * plan.shards)


def make_shard(plan: Plan, number: int, out: Path) -> Made:
    """Write one shard; the collector is off meanwhile, since nothing made here holds a cycle worth finding."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        return Shard(plan, number).make(out)
    finally:
        if was_on:
            gc.enable()


def _add(summary: Summary, seen: planted.Observed, made: Made) -> None:
    summary.stays += made.stays
    summary.documents += made.documents
    summary.texts += made.texts
    summary.records += made.records
    summary.bytes += made.bytes
    for name, rows in made.truth.items():
        summary.truth[name] = summary.truth.get(name, 0) + rows
    seen.add(made.seen)
