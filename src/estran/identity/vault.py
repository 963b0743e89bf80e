"""The identity vault: the one place where hospital numbers, names and pseudonyms meet.

Every value is encrypted and found by keyed hash only. An *identity* is what one hospital number (and
its aliases) stands for; a *patient* is one identity or several merged ones, and is called by the
smallest of them. Nothing here depends on the order in which statements arrive.

A vault serves one thread at a time; several processes may read while one writes.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from estran.identity import traits as folding
from estran.identity.contents import KeptFile, NaturalKeys, Trace
from estran.identity.deaths import Death, Reviews
from estran.identity.groups import Groups, Link, LinkKind, Moved
from estran.identity.keys import SiteKey
from estran.identity.owndata import TABLES as OWN_DATA
from estran.identity.owndata import OwnLinks
from estran.identity.persons import Introduced, Persons
from estran.identity.stays import OF_STAY, StayKey, Stays
from estran.identity.store import Store
from estran.identity.traits import Known, Person, Stamp, Statement, Traits
from estran.identity.upkeep import Upkeep
from estran.model.codes import Precision, Sex
from estran.model.errors import StoreError
from estran.model.tables import PATIENT

NO_DATE = -(2**31)  # what `birth_dates` gives when the day is not known
_LINK = struct.Struct("<qq?")
_EPOCH = dt.date(1970, 1, 1).toordinal()

Int32s = npt.NDArray[np.int32]


class Vault:
    """Numbers in, dense ids out. See the module's first lines."""

    def __init__(self, store: Store, key: SiteKey) -> None:
        self._store = store
        self._hashing = key.hash("vault")
        self._persons = Persons(store, self._hashing)
        self._stays = Stays(store, self._hashing)
        self.upkeep = Upkeep(store)
        self.reviews = Reviews(store)
        self.own = OwnLinks(store, self._hashing)
        self._held_groups: Groups | None = None

    @classmethod
    def create(cls, directory: Path, key: SiteKey) -> Vault:
        """A new, empty vault in `directory`; StoreError when there is one."""
        return cls(Store.create(directory, key), key)

    @classmethod
    def open(cls, directory: Path, key: SiteKey) -> Vault:
        """The vault of `directory`; StoreError when it is missing, damaged, or of another key."""
        return cls(Store.open(directory, key), key)

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def __enter__(self) -> Vault:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; transactions nest, the outermost one commits."""
        with self._store.transaction():
            outermost = not self._entered
            if outermost:
                self._refresh()
                self._entered = True
            try:
                yield
            except BaseException:
                self._forget()
                raise
            finally:
                if outermost:
                    self._entered = False

    _entered = False

    # Numbers and persons

    def key_hash(self, system: str, value: str) -> int:
        """Keyed hash of a patient number, as `Introduced.new_numbers` gives it."""
        return self._persons.key_hash((system, value))

    def resolve(self, keys: Sequence[tuple[str, str]]) -> Int32s:
        """The identity of each (assigning authority, number), or -1.

        Under the authority `OF_STAY` + another, the number is that of a stay: its identity is the one that
        has the stay, -1 when nobody has it or when several patients do.
        """
        self._refresh()
        return np.array([self._identity(k[0], k[1]) for k in keys], np.int32)

    def _identity(self, system: str, value: str) -> int:
        if not system.startswith(OF_STAY):
            return self._persons.identity_of((system, value))
        return self._owner(self._stays.holders(self._stays.whose_hash(system.removeprefix(OF_STAY), value)))

    def _owner(self, holders: list[int]) -> int:
        """Whose a stay is that these identities have, -1 when none has it or several patients do. Of
        a merged patient it is always the same one: that of the oldest stay."""
        if len(holders) < 2:
            return holders[0] if holders else -1
        patients = set(self._groups.patients(np.array(holders, np.int32)).tolist())
        return holders[0] if len(patients) == 1 else -1

    def known_hashes(self, hashes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which keyed hashes of numbers (`key_hash`) are of a number somebody introduced, or of a stay
        (see `resolve`) that is one patient's."""
        holders = self._stays.all_holders(hashes.tolist())
        owned = np.array([value for value, having in holders.items() if self._owner(having) >= 0], np.int64)
        return self._persons.known_hashes(hashes) | np.isin(hashes, owned)

    def introduce(self, statements: Sequence[Statement]) -> Introduced:
        """Take what records say of persons; identities are made for numbers not seen before."""
        with self.transaction():
            self._persons.shrink()
            introduced, ties = self._persons.add(statements)
            moved: Moved = {}
            for a, b, statement in ties:
                stamp = (statement.event_time, statement.content)
                _follow(moved, self._say(Link(a, b, LinkKind.ALIAS), stamp, True, "alias"))
            self.upkeep.mark(introduced.identity_ids[introduced.traits_changed])
            return replace(introduced, moved=moved)

    def find_ins(self, ins: str) -> list[int]:
        """Identities for which this national identifier was stated; it never merges by itself."""
        return self._persons.with_ins(ins)

    # Merges

    def merge(self, kept: int, gone: int, event_time: int, content: int, undo: bool = False) -> Moved:
        """Two identities are one patient (or, with `undo`, no longer); what moved.

        For a pair, the latest (event_time, content) holds, in whatever order they come.
        """
        if kept == gone:
            return {}
        link = Link(min(kept, gone), max(kept, gone), LinkKind.MERGE)
        with self.transaction():
            return self._say(link, (event_time, content), not undo, "unmerge" if undo else "merge")

    def holds_merge(self, kept: int, gone: int, event_time: int, content: int, undo: bool = False) -> bool:
        """Whether `merge` with these arguments would say nothing new."""
        link = Link(min(kept, gone), max(kept, gone), LinkKind.MERGE)
        return self._groups.holds(link, (event_time, content), not undo)

    def split(self, identity_id: int, event_time: int, content: int) -> Moved:
        """Take an identity out of its patient: ends every link that ties it now, aliases included."""
        moved: Moved = {}
        with self.transaction():
            for link in self._groups.active_links(identity_id):
                _follow(moved, self._say(link, (event_time, content), False, "split"))
        return moved

    def patient_of(self, identity_ids: npt.ArrayLike) -> Int32s:
        """The patient of each identity."""
        self._refresh()
        return self._groups.patients(np.asarray(identity_ids, np.int32))

    def identities_of(self, patient_id: int) -> list[int]:
        """The identities of a patient; itself alone when nothing was merged."""
        self._refresh()
        return list(self._groups.members(patient_id))

    def ever_tied(self, identity_id: int) -> list[int]:
        """The identity and all that ever were one patient with it, split since or not."""
        self._refresh()
        return self._groups.ever_tied(identity_id)

    def merged(self) -> dict[int, tuple[int, ...]]:
        """Patients of several identities: patient_id → identities."""
        self._refresh()
        return self._groups.merged()

    def _say(self, link: Link, stamp: Stamp, active: bool, kind: str) -> Moved:
        if not self._groups.say(link, stamp, active):
            return {}
        sealed = self._store.seal(_LINK.pack(*stamp, active), "link", *link)
        self._store.write("INSERT OR REPLACE INTO link VALUES (?, ?, ?, ?)", (*link, sealed))
        moved = self._groups.settle(link.a)
        # What is known of those left behind, or joined, changes as well.
        self.upkeep.mark({i for pair in moved.values() for patient in pair for i in self._groups.members(patient)})
        if moved or kind != "alias":
            self._trace(kind, (link.a, link.b))
        return moved

    @property
    def _groups(self) -> Groups:
        if self._held_groups is None:
            self._held_groups = Groups(map(self._open_link, self._store.rows("SELECT a, b, kind, sealed FROM link")))
        return self._held_groups

    def _open_link(self, row: tuple[Any, ...]) -> tuple[Link, Stamp, bool]:
        event_time, content, active = _LINK.unpack(self._store.unseal(row[3], "link", *row[:3]))
        return Link(row[0], row[1], LinkKind(row[2])), (event_time, content), active

    # Stays

    def stays(self, keys: Sequence[StayKey]) -> Int32s:
        """The stay id of each (identity, assigning authority, number), made when new."""
        with self.transaction():
            return self._stays.ids(keys)

    def knows_stays(self, keys: Sequence[StayKey]) -> list[bool]:
        """Which of these stays somebody has mentioned before."""
        self._refresh()
        return self._stays.known(keys)

    def canonical_stays(self, patient_ids: Iterable[int]) -> dict[int, int]:
        """Stay id → the one that stands for the same stay of a merged patient; others are left out."""
        self._refresh()
        same: dict[int, int] = {}
        for patient_id in {int(p) for p in patient_ids}:
            members = self._groups.members(patient_id)
            if len(members) > 1:
                same |= self._stays.canonical(members)
        return same

    def own_stays(self, pairs: Sequence[tuple[int, int]]) -> list[int]:
        """For each (stay id, identity) the stay of that number that is the identity's own: undoes
        what `canonical_stays` brought together."""
        return self._stays.own(pairs)

    def stay_numbers(self, stay_ids: Iterable[int]) -> dict[int, str]:
        """The number by which the hospital calls each stay, to be masked in its documents."""
        return self._stays.numbers(stay_ids)

    # What is known of a patient

    def traits(self, patient_id: int) -> Traits:
        """The fold of all that was stated of a patient; read it with `identity.traits`."""
        members = self._groups.members(patient_id)
        if len(members) == 1:
            return self._persons.traits(members[0])
        return folding.join(self._persons.traits(i) for i in members)

    def known(self, patient_ids: Iterable[int]) -> dict[int, Known]:
        """What masks need of each patient: everything ever stated, of all merged identities."""
        self._refresh()
        return {int(p): self._known(int(p)) for p in patient_ids}

    def _known(self, patient_id: int) -> Known:
        members = self._groups.members(patient_id)
        numbers = [value for i in members for _, value in self._persons.numbers(i)]
        return folding.known_of(self.traits(patient_id), numbers)

    def patient_rows(self, patient_ids: Iterable[int]) -> pa.Table:
        """PATIENT rows of model.tables; without `last_news` and flags, which other tables decide."""
        self._refresh()
        return pa.Table.from_pylist([self._row(int(p)) for p in patient_ids], PATIENT)

    def _row(self, patient_id: int) -> dict[str, Any]:
        traits = self.traits(patient_id)
        died, certainty = folding.death(traits)
        return {
            "patient_id": patient_id,
            "sex": folding.winner(traits, "sex") or Sex.UNKNOWN,
            "birth_month": folding.birth_month(traits),
            "death_date": died,
            "death_source": (folding.winner(traits, "death_source") or "hospital") if certainty else None,
            "death_certainty": certainty,
            "residence_area": folding.residence_area(traits),
            "staff": False,
            "confidential": False,
        }

    def everybody(self, only: Collection[int] | None = None) -> Iterator[tuple[int, Traits]]:
        """Each patient, or each of some, with what is known of them."""
        self._refresh()
        for (identity,) in self._store.rows("SELECT identity_id FROM identity ORDER BY identity_id"):
            if (only is None or identity in only) and self._groups.patient(identity) == identity:
                yield identity, self.traits(identity)
                self._persons.shrink()

    def tell_death(self, patient_id: int, death: Death, source: str) -> bool:
        """Take the date of a death that `source` tells; False when it was known from there. What a hospital
        states later of a living person takes it back."""
        numbers = tuple(self._persons.numbers(patient_id)[:1])
        if not numbers:
            return False
        person = Person(death_date=death.died, deceased=True, death_source=source)
        at = (death.died - dt.date(1970, 1, 1)).days * 86_400_000_000
        content = self._hashing.of("death", source, str(patient_id), death.died.isoformat())
        told = self.introduce([Statement(numbers, person, None, at, content)])
        self.upkeep.mark([patient_id])
        return bool(told.stored[0])

    def death_hash(self, patient_id: int, death: Death) -> int:
        """Names the pair of a patient and a line of the register."""
        return self._hashing.of("death_review", str(patient_id), death.family, *death.given, death.died.isoformat())

    def birth_dates(self, patient_ids: Iterable[int]) -> Int32s:
        """Days since 1970 of each birth date known to the day, else NO_DATE."""
        self._refresh()
        days = []
        for patient_id in patient_ids:
            known = folding.birth(self.traits(int(patient_id)))
            exact = known is not None and known[1] >= Precision.DAY
            days.append(known[0].toordinal() - _EPOCH if known and exact else NO_DATE)
        return np.array(days, np.int32)

    # Originals and files

    def keep_originals(self, rows: Iterable[tuple[int, int, bytes]]) -> None:
        """Keep (identity_id, record_key, bytes): the document as it came, the last one kept."""
        seal = self._store.seal
        with self.transaction():
            sealed = (
                (i, k, seal(pa.compress(b, "zstd", asbytes=True), "original", i, k, len(b)), len(b)) for i, k, b in rows
            )
            self._store.write_many("INSERT OR REPLACE INTO original VALUES (?, ?, ?, ?)", sealed)

    def original(self, identity_id: int, record_key: int) -> bytes | None:
        """The kept document of this identity and record, if any."""
        sql = "SELECT record_key, size, sealed FROM original WHERE identity_id = ? AND record_key = ?"
        found = self._store.row(sql, (identity_id, record_key))
        return self._open_original(identity_id, found) if found else None

    def originals(self, identity_id: int) -> Iterator[tuple[int, bytes]]:
        """(record_key, bytes) of every document kept for an identity."""
        sql = "SELECT record_key, size, sealed FROM original WHERE identity_id = ?"
        for row in self._store.rows(sql, (identity_id,)):
            yield row[0], self._open_original(identity_id, row)

    def _open_original(self, identity_id: int, row: tuple[Any, ...]) -> bytes:
        record_key, size, sealed = row
        plain = self._store.unseal(sealed, "original", identity_id, record_key, size)
        data: bytes = pa.decompress(plain, size, "zstd", asbytes=True)
        return data

    def keep_file(self, sha256: str, name: str, size: int, format_name: str) -> tuple[int, bool]:
        """Number of a landing file, and whether it is new: same bytes, same number."""
        value = self._hashing.of("file", sha256)
        with self.transaction():
            found = self._store.row("SELECT file_no FROM file WHERE hash = ?", (value,))
            if found:
                return int(found[0]), False
            file_no = self._store.counter("file")
            plain = orjson.dumps({"name": name, "size": size, "format": format_name, "sha256": sha256})
            row = (file_no, value, self._store.seal(plain, "file", file_no, value))
            self._store.write("INSERT INTO file VALUES (?, ?, ?)", row)
            self._store.set_counter("file", file_no + 1)
            return file_no, True

    def files(self) -> list[KeptFile]:
        """The landing manifest, in order of arrival."""
        rows = self._store.rows("SELECT file_no, hash, sealed FROM file ORDER BY file_no")
        return [
            KeptFile(no, **orjson.loads(self._store.unseal(sealed, "file", no, value))) for no, value, sealed in rows
        ]

    def file(self, file_no: int) -> KeptFile:
        """One file of the landing; StoreError when there is no such number."""
        row = self._store.row("SELECT hash, sealed FROM file WHERE file_no = ?", (file_no,))
        if row is None:
            raise StoreError("A landed file is not in the vault's manifest.", hint="restore the site from a backup")
        return KeptFile(file_no, **orjson.loads(self._store.unseal(row[1], "file", file_no, row[0])))

    # Digest, erasure, traces, checks

    def upgrade(self) -> None:
        """Make what a vault of an earlier release lacks."""
        with self.transaction():
            self._stays.index()

    def natural_keys(self) -> NaturalKeys:
        """Names of patients and stays that do not depend on ids, for the site's digest."""
        self._refresh()
        groups = self._groups
        numbers: dict[int, set[str]] = {}
        for _, identity, (system, value) in self._persons.all_numbers():
            numbers.setdefault(groups.patient(identity), set()).add(f"{system}|{value}")
        patients = {patient: "\n".join(sorted(values)) for patient, values in numbers.items()}
        stays = {
            stay_id: f"{patients[groups.patient(identity)]}|{system}|{value}"
            for _, stay_id, identity, system, value in self._stays.every()
        }
        return NaturalKeys(patients, stays)

    def erase(self, patient_id: int) -> list[int]:
        """Remove all that is known of a patient, for good; the identities that were erased.

        Their ids are never given again. A trace without any name or number stays.
        """
        with self.transaction():
            members = self._groups.members(patient_id)
            self._stays.index()
            self.reviews.forget(members)
            for table in ("identity", "number", "ins", "stay", "whose", "original", "pending", "mentioned", *OWN_DATA):
                self._store.write_many(f"DELETE FROM {table} WHERE identity_id = ?", ((i,) for i in members))
            self._store.write_many("DELETE FROM link WHERE a = ? OR b = ?", ((i, i) for i in members))
            self._groups.drop(members)
            self._persons.forget()
            self._stays.forget()
            self._trace("erase", members)
            self._store.forget()
        return list(members)

    def traces(self) -> list[Trace]:
        """Every alias, merge, unmerge, split and erasure, in order."""
        traces = []
        for no, sealed in self._store.rows("SELECT trace_no, sealed FROM trace ORDER BY trace_no"):
            at, kind, identities = orjson.loads(self._store.unseal(sealed, "trace", no))
            traces.append(Trace(dt.datetime.fromisoformat(at), kind, tuple(identities)))
        return traces

    def _trace(self, kind: str, identities: Sequence[int]) -> None:
        number = self._store.counter("trace")
        plain = orjson.dumps((dt.datetime.now(dt.UTC).isoformat(), kind, identities))
        self._store.write("INSERT INTO trace VALUES (?, ?)", (number, self._store.seal(plain, "trace", number)))
        self._store.set_counter("trace", number + 1)

    def check(self) -> list[str]:
        """Sentences on what is damaged: every sealed value is opened, every keyed hash recomputed."""
        findings = self._store.damages()
        for name, part in (
            ("identities", self._check_identities), ("numbers", self._check_numbers), ("stays", self._check_stays),
            ("merges", self._check_links), ("originals", self._check_originals), ("files", self.files),
            ("traces", self.traces),
        ):  # fmt: skip
            try:
                part()
            except StoreError as error:
                findings.append(f"{name}: {error.what}")
        return findings

    def _check_identities(self) -> None:
        for identity, sealed in self._store.scan("SELECT identity_id, sealed FROM identity"):
            self._store.unseal(sealed, "identity", identity)

    def _check_numbers(self) -> None:
        if any(self._persons.key_hash(number) != value for value, _, number in self._persons.all_numbers()):
            raise StoreError("A number is not where its keyed hash says.")

    def _check_stays(self) -> None:
        for value, _, identity, system, number in self._stays.every():
            if self._hashing.of("stay", str(identity), system, number) != value:
                raise StoreError("A stay is not where its keyed hash says.")

    def _check_links(self) -> None:
        for row in self._store.scan("SELECT a, b, kind, sealed FROM link"):
            self._open_link(row)

    def _check_originals(self) -> None:
        for identity, *row in self._store.scan("SELECT identity_id, record_key, size, sealed FROM original"):
            self._open_original(identity, tuple(row))

    def _refresh(self) -> None:
        """What another process has committed makes the memory of this one stale."""
        if not self._entered and self._store.changed_elsewhere():
            self._forget()
        self._persons.shrink()

    def _forget(self) -> None:
        self._persons.forget()
        self._stays.forget()
        self._held_groups = None


def _follow(moved: Moved, more: Moved) -> None:
    """Add later moves to earlier ones; what came back to its place did not move."""
    for identity, (before, after) in more.items():
        first = moved.pop(identity, (before, after))[0]
        if first != after:
            moved[identity] = (first, after)
