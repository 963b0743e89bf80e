"""The one writer of a warehouse, and its commit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyroaring import BitMap

from estran.model.codes import HIDDEN_STATUS
from estran.model.errors import StoreError
from estran.settings import Settings
from estran.warehouse import presence_update, texts
from estran.warehouse.changes import KEYS, Changes, split
from estran.warehouse.confidential import Scope
from estran.warehouse.draft import Draft
from estran.warehouse.files import FileRef
from estran.warehouse.hidden import Hidden, write_hidden
from estran.warehouse.presence import Pair, bitmap, members, write_presence
from estran.warehouse.record import write_record
from estran.warehouse.scratch import scratch
from estran.warehouse.snapshot import Snapshot

_HIDDEN = pa.array([int(status) for status in HIDDEN_STATUS], pa.int8())

Ints = npt.NDArray[np.int64]


class Writer:
    """Adds snapshots, one per `commit`. Got from `Warehouse.writer()`; not for use by two threads.

    `snapshot` is what was committed last, confidential data open: who writes must know all of it. What `commit`
    returns is for readers, and keeps it closed.
    """

    def __init__(self, snapshot: Snapshot, settings: Settings) -> None:
        self.snapshot = snapshot
        self._settings = settings
        self._held: set[str] | None = None  # operations of commits that wait to become visible
        self._afterwards: list[Callable[[], None]] = []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Commits inside become visible together at the end, as one snapshot, or not at all."""
        self._held = set()
        before = self.snapshot
        try:
            yield
        except BaseException:
            self._held, self.snapshot = None, before
            self._afterwards.clear()
            raise
        operations, self._held = self._held, None
        if operations:
            operation = "mask" if "mask" in operations else "load"
            write_record(self.directory, replace(self.snapshot.record, operation=operation))
        for act in self._afterwards:
            act()
        self._afterwards.clear()

    def afterwards(self, act: Callable[[], None]) -> None:
        """Do `act` once all that was committed so far is visible: now, or at the end of `held`."""
        if self._held is None:
            act()
        else:
            self._afterwards.append(act)

    @property
    def directory(self) -> Path:
        return self.snapshot.directory

    def counter(self, name: str) -> int:
        """Next free number of a sequence (document, concept, unit, load, file), 0 at first."""
        return int(self.snapshot.record.counters.get(name, 0))

    def commit(self, changes: Changes, operation: str = "load") -> Snapshot:
        """Write all of `changes` as one new snapshot; nothing is visible before this returns.

        `operation` "mask" says that rows replaced here held what must not stay in any file: the next
        compaction forgets every older snapshot. Raises StoreError, leaving the last snapshot as it was, when rows do not fit their table.
        """
        changes.validate()
        draft = Draft(self.directory, self._settings, self.snapshot.record)
        commit = _Commit(draft, self.snapshot, changes)
        commit.small_tables()
        commit.hide()
        commit.large_tables()
        commit.index()
        return self.finish(draft, operation, changes.counters)

    def finish(self, draft: Draft, operation: str, counters: dict[str, int]) -> Snapshot:
        """Name the draft's files in a new snapshot record: the commit point."""
        base = replace(
            self.snapshot.record,
            created=dt.datetime.now(dt.UTC),
            operation=operation,
            counters={**self.snapshot.record.counters, **counters},
        )
        record = draft.record(base)
        if self._held is None:
            write_record(self.directory, record)
        else:
            self._held.add(operation)
        self.snapshot = Snapshot(self.directory, self._settings, record, scope=Scope.CARE)
        return self.snapshot.scoped(Scope.RESEARCH)


