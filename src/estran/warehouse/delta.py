"""The Delta log of each table: the same files as the snapshot, in a form other engines read.

The log is a mirror. Where a crash left it ahead of the snapshot, `mirror` brings it back, because
it always commits the difference between what the log lists and what the snapshot will name.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.transaction import AddAction, RemoveAction

from estran.model.tables import BUCKETED, TABLES
from estran.warehouse.files import FileRef, flush

FOLDER = "tables"
LOG = "_delta_log"
# A feed that is loaded every few seconds commits thousands of times a day: what the log held an hour before
# its last checkpoint goes, as do the files of older snapshots.
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


def is_ahead(directory: Path, table: str, version: int) -> bool:
    """Whether the log holds commits after `version`, which no snapshot names."""
    return (directory / folder_of(table) / LOG / f"{version + 1:020d}.json").exists()


def mirror(directory: Path, table: str, files: dict[int, tuple[FileRef, ...]]) -> int:
    """Make the log list exactly `files`; returns the Delta version that does."""
    path = directory / folder_of(table)
    if not (path / LOG).is_dir():  # the site is older than the table
        create_log(directory, table)
    log = DeltaTable(str(path))
    prefix = f"{folder_of(table)}/"
    wanted = {ref.path.removeprefix(prefix): (bucket, ref) for bucket, refs in files.items() for ref in refs}
    listed = _listed(log)
    actions: list[AddAction | RemoveAction] = [_add(p, b, ref) for p, (b, ref) in wanted.items() if p not in listed]
    actions += [_remove(p, size) for p, size in listed.items() if p not in wanted]
    if not actions:
        return int(log.version())
    partitions = ["bucket"] if table in BUCKETED else None
    log.create_write_transaction(actions, "append", delta_schema(table), partitions)
    log.update_incremental()
    version = int(log.version())
    flush(path / LOG / f"{version:020d}.json")
    flush(path / LOG)
    return version


def _listed(log: DeltaTable) -> dict[str, int]:
    actions = pa.table(log.get_add_actions(flatten=True))
    return dict(zip(actions.column("path").to_pylist(), actions.column("size_bytes").to_pylist(), strict=True))


def _add(path: str, bucket: int, ref: FileRef) -> AddAction:
    # Row counts only: smallest and largest ids in the log would outlive an erased patient.
    values = {"bucket": str(bucket)} if "=" in path else {}
    return AddAction(path, ref.size, values, int(time.time() * 1000), True, json.dumps({"numRecords": ref.rows}))


def _remove(path: str, size: int) -> RemoveAction:
    _, equals, rest = path.partition("=")
    values = {"bucket": rest.partition("/")[0]} if equals else {}
    return RemoveAction(path, True, int(time.time() * 1000), size=size, partition_values=values)
