"""Stay ids: one per identity and stay number, given at first mention."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from estran.identity.keys import KeyedHash
from estran.identity.store import WHOSE, Store

StayKey = tuple[int, str, str]  # identity_id, assigning authority, value
Int32s = npt.NDArray[np.int32]
_CACHED = 1_000_000
_UNIT = "\x1f"
OF_STAY = "stay of "  # begins the system under which the patient of a stay is asked for


class Stays:
    """Stay numbers, with those used lately kept in memory."""

    def __init__(self, store: Store, hashing: KeyedHash) -> None:
        self._store = store
        self._hashing = hashing
        self._ids: dict[StayKey, int] = {}
        self._indexed = False

    def forget(self) -> None:
        """Drop what is kept in memory."""
        self._ids.clear()
        self._indexed = False

    def whose_hash(self, system: str, value: str) -> int:
        """Keyed hash under which the identities that have a stay of this authority and number are found:
        that of the patient number (`OF_STAY` authority, number)."""
        return self._hashing.of("number", OF_STAY + system, value)

    def holders(self, value: int) -> list[int]:
        """The identities that have a stay of this number (`whose_hash`), that of the oldest stay first."""
        self.index()
        return [int(row[0]) for row in self._store.rows("SELECT identity_id FROM whose WHERE hash = ? ORDER BY stay_id", (value,))]

    def all_holders(self, values: Sequence[int]) -> dict[int, list[int]]:
        """`holders` of many numbers; those that nobody has are left out."""
        self.index()
        query = "SELECT hash, identity_id FROM whose WHERE hash IN (SELECT value FROM json_each(?)) ORDER BY hash, stay_id"
        found: dict[int, list[int]] = {}
        for value, identity in self._store.scan(query, (json.dumps(values),)):
            found.setdefault(int(value), []).append(int(identity))
        return found

    def index(self) -> None:
        """A vault made before stays could be found by their number alone gets its index now."""
        if self._indexed:
            return
        if not self._store.rows("SELECT 1 FROM sqlite_master WHERE name = 'whose'"):
            with self._store.transaction():
                for statement in WHOSE.split(";\n"):
                    self._store.write(statement)
                rows = ((self.whose_hash(system, number), stay_id, identity) for _, stay_id, identity, system, number in self.every())
                self._store.write_many("INSERT INTO whose VALUES (?, ?, ?)", list(rows))
        self._indexed = True

    def ids(self, keys: Sequence[StayKey]) -> Int32s:
        """Get or create the id of each stay, within a transaction."""
        if len(self._ids) > _CACHED:
            self._ids.clear()
        known, missing = self._ids, {}
        for key in keys:
            if key not in known:
                value = self._hashing.of("stay", str(key[0]), key[1], key[2])
                found = self._store.row("SELECT stay_id FROM stay WHERE hash = ?", (value,))
                if found is None:
                    missing[key] = value
                else:
                    known[key] = int(found[0])
        if missing:
            self._create(missing)
        return np.array([known[key] for key in keys], np.int32)

    def known(self, keys: Sequence[StayKey]) -> list[bool]:
        """Which of these stays have an id."""
        hashes = (self._hashing.of("stay", str(key[0]), key[1], key[2]) for key in keys)
        return [self._store.row("SELECT 1 FROM stay WHERE hash = ?", (value,)) is not None for value in hashes]

    def _create(self, missing: dict[StayKey, int]) -> None:
        self.index()
        first, rows, whose = self._store.counter("stay"), [], []
        for stay_id, (key, value) in enumerate(missing.items(), first):
            whose.append((self.whose_hash(key[1], key[2]), stay_id, key[0]))
            plain = _UNIT.join(key[1:]).encode("utf-8", "surrogatepass")
            rows.append((value, stay_id, key[0], self._store.seal(plain, "stay", value, stay_id, key[0])))
            self._ids[key] = stay_id
        self._store.write_many("INSERT INTO stay VALUES (?, ?, ?, ?)", rows)
        self._store.write_many("INSERT INTO whose VALUES (?, ?, ?)", whose)
        self._store.set_counter("stay", first + len(rows))

    def of(self, identity: int) -> list[tuple[int, str, str]]:
        """Stay id, assigning authority and number of an identity's stays."""
        rows = self._store.rows("SELECT hash, stay_id, sealed FROM stay WHERE identity_id = ?", (identity,))
        return [(stay_id, *self._open(value, stay_id, identity, sealed)) for value, stay_id, sealed in rows]

    def own(self, pairs: Iterable[tuple[int, int]]) -> list[int]:
        """For each (stay id, identity): the identity's own stay of the same number, else the stay."""
        named: dict[int, dict[tuple[str, str], int]] = {}
        number_of: dict[int, tuple[str, str]] = {}

        def learn(identity: int) -> dict[tuple[str, str], int]:
            if identity not in named:
                stays = self.of(identity)
                number_of.update({stay_id: (system, value) for stay_id, system, value in stays})
                named[identity] = {(system, value): stay_id for stay_id, system, value in stays}
            return named[identity]

        answers = []
        for stay_id, identity in pairs:
            mine = learn(identity)
            if stay_id not in number_of:
                row = self._store.row("SELECT identity_id FROM stay WHERE stay_id = ?", (stay_id,))
                learn(int(row[0])) if row else None
            answers.append(mine.get(number_of.get(stay_id, ("", "")), stay_id))
        return answers

    def numbers(self, stay_ids: Iterable[int]) -> dict[int, str]:
        """The number by which the hospital calls each stay."""
        found = {}
        for stay_id in stay_ids:
            row = self._store.row("SELECT hash, identity_id, sealed FROM stay WHERE stay_id = ?", (int(stay_id),))
            if row is not None:
                found[int(stay_id)] = self._open(row[0], int(stay_id), row[1], row[2])[1]
        return found

    def every(self) -> Iterable[tuple[int, int, int, str, str]]:
        """Keyed hash, stay id, identity, assigning authority and number, over the whole vault."""
        for value, stay_id, identity, sealed in self._store.scan("SELECT hash, stay_id, identity_id, sealed FROM stay"):
            yield value, stay_id, identity, *self._open(value, stay_id, identity, sealed)

    def canonical(self, identities: Sequence[int]) -> dict[int, int]:
        """Among the stays of one patient's identities: stay id → the one that stands for both."""
        first: dict[tuple[str, str], int] = {}
        stays = sorted(stay for identity in identities for stay in self.of(identity))
        same = {}
        for stay_id, system, value in stays:
            kept = first.setdefault((system, value), stay_id)
            if kept != stay_id:
                same[stay_id] = kept
        return same

    def _open(self, value: int, stay_id: int, identity: int, sealed: bytes) -> tuple[str, str]:
        plain = self._store.unseal(sealed, "stay", value, stay_id, identity).decode("utf-8", "surrogatepass")
        system, _, number = plain.partition(_UNIT)
        return system, number
