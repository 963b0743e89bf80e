"""The manifest of a datamart: what it holds, of what it was made, and how to prove both."""

from __future__ import annotations

import datetime as dt
import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq

from estran import __version__
from estran.cohort.language.text import to_text
from estran.model.errors import UsageError
from estran.projects.datamarts.spec import Spec
from estran.projects.gate import Shown
from estran.warehouse import Snapshot

VERSION = 1
FILE = "manifest.json"
_LIBRARIES = ("duckdb", "pyarrow", "numpy")
_CHUNK = 1 << 20
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Withdrawn:
    """Patients of an earlier build who objected or were erased since; their number as it may be told."""

    number: int  # of the earlier build
    snapshot: int  # that it was made of
    patients: Shown


def describe(
    spec: Spec, source: Mapping[str, Any], snapshot: Snapshot, site: str, recipient: str, number: int,
    built: dt.datetime, expires: dt.datetime, withdrawn: Withdrawn | None,
) -> Manifest:  # fmt: skip
    """Everything but the tables and files."""
    return {
        "manifest": VERSION, "site": site, "project": spec.project, "name": spec.name, "number": number,
        "recipient": recipient, "built": built.isoformat(timespec="seconds"), "expires": expires.isoformat(timespec="seconds"),
        "snapshot": {"version": snapshot.version, "created": snapshot.created.isoformat()},
        "question": to_text(spec.cohort), "spec": dict(source), "dates": str(spec.dates),
        "fingerprint": spec.fingerprint, "libraries": libraries(), "withdrawn": _withdrawn(withdrawn),
    }  # fmt: skip


def _withdrawn(one: Withdrawn | None) -> dict[str, Any] | None:
    if one is None:
        return None
    told = (
        {"fewer_than": one.patients.below}
        if one.patients.below
        else {"about": one.patients.value, "margin": one.patients.margin}
    )
    return {"since_number": one.number, "since_snapshot": one.snapshot, "patients": told}


def libraries() -> dict[str, str]:
    """The versions on which the bytes depend."""
    found = {"estran": __version__, "python": platform.python_version()}
    return found | {name: metadata.version(name) for name in _LIBRARIES}


def with_tables(manifest: Manifest, tables: Mapping[str, Path], own: Mapping[str, Mapping[str, Any]]) -> Manifest:
    """The manifest with the rows and columns of each table, and the vocabularies of the codes asked for; `own` says of
    columns that the project brought them."""
    shown = []
    for name, path in tables.items():
        with pq.ParquetFile(path) as file:
            columns = [{"name": field.name, "type": str(field.type), **own.get(field.name, {})} for field in file.schema_arrow]
            shown.append({"name": name, "rows": file.metadata.num_rows, "columns": columns})
    return manifest | {"tables": shown, "vocabularies": _vocabularies(tables["codes"])}


def _vocabularies(codes: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for code in pq.read_table(codes, columns=["code"]).column("code").to_pylist():
        vocabulary = str(code).partition(":")[0]
        found[vocabulary] = found.get(vocabulary, 0) + 1
    return found


def with_files(manifest: Manifest, folder: Path) -> Manifest:
    """The manifest with the SHA-256 of each file, and one of them all; DuckDB files are equal by content only, and
    do not count in `reproducible`."""
    files = [
        {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.rglob("*")) if path.is_file() and path.name != FILE
    ]  # fmt: skip
    exact = [one for one in files if not str(one["path"]).endswith(".duckdb")]
    return manifest | {"files": files, "sha256": _overall(files), "reproducible": _overall(exact)}


def _overall(files: Sequence[Mapping[str, Any]]) -> str:
    lines = "".join(f"{one['sha256']}  {one['path']}\n" for one in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            found.update(piece)
    return found.hexdigest()


def dumps(manifest: Manifest) -> str:
    """As it is written."""
    return orjson.dumps(manifest, option=orjson.OPT_INDENT_2).decode() + "\n"


def pinned(given: Mapping[str, Any]) -> tuple[Any, int, str] | None:
    """Specification, snapshot and recipient of a manifest; None when the object is something else."""
    if "manifest" not in given:
        return None
    try:
        if given["manifest"] != VERSION:
            raise UsageError("This version of manifests is not known.", hint=f"version {VERSION} is")
        return given["spec"], int(given["snapshot"]["version"]), str(given["recipient"])
    except (KeyError, TypeError, ValueError):
        raise UsageError("The manifest is not whole.") from None
