"""A snapshot: everything the warehouse held after one commit, unchanged by later ones."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache, partial
from pathlib import Path
from weakref import proxy

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyroaring import BitMap, FrozenBitMap

from estran.model.perimeter import WHOLE, Perimeter
from estran.model.tables import BUCKETED, TABLES
from estran.settings import Settings
from estran.terminology.systems import canonical
from estran.warehouse import slices
from estran.warehouse.bounds import Bounded, BoundedPresence
from estran.warehouse.codebook import CodeBook, code_book
from estran.warehouse.confidential import Closed, Scope
from estran.warehouse.encoding import read_files
from estran.warehouse.hidden import Hidden, read_hidden
from estran.warehouse.presence import Presence, bitmap, members
from estran.warehouse.presence_scope import ScopedPresence
from estran.warehouse.record import WHOLE_BUCKET, Record
from estran.warehouse.text_index import TextIndex
from estran.warehouse.views import Database, Unseen

Ints = npt.NDArray[np.int64]
_NUMBERS = 2**31


class Snapshot:
    """One immutable state of the warehouse; may be shared between threads.

    Patients with an opposition (or an erasure on its way) active on `date`, or in the newer
    snapshot given as `newer`, are invisible in every view and bitmap but the raw ones. So is what is
    confidential (see `warehouse.confidential`), unless `scope` opens it; and what lies outside `perimeter`.
    `refusals` are further scopes of opposition that hide a patient from this reader: teaching, industry,
    project:<id>, hub.
    """

    def __init__(
        self, directory: Path, settings: Settings, record: Record, newer: Record | None = None,
        scope: Scope = Scope.RESEARCH, refusals: frozenset[str] = frozenset(), perimeter: Perimeter = WHOLE,
    ) -> None:  # fmt: skip
        self.directory = directory
        self.settings = settings
        self.record = record
        self.scope = scope
        self.perimeter = perimeter
        self._newer = newer
        self.refusals = refusals
        self._presences: dict[int, Presence] = {}
        self._lock = threading.RLock()
        self._database: Database | None = None
        # Without a reference to itself, a snapshot lets its database go as soon as nobody holds it: a process that
        # commits every few seconds would keep hundreds until the next collection of cycles.
        weak = proxy(self)
        consenting = partial(Snapshot._genetic_consents, weak) if settings.genetic_data == "closed" else None
        self._closed = self._keep_closed(consenting)
        self._concepts = lru_cache(maxsize=4096)(partial(Snapshot._find_concepts, weak))
        self._descendants = lru_cache(maxsize=256)(partial(Snapshot._find_descendants, weak))

    def scoped(self, scope: Scope) -> Snapshot:
        """The same state in another scope; itself when it is in that scope."""
        if scope is self.scope:
            return self
        return self._read_by(scope, self.refusals, self.perimeter)

    def refusing(self, refusals: frozenset[str]) -> Snapshot:
        """The same state as read by whom these oppositions concern too; itself when that changes nothing."""
        if refusals <= self.refusals:
            return self
        return self._read_by(self.scope, self.refusals | refusals, self.perimeter)

    def within(self, perimeter: Perimeter) -> Snapshot:
        """The same state without anything from outside a perimeter; itself when that is its own."""
        if perimeter == self.perimeter:
            return self
        return self._read_by(self.scope, self.refusals, perimeter)

    def _read_by(self, scope: Scope, refusals: frozenset[str], perimeter: Perimeter) -> Snapshot:
        return Snapshot(self.directory, self.settings, self.record, self._newer, scope, refusals, perimeter)

    def _keep_closed(self, consenting: Callable[[], BitMap] | None) -> Closed:
        closed = Closed(self.directory, self._records if self.scope is Scope.RESEARCH else (), consenting)
        if self.perimeter.whole:
            return closed
        hidden = {bucket: self.hidden(bucket).any() for bucket in self.record.hidden}
        return Bounded(self.directory, self.record, self.perimeter, closed, hidden)

    @property
    def _records(self) -> list[Record]:
        return [self.record, self._newer] if self._newer is not None else [self.record]

    @property
    def version(self) -> int:
        return self.record.version

    @property
    def created(self) -> dt.datetime:
        """When it was committed, UTC."""
        return self.record.created

    @property
    def date(self) -> dt.date:
        """The site's calendar date when it was committed."""
        return self.settings.day(self.created)

    def today(self) -> dt.date:
        """The present date on the site's clocks."""
        return self.settings.today()

    @property
    def buckets(self) -> list[int]:
        return self.record.buckets()

    @cached_property
    def counts(self) -> dict[str, int]:
        """Rows per table as stored; `document` without hidden ones; `retired` and `cancelled` documents."""
        counts = {name: table.rows() for name, table in self.record.tables.items()}
        hidden = [self.hidden(bucket) for bucket in self.record.hidden]
        counts["retired"] = sum(len(h.retired) for h in hidden)
        counts["cancelled"] = sum(len(h.cancelled - h.retired) for h in hidden)
        counts["document"] -= counts["retired"] + counts["cancelled"]
        return counts

    def bucket_of(self, patient_id: int) -> int:
        return patient_id // self.record.bucket_patients

    def schema(self, table: str) -> pa.Schema:
        """Arrow schema of a table."""
        return TABLES[table]

    def files(self, table: str, bucket: int | None = None) -> list[str]:
        """Absolute paths of a table's Parquet files, of one bucket or of all."""
        files = self.record.tables[table].files
        if bucket is not None:
            chosen = files.get(bucket if table in BUCKETED else WHOLE_BUCKET, ())
            return [str(self.directory / ref.path) for ref in chosen]
        return [str(self.directory / ref.path) for ref in self.record.tables[table].all()]

    def stored(self, table: str) -> pa.Table:
        """Every row of a small table as it is stored; `connect` takes longer than that."""
        return read_files(table, self.files(table))

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection of your own with a view per table and `raw_<table>` without any filter.

        Views of bucketed tables have one more column, `bucket`. Close it when done; the database
        behind it, with its caches, stays with the snapshot.
        """
        with self._lock:
            if self._database is None:
                files = {table: self.files(table) for table in TABLES}
                temporary = self.directory / "tmp"
                closed = BitMap().union(*self._closed.documents.values())
                unseen = Unseen(
                    self._hidden_everywhere | closed, self._unseen_patients, self._closed.stays, self._silent, closed,
                    self._closed.movement_condition,
                )  # fmt: skip
                self._database = Database(files, self._hidden_everywhere, unseen, temporary)
            return self._database.cursor()

    def close(self) -> None:
        """Let go of the database and its caches, as soon as nobody reads them; the next `connect` opens another."""
        with self._lock:
            self._database = None

    # Sets of patients, stays and documents

    def hidden(self, bucket: int) -> Hidden:
        """Retired and cancelled documents of a bucket."""
        ref = self.record.hidden.get(bucket)
        return _hidden(self.directory / ref.path) if ref else Hidden()

    def retired(self, bucket: int) -> BitMap:
        """Documents of a bucket that a newer version replaced."""
        return self.hidden(bucket).retired.copy()

    @cached_property
    def _hidden_everywhere(self) -> BitMap:
        found = [self.hidden(bucket).any() for bucket in self.record.hidden]
        return BitMap.union(*found) if found else BitMap()

    def hidden_documents(self) -> BitMap:
        """Retired and cancelled documents of all buckets."""
        return self._hidden_everywhere.copy()

    def unseen_documents(self, bucket: int | None = None) -> BitMap:
        """Documents that reads leave out, of a bucket or of all: hidden ones, and those the scope keeps closed."""
        if bucket is None:
            return self._hidden_everywhere.union(*self._closed.documents.values())
        return self.hidden(bucket).any().union(self._closed.documents.get(bucket, BitMap()))

    @cached_property
    def _permissions(self) -> list[tuple[pa.Table, dt.date]]:
        """Rows of this snapshot, then of the newer one, each with its date."""
        found = []
        for record in self._records:
            paths = [str(self.directory / ref.path) for ref in record.tables["permission"].all()]
            found.append((read_files("permission", paths), self.settings.day(record.created)))
        return found

    def permitted(self, kind: str, scopes: Iterable[str]) -> BitMap:
        """Patients with a permission of this kind for one of the scopes, today in the newest snapshot too."""
        return BitMap.intersection(*(in_force(rows, kind, scopes, day) for rows, day in self._permissions))

    def refused(self, scopes: Iterable[str]) -> BitMap:
        """Patients with an opposition to one of the scopes, in this snapshot or since."""
        return BitMap.union(*(in_force(rows, "opposition", scopes, day) for rows, day in self._permissions))

    def _genetic_consents(self) -> BitMap:
        return self.permitted("consent", ("genetic",)) - self.refused(("genetic",))

    @cached_property
    def _opposed(self) -> BitMap:
        found = BitMap.union(*(opposed_on(rows, day) for rows, day in self._permissions))
        return found | self.refused(self.refusals) if self.refusals else found

    @cached_property
    def _silent(self) -> BitMap:
        """Patients whose texts nobody may read, whatever else may be shown of them."""
        return self.refused(("texts",))

    def silent(self, patient_id: int) -> bool:
        """Whether nobody may read texts of this patient, in any scope: care too."""
        return patient_id in self._silent

    def opposed(self) -> BitMap:
        """Patients whom no read may show, in any scope."""
        return self._opposed.copy()

    @cached_property
    def _unseen_patients(self) -> BitMap:
        return self._opposed | self._closed.patients

    def closed(self) -> Closed:
        """What this scope keeps closed: nothing in scope care. Do not change its bitmaps."""
        return self._closed

    @cached_property
    def _population(self) -> BitMap:
        parts = [bitmap(slices.column(path, "patient_id")) for path in self.files("patient")]
        return BitMap.union(*parts) - self._unseen_patients if parts else BitMap()

    def population(self) -> BitMap:
        """Visible patients: introduced, not opposed, not closed in this scope."""
        return self._population.copy()

    def sees(self, patient_id: int) -> bool:
        """Whether a patient is visible."""
        return 0 <= patient_id < _NUMBERS and patient_id in self._population

    @cached_property
    def _known_stays(self) -> BitMap:
        rows = read_files("stay", self.files("stay"), ["stay_id", "patient_id", "status"])
        rows = rows.filter(pc.not_equal(rows.column("status"), "cancelled"))
        stays = rows.column("stay_id").to_numpy()
        if self._unseen_patients:
            stays = stays[~np.isin(rows.column("patient_id").to_numpy(), members(self._unseen_patients))]
        return bitmap(stays) - self._closed.stays

    def known_stays(self) -> BitMap:
        """Stays that a source introduced, not cancelled, of visible patients, not closed in this scope."""
        return self._known_stays.copy()

    def presence(self, bucket: int) -> Presence:
        """Presence bitmaps of a bucket, of all patients: AND them with `population()`, `known_stays()`.

        What only closed documents support is not in them.
        """
        closed = self._closed.documents.get(bucket)
        path = self._presence_path(bucket)
        if not closed or path is None:
            return _presence(path)
        with self._lock:
            if bucket not in self._presences and isinstance(self._closed, Bounded):
                self._presences[bucket] = BoundedPresence(
                    self.files("fact_by_concept", bucket), self._closed.inside(bucket)
                )
            elif bucket not in self._presences:
                hidden = FrozenBitMap(self.hidden(bucket).any())
                files = [tuple(self.files(table, bucket)) for table in ("document", "fact", "fact_by_concept")]
                self._presences[bucket] = ScopedPresence(path, FrozenBitMap(closed), hidden, *files)
            return self._presences[bucket]

    def stored_presence(self, bucket: int) -> Presence:
        """Presence bitmaps of a bucket as they are on disk: all live facts, in whatever scope."""
        return _presence(self._presence_path(bucket))

    def _presence_path(self, bucket: int) -> Path | None:
        ref = self.record.presence.get(bucket)
        return self.directory / ref.path if ref else None

    # Concepts

    def concept_ids(self, vocabulary: str, code: str) -> list[int]:
        """Ids of a code, none when the site does not know it."""
        return list(self._concepts(vocabulary, code))

    def _find_concepts(self, vocabulary: str, code: str) -> tuple[int, ...]:
        wanted = canonical(vocabulary, code)
        return tuple(sorted(found for book in self._code_books for found in book.find(vocabulary, wanted)))

    @cached_property
    def _code_books(self) -> list[CodeBook]:
        return [code_book(path) for path in self.files("concept")]

    def descendants(self, concept_ids: Iterable[int]) -> Ints:
        """The concepts and all their descendants, sorted."""
        return self._descendants(tuple(sorted({int(c) for c in concept_ids}))).copy()

    def _find_descendants(self, concept_ids: tuple[int, ...]) -> Ints:
        own = np.array(concept_ids, np.int64)
        if not concept_ids or not self.record.tables["concept_ancestor"].rows():
            return own
        with self.connect() as connection:
            connection.register("wanted", pa.table({"ancestor_id": own.astype(np.int32)}))
            found = connection.sql(
                "SELECT DISTINCT descendant_id AS d FROM raw_concept_ancestor SEMI JOIN wanted USING (ancestor_id)"
            ).to_arrow_table()
        return np.union1d(own, found.column("d").to_numpy())

    # Facts by the shortest way

    def fact_slice(
        self, concept_ids: Iterable[int], bucket: int, columns: Iterable[str] = slices.USUAL, live: bool = True
    ) -> pa.Table:
        """Facts of a bucket with one of the concepts (as `concept_id`), in concept order per file.

        Documents and patients that reads must not see are left out; `live` keeps live facts only.
        """
        wanted = np.unique(np.fromiter(concept_ids, np.int64))
        unseen = self.unseen_documents(bucket), self._unseen_patients
        return slices.by_concept(self.files("fact_by_concept", bucket), wanted, list(columns), live, *unseen)

    def patient_facts(self, patient_id: int) -> pa.Table:
        """All visible facts of a patient, live or not, in order of time; none of a patient who is not visible."""
        if patient_id in self._unseen_patients:
            return TABLES["fact"].empty_table()
        bucket = self.bucket_of(patient_id)
        return slices.facts_of_patient(self.files("fact", bucket), patient_id, self.unseen_documents(bucket))

    def patient_rows(self, table: str, patient_id: int, columns: Iterable[str] | None = None) -> pa.Table:
        """Visible rows of a patient, as the view of that table has them, but in milliseconds.

        For tables that are kept in patient order: patient, stay, movement, document, text, fact and media.
        """
        names = TABLES[table].names if columns is None else list(columns)
        if patient_id in self._unseen_patients or (table == "text" and patient_id in self._silent):
            return pa.schema([TABLES[table].field(name) for name in names]).empty_table()
        bucket = self.bucket_of(patient_id)
        of_stay = table in ("stay", "movement")
        needed = list(dict.fromkeys([*names, "status", "stay_id"])) if of_stay else names
        needed = list(dict.fromkeys([*needed, "unit_id", "start_date"])) if table == "movement" else needed
        rows = slices.of_patient(table, self.files(table, bucket), patient_id, self.unseen_documents(bucket), needed)
        rows = self._closed.movements(rows) if table == "movement" else rows
        return self._visible_stays(rows).select(names) if of_stay else rows

    def _visible_stays(self, rows: pa.Table) -> pa.Table:
        rows = rows.filter(pc.not_equal(rows.column("status"), "cancelled"))
        if not self._closed.stays:
            return rows
        return rows.filter(pa.array(~np.isin(rows.column("stay_id").to_numpy(), members(self._closed.stays))))

    @cached_property
    def text(self) -> TextIndex:
        """The text index of this snapshot, without the documents and patients that reads must not see."""
        folders = [self.directory / ref.path for bucket in sorted(self.record.text) for ref in self.record.text[bucket]]
        unseen = self._unseen_patients | self._silent
        return TextIndex(folders, self.unseen_documents(), unseen, people=self._people)

    def _people(self) -> pa.Table:
        return read_files("patient", self.files("patient"), ["patient_id", "sex", "birth_month"])


HIDING = ("warehouse", "research")  # opposition to these hides a patient from every reader


def opposed_on(permissions: pa.Table, day: dt.date) -> BitMap:
    """Patients hidden on a day: opposition to the warehouse or to research, or erasure; last day included."""
    erased = in_force(permissions, "erasure", pc.unique(permissions.column("scope")).to_pylist(), day)
    return erased | in_force(permissions, "opposition", HIDING, day)


def in_force(permissions: pa.Table, kind: str, scopes: Iterable[str], day: dt.date) -> BitMap:
    """Patients with a permission of this kind for one of the scopes on a day; its last day included."""
    wanted = pa.array(list(scopes), pa.string())
    told = pc.and_(pc.equal(permissions.column("kind"), kind), pc.is_in(permissions.column("scope"), wanted))
    since = pc.less_equal(permissions.column("from_date"), pa.scalar(day))
    until = pc.fill_null(pc.greater_equal(permissions.column("to_date"), pa.scalar(day)), True)
    return bitmap(permissions.filter(pc.and_(told, pc.and_(since, until))).column("patient_id").to_numpy())


@lru_cache(maxsize=64)
def _hidden(path: Path) -> Hidden:
    return read_hidden(path)


@lru_cache(maxsize=64)
def _presence(path: Path | None) -> Presence:
    return Presence(path)
