"""Questions on 1, 10 and 100 million facts: Estran and its peers, each in a fresh process, counts compared."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import estran_facts, machine, plain_duckdb, postgres, store
from benchmarks.facts import Size
from estran.warehouse import Warehouse

PATIENTS = 400_000
RESULT = "facts.json"


def run(scales: list[int], work: Path, in_postgres: int, keep: bool, reuse: bool, quiet: Callable[[], None]) -> None:
    """Measure every scale; the results stay in `work`."""
    found: dict[str, Any] = {"machine": machine.describe(), "patients": PATIENTS, "scales": {}}
    earlier = work / RESULT
    if earlier.exists():
        found["scales"] = json.loads(earlier.read_text())["scales"]
    for facts in sorted(scales):
        print(f"{facts:,} facts over {PATIENTS:,} patients")
        steps = ["build", "estran", "duckdb"] + (["postgres"] if facts == in_postgres and postgres.binaries() else [])
        if reuse and (work / f"facts-{facts}").exists():
            steps.remove("build")
        known = found["scales"].setdefault(str(facts), {})
        for step in steps:
            quiet()
            known[step] = _step(facts, step, work)
        _agree(known)
        earlier.write_text(json.dumps(found, indent=1))
        if not keep:
            shutil.rmtree(work / f"facts-{facts}", ignore_errors=True)
            (work / f"facts-{facts}.parquet").unlink(missing_ok=True)


def _step(facts: int, step: str, work: Path) -> dict[str, Any]:
    result = work / f"facts-{facts}-{step}.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "one",
        "--kind",
        "facts",
        "--name",
        f"{facts}-{step}",
        "--work",
        str(work),
    ]
    subprocess.run(command, check=True)
    found: dict[str, Any] = json.loads(result.read_text())
    medians = {name: round(times["median"], 2) for name, times in found.get("times", {}).items()}
    print(f"  {step}: {medians or {k: round(v, 1) for k, v in found.items() if isinstance(v, float)}}", flush=True)
    return found


def one(name: str, work: Path, _: argparse.Namespace) -> None:
    """One step of one scale."""
    facts, _, step = name.partition("-")
    size = Size(int(facts), PATIENTS)
    directory = work / f"facts-{facts}"
    (work / f"facts-{name}.json").write_text(json.dumps(_measure(step, size, directory, work)))


def _measure(step: str, size: Size, directory: Path, work: Path) -> dict[str, Any]:
    if step == "build":
        load = machine.load()
        (work / f"facts-{size.facts}.parquet").unlink(missing_ok=True)
        return {
            "load": load,
            **store.build(size, directory, lambda line: print(line, flush=True)),
            "memory_mb": machine.memory_mb(),
        }
    if step == "estran":
        return estran_facts.measure(size, directory)
    snapshot = Warehouse.open(directory, store.settings(size)).snapshot()
    patients = json.loads((work / f"facts-{size.facts}-estran.json").read_text())["patients_read"]
    if step == "postgres":
        return postgres.measure(snapshot, work / "postgres", patients)
    path = work / f"facts-{size.facts}.parquet"
    written = {} if path.exists() else plain_duckdb.write(snapshot, path, work / "spill")
    sized = {"bytes_per_fact": path.stat().st_size / snapshot.counts["fact"]}
    return plain_duckdb.measure(snapshot, path, patients) | sized | written


def _agree(known: dict[str, Any]) -> None:
    """Every peer must answer what Estran answers."""
    own = known["estran"]["counts"]
    for peer in ("duckdb", "postgres"):
        for name, count in known.get(peer, {}).get("counts", {}).items():
            expected = own[name][: len(count)] if name == "timeline" else own[name]
            if count != expected:
                raise SystemExit(f"{peer} and Estran disagree on '{name}': {count} and {expected}.")
