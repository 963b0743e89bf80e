"""The first peer: DuckDB alone over the same facts, one Parquet file per scale in concept order."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from benchmarks import machine, questions
from benchmarks.timing import timed, timed_each
from estran.warehouse import Snapshot


def write(snapshot: Snapshot, path: Path, work: Path) -> dict[str, float]:
    """DuckDB writes the file itself, with its default settings, sorted by concept, patient and start."""
    started = time.perf_counter()
    with duckdb.connect(config={"temp_directory": str(work), "memory_limit": "8GB"}) as connection:
        connection.execute("SET preserve_insertion_order = true")
        connection.execute(
            "COPY (SELECT * FROM read_parquet(?, hive_partitioning = false) "
            f"ORDER BY concept_id, patient_id, start_date, start_minute) TO '{path}' (FORMAT parquet)",
            [snapshot.files("fact")],
        )
    return {"writing_s": time.perf_counter() - started, "bytes_per_fact": path.stat().st_size / snapshot.counts["fact"]}


def measure(snapshot: Snapshot, path: Path, patients: list[int]) -> dict[str, Any]:
    """The same questions; the concept list is a joined table, never a long OR."""
    found: dict[str, Any] = {"counts": {}, "times": {}, "load": machine.load()}
    with duckdb.connect() as connection:
        connection.execute("SET parquet_metadata_cache = true")
        connection.execute(f"CREATE VIEW fact AS SELECT * FROM read_parquet('{path}')")
        connection.execute(
            "CREATE TABLE patient AS SELECT * FROM read_parquet(?, hive_partitioning = false)",
            [snapshot.files("patient")],
        )
        connection.register("given", wanted_table())
        connection.execute("CREATE TABLE wanted AS SELECT * FROM given")
        for question in questions.COUNTED:
            _ask(connection, found, question.name, question.sql)
        _ask(connection, found, "breakdown", questions.breakdown_sql("first", "//"))
        found["times"]["timeline"] = timed_each(lambda p: _timeline(connection, p), patients[:10])
        found["counts"]["timeline"] = [len(_timeline(connection, p)) for p in patients[:10]]
    found["threads"] = os.cpu_count()
    return found


def wanted_table() -> pa.Table:
    """The concepts of the Boolean cohort and their side."""
    sides = [(side, c) for side, numbers in questions.BOOLEAN.wanted.items() for c in numbers]
    return pa.table({"side": [s for s, _ in sides], "concept_id": pa.array([c for _, c in sides], pa.int32())})


def _ask(connection: duckdb.DuckDBPyConnection, found: dict[str, Any], name: str, sql: str) -> None:
    found["times"][name] = timed(lambda: connection.execute(sql).fetchall())
    rows = connection.execute(sql).fetchall()
    found["counts"][name] = rows[0][0] if name != "breakdown" else sorted(map(list, rows))


def _timeline(connection: duckdb.DuckDBPyConnection, patient: int) -> list[Any]:
    return connection.execute(
        "SELECT * FROM fact WHERE patient_id = ? ORDER BY start_date, start_minute", [patient]
    ).fetchall()
