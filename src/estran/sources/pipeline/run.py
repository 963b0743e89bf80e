"""The load: landing, reading, resolving, settling, masking, committing, replaying.

landing keeps the bytes -> a reader yields identified records -> the vault numbers patients and
stays -> terminology numbers codes -> versions are settled -> texts are masked -> one snapshot
-> records that waited for a patient come back by themselves
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import proxy

import pyarrow as pa
import pyarrow.compute as pc

from estran.identity import vault as vaults
from estran.identity.keys import SiteKey
from estran.model.errors import InputRefused
from estran.settings import Settings
from estran.sources.landing import Landing
from estran.sources.packed import Condenses
from estran.sources.pipeline.authorities import read_authorities
from estran.sources.pipeline.columns import fetch
from estran.sources.pipeline.commit import Committer
from estran.sources.pipeline.held import Held
from estran.sources.pipeline.reissue import Reissuer
from estran.sources.pipeline.resolve import Resolver
from estran.sources.pipeline.tally import LoadRow
from estran.sources.pipeline.units import UnitBook
from estran.sources.pipeline.warm import Warm
from estran.sources.records import Batch, Reader
from estran.sources.unnamed import unnamed
from estran.terminology.book import ConceptBook
from estran.warehouse import Changes, Warehouse, Writer

FACTS_PER_COMMIT = 4_000_000

ReaderOf = Callable[[str], Reader]  # the reader of a format for one source

Key = tuple[int, int, str]  # load_id, file_no, part
Wanted = dict[str, dict[int, int]]  # part -> record_no -> load_id of its quarantine row


@dataclass(frozen=True)
class Parts:
    """What a load works with."""

    warehouse: Warehouse
    vault: vaults.Vault
    landing: Landing
    key: SiteKey
    settings: Settings
    readers: dict[str, ReaderOf]
    databases: dict[str, Callable[[Path], str]] = field(default_factory=dict)  # names a file's database
    warm: Warm = field(default_factory=Warm)  # kept by whoever loads often


@dataclass(frozen=True)
class Progress:
    """Told after every batch: the file, its place among the files, records read so far."""

    file: str
    number: int
    files: int
    read: int


@dataclass(frozen=True)
class FileCount:
    """What became of one part of one file in this load."""

    file: str
    part: str
    read: int
    loaded: int
    superseded: int
    quarantined: int


@dataclass
class Report:
    """What a load did. read = loaded + superseded + quarantined, in every line and in the sum."""

    source: str
    files: list[FileCount] = field(default_factory=list)
    replayed: int = 0  # records set free from quarantine by this load, of whatever source
    unknown_stays: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    refused_files: dict[str, str] = field(default_factory=dict)
    snapshot: int = 0
    seconds: float = 0.0

    def total(self, name: str) -> int:
        """Sum of `read`, `loaded`, `superseded` or `quarantined`."""
        return sum(getattr(item, name) for item in self.files)


def ingest(
    parts: Parts,
    format_name: str,
    paths: list[Path],
    *,
    name: str = "",
    progress: Callable[[Progress], None] = lambda _: None,
    patience: int = 0,
) -> Report:
    """Load `paths` with the reader of `format_name`; see Report. Raises InputRefused when nothing
    at all could be read, StoreError when another load holds the site. What has to leave every file
    leaves it now, or after at most `patience` more snapshots."""
    started = time.perf_counter()
    files = parts.readers[format_name](f"{format_name}/{name}" if name else format_name).files(paths)
    if not files:
        raise InputRefused(f"No file of format '{format_name}' was found.", where=", ".join(map(str, paths)))
    with parts.warehouse.writer() as writer, _rare_collections():
        load = Load(parts, writer, format_name, name)
        for number, path in enumerate(files, start=1):
            for read in load.file(path):
                progress(Progress(path.name, number, len(files), read))
        load.commit()
        load.reissue()
        load.replay()
        report = load.report()
        load.leave()
    if parts.warehouse.owes_compaction(patience):  # a name learnt by this load leaves every file at once
        parts.warehouse.compact()
    report.snapshot = parts.warehouse.latest()
    report.seconds = time.perf_counter() - started
    if report.refused_files and not report.total("read"):
        raise InputRefused(
            "Nothing of the input could be read.", where="; ".join(f"{f}: {w}" for f, w in report.refused_files.items())
        )
    return report


def retry(parts: Parts, source: str = "") -> tuple[int, int]:
    """Read the quarantined records of `source` (all when empty) anew, after a mapping or a reader was
    mended; returns how many were set free and how many stay."""
    format_name, _, name = source.partition("/")
    with parts.warehouse.writer() as writer, _rare_collections():
        load = Load(parts, writer, format_name, name)
        load.try_again(source)
        freed = load.report().replayed
        left = fetch(writer.snapshot.connect(), "select source from raw_quarantine")["source"].to_pylist()
    return freed, sum(1 for item in left if source in ("", item))


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """A load makes millions of objects and no cycles: looking for cycles took a tenth of its time."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextlib.contextmanager
def _to_land(reader: Reader, path: Path) -> Iterator[tuple[Path, str]]:
    """What to land and read, and the name to keep in the vault: where it lies, when it is read from a pack."""
    chooses = getattr(reader, "condenses", None)  # a reader may condense some of its files only
    if not isinstance(reader, Condenses) or (chooses is not None and not chooses(path)):
        yield path, path.name
        return
    with unnamed() as (out, pack):
        reader.condense(path, out)
        out.flush()
        yield pack, str(path.resolve())


