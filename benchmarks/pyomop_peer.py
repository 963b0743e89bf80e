"""What pyomop makes of the FHIR resources of one hospital: the part of a region that it can load."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

VERSION = "6.4.0"
HOSPITAL, MOST = "nantes", 5_000  # resources: it takes milliseconds for each


def measure(region: Path, work: Path) -> dict[str, Any]:
    """Resources given, rows stored and CPU seconds; `skipped` says why when it could not be installed or failed."""
    program = _installed(work / "pyomop")
    if program is None:
        return {"skipped": f"pyomop {VERSION} could not be installed from the package index."}
    folder = work / "pyomop-feed"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    counts = {"Patient": 0} | {path.name.partition("-")[0]: _adapted(path, folder) for path in _files(region)}
    counts["Patient"] = _patients(folder)
    database = folder / "cdm.sqlite"
    spent = _run([str(program), "--create", "--name", database.name, "--input", "."], folder)
    rows = _rows(database) if spent.pop("code") == 0 else {}
    shutil.rmtree(folder)
    if not rows:
        return {"skipped": f"pyomop {VERSION} stopped on the resources of {HOSPITAL}."}
    return {"version": VERSION, "resources": sum(counts.values()), "kinds": counts, "rows": rows, **spent}


def _installed(folder: Path) -> Path | None:
    """The program, in an environment of its own that is made the first time."""
    program = folder / "bin" / "pyomop"
    if not program.exists():
        steps = (
            [sys.executable, "-m", "venv", str(folder)],
            [str(folder / "bin" / "pip"), "install", "--quiet", f"pyomop=={VERSION}"],
        )
        for step in steps:
            if subprocess.run(step, check=False, capture_output=True).returncode:
                return None
    return program if program.exists() else None


def _files(region: Path) -> list[Path]:
    return sorted((region / HOSPITAL / "feeds" / "fhir").glob("*-00000.ndjson"))


def _adapted(path: Path, folder: Path) -> int:
    """Up to a third of `MOST` resources as pyomop reads them: references to a Patient, an onset for each condition."""
    count = 0
    with path.open("rb") as lines, (folder / path.name).open("wb") as out:
        for line, _ in zip(lines, range(MOST // 3), strict=False):
            resource = orjson.loads(line)
            resource["subject"] = {"reference": f"Patient/p{resource['subject']['identifier']['value']}"}
            if resource["resourceType"] == "Condition":
                resource["onsetDateTime"] = resource["recordedDate"]
            out.write(orjson.dumps(resource) + b"\n")
            count += 1
    return count


def _patients(folder: Path) -> int:
    """A Patient for each reference: the hospital sends them by HL7 v2, which pyomop does not read."""
    known = dict.fromkeys(who for path in sorted(folder.glob("*.ndjson")) for who in _subjects(path))
    with (folder / "Patient-00000.ndjson").open("wb") as out:
        for who in known:
            out.write(
                orjson.dumps({"resourceType": "Patient", "id": who, "gender": "unknown", "birthDate": "1950-01-01"})
                + b"\n"
            )
    return len(known)


def _subjects(path: Path) -> Iterator[str]:
    with path.open("rb") as lines:
        for line in lines:
            yield orjson.loads(line)["subject"]["reference"].removeprefix("Patient/")


def _run(command: list[str], folder: Path) -> dict[str, Any]:
    started = time.perf_counter()
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        _, status, used = os.wait4(child.pid, 0)
    return {
        "code": os.waitstatus_to_exitcode(status), "cpu_s": used.ru_utime + used.ru_stime, "wall_s": time.perf_counter() - started,
        "memory_mb": used.ru_maxrss // 1024,
    }  # fmt: skip


def _rows(database: Path) -> dict[str, int]:
    """Rows of the tables that hold something."""
    with closing(sqlite3.connect(database)) as held:
        names = [name for (name,) in held.execute("select name from sqlite_master where type = 'table'")]
        counts = {name: held.execute(f'select count(*) from "{name}"').fetchone()[0] for name in names}
    return {name: count for name, count in counts.items() if count}
