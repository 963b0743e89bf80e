"""The synthetic region loaded hospital by hospital as `estran ingest SITE --all` does, each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import machine, pyomop_peer
from estran.app import Site, set_up
from estran.cli.load import load_feed
from estran.model.feeds import Feed, read_feeds
from estran.model.site_file import FILE_NAME
from estran.region.plan import Plan
from estran.region.run import make

RESULT = "region.json"
TEXTS = 2  # free texts per patient, at most, at every size: the slope compares like with like
_STORED = ("patient", "document", "fact", "text")
_COUNTED = ("read", "loaded", "superseded", "quarantined")

Found = dict[str, Any]


def run(work: Path, sizes: list[int], at_once: int, *, keep: bool, reuse: bool, quiet: Callable[[], None]) -> None:
    """Make and load each region, smallest first. What was measured is kept as it comes; `reuse` goes on from there."""
    results = work / RESULT
    found: Found = json.loads(results.read_text()) if results.exists() else {}
    found = {"machine": machine.describe(), "peer": found.get("peer"), "sizes": found.get("sizes", {})}
    for patients in sorted(sizes):
        out = work / f"region-{patients}"
        if not reuse:
            found["sizes"].pop(str(patients), None)
            shutil.rmtree(out, ignore_errors=True)
        size = found["sizes"].setdefault(str(patients), {"texts": TEXTS, "at_once": at_once})
        if not _is_there(out):
            shutil.rmtree(out, ignore_errors=True)
            quiet()
            print(f"{patients:,} patients: making the region", flush=True)
            size |= {"made": _made(out, patients), "sites": {}}
            _keep(results, found)
        for sites in _load(out, at_once, quiet):
            size["sites"] = sites
            _keep(results, found)
        if not (found["peer"] and reuse):
            quiet()
            found["peer"] = pyomop_peer.measure(out, work)
            _keep(results, found)
        if not keep and all(site.get("done") for site in size["sites"].values()):
            shutil.rmtree(out)


def _keep(path: Path, found: Found) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(found, indent=1))
    new.replace(path)


def _is_there(out: Path) -> bool:
    """Whether a region was made to its end."""
    return (out / "truth" / "planted.json").is_file()


def _made(out: Path, patients: int) -> Found:
    summary = make(Plan(patients, texts=TEXTS), out, processes=os.cpu_count() or 1)
    return {name: value for name, value in asdict(summary).items() if name not in ("planted", "truth")}


def _load(out: Path, at_once: int, quiet: Callable[[], None]) -> Iterator[Found]:
    """Load every hospital that is not loaded yet, `at_once` side by side, the largest first so that none is left alone
    at the end; what is known of all of them, each time one is done."""
    sites = sorted(
        (p.parent for p in out.glob(f"*/{FILE_NAME}")), key=lambda site: _bytes(site / "feeds"), reverse=True
    )
    todo = [site for site in sites if not _told(site).get("done")]
    if todo:
        quiet()
    with ThreadPoolExecutor(at_once) as pool:
        for site in pool.map(_start, todo):
            told = _told(site)
            print(
                f"  {site.name}: "
                + (f"{told['wall_s']:,.0f} s" if told.get("done") else "stopped; --reuse tries again"),
                flush=True,
            )
            yield {one.name: _told(one) for one in sites}
    yield {one.name: _told(one) for one in sites}


def _start(site: Path) -> Path:
    """Load a hospital in a new process; what an interrupted load left there is taken away first."""
    for name in ("warehouse", "vault", "landing"):
        shutil.rmtree(site / name, ignore_errors=True)
    for left in (*site.glob("state*"), *site.parent.glob(f"{site.name}.*")):
        left.unlink()
    subprocess.run([sys.executable, "-m", "benchmarks", "one", "--kind", "region", "--work", str(site)], check=False)
    return site


def _told(site: Path) -> Found:
    """What is known so far of the load of a hospital."""
    path = site.parent / f"{site.name}.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def one(folder: Path) -> None:
    """Load one hospital; every feed is told as soon as it is loaded."""
    result = folder.parent / f"{folder.name}.json"
    site, wall, cpu = set_up(folder), time.perf_counter(), _cpu()
    found: Found = {"load": machine.load(), "feeds": []}
    for feed in read_feeds(folder / FILE_NAME):
        found["feeds"].append(_feed(site, feed))
        found |= {"cpu_s": _cpu() - cpu, "wall_s": time.perf_counter() - wall, "memory_mb": machine.memory_mb()}
        _keep(result, found)
    stored = site.snapshot().counts
    found |= {
        "done": True,
        "stored": {name: stored[name] for name in _STORED},
        "disk_bytes": _bytes(folder) - _bytes(folder / "feeds"),
    }
    _keep(result, found)


def _feed(site: Site, feed: Feed) -> Found:
    path = site.directory / feed.path
    before, wall, cpu = site.snapshot().counts, time.perf_counter(), _cpu()
    with site.loading() as parts:
        report = load_feed(site, parts, feed, [path])
    after = site.snapshot().counts
    return {
        "name": feed.name, "source": feed.source, "bytes": _bytes(path), "cpu_s": _cpu() - cpu, "wall_s": time.perf_counter() - wall,
        "memory_mb": machine.memory_mb(), **{name: report.total(name) for name in _COUNTED}, "reasons": report.reasons,
        "refused": report.refused_files, **{name: after[name] - before[name] for name in _STORED},
    }  # fmt: skip


def _cpu() -> float:
    """Processor seconds of this process, its threads and the children that ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _bytes(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