class Load:
    """One load in progress; holds the writer's lock through its writer."""

    def __init__(self, parts: Parts, writer: Writer, format_name: str, name: str) -> None:
        self._parts, self._writer, self._format, self._name = parts, writer, format_name, name
        before = writer.snapshot
        self._units = UnitBook(before.stored("unit"), writer.counter("unit"))
        self._resolver = Resolver(
            parts.vault,
            parts.key,
            parts.warm.take(writer.snapshot)
            or ConceptBook(*map(before.stored, ("concept", "concept_ancestor", "concept_map", "concept_synonym"))),
            self._units,
            writer.counter("concept"),
            read_authorities(parts.settings.authorities),
        )
        self._reached: dict[int, bool] = {}
        self._before = before
        weak = proxy(self)  # no cycle: what a load held is free when it ends
        self._held = Held(before, lambda file_no: weak._reaches(file_no))  # noqa: PLW0108 (a method would hold the load)
        self._load_id = writer.counter("load")
        self._names: dict[int, str] = {}
        self._report = Report(f"{format_name}/{name}" if name else format_name)
        self._rows: dict[tuple[int, int, str], LoadRow] = {}
        self._to_skip: dict[tuple[int, str], int] = {}  # records of (file, part) already committed

    # reading --------------------------------------------------------------------------------------

    def _source_of(self, path: Path) -> str:
        """format/name: the name given, else that of the database the file is part of, else none."""
        tells = self._parts.databases.get(self._format)
        name = self._name or (tells(path) if tells else "")
        return f"{self._format}/{name}" if name else self._format

    def file(self, path: Path) -> Iterator[int]:
        """Land one file and gather its batches, committing whenever enough has come together; tells
        after each batch how many records of the file were read."""
        reader = self._parts.readers[self._format](self._source_of(path))
        try:
            with _to_land(reader, path) as (source, name):
                yield from self._landed(path, source, name)
        except InputRefused as refusal:  # nothing of it could be condensed
            self._report.refused_files[path.name] = refusal.what

    def _landed(self, path: Path, source: Path, name: str) -> Iterator[int]:
        """`source` is what is landed of `path` and read: the file itself, or its pack."""
        digest = self._parts.landing.keep(source)
        file_no, _ = self._parts.vault.keep_file(digest, name, source.stat().st_size, self._format)
        self._reached[file_no] = True  # the same file again: its records can be replayed
        self._names[file_no] = path.name
        self._source = self._source_of(path)
        yield from self._read(file_no, source, path.name, self._interrupted(file_no))

    def again(self, file_no: int, source: str, rows: dict[str, LoadRow], *, counted: bool) -> Iterator[int]:
        """Read a landed file anew, as the source it came by; `rows`, by part, are those of the load it came in,
        and stay its account. When they have `counted` the file already, what comes back counts as loaded there,
        no longer as superseded."""
        kept = self._parts.vault.file(file_no)
        self._source, self._names[file_no] = source, Path(kept.name).name
        self._rows |= {row.key: row for row in rows.values()}
        with self._parts.landing.restored(kept.sha256) as copy:
            yield from self._read(file_no, copy, kept.name, rows, counted=counted)

    def _read(
        self, file_no: int, path: Path, name: str, done: dict[str, LoadRow], *, counted: bool = False
    ) -> Iterator[int]:
        reader = self._parts.readers[self._source.partition("/")[0]](self._source)
        read = 0
        try:
            for batch in reader.read(path, name):
                read += batch.records.num_rows
                if counted and batch.part in done:
                    done[batch.part].read -= batch.records.num_rows
                    done[batch.part].superseded -= batch.records.num_rows
                self._add(batch, file_no, done)
                yield read
        except InputRefused as refusal:
            self._report.refused_files[self._names[file_no]] = refusal.what
            return
        for row in self._rows.values():
            if row.file_no == file_no:
                row.complete, row.finished = True, _now()

    def _interrupted(self, file_no: int) -> dict[str, LoadRow]:
        """Rows of an earlier load of this file that never ended: this load goes on from there."""
        ours = [r for r in self._never_ended if (r["file_no"], r["source"]) == (file_no, self._source)]
        left = {row["part"]: LoadRow(**row) for row in ours}
        self._to_skip |= {(file_no, part): row.read for part, row in left.items()}
        return left

    @cached_property
    def _never_ended(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._before.stored("load").filter(~pc.field("complete")).to_pylist()
        return rows

    def _add(self, batch: Batch, file_no: int, done: dict[str, LoadRow]) -> None:
        row = self._row(batch.part, file_no, done)
        left = self._to_skip.pop((file_no, batch.part), 0)
        if left >= batch.records.num_rows and left:  # committed before the interruption
            self._to_skip[file_no, batch.part] = left - batch.records.num_rows
            return
        with self._parts.vault.transaction():
            # Of a batch that was cut otherwise then, the first records come again: they change nothing.
            self._resolver.add(batch, row, counted=left)
        enough = self._parts.settings.commit_records
        if self._resolver.tally.records >= enough or self._resolver.gathered.fact_rows >= FACTS_PER_COMMIT:
            self.commit()

    def _row(self, part: str, file_no: int, done: dict[str, LoadRow]) -> LoadRow:
        key = (self._load_id, file_no, part)
        if part in done:
            key = done[part].key
        if key not in self._rows:
            self._rows[key] = done.get(part) or LoadRow(self._load_id, file_no, part, self._source, _now())
        return self._rows[key]

    # committing -----------------------------------------------------------------------------------

    def commit(self) -> None:
        """Make everything gathered a snapshot: vault first, then warehouse."""
        with self._parts.vault.transaction():  # originals are durable before what was masked is
            changes = Committer(
                self._writer, self._parts.vault, self._resolver.gathered, self._resolver.tally
            ).prepare()
        closed = self._resolver.tally.close(self._held)
        self._add_rows(changes, closed.load_table(), closed.quarantine_table(), closed.released_table())
        self._writer.commit(changes)
        self._report.replayed += len(closed.released)
        self._resolver.fresh()

    def _add_rows(self, changes: Changes, loads: pa.Table, entries: pa.Table, released: pa.Table) -> None:
        keys = {tuple(k) for k in zip(*(loads[n].to_pylist() for n in ("load_id", "file_no", "part")), strict=True)}
        rest = [row for key, row in self._rows.items() if key not in keys]
        if rest:
            loads = pa.concat_tables([loads, pa.Table.from_pylist([dict(vars(r)) for r in rest], loads.schema)])
        if loads.num_rows:
            changes.upsert["load"] = loads
        if entries.num_rows:
            changes.upsert["quarantine"] = entries
        if released.num_rows:
            changes.remove["quarantine"] = released
        units = self._units.changed()
        if units.num_rows:
            changes.upsert["unit"] = units
        changes.counters |= {
            "concept": self._resolver.next_concept,
            "unit": self._units.next_id,
            "load": self._load_id + 1,
        }

    # afterwards -----------------------------------------------------------------------------------

    def leave(self) -> None:
        """Leave what the next load can go on with; everything is committed."""
        self._parts.warm.leave(self._resolver.book, self._writer.snapshot)

    def reissue(self) -> None:
        """Mask and place anew the documents of patients whose identity changed."""
        Reissuer(self._writer, self._parts.vault).run()

    def replay(self) -> None:
        """Load the quarantined records whose patient is known by now, until nothing moves."""
        for _ in range(10):  # a replayed record can introduce a patient in its turn
            if not self._writer.snapshot.files("quarantine"):
                return
            waiting = self._ready()
            if not waiting.num_rows:
                return
            before = self._report.replayed
            self._replay_rows(waiting)
            if self._report.replayed == before:
                return

    def try_again(self, source: str) -> None:
        """Read every quarantined record of `source` anew, whatever its reason; all sources when it is empty."""
        condition = "where source = ?" if source else ""
        rows = fetch(
            self._writer.snapshot.connect(),
            f"select file_no, part, source, load_id, record_no from raw_quarantine {condition}"
            " order by file_no, source, part, record_no",
            [source] if source else [],
        )
        if rows.num_rows:
            self._replay_rows(rows)
        self.replay()

    def _ready(self) -> pa.Table:
        connection = self._writer.snapshot.connect()
        waits = fetch(connection, "select distinct waits_for from raw_quarantine where waits_for is not null")
        hashes = waits["waits_for"].to_numpy()
        known = pa.table({"waits_for": hashes[self._parts.vault.known_hashes(hashes)]})
        connection.register("known", known)
        rows = fetch(
            connection,
            "select file_no, part, source, load_id, record_no from raw_quarantine semi join known using (waits_for)"
            " order by file_no, source, part, record_no",
        )
        connection.unregister("known")
        return rows

    def _replay_rows(self, waiting: pa.Table) -> None:
        loads: dict[Key, LoadRow] = {
            (r["load_id"], r["file_no"], r["part"]): LoadRow(**r) for r in self._stored_loads()
        }
        loads |= self._rows
        by_file: dict[tuple[int, str, int], Wanted] = {}  # a batch is counted on one load
        for row in waiting.to_pylist():
            parts = by_file.setdefault((row["file_no"], row["source"], row["load_id"]), {})
            parts.setdefault(row["part"], {})[row["record_no"]] = row["load_id"]
        for (file_no, source, _), wanted in by_file.items():
            if self._reaches(file_no):
                self._replay_file(file_no, source, wanted, loads)
        self.commit()
        self.reissue()

    def _reaches(self, file_no: int) -> bool:
        """Whether the landed file is still there: the erasure of one patient takes it from all others."""
        if file_no not in self._reached:
            self._reached[file_no] = self._parts.landing.holds(self._parts.vault.file(file_no).sha256)
        return self._reached[file_no]

    def _replay_file(self, file_no: int, source: str, wanted: Wanted, loads: dict[Key, LoadRow]) -> None:
        landed = self._parts.vault.file(file_no)
        reader = self._parts.readers[source.partition("/")[0]](source)
        numbers = frozenset(n for part in wanted.values() for n in part)
        with self._parts.landing.restored(landed.sha256) as copy:
            for batch in reader.read(copy, landed.name, numbers):
                if not batch.records.num_rows or batch.part not in wanted:
                    continue
                load_id = wanted[batch.part][int(batch.records["record_no"][0].as_py())]
                row = self._rows.setdefault((load_id, file_no, batch.part), loads[load_id, file_no, batch.part])
                with self._parts.vault.transaction():
                    self._resolver.add(batch, row, replayed=True)

    def _stored_loads(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._writer.snapshot.stored("load").to_pylist()
        return rows

    def _reasons(self) -> dict[str, int]:
        if not self._writer.snapshot.files("quarantine"):
            return {}
        query = "select code || ': ' || reason, count(*) from raw_quarantine where load_id = ? group by 1 order by 2 desc, 1"
        return dict(self._writer.snapshot.connect().execute(query, [self._load_id]).fetchall())

    def report(self) -> Report:
        """What this load came to, replays included."""
        self._report.reasons = self._reasons()
        for row in self._rows.values():
            if row.load_id == self._load_id or row.file_no in self._names:
                self._report.files.append(
                    FileCount(
                        self._names.get(row.file_no, ""),
                        row.part,
                        row.read,
                        row.loaded,
                        row.superseded,
                        row.quarantined,
                    )
                )
                self._report.unknown_stays += row.unknown_stays
        return self._report


def _now() -> int:
    return int(time.time() * 1_000_000)
