"""Upkeep: fewer, larger files without retired rows; and removal of what no snapshot names."""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path

import duckdb
from pyroaring import BitMap

from estran.model.tables import BUCKETED, TABLES
from estran.warehouse import record as records
from estran.warehouse import texts
from estran.warehouse.changes import KEYS
from estran.warehouse.draft import PIECE_ROWS, Draft
from estran.warehouse.files import FileRef
from estran.warehouse.hidden import Hidden, write_hidden
from estran.warehouse.rebuild import Gone, holds_gone, rebuild
from estran.warehouse.record import WHOLE_BUCKET
from estran.warehouse.snapshot import Snapshot

_OF_DOCUMENT = ("document", "text", "fact", "fact_by_concept", "fact_attribute", "media", "variant", "stay_link")
_DATA_FOLDERS = ("tables", "presence", "hidden", "text")


def compact(draft: Draft, snapshot: Snapshot) -> None:
    """Merge the files of every table, drop the rows of retired documents, forget their list."""
    for bucket in [*snapshot.buckets, WHOLE_BUCKET]:
        retired = snapshot.retired(bucket)
        with Gone(documents=retired).connection() as connection:
            for table in TABLES:
                if (table in BUCKETED) == (bucket != WHOLE_BUCKET) and _worth(
                    draft, connection, table, bucket, bool(retired)
                ):
                    rebuild(draft, connection, table, bucket)
        if bucket != WHOLE_BUCKET:
            texts.merge(draft, bucket, retired)
            set_hidden(draft, bucket, Hidden(BitMap(), snapshot.hidden(bucket).cancelled - retired))


def _worth(draft: Draft, connection: duckdb.DuckDBPyConnection, table: str, bucket: int, retired: bool) -> bool:
    refs = draft.files(table, bucket)
    few = 1 if table not in KEYS else 1 + 2 * sum(ref.rows for ref in refs) // PIECE_ROWS
    if len(refs) > few:
        return True
    return retired and table in _OF_DOCUMENT and holds_gone(connection, table, draft.paths(table, bucket))


def set_hidden(draft: Draft, bucket: int, hidden: Hidden) -> None:
    """Write the bucket's hidden documents anew, or drop the file when there are none."""
    draft.hidden.pop(bucket, None)
    if hidden != Hidden():
        path = draft.place(f"hidden/{bucket}", ".bits")
        size, count = write_hidden(path, hidden)
        draft.hidden[bucket] = FileRef(draft.relative(path), size, count)


def vacuum(directory: Path, keep: int) -> int:
    """Forget all but the last `keep` snapshots, and those that hold what was erased or masked since;
    returns bytes freed.

    Files that no other snapshot names are deleted. To be called under the writer's lock: files being written would look like litter.
    """
    known = records.versions(directory)
    every = [records.read_record(directory, version) for version in known]
    kept = every[max(_first_clean(every), len(every) - keep) :]
    for version in known[: -len(kept)]:
        records.path_of(directory, version).unlink()
    named = {ref.path for record in kept for ref in record.named()}
    freed = sum(_delete(path) for path in litter(directory, named))
    for folder in (records.FOLDER, "tables/*/_delta_log"):
        for path in directory.glob(f"{folder}/.*"):  # what a crash left of a file that never got its name
            path.unlink()
    return freed


def _first_clean(every: list[records.Record]) -> int:
    """Place of the first snapshot without what an erasure, or a compaction after a mask, took out of
    all files: also when the process that did it was cut short."""
    first, masked = 0, False
    for place, record in enumerate(every):
        masked |= record.operation == "mask"
        if record.operation == "erase" or (masked and record.operation == "compact"):
            first, masked = place, False
    return first


def owed(directory: Path, patience: int = 0) -> bool:
    """Whether files still hold rows that a mask replaced: no compaction came after it. True only once
    `patience` more snapshots came."""
    operations = [_operation(directory, version) for version in records.versions(directory)]
    last = max((i for i, o in enumerate(operations) if o == "compact"), default=0)
    return "mask" in operations[last : max(0, len(operations) - patience)]


@lru_cache(maxsize=1024)
def _operation(directory: Path, version: int) -> str:
    """What made a snapshot (a record never changes): asked after every load, of every snapshot kept."""
    return records.read_record(directory, version).operation


def litter(directory: Path, named: set[str]) -> list[Path]:
    """Files and text index folders that are not among `named`."""
    found: list[Path] = []
    for folder in _DATA_FOLDERS:
        pattern = "*/*" if folder != "tables" else "**/*.parquet"
        for path in (directory / folder).glob(pattern):
            if path.relative_to(directory).as_posix() not in named and "_delta_log" not in path.parts:
                found.append(path)
    return found


def _delete(path: Path) -> int:
    if path.is_dir():
        size = texts.folder_size(path)
        shutil.rmtree(path)
        return size
    size = path.stat().st_size
    path.unlink()
    return size
