"""The snapshot record: one small JSON file that names every file of one state of the warehouse.

Its appearance under `snapshots/` is the only commit point. Files that no record names are litter.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from estran.model.errors import StoreError
from estran.model.tables import TABLES
from estran.warehouse.files import FileRef, publish

FORMAT = 2  # what this release writes
READABLE = (1, FORMAT)  # an older one is read, and written to once `estran upgrade` has brought it here
FOLDER = "snapshots"
WHOLE_BUCKET = -1  # where tables that are kept whole sit in `TableFiles.files`
KEPT_SNAPSHOTS = 5

Buckets = Mapping[int, tuple[FileRef, ...]]


@dataclass(frozen=True)
class TableFiles:
    """One table: its Delta version and its files by bucket (`WHOLE_BUCKET` for whole tables)."""

    delta: int = 0
    files: Buckets = field(default_factory=dict)

    def all(self) -> list[FileRef]:
        return [ref for bucket in sorted(self.files) for ref in self.files[bucket]]

    def rows(self) -> int:
        return sum(ref.rows for ref in self.all())


@dataclass(frozen=True)
class Record:
    """What one snapshot is made of."""

    version: int
    created: dt.datetime  # aware, UTC
    operation: str  # create, load, mask, compact, erase
    bucket_patients: int
    counters: Mapping[str, int]
    tables: Mapping[str, TableFiles]
    presence: Mapping[int, FileRef] = field(default_factory=dict)
    hidden: Mapping[int, FileRef] = field(default_factory=dict)
    text: Buckets = field(default_factory=dict)  # folders of text indexes, with their documents as rows
    format: int = FORMAT

    def named(self) -> Iterator[FileRef]:
        """Every file (and text index folder) that this snapshot needs."""
        for table in self.tables.values():
            yield from table.all()
        yield from self.presence.values()
        yield from self.hidden.values()
        for refs in self.text.values():
            yield from refs

    def buckets(self) -> list[int]:
        """Numbers of the buckets that hold anything."""
        found = {b for t in self.tables.values() for b, refs in t.files.items() if refs and b != WHOLE_BUCKET}
        return sorted(found)


def path_of(directory: Path, version: int) -> Path:
    return directory / FOLDER / f"{version:09d}.json"


def versions(directory: Path) -> list[int]:
    """Versions of the snapshots that exist, oldest first."""
    folder = directory / FOLDER
    return sorted(int(p.stem) for p in folder.glob("[0-9]" * 9 + ".json"))


def write_record(directory: Path, record: Record) -> None:
    """Commit: after this returns, the snapshot exists for everybody and survives a power cut."""
    publish(path_of(directory, record.version), json.dumps(_to_json(record), indent=1).encode())


def read_record(directory: Path, version: int) -> Record:
    """The record of one version; StoreError when there is none or it cannot be read."""
    path = path_of(directory, version)
    try:
        return _from_json(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise StoreError(f"The warehouse has no snapshot {version}.", where=str(path.parent)) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StoreError("A snapshot record is damaged.", where=str(path), hint="estran check SITE") from None


def _refs(refs: tuple[FileRef, ...]) -> list[list[object]]:
    return [_ref(ref) for ref in refs]


def _ref(ref: FileRef) -> list[object]:
    return [ref.path, ref.size, ref.rows]


def _to_json(record: Record) -> dict[str, object]:
    return {
        "format": record.format,
        "version": record.version,
        "created": record.created.isoformat(),
        "operation": record.operation,
        "bucket_patients": record.bucket_patients,
        "counters": dict(record.counters),
        "tables": {
            name: {"delta": t.delta, "files": {str(b): _refs(refs) for b, refs in sorted(t.files.items())}}
            for name, t in record.tables.items()
        },
        "presence": {str(b): _ref(ref) for b, ref in sorted(record.presence.items())},
        "hidden": {str(b): _ref(ref) for b, ref in sorted(record.hidden.items())},
        "text": {str(b): _refs(refs) for b, refs in sorted(record.text.items())},
    }


def _from_json(value: dict[str, object]) -> Record:
    if value["format"] not in READABLE:
        raise StoreError(
            f"The warehouse has format {value['format']}, this program reads {' and '.join(map(str, READABLE))}.",
            hint="use the version of Estran that wrote it",
        )
    tables = {name: TableFiles(t["delta"], _buckets(t["files"])) for name, t in value["tables"].items()}  # type: ignore[attr-defined]
    return Record(
        version=int(value["version"]),  # type: ignore[call-overload]
        created=dt.datetime.fromisoformat(str(value["created"])),
        operation=str(value["operation"]),
        bucket_patients=int(value["bucket_patients"]),  # type: ignore[call-overload]
        counters=dict(value["counters"]),  # type: ignore[call-overload]
        tables={name: tables.get(name, TableFiles()) for name in TABLES},
        presence=_ones(value["presence"]),
        hidden=_ones(value["hidden"]),
        text=_buckets(value["text"]),
        format=int(str(value["format"])),
    )


def _buckets(value: object) -> Buckets:
    assert isinstance(value, dict)  # noqa: S101
    return {int(b): tuple(FileRef(*ref) for ref in refs) for b, refs in value.items()}


def _ones(value: object) -> dict[int, FileRef]:
    assert isinstance(value, dict)  # noqa: S101
    return {int(b): FileRef(*ref) for b, ref in value.items()}
