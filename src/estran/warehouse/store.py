"""The warehouse of a site: its snapshots, its writer, its upkeep."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pyroaring import BitMap

from estran.model.errors import StoreError
from estran.model.tables import TABLES
from estran.settings import Settings
from estran.warehouse import check, compaction, delta, erasure
from estran.warehouse.check import Finding
from estran.warehouse.confidential import Scope
from estran.warehouse.digest import digest as content_digest
from estran.warehouse.draft import Draft, empty_tables
from estran.warehouse.presence import members
from estran.warehouse.record import FORMAT, KEPT_SNAPSHOTS, Record, path_of, read_record, versions, write_record
from estran.warehouse.snapshot import Snapshot
from estran.warehouse.writer import Writer

_OPEN_SNAPSHOTS = 4


@dataclass(frozen=True)
class SnapshotInfo:
    """A snapshot as listed: when and by what operation it was made, its size in bytes."""

    version: int
    created: dt.datetime
    operation: str
    size: int


@dataclass(frozen=True)
class Compaction:
    """What `compact` did: files named before and after, bytes freed on disk, patients erased."""

    version: int
    files_before: int
    files_after: int
    freed: int
    erased: list[int]


class Warehouse:
    """The `warehouse` folder of a site. Reading needs no lock; writing takes one."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        """Use `create` or `open`."""
        self.directory = directory
        self.settings = settings
        self._snapshots: dict[tuple[int, Scope], Snapshot] = {}
        self._lock = threading.Lock()

    @classmethod
    def create(cls, directory: Path, settings: Settings) -> Warehouse:
        """Make an empty warehouse; StoreError when there is one already."""
        directory = directory.resolve()
        if versions(directory):
            raise StoreError("There is a warehouse here already.", where=str(directory))
        for table in TABLES:
            delta.create_log(directory, table)
        counters = dict.fromkeys(("document", "concept", "unit", "load", "file"), 0)
        now = dt.datetime.now(dt.UTC)
        write_record(directory, Record(0, now, "create", settings.bucket_patients, counters, empty_tables()))
        return cls(directory, settings)

    @classmethod
    def open(cls, directory: Path, settings: Settings) -> Warehouse:
        """Open an existing warehouse; StoreError when there is none or the bucket size was changed."""
        directory = directory.resolve()
        known = versions(directory)
        if not known:
            raise StoreError("There is no warehouse here.", where=str(directory), hint="estran init SITE")
        size = read_record(directory, known[-1]).bucket_patients
        if size != settings.bucket_patients:
            raise StoreError(
                f"The warehouse was made with {size} patients per bucket, the settings say {settings.bucket_patients}.",
                hint=f"set bucket_patients = {size}",
            )
        return cls(directory, settings)

    def latest(self) -> int:
        """Version of the newest snapshot."""
        return versions(self.directory)[-1]

    def snapshot(self, version: int | None = None, scope: Scope = Scope.RESEARCH) -> Snapshot:
        """The newest snapshot, or an older one that is still kept; StoreError when it is not.

        What is confidential is closed unless `scope` opens it. An older snapshot also hides whoever is opposed and
        what is confidential today.
        """
        latest = self.latest()
        if version is not None and version != latest:
            records = read_record(self.directory, version), read_record(self.directory, latest)
            return Snapshot(self.directory, self.settings, *records, scope)
        with self._lock:
            if (latest, scope) not in self._snapshots:
                record = read_record(self.directory, latest)
                self._keep(Snapshot(self.directory, self.settings, record, scope=scope))
            return self._snapshots[latest, scope]

    def _keep(self, snapshot: Snapshot) -> None:
        self._snapshots[snapshot.version, snapshot.scope] = snapshot
        oldest = sorted({version for version, _ in self._snapshots})[:-_OPEN_SNAPSHOTS]
        self._snapshots = {key: kept for key, kept in self._snapshots.items() if key[0] not in oldest}

    def versions(self) -> list[SnapshotInfo]:
        """Snapshots that can be opened, oldest first."""
        records = [read_record(self.directory, version) for version in versions(self.directory)]
        return [SnapshotInfo(r.version, r.created, r.operation, sum(f.size for f in r.named())) for r in records]

    @contextmanager
    def writer(self) -> Iterator[Writer]:
        """The one writer, until the end of the `with`; StoreError when another process writes, or when an
        older release made the site."""
        with self._locked():
            writer = Writer(self.snapshot(scope=Scope.CARE), self.settings)
            if writer.snapshot.record.format != FORMAT:
                raise StoreError(
                    f"The site has format {writer.snapshot.record.format}, this release writes {FORMAT}.",
                    where=str(self.directory),
                    hint="estran upgrade SITE",
                )
            yield writer
            with self._lock:
                self._keep(writer.snapshot)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self.directory / "writer.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StoreError(
                "Another process is writing to this warehouse.", where=str(self.directory), hint="wait until it ends"
            ) from None
        try:
            yield
        finally:
            os.close(descriptor)

    def compact(self, *, keep: int = KEPT_SNAPSHOTS) -> Compaction:
        """Carry out pending erasures, merge files, drop retired rows, then `vacuum(keep)`.

        The patients erased are named in the answer: the caller's vault must forget them too.
        """
        with self.writer() as writer:
            before = writer.snapshot
            erased = erasure.pending(before)
            if erased:
                self._erase(writer, erased, ())
                keep = 1
            draft = Draft(self.directory, self.settings, writer.snapshot.record)
            compaction.compact(draft, writer.snapshot)
            after = writer.finish(draft, "compact", {})
            freed = compaction.vacuum(self.directory, keep)
        return Compaction(after.version, _files(before), _files(after), freed, members(erased).tolist())

    def erase(self, patient_ids: Iterable[int], identity_ids: Iterable[int] = ()) -> Snapshot:
        """Remove patients from every table, bitmap and index, and every snapshot that held them.

        `identity_ids` are the identities that the vault knows to be theirs: retired documents that
        a merge left under another patient go too. A permission row (kind erasure) stays as trace.
        """
        with self.writer() as writer:
            self._erase(writer, BitMap(patient_ids), identity_ids)
            compaction.vacuum(self.directory, 1)
            return writer.snapshot.scoped(Scope.RESEARCH)

    def _erase(self, writer: Writer, patients: BitMap, identities: Iterable[int]) -> None:
        draft = Draft(self.directory, self.settings, writer.snapshot.record)
        erasure.erase(draft, writer.snapshot, patients, identities)
        writer.finish(draft, "erase", {})

    def owes_compaction(self, patience: int = 0) -> bool:
        """Whether files still hold in clear what has been masked since (a name learnt later), and did
        `patience` snapshots ago."""
        return compaction.owed(self.directory, patience)

    @contextmanager
    def upgrading(self) -> Iterator[int]:
        """Bring the warehouse to the format of this release at the end of the `with`, in which nobody writes;
        gives the version of the snapshot as it was. Nothing happens when it is there already."""
        with self._locked():
            record = read_record(self.directory, self.latest())
            yield record.version
            if record.format == FORMAT:
                return
            for table in TABLES:
                delta.create_log(self.directory, table)
            tables = {name: record.tables[name] for name in TABLES}
            now = dt.datetime.now(dt.UTC)
            write_record(
                self.directory,
                replace(record, version=record.version + 1, created=now, operation="upgrade", tables=tables, format=FORMAT),
            )

    @contextmanager
    def going_back(self, version: int) -> Iterator[None]:
        """Forget every snapshot after `version` at the end of the `with`. StoreError when a load came since, or
        when files that it names are gone."""
        with self._locked():
            after = [v for v in versions(self.directory) if v > version]
            if version not in versions(self.directory) or any(
                read_record(self.directory, v).operation != "upgrade" for v in after
            ):
                raise StoreError(
                    "The site was written to since its upgrade.", where=str(self.directory), hint="restore a backup"
                )
            missing = [f for f in read_record(self.directory, version).named() if not (self.directory / f.path).exists()]
            if missing:
                raise StoreError("Files of the older snapshot are gone.", where=missing[0].path, hint="restore a backup")
            yield
            for newer in reversed(after):
                path_of(self.directory, newer).unlink()

    def vacuum(self, *, keep: int = KEPT_SNAPSHOTS) -> int:
        """Forget all but the last `keep` snapshots, delete every file that none names; returns bytes freed."""
        with self._locked():
            return compaction.vacuum(self.directory, max(1, keep))

    def check(self, version: int | None = None) -> list[Finding]:
        """Prove what must always hold of a snapshot; an empty list is good news."""
        return check.check(self.snapshot(version))

    def digest(self, patients: Mapping[int, str], stays: Mapping[int, str]) -> str:
        """One hash of the logical content; the mappings give natural keys (see `warehouse.digest`)."""
        return content_digest(self.snapshot(), patients, stays)


def _files(snapshot: Snapshot) -> int:
    return sum(1 for _ in snapshot.record.named())
