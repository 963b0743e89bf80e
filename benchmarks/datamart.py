"""A datamart of 20,000 patients and 200 variables out of generated facts, and the same pivot in plain DuckDB SQL."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from benchmarks import machine, store
from benchmarks.facts import Size
from benchmarks.facts_run import PATIENTS
from estran.cohort.language import json as question_json
from estran.cohort.query import And, Code, CodeCriterion, IdList
from estran.identity.keys import SiteKey
from estran.projects.datamarts.build import Work, build
from estran.projects.datamarts.members import choose
from estran.projects.datamarts.reading import SpecFile, read_spec
from estran.release.fingerprint import Marks
from estran.release.rekey import ProjectKey
from estran.warehouse import Snapshot, Warehouse, members

RESULT = "datamart.json"
CHOSEN, VARIABLES, COHORT = 20_000, 200, "C00040"
KINDS = ("last", "mean", "max", "count", "any")
TARGET_S, TARGET_MB = 30, 2048
STEPS = ("parquet", "parquet, csv and duckdb", "duckdb")


def run(facts: int, work: Path, keep: bool, reuse: bool, quiet: Callable[[], None]) -> None:
    """Measure each step in a process of its own; the results stay in `work`."""
    directory, size = work / f"facts-{facts}", Size(facts, PATIENTS)
    if not (reuse and directory.exists()):
        store.build(size, directory, lambda line: print(line, flush=True))
    found: dict[str, Any] = {"machine": machine.describe(), "facts": facts, "steps": {}}
    for step in STEPS:
        quiet()
        command = [
            sys.executable,
            "-m",
            "benchmarks",
            "one",
            "--kind",
            "datamart",
            "--name",
            f"{facts}-{step}",
            "--work",
            str(work),
        ]
        subprocess.run(command, check=True)
        found["steps"][step] = json.loads((work / "datamart-step.json").read_text())
        print(f"  {step}: {found['steps'][step]}", flush=True)
    (work / RESULT).write_text(json.dumps(found, indent=1))
    if not keep:
        shutil.rmtree(directory, ignore_errors=True)


def one(name: str, work: Path) -> None:
    """One step."""
    facts, _, step = name.partition("-")
    snapshot = Warehouse.open(work / f"facts-{facts}", store.settings(Size(int(facts), PATIENTS))).snapshot()
    asked = specification(snapshot, ["parquet", "csv", "duckdb"] if "csv" in step else ["parquet"])
    measured = _peer(snapshot, asked, work) if step == "duckdb" else _estran(snapshot, asked, work / "datamart")
    (work / "datamart-step.json").write_text(json.dumps({"load": machine.load()} | measured))


def specification(snapshot: Snapshot, formats: list[str]) -> SpecFile:
    """The 200 most frequent concepts, five aggregates in turn, every second one within a year of the index date."""
    ids = snapshot.concept_ids("BENCH", COHORT)
    found = [snapshot.presence(bucket).patients(ids) & snapshot.population() for bucket in snapshot.buckets]
    people = np.sort(np.concatenate([members(one) for one in found]))[:CHOSEN]
    question = And((CodeCriterion((Code("BENCH", COHORT),)), IdList(tuple(people.tolist()))))
    variables = [
        {
            "name": f"v{n:03d}",
            "codes": [f"BENCH:C{n:05d}"],
            "aggregate": KINDS[n % 5],
            "unit": "mg/L" if n % 5 < 3 else "",
        }
        | ({"window": [-365, 365]} if n % 2 else {})
        for n in range(VARIABLES)
    ]
    return read_spec({
        "project": "bench", "name": "bench", "cohort": question_json.to_object(question), "variables": variables,
        "demographics": ["sex", "age", "index_date"], "formats": formats,
    })  # fmt: skip


def _estran(snapshot: Snapshot, asked: SpecFile, target: Path) -> dict[str, Any]:
    """Cohort, pseudonyms, dates, values, marks, files and their hashes: all that a build does but the audit's lines."""
    shutil.rmtree(target, ignore_errors=True)
    clock, cpu = time.perf_counter(), time.process_time()
    spec, key = asked.frozen(), ProjectKey.of(SiteKey("bench", bytes(32)), "bench")
    chosen = choose(spec, snapshot, BitMap(), key)
    manifest = build(Work(spec, snapshot, chosen, Marks(key), "bench"), target, {"name": "bench"})
    seconds = {"seconds": time.perf_counter() - clock, "cpu_s": time.process_time() - cpu}
    files = manifest["files"]
    shutil.rmtree(target)
    rows = {"patients": manifest["tables"][0]["rows"], "columns": len(manifest["tables"][0]["columns"])}
    return seconds | rows | {"bytes": sum(one["bytes"] for one in files), "memory_mb": machine.memory_mb()}


