"""Numbers, identities and traits: what introduces a person, and what is known of one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from estran.identity.groups import Moved
from estran.identity.keys import KeyedHash
from estran.identity.store import Store
from estran.identity.traits import Folded, Number, Statement, Traits, dump, fold, load, stated
from estran.model.errors import StoreError

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_CACHED_NUMBERS = 1_000_000
_CACHED_TRAITS = 50_000
_UNIT = "\x1f"


@dataclass(frozen=True)
class Introduced:
    """What a batch of statements did; the arrays have one item per statement."""

    identity_ids: Int32s
    is_new: Bools  # the statement gave the identity its first number
    traits_changed: Bools  # texts masked before must be masked again (never for a new identity)
    row_changed: Bools  # the PATIENT row may differ (always for a new identity)
    stored: Bools  # the statement said something that was not known, or said it later
    new_numbers: Int64s  # keyed hashes of numbers not known before, for what waited for them
    moved: Moved = field(default_factory=dict)  # identities whose patient changed, through aliases


class Persons:
    """Numbers and traits of identities, with what was used lately kept in memory."""

    def __init__(self, store: Store, hashing: KeyedHash) -> None:
        self._store = store
        self._hashing = hashing
        self._numbers: dict[Number, int] = {}
        self._traits: dict[int, Traits] = {}
        self._dirty: set[int] = set()
        self._new_numbers: list[tuple[int, int, bytes]] = []
        self._new_ins: list[tuple[int, int]] = []

    def key_hash(self, number: Number) -> int:
        """Keyed hash by which a number is found."""
        return self._hashing.of("number", number[0], number[1])

    def forget(self) -> None:
        """Drop what is kept in memory."""
        self._numbers.clear()
        self._traits.clear()
        self._dirty.clear()
        self._new_numbers.clear()
        self._new_ins.clear()

    def shrink(self) -> None:
        """Keep memory bounded; called between batches only."""
        if len(self._numbers) > _CACHED_NUMBERS:
            self._numbers.clear()
        if len(self._traits) > _CACHED_TRAITS:
            self._traits.clear()

    def identity_of(self, number: Number) -> int:
        """The identity that has `number`, or -1."""
        held = self._numbers.get(number)
        return held if held is not None else self._look_up(number, self.key_hash(number))

    def _look_up(self, number: Number, value: int) -> int:
        found = self._store.row("SELECT identity_id, sealed FROM number WHERE hash = ?", (value,))
        if found is None:
            return -1
        if self._open_number(value, found[0], found[1]) != number:
            raise StoreError("Two patient numbers share a keyed hash.", hint="tell the maintainers of Estran")
        self._numbers[number] = int(found[0])
        return int(found[0])

    def known_hashes(self, hashes: Int64s) -> Bools:
        """Which of these keyed hashes belong to a known number."""
        query = "SELECT hash FROM number WHERE hash IN (SELECT value FROM json_each(?))"
        found = [row[0] for row in self._store.scan(query, (json.dumps(hashes.tolist()),))]
        return np.isin(hashes, np.array(found, np.int64))

    def numbers(self, identity: int) -> list[Number]:
        """The numbers of an identity."""
        rows = self._store.rows("SELECT hash, sealed FROM number WHERE identity_id = ?", (identity,))
        return [self._open_number(value, identity, sealed) for value, sealed in rows]

    def all_numbers(self) -> Iterable[tuple[int, int, Number]]:
        """Keyed hash, identity and number, over the whole vault."""
        for value, identity, sealed in self._store.scan("SELECT hash, identity_id, sealed FROM number"):
            yield value, identity, self._open_number(value, identity, sealed)

    def traits(self, identity: int) -> Traits:
        """The folded traits of an identity; not to be changed."""
        held = self._traits.get(identity)
        if held is None:
            found = self._store.row("SELECT sealed FROM identity WHERE identity_id = ?", (identity,))
            held = load(self._store.unseal(found[0], "identity", identity)) if found else {}
            self._traits[identity] = held
        return held

    def with_ins(self, ins: str) -> list[int]:
        """Identities for which this INS was stated."""
        rows = self._store.rows("SELECT identity_id FROM ins WHERE hash = ? ORDER BY 1", (self._ins_hash(ins),))
        return [int(row[0]) for row in rows]

    def add(self, statements: Sequence[Statement]) -> tuple[Introduced, list[tuple[int, int, Statement]]]:
        """Take statements, within a transaction; also returns the pairs of identities they tie."""
        next_id = first = self._store.counter("identity")
        identities, new, folds = [], [], []
        ties: list[tuple[int, int, Statement]] = []
        hashes: list[int] = []
        for statement in statements:
            unknown: dict[Number, int] = {}
            found = self._identities(statement.numbers, unknown)
            is_new = not found
            if is_new:
                found = [next_id]
                self._traits[next_id] = {}
                self._dirty.add(next_id)
                next_id += 1
            ties += [(found[0], other, statement) for other in found[1:]]
            self._give_numbers(unknown, found[0])
            hashes += unknown.values()
            change = self._fold(found[0], statement)
            identities.append(found[0])
            new.append(is_new)
            given = bool(unknown)
            folds.append(
                (not is_new and (change.masks or given), is_new or change.row, is_new or given or change.stored)
            )
        if next_id > first:
            self._store.set_counter("identity", next_id)
        self._flush()
        introduced = Introduced(
            np.array(identities, np.int32),
            np.array(new, np.bool_),
            np.array([f[0] for f in folds], np.bool_),
            np.array([f[1] for f in folds], np.bool_),
            np.array([f[2] for f in folds], np.bool_),
            np.array(hashes, np.int64),
        )
        return introduced, ties

    def _identities(self, numbers: Iterable[Number], unknown: dict[Number, int]) -> list[int]:
        """Identities that have one of `numbers`; the numbers that nobody has go to `unknown`."""
        found = set()
        for number in numbers:
            identity = self._numbers.get(number, -1)
            if identity < 0:
                value = self.key_hash(number)
                identity = self._look_up(number, value)
            if identity < 0:
                unknown[number] = value
            else:
                found.add(identity)
        return sorted(found)

    def _give_numbers(self, numbers: dict[Number, int], identity: int) -> None:
        for number, value in numbers.items():
            plain = _UNIT.join(number).encode("utf-8", "surrogatepass")
            self._new_numbers.append((value, identity, self._store.seal(plain, "number", value, identity)))
            self._numbers[number] = identity

    def _fold(self, identity: int, statement: Statement) -> Folded:
        change = fold(self.traits(identity), stated(statement), (statement.event_time, statement.content))
        if change.stored:
            self._dirty.add(identity)
        if change.stored and statement.ins:
            self._new_ins.append((self._ins_hash(statement.ins), identity))
        return change

    def _flush(self) -> None:
        store = self._store
        rows = [(i, store.seal(dump(self._traits[i]), "identity", i)) for i in sorted(self._dirty)]
        store.write_many("INSERT OR REPLACE INTO identity VALUES (?, ?)", rows)
        store.write_many("INSERT INTO number VALUES (?, ?, ?)", self._new_numbers)
        store.write_many("INSERT OR IGNORE INTO ins VALUES (?, ?)", self._new_ins)
        self._dirty.clear()
        self._new_numbers.clear()
        self._new_ins.clear()

    def _ins_hash(self, ins: str) -> int:
        return self._hashing.of("ins", "".join(ins.split()))

    def _open_number(self, value: int, identity: int, sealed: bytes) -> Number:
        plain = self._store.unseal(sealed, "number", value, identity).decode("utf-8", "surrogatepass")
        system, _, number = plain.partition(_UNIT)
        return system, number
