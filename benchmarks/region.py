"""How fast the synthetic region is made, on one core, and how much of its reports zstd leaves."""

from __future__ import annotations

import gc
import shutil
import time
from pathlib import Path

import pyarrow as pa

from estran.region import shard
from estran.region.growth import Noise
from estran.region.plan import Plan
from estran.region.run import make_shard
from estran.region.writing.texts import Asked, write

PATIENTS, SHARDS, REPEATS, LEVEL = 3_000, 3, 5, 3


def show(work: Path) -> None:
    """Make three shards in this process and print documents and reports per second of processor time."""
    out = work / "region"
    shutil.rmtree(out, ignore_errors=True)
    asked = _asked(out)
    documents, seconds = 0, 0.0
    for number in range(SHARDS):
        started = time.process_time()
        documents += make_shard(Plan(PATIENTS, seed=2), number, out / "feeds").documents
        seconds += time.process_time() - started
    print(f"raw feed: {documents / seconds:,.0f} documents/s/core ({documents:,} in {seconds:.1f} s)")
    gc.disable()
    for name, some in (("reports of all kinds", asked), ("hospital reports", [one for one in asked if one.kind == "discharge"])):
        rate, texts, spans = _rate(some)
        size = sum(map(len, texts)) / len(texts)
        print(f"{name}: {rate:,.0f}/s/core, best of {REPEATS}; {len(texts):,} of {size:,.0f} characters and {spans:.1f} spans on average")
    data = "\n".join(texts).encode()
    left = len(pa.Codec("zstd", LEVEL).compress(data, asbytes=True)) * 2_000 / len(data)
    print(f"zstd -{LEVEL}, {len(texts):,} hospital reports in one frame: {left:.0f} bytes left of 2,000")
    gc.enable()


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