class _Commit:
    """The steps of one commit, in order."""

    def __init__(self, draft: Draft, snapshot: Snapshot, changes: Changes) -> None:
        self._draft = draft
        self._snapshot = snapshot
        self._changes = changes
        self._bucket_patients = snapshot.record.bucket_patients
        self._append = {
            name: dict(split(name, rows, self._bucket_patients)) for name, rows in changes.append.items() if len(rows)
        }
        self._hidden: dict[int, Hidden] = {}
        self._retiring: dict[int, tuple[Ints, Ints]] = {}
        self._facts: dict[int, pa.Table] = {}  # appended now, in concept order

    def small_tables(self) -> None:
        """Removals, then replacements by key."""
        for name, keys in self._changes.remove.items():
            if len(keys):
                self._draft.put(name, self._draft.take_out(name, keys), {})
        for name, rows in self._changes.upsert.items():
            if len(rows):
                self._upsert(name, rows)

    def _upsert(self, name: str, rows: pa.Table) -> None:
        keys = rows.select(list(KEYS[name]))
        if keys.group_by(keys.column_names).aggregate([]).num_rows < len(keys):
            raise StoreError(f"Rows for table '{name}' hold a key twice.")
        typed = keys.cast(
            pa.schema([self._snapshot.schema(name).field(n).with_nullable(True) for n in keys.column_names])
        )
        self._draft.put(name, self._draft.take_out(name, typed), dict(split(name, rows, self._bucket_patients)))

    def hide(self) -> None:
        """Retired and cancelled documents of this commit, added to their buckets' bitmaps."""
        documents, patients = self._changes.retired()
        buckets = patients // self._bucket_patients
        for bucket in np.unique(buckets).tolist():
            chosen = buckets == bucket
            self._retiring[bucket] = (documents[chosen], patients[chosen])
        appended = self._append.get("document", {})
        for bucket in self._retiring.keys() | appended.keys():
            self._hide(bucket, appended.get(bucket))

    def _hide(self, bucket: int, appended: pa.Table | None) -> None:
        old = self._snapshot.hidden(bucket)
        retiring = self._retiring.get(bucket)
        retired = old.retired | bitmap(retiring[0]) if retiring else old.retired
        cancelled = old.cancelled
        if appended is not None:
            mask = pc.is_in(appended.column("status"), _HIDDEN)
            cancelled = cancelled | bitmap(appended.filter(mask).column("document_id").to_numpy())
        self._hidden[bucket] = hidden = Hidden(retired, cancelled)
        if hidden != old:
            path = self._draft.place(f"hidden/{bucket}", ".bits")
            size, count = write_hidden(path, hidden)
            self._draft.hidden[bucket] = FileRef(self._draft.relative(path), size, count)

    def large_tables(self) -> None:
        """New rows as new files, and the presence bitmaps to match."""
        for name, pieces in self._append.items():
            for bucket, rows in pieces.items():
                if name == "fact":
                    self._facts[bucket] = self._draft.add_facts(bucket, rows)
                    self._draft.settle("fact_by_concept", bucket)
                else:
                    self._draft.add(name, bucket, rows)
                self._draft.settle(name, bucket)
        for bucket in self._facts.keys() | self._retiring.keys():
            self._update_presence(bucket)

    def _update_presence(self, bucket: int) -> None:
        old = self._snapshot.stored_presence(bucket)
        facts = self._facts.get(bucket)
        new: dict[int, Pair] = presence_update.added(facts, self._hidden_now(bucket)) if facts is not None else {}
        gone = self._removed(bucket) if bucket in self._retiring else {}
        changed = presence_update.changed(old, gone, new)
        if changed:
            path = self._draft.place(f"presence/{bucket}", ".bits")
            size, count = write_presence(path, old, changed)
            self._draft.presence[bucket] = FileRef(self._draft.relative(path), size, count)

    def _hidden_now(self, bucket: int) -> BitMap:
        return (self._hidden.get(bucket) or self._snapshot.hidden(bucket)).any()

    def _removed(self, bucket: int) -> presence_update.Removed:
        documents, patients = self._retiring[bucket]
        with scratch() as connection:
            connection.register("retiring", pa.table({"document_id": documents}))
            connection.register("hidden", pa.table({"document_id": members(self._hidden_now(bucket))}))
            paths = self._draft.paths("fact", bucket), self._draft.paths("fact_by_concept", bucket)
            return presence_update.removed(connection, *paths, patients)

    def index(self) -> None:
        """A text index per bucket over the texts of this commit."""
        for bucket, rows in self._append.get("text", {}).items():
            documents = self._append.get("document", {}).get(bucket)
            texts.add_index(self._draft, bucket, rows, documents)
