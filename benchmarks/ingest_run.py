"""Feeds from file to committed, searchable snapshot, one process each: CPU seconds, wall seconds, profile."""

from __future__ import annotations

import argparse
import cProfile
import importlib.util
import json
import pstats
import random
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

import estran
from benchmarks import feeds, machine
from estran.app import create_site
from estran.settings import Settings
from estran.sources.pipeline.run import ingest
from estran.warehouse.text_build import TextIndexBuilder

RESULT = "ingest.json"
PACKAGE = Path(estran.__file__).resolve().parent
CASES = PACKAGE / "samples" / "e3c_fr"
PROFILED = 0.5  # the profile runs on so much of the feed
REPEATS = 3  # other guests of a host take from a run, never give: the fastest of these is the machine's own
BUCKET = 1_000_000


@dataclass(frozen=True)
class Feed:
    """A feed: `make(path, scale)` writes it and tells how many records of `unit` it holds."""

    format: str
    title: str
    unit: str
    target: int | None
    make: Callable[[Path, float], int]


def _oru(path: Path, scale: float) -> int:
    count = int(40_000 * scale)
    feeds.oru(path, count, patients=max(200, count // 10))
    return count


def _observations(path: Path, scale: float) -> int:
    count, patients = int(200_000 * scale), 2_000
    feeds.observations(path, count, patients)
    return count + patients


def _measurements(path: Path, scale: float) -> int:
    rows, patients = int(2_000_000 * scale), 5_000
    feeds.measurements(path, rows, patients)
    return rows + 2 * patients


def _database(path: Path, scale: float) -> int:
    folder = path.with_suffix(".csv")
    count = _measurements(folder, scale)
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        for file in folder.glob("*.csv"):
            connection.execute(f"CREATE TABLE {file.stem.lower()} AS SELECT * FROM read_csv('{file}')")
    shutil.rmtree(folder)
    return count


def _reports(path: Path, scale: float) -> int:
    count = int(10_000 * scale)
    feeds.reports(path, count, next(CASES.glob("*.gz")))
    return count


FEEDS = {
    "oru": Feed("hl7v2", "HL7 v2 ORU, 20 results each", "messages", 5_000, _oru),
    "observations": Feed("fhir", "FHIR R4 Observation, bulk NDJSON", "resources", 30_000, _observations),
    "omop_csv": Feed("omop", "OMOP 5.4 MEASUREMENT, CSV", "rows", 300_000, _measurements),
    "omop_duckdb": Feed("omop", "OMOP 5.4 MEASUREMENT, DuckDB file", "rows", 300_000, _database),
    "reports": Feed("report", "Reports of 2 kB, JSONL", "documents", None, _reports),
    "index": Feed("", "Text indexing alone, 2 kB texts", "documents", 3_500, _reports),
}
_SUFFIX = {
    "oru": ".hl7",
    "observations": "",
    "omop_csv": "",
    "omop_duckdb": ".duckdb",
    "reports": ".jsonl",
    "index": ".jsonl",
}


def run(work: Path, scale: float, only: list[str], quiet: Callable[[], None]) -> None:
    """Time every feed, then profile it on a smaller one; the results stay in `work`."""
    path = work / RESULT
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"feeds": {}}
    found["machine"] = machine.describe()
    for name in only or FEEDS:
        print(f"{FEEDS[name].title}", flush=True)
        feed = work / f"feed-{name}{_SUFFIX[name]}"
        quiet()
        timed = {"scale": scale} | _fastest([_step("timed", name, work, scale) for _ in range(REPEATS)])
        timed["profile"] = _step("profiled", name, work, scale * PROFILED)
        timed["peers"] = {}
        found["feeds"][name] = timed
        print(f"  {timed['records'] / timed['cpu_s']:,.0f} {FEEDS[name].unit}/s/core, load {timed['load']}", flush=True)
        shutil.rmtree(feed, ignore_errors=True) if feed.is_dir() else feed.unlink(missing_ok=True)
        path.write_text(json.dumps(found, indent=1))
    found["peers"] = _step("peers", "all", work, scale)
    path.write_text(json.dumps(found, indent=1))


def _fastest(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The run that took least CPU time, and the CPU seconds of the slowest."""
    ranked = sorted(runs, key=lambda run: run["cpu_s"])
    return ranked[0] | {"slowest_cpu_s": ranked[-1]["cpu_s"]}


def _step(step: str, name: str, work: Path, scale: float) -> dict[str, Any]:
    result = work / f"ingest-{step}-{name}.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "one",
        "--kind",
        "ingest",
        "--name",
        f"{step}-{name}",
        "--work",
        str(work),
    ]
    subprocess.run([*command, "--scale", str(scale)], check=True)
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def one(name: str, work: Path, asked: argparse.Namespace) -> None:
    """One measurement."""
    step, _, feed = name.partition("-")
    if step == "peers":
        found = _peers(work, asked.scale)
    else:
        path = work / f"feed-{feed}{_SUFFIX[feed]}"
        records = FEEDS[feed].make(path, asked.scale)
        make = _index if feed == "index" else _site
        found = {"records": records, "bytes": _bytes(path), "load": machine.load()}
        found |= (_timed if step == "timed" else _profiled)(make(FEEDS[feed], path, work, records))
        shutil.rmtree(work / "site", ignore_errors=True)
    (work / f"ingest-{name}.json").write_text(json.dumps(found))


def _bytes(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def _site(feed: Feed, path: Path, work: Path, records: int) -> Callable[[], dict[str, Any]]:
    """A load into a new site; tells the three-way count and what the snapshot holds."""
    directory = work / "site"
    shutil.rmtree(directory, ignore_errors=True)
    (work / "site.key").unlink(missing_ok=True)
    site = create_site(directory, Settings(bucket_patients=BUCKET))

    def load() -> dict[str, Any]:
        with site.loading() as parts:
            report = ingest(parts, feed.format, [path])
        counts = site.snapshot().counts
        found = {n: report.total(n) for n in ("read", "loaded", "superseded", "quarantined")}
        return found | {n: counts[n] for n in ("patient", "document", "fact", "text")}

    return load


def _index(feed: Feed, path: Path, work: Path, records: int) -> Callable[[], dict[str, Any]]:
    rows = [json.loads(line) for line in path.open(encoding="utf-8")]
    numbers = pa.array(range(len(rows)), pa.int32())
    table = pa.table(
        {
            "document_id": numbers,
            "patient_id": numbers,
            "text": [r["text"] for r in rows],
            "title": [r["title"] for r in rows],
        }
    )

    def build() -> dict[str, Any]:
        with TextIndexBuilder(work / "site") as builder:
            builder.add(table)
            info = builder.seal()
        return {"document": info.documents, "bytes_per_document": info.size / info.documents}

    return build


def _timed(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found | {
        "cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall, "memory_mb": machine.memory_mb(),
    }  # fmt: skip


def _profiled(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The functions that took most time themselves, and each room's share."""
    profile = cProfile.Profile()
    profile.enable()
    work()
    profile.disable()
    own: list[tuple[float, int, str]] = []
    rooms: dict[str, float] = defaultdict(float)
    for (file, _line, function), (_, calls, tottime, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        place = _place(file)
        rooms[place.split(":")[0]] += tottime
        own.append((tottime, calls, function if place == "library" else f"{place.removeprefix('room ')}:{function}"))
    total = sum(rooms.values())
    top = sorted(own, reverse=True)[:5]
    return {
        "top": [{"share": t / total, "calls": calls, "function": name} for t, calls, name in top],
        "rooms": {room: t / total for room, t in sorted(rooms.items(), key=lambda item: -item[1])},
    }


def _place(file: str) -> str:
    """Where a function lives: a file of the package, or a library."""
    path = Path(file)
    if not path.is_relative_to(PACKAGE):
        return "library"
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def _peers(work: Path, scale: float) -> dict[str, Any]:
    """What other tools need for a part of the same work; those that are not installed are left out."""
    found: dict[str, Any] = {"duckdb_csv": _duckdb_csv(work, scale)}
    for name, measure in (("hl7", _hl7_library), ("fhir", _fhir_library)):
        if importlib.util.find_spec({"hl7": "hl7", "fhir": "fhir"}[name]):
            found[name] = measure(work)
    found["json"] = _orjson(work)
    return found


def _duckdb_csv(work: Path, scale: float) -> dict[str, Any]:
    """DuckDB from CSV to one unsorted Parquet file: no identity, no terminology, no bitmaps."""
    folder = work / "feed-peer"
    records = _measurements(folder, scale)
    wall, cpu = time.perf_counter(), time.process_time()
    with duckdb.connect() as connection:
        for file in folder.glob("*.csv"):
            connection.execute(f"COPY (SELECT * FROM read_csv('{file}')) TO '{work / 'peer.parquet'}' (FORMAT parquet)")
    spent = {"records": records, "cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    shutil.rmtree(folder)
    (work / "peer.parquet").unlink()
    return spent


def _hl7_library(work: Path) -> dict[str, Any]:
    import hl7

    path = work / "feed-peer.hl7"
    feeds.oru(path, 300)
    messages = path.read_text(encoding="utf-8").split("MSH|")[1:]
    path.unlink()
    return _spent(lambda text: hl7.parse("MSH|" + text), messages)


def _fhir_library(work: Path) -> dict[str, Any]:
    from fhir.resources.R4B.observation import Observation  # type: ignore[import-not-found]

    return _spent(Observation.model_validate_json, _resources(3_000))


def _orjson(work: Path) -> dict[str, Any]:
    import orjson

    return _spent(orjson.loads, _resources(50_000))


def _resources(count: int) -> list[bytes]:
    import orjson

    chance = random.Random(1)
    return [orjson.dumps(feeds._observation(n, chance, 2_000)) for n in range(count)]


def _spent(work: Callable[[Any], Any], things: list[Any]) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    for thing in things:
        work(thing)
    return {"records": len(things), "cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
