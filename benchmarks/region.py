"""How fast the synthetic region is made, on one core, and how much of its reports zstd leaves."""

from __future__ import annotations

import gc
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from benchmarks import machine
from estran.region import shard
from estran.region.growth import Noise
from estran.region.plan import Plan
from estran.region.run import make_shard
from estran.region.writing.texts import Asked, write

RESULT = "generator.json"
PATIENTS, SHARDS, REPEATS, LEVEL = 3_000, 3, 5, 3


def run(work: Path, quiet: Callable[[], None]) -> None:
    """Make three shards in this process, then only write their reports again; the figures stay in `work`."""
    out = work / "region-made"
    shutil.rmtree(out, ignore_errors=True)
    asked = _asked(out)
    quiet()
    found = {"machine": machine.describe(), "load": machine.load(), "feed": _feed(out), "reports": {}}
    gc.disable()
    for name, some in (("all kinds", asked), ("hospital reports", [one for one in asked if one.kind == "discharge"])):
        rate, texts, spans = _rate(some)
        size = sum(map(len, texts)) / len(texts)
        found["reports"][name] = {"per_s": rate, "reports": len(texts), "characters": size, "spans": spans}
    data = "\n".join(texts).encode()
    found["left"] = len(pa.Codec("zstd", LEVEL).compress(data, asbytes=True)) * 2_000 / len(data)
    gc.enable()
    shutil.rmtree(out)
    print(json.dumps(found | {"machine": ""}, indent=1), flush=True)
    (work / RESULT).write_text(json.dumps(found, indent=1))


def _feed(out: Path) -> dict[str, float]:
    """The raw feeds of three shards: documents, bytes and CPU seconds."""
    documents, size, started = 0, 0, time.process_time()
    for number in range(SHARDS):
        made = make_shard(Plan(PATIENTS, seed=2), number, out / "feeds")
        documents, size = documents + made.documents, size + made.bytes
    return {"documents": documents, "bytes": size, "cpu_s": time.process_time() - started}


def _asked(out: Path) -> list[Asked]:
    """The reports that the shards ask for; sentences are compiled on the way."""
    found: list[Asked] = []
    for number in range(SHARDS):
        made = shard.Shard(Plan(PATIENTS, seed=1), number)
        made.make(out / "asked")
        found += made.asked
    return found


def _rate(asked: list[Asked]) -> tuple[float, list[str], float]:
    """Reports per second of processor time, texts and spans of the last time, spans per report."""
    best = float("inf")
    for turn in range(REPEATS):
        started = time.process_time()
        written = write(asked, Noise("benchmark", turn))
        best = min(best, time.process_time() - started)
    spans = len(written.identities.owners) + len(written.mentions.owners)
    return len(asked) / best, written.texts, spans / len(asked)
