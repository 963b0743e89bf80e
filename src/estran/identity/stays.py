"""Stay ids: one per identity and stay number, given at first mention."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from estran.identity.keys import KeyedHash
from estran.identity.store import Store

StayKey = tuple[int, str, str]  # identity_id, assigning authority, value
Int32s = npt.NDArray[np.int32]
_CACHED = 1_000_000
_UNIT = "\x1f"


class Stays:
    """Stay numbers, with those used lately kept in memory."""

    def __init__(self, store: Store, hashing: KeyedHash) -> None:
        self._store = store
        self._hashing = hashing
        self._ids: dict[StayKey, int] = {}

    def forget(self) -> None:
        """Drop what is kept in memory."""
        self._ids.clear()

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

    def _create(self, missing: dict[StayKey, int]) -> None:
        first, rows = self._store.counter("stay"), []
        for stay_id, (key, value) in enumerate(missing.items(), first):
            plain = _UNIT.join(key[1:]).encode("utf-8", "surrogatepass")
            rows.append((value, stay_id, key[0], self._store.seal(plain, "stay", value, stay_id, key[0])))
            self._ids[key] = stay_id
        self._store.write_many("INSERT INTO stay VALUES (?, ?, ?, ?)", rows)
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
