"""A warehouse of generated facts, made by the real writer, and what it takes on disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import facts
from benchmarks.facts import Size
from estran.settings import Settings
from estran.warehouse import Changes, Snapshot, Warehouse

OF_FACTS = ("fact", "fact_by_concept")


def settings(size: Size) -> Settings:
    """The settings of a store of this size."""
    return Settings(bucket_patients=size.bucket_patients)


def build(size: Size, directory: Path, say: Callable[[str], None]) -> dict[str, float]:
    """Make the store anew, commit by commit, then compact it; seconds of each."""
    shutil.rmtree(directory, ignore_errors=True)
    warehouse = Warehouse.create(directory, settings(size))
    generated = written = 0.0
    commits = 0
    with warehouse.writer() as writer:
        writer.commit(Changes(append={"concept": facts.concepts()}, upsert={"patient": facts.patients(size)}))
        clock = time.perf_counter()
        for tables in facts.pieces(size):
            generated += time.perf_counter() - clock
            clock = time.perf_counter()
            stays = tables.pop("stay")
            writer.commit(Changes(append=tables, upsert={"stay": stays}))
            commits += 1
            written += time.perf_counter() - clock
            say(f"  {commits * tables['fact'].num_rows:,} facts, {written:.0f} s")
            clock = time.perf_counter()
    clock = time.perf_counter()
    warehouse.compact(keep=1)
    return {
        "generating_s": generated, "writing_s": written, "commits": commits,
        "compacting_s": time.perf_counter() - clock, "facts_per_s": size.facts / written,
    }  # fmt: skip


def footprint(snapshot: Snapshot) -> dict[str, float]:
    """Bytes per fact of each order and of the bitmaps; `total` is their sum, `all` counts every table."""
    record = snapshot.record
    facts_held = snapshot.counts["fact"]
    sizes = {name: sum(ref.size for ref in record.tables[name].all()) / facts_held for name in OF_FACTS}
    sizes["presence"] = sum(ref.size for ref in record.presence.values()) / facts_held
    sizes["total"] = sum(sizes.values())
    sizes["all"] = sum(ref.size for ref in record.named()) / facts_held
    return sizes
