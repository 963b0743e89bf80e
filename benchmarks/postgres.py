"""The second peer: PostgreSQL from Debian, a cluster of its own in the work directory, removed at the end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import machine, questions
from benchmarks.plain_duckdb import wanted_table
from benchmarks.timing import timed, timed_each
from estran.warehouse import Snapshot

COLUMNS = ("patient_id", "start_date", "start_minute", "concept_id", "document_id", "fact_no", "stay_id",
           "precision", "value", "unit", "status", "context", "origin")  # fmt: skip
_CREATE = """
CREATE TABLE fact (patient_id integer, start_date date, start_minute smallint, concept_id integer, document_id integer,
  fact_no integer, stay_id integer, precision smallint, value double precision, unit text, status smallint,
  context smallint, origin smallint);
CREATE TABLE patient (patient_id integer, sex text, birth_month date);
CREATE TABLE wanted (side text, concept_id integer)"""
_INDEX = (
    "CREATE INDEX ON fact (concept_id, patient_id, start_date)",
    "CREATE INDEX ON fact (patient_id, start_date)",
    "CREATE UNIQUE INDEX ON patient (patient_id)",
)
_SETTINGS = {
    "shared_buffers": "4GB", "work_mem": "512MB", "maintenance_work_mem": "1GB", "effective_cache_size": "12GB",
    "random_page_cost": "1.1", "max_wal_size": "8GB", "jit": "off", "max_parallel_workers_per_gather": "2",
}  # fmt: skip


def binaries() -> Path | None:
    """The newest server installed by the system's packages."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def cluster(directory: Path) -> Iterator[str]:
    """A running cluster; gives its connection string."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    tools = binaries()
    assert tools is not None, "install PostgreSQL: apt-get install postgresql"
    as_user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if as_user:
        shutil.chown(directory, "postgres", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = directory / "data"
    options = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    options += f" -c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={directory}"

    def call(*command: object) -> None:
        subprocess.run([str(part) for part in command], check=True, cwd=directory, stdout=subprocess.DEVNULL, **as_user)

    call(tools / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--locale=C.UTF-8")
    call(tools / "pg_ctl", "-D", data, "-w", "-l", directory / "log", "-o", options, "start")
    try:
        yield f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
    finally:
        call(tools / "pg_ctl", "-D", data, "-w", "-m", "fast", "stop")
        shutil.rmtree(directory, ignore_errors=True)


def measure(snapshot: Snapshot, work: Path, patients: list[int]) -> dict[str, Any]:
    """Load the facts of a snapshot with COPY, index, analyse, ask."""
    import psycopg

    with cluster(work) as address, psycopg.connect(address, autocommit=True) as connection:
        version = connection.execute("SHOW server_version").fetchone()
        found: dict[str, Any] = {
            "version": version[0].split(" ")[0] if version else "",
            **_load(connection, snapshot, work),
        }
        found |= {"counts": {}, "times": {}, "load": machine.load()}
        for question in questions.COUNTED:
            _ask(connection, found, question.name, question.sql)
        _ask(connection, found, "breakdown", questions.breakdown_sql("first", "/"))
        found["times"]["timeline"] = timed_each(lambda p: _timeline(connection, p), patients)
        found["counts"]["timeline"] = [len(_timeline(connection, p)) for p in patients]
        return found


def _load(connection: Any, snapshot: Snapshot, work: Path) -> dict[str, float]:
    started = time.perf_counter()
    for statement in _CREATE.split(";"):
        connection.execute(statement)
    _copy(connection, work, "fact", COLUMNS, snapshot.files("fact"))
    _copy(connection, work, "patient", ("patient_id", "sex", "birth_month"), snapshot.files("patient"))
    rows = wanted_table().to_pylist()
    connection.cursor().executemany("INSERT INTO wanted VALUES (%(side)s, %(concept_id)s)", rows)
    copied = time.perf_counter()
    for statement in _INDEX:
        connection.execute(statement)
    for table in ("fact", "patient", "wanted"):
        connection.execute(f"VACUUM (ANALYZE) {table}")
    size = connection.execute("SELECT pg_total_relation_size('fact')").fetchone()[0]
    return {
        "copy_s": copied - started, "index_s": time.perf_counter() - copied,
        "bytes_per_fact": size / snapshot.counts["fact"],
    }  # fmt: skip


def _copy(connection: Any, work: Path, table: str, columns: tuple[str, ...], files: list[str]) -> None:
    listed = ", ".join(columns)
    for number, file in enumerate(files):
        path = work / f"{table}{number}.csv"
        with duckdb.connect() as reader:
            reader.execute(
                f"COPY (SELECT {listed} FROM read_parquet(?, hive_partitioning = false)) TO '{path}' (FORMAT csv, HEADER false)",
                [file],
            )
        with (
            path.open("rb") as source,
            connection.cursor().copy(f"COPY {table} ({listed}) FROM STDIN (FORMAT csv)") as copy,
        ):
            while piece := source.read(1 << 20):
                copy.write(piece)
        path.unlink()


def _ask(connection: Any, found: dict[str, Any], name: str, sql: str) -> None:
    found["times"][name] = timed(lambda: connection.execute(sql).fetchall(), repeats=7, warm=1)
    rows = connection.execute(sql).fetchall()
    found["counts"][name] = rows[0][0] if name != "breakdown" else sorted(map(list, rows))


def _timeline(connection: Any, patient: int) -> list[Any]:
    rows: list[Any] = connection.execute(
        "SELECT * FROM fact WHERE patient_id = %s ORDER BY start_date, start_minute", [patient]
    ).fetchall()
    return rows