def _peer(snapshot: Snapshot, asked: SpecFile, work: Path) -> dict[str, Any]:
    """The same values by SQL over one Parquet file in concept order: patients and index dates are given."""
    path, out = work / "datamart-facts.parquet", work / "datamart-peer.parquet"
    if not path.exists():
        columns = "concept_id, patient_id, start_date, start_minute, value, unit"
        files = snapshot.files("fact_by_concept")
        command = f"SELECT {columns} FROM read_parquet(?, hive_partitioning = false)"
        with duckdb.connect(config={"memory_limit": "4GB", "temp_directory": str(work / "spill")}) as connection:
            connection.execute(f"COPY ({command}) TO '{path}' (FORMAT parquet)", [files])
    chosen = choose(asked.frozen(), snapshot, BitMap(), ProjectKey("bench", bytes(32)))
    wanted = [(snapshot.concept_ids("BENCH", f"C{n:05d}")[0], n, KINDS[n % 5], bool(n % 2)) for n in range(VARIABLES)]
    names = ("concept_id", "variable", "kind", "near")
    given = pa.table({name: [row[place] for row in wanted] for place, name in enumerate(names)})
    before = machine.memory_mb()
    clock, cpu = time.perf_counter(), time.process_time()
    with duckdb.connect() as connection:
        connection.register("wanted", given)
        connection.register("member", chosen.table)
        connection.execute(_PIVOT.format(facts=path, out=out))
        rows = connection.execute(f"SELECT count(*) FROM '{out}'").fetchall()[0][0]
    seconds = {"seconds": time.perf_counter() - clock, "cpu_s": time.process_time() - cpu}
    found = seconds | {"patients": rows, "columns": VARIABLES + 1, "bytes": out.stat().st_size}
    out.unlink()
    return found | {"memory_mb": machine.memory_mb(), "memory_before_mb": before}


_PIVOT = """
COPY (
  WITH event AS (
    SELECT w.variable, m.patient_id, any_value(w.kind) AS kind, arg_max(f.value, (f.start_date, f.start_minute)) AS last,
           avg(f.value) AS mean, max(f.value) AS max, count(*) AS n
    FROM '{facts}' f JOIN wanted w USING (concept_id) JOIN member m USING (patient_id)
    WHERE NOT w.near OR f.start_date - (DATE '1970-01-01' + m.index_day) BETWEEN -365 AND 365
    GROUP BY w.variable, m.patient_id
  ), shown AS (
    SELECT patient_id, variable, CASE kind WHEN 'last' THEN last WHEN 'mean' THEN mean WHEN 'max' THEN max ELSE n END AS value
    FROM event
  )
  FROM (PIVOT shown ON variable USING first(value) GROUP BY patient_id) ORDER BY patient_id
) TO '{out}' (FORMAT parquet)"""


def tell(found: dict[str, Any]) -> list[str]:
    """The part of the document."""
    names = {
        STEPS[0]: "Estran, Parquet", STEPS[1]: "Estran, Parquet, CSV and DuckDB",
        STEPS[2]: "DuckDB alone: SQL pivot, no pseudonym, no shift, no mark, no hash",
    }  # fmt: skip
    lines = [
        "| | wall, s | CPU, s | peak memory, MB | bytes written | patients × columns |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for step, one in found["steps"].items():
        cells = (
            names[step], f"{one['seconds']:.1f}", f"{one['cpu_s']:.1f}", f"{one['memory_mb']:,}", f"{one['bytes']:,}",
            f"{one['patients']:,} × {one['columns']}",
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    own = found["steps"][STEPS[0]]
    loads = ", ".join(f"{one['load']:.1f}" for one in found["steps"].values())
    reached = own["seconds"] <= TARGET_S and own["memory_mb"] <= TARGET_MB
    return [
        f"{CHOSEN:,} patients × {VARIABLES} variables (the most frequent concepts: last, mean, max, count, any in turn; every "
        f"second one within a year of the index date) out of {found['facts'] // 1_000_000} M facts over {PATIENTS:,} patients, each "
        f"in a fresh process. Target: {TARGET_S} s and {TARGET_MB:,} MB: {'reached' if reached else 'missed'}. Load of the "
        f"machine after each: {loads}; on a loaded machine compare CPU.\n",
        "\n".join(lines) + "\n",
    ]
