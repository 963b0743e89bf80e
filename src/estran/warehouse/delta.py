"""The Delta log of each table: the same files as the snapshot, in a form other engines read.

The log is a mirror. Where it does not end at the snapshot (a crash left it ahead, somebody removed it), `mirror`
brings it back: it commits the difference between what the log lists and what the snapshot will name.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from estran.model.errors import StoreError
from estran.model.tables import BUCKETED, TABLES
from estran.warehouse.files import FileRef, flush, publish
from estran.warehouse.record import Buckets, TableFiles

FOLDER = "tables"
LOG = "_delta_log"
# A feed that is loaded every few seconds commits thousands of times a day: what the log held an hour before
# its last checkpoint goes, as do the files of older snapshots.
_CHECKPOINT = 100  # commits
_SETTINGS = {"delta.logRetentionDuration": "interval 1 hours"}


def folder_of(table: str) -> str:
    """Folder of a table's files, relative to the warehouse."""
    return f"{FOLDER}/{table}"


def bucket_folder(table: str, bucket: int) -> str:
    """Folder of one bucket's files of a table, relative to the warehouse."""
    return f"{folder_of(table)}/bucket={bucket}" if table in BUCKETED else folder_of(table)


def delta_schema(table: str) -> pa.Schema:
    """Schema as the log states it: bucketed tables are partitioned by `bucket`."""
    schema = TABLES[table]
    return schema.append(pa.field("bucket", pa.int32())) if table in BUCKETED else schema


def create_log(directory: Path, table: str) -> None:
    """Start the log of an empty table."""
    path = directory / folder_of(table)
    path.mkdir(parents=True, exist_ok=True)
    partitions = ["bucket"] if table in BUCKETED else None
    DeltaTable.create(
        str(path), delta_schema(table), mode="ignore", partition_by=partitions, name=table, configuration=_SETTINGS
    )
    for written in (*(path / LOG).glob(_commit(0)), path / LOG, path):
        flush(written)


def strays(directory: Path, table: str, version: int) -> bool:
    """Whether the log does not end at `version`, which the last snapshot names. Its own commit is looked for too: a
    log that a long unload left far ahead has lost the first ones to its retention."""
    log = directory / folder_of(table) / LOG
    if (log / _commit(version)).exists():
        return (log / _commit(version + 1)).exists()
    return log.is_dir()


def _commit(version: int) -> str:
    return f"{version:020d}.json"


def mirror(directory: Path, table: str, known: TableFiles, files: Buckets) -> int:
    """Make the log list exactly `files`; returns the Delta version that does. `known` is what the last snapshot
    says of the table: unless the log strays, it ends there. StoreError when it strays and cannot be read."""
    path = directory / folder_of(table)
    version, listed = known.delta, _named(table, known.files)
    if not (path / LOG).is_dir() or strays(directory, table, version):
        with _legible(path):
            create_log(directory, table)  # of a site older than the table, or whose log was removed
            version, listed = _read(path)
    wanted = _named(table, files)
    now = int(time.time() * 1000)
    actions = [_add(name, ref, now) for name, ref in wanted.items() if name not in listed]
    actions += [_remove(name, ref, now) for name, ref in listed.items() if name not in wanted]
    if not actions:
        return version
    told = {"commitInfo": {"timestamp": now, "operation": "WRITE", "engineInfo": "estran"}}
    # Written here: the library takes the time of a small commit to say that one file came.
    publish(path / LOG / _commit(version + 1), b"\n".join(map(orjson.dumps, [told, *actions])) + b"\n")
    if (version + 1) % _CHECKPOINT == 0:
        _condense(path, version + 1)
    return version + 1


def _condense(path: Path, version: int) -> None:
    """Sum the log up in a checkpoint, and forget the old commits once it is on the disk for good."""
    with _legible(path):
        log = DeltaTable(str(path))
        log.create_checkpoint()
        for file in [*(path / LOG).glob(f"{version:020d}.checkpoint*"), path / LOG / "_last_checkpoint", path / LOG]:
            flush(file)
        log.cleanup_metadata()


@contextmanager
def _legible(path: Path) -> Iterator[None]:
    try:
        yield
    except DeltaError:
        raise StoreError(
            "The Delta log of a table cannot be read.",
            where=str(path / LOG),
            hint="remove it: the next load writes it anew",
        ) from None


def _named(table: str, files: Buckets) -> dict[str, FileRef]:
    """Files by their name in the log."""
    prefix = f"{folder_of(table)}/"
    return {ref.path.removeprefix(prefix): ref for refs in files.values() for ref in refs}


def _read(path: Path) -> tuple[int, dict[str, FileRef]]:
    """Version of the log, and the files that it lists."""
    log = DeltaTable(str(path))
    actions = pa.table(log.get_add_actions(flatten=True))
    rows = zip(actions.column("path").to_pylist(), actions.column("size_bytes").to_pylist(), strict=True)
    return int(log.version()), {name: FileRef(name, size, 0) for name, size in rows}


def _add(name: str, ref: FileRef, now: int) -> dict[str, Any]:
    # Row counts only: smallest and largest ids in the log would outlive an erased patient.
    stats = orjson.dumps({"numRecords": ref.rows}).decode()
    action = {"path": name, "partitionValues": _partition(name), "size": ref.size, "modificationTime": now}
    return {"add": {**action, "dataChange": True, "stats": stats}}


def _remove(name: str, ref: FileRef, now: int) -> dict[str, Any]:
    action = {"path": name, "deletionTimestamp": now, "dataChange": True, "extendedFileMetadata": True}
    return {"remove": {**action, "partitionValues": _partition(name), "size": ref.size}}


def _partition(name: str) -> dict[str, str]:
    folder, equals, rest = name.partition("=")
    return {folder: rest.partition("/")[0]} if equals else {}
