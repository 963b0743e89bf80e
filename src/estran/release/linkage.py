"""Counting patients whom several sites know: tokens keyed anew for each question, counted where nobody can read them.

Each record is two tokens of 16 bytes, of the national identifier (INS) and of the strict traits; zeros where a patient
has none. Two records are one patient when their INS are the same, or, where one of them has no INS, their traits are.
Two different INS are never one patient.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from estran.model.errors import UsageError
from estran.release.disclosure import Answer, Book, Gate, Rules, Shown

SIZE = 16
_SEED, _NUMBER = 32, 8
_FEWEST = 256  # rows of a parcel, at least: all sets of fewer patients look the same
Tokens = npt.NDArray[np.uint8]  # (records, 16)


@dataclass(frozen=True)
class Records:
    """The tokens of some patients: of the INS and of the traits, each (records, 16), zeros for none."""

    ins: Tokens
    traits: Tokens

    def __post_init__(self) -> None:
        if self.ins.shape != self.traits.shape or self.ins.shape[1:] != (SIZE,):
            raise UsageError("Tokens come in pairs of 16 bytes.")

    def of(self, places: npt.NDArray[np.intp]) -> Records:
        """Those at some places."""
        return Records(self.ins[places], self.traits[places])

    def with_unknown(self, more: int) -> Records:
        """With so many more that have no token."""
        none = np.zeros((more, SIZE), np.uint8)
        return Records(*(np.concatenate([one, none]) for one in (self.ins, self.traits))) if more else self

    def numbers(self) -> npt.NDArray[np.uint64]:
        """One number per record, for sketches: of the traits, which every site writes; of the INS where they lack."""
        chosen = np.where(_present(self.traits)[:, None], self.traits, self.ins)
        return np.ascontiguousarray(chosen[:, :8]).view("<u8").ravel().astype(np.uint64)

    def known(self) -> npt.NDArray[np.bool_]:
        """Which records have a token at all."""
        return _present(self.ins) | _present(self.traits)


def _present(tokens: Tokens) -> npt.NDArray[np.bool_]:
    """Which rows are not all zeros."""
    words = np.ascontiguousarray(tokens).view(np.uint64)
    return np.asarray((words[:, 0] | words[:, 1]) != 0, np.bool_)


def keyed(records: Records, key: bytes, question: str) -> Records:
    """The same records under a key that only this question has: of two questions nothing can be put side by side.

    A keyed permutation of 16 bytes (AES-256 on single blocks), its key derived from the network's linkage key.
    """
    own = HKDF(SHA256(), 32, salt=None, info=b"estran-hub-1/question/" + question.encode()).derive(key)
    return Records(_permuted(records.ins, own), _permuted(records.traits, own))


def _permuted(tokens: Tokens, key: bytes) -> Tokens:
    """Zeros, which mean none, stay zeros."""
    cipher = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()  # noqa: S305 (a permutation of tokens, not a text)
    changed = np.frombuffer(cipher.update(np.ascontiguousarray(tokens).tobytes()), np.uint64).reshape(-1, 2)
    return (changed * _present(tokens)[:, None]).view(np.uint8)


def pack(records: Records, seed: bytes, told: int = 0) -> bytes:
    """What a site hands to the linkage unit: a seed for the noise, how many records, then these, in an order that tells
    nothing, and zeros up to a power of two of rows.

    `told` is the most patients that the hub, which sees how long the parcel is, makes of the protected count: the
    length follows from that, so that it says nothing more; only where there are more records, from their own number.
    """
    rows = np.ascontiguousarray(np.concatenate([records.ins, records.traits], axis=1))
    ordered = rows[np.argsort(_words(records.ins) ^ _words(records.traits))].tobytes()
    most = 1 << (max(_FEWEST, told, len(rows)) - 1).bit_length()
    return seed + len(rows).to_bytes(_NUMBER, "little") + ordered.ljust(most * 2 * SIZE, b"\0")


def unpack(data: bytes) -> tuple[Records, bytes]:
    """Inverse of `pack`; UsageError when the sizes do not fit."""
    number, room = int.from_bytes(data[_SEED : _SEED + _NUMBER], "little"), len(data) - _SEED - _NUMBER
    if room < 0 or room % (2 * SIZE) or number > room // (2 * SIZE):
        raise UsageError("This is no list of tokens.")
    rows = np.frombuffer(data, np.uint8, number * 2 * SIZE, _SEED + _NUMBER).reshape(-1, 2 * SIZE)
    return Records(rows[:, :SIZE], rows[:, SIZE:]), data[:_SEED]


def distinct(sites: Sequence[Records]) -> int:
    """How many patients the records of several sites are of."""
    ins, traits = (_words(np.concatenate([getattr(one, name) for one in sites])) for name in ("ins", "traits"))
    named, described = ins != 0, traits != 0
    lone = traits[~named & described]  # no INS: one patient per traits, unless somebody with an INS has them
    return (
        _different(ins[named]) + len(np.setdiff1d(lone, traits[named & described])) + int((~named & ~described).sum())
    )


def _different(words: npt.NDArray[np.uint64]) -> int:
    """How many different ones there are."""
    ordered = np.sort(words)
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + min(1, len(ordered))


def protected_distinct(sites: Sequence[tuple[Records, bytes]], rules: Rules) -> Shown:
    """`distinct` through the rules of the one gate. The noise comes from the sites' seeds, which depend on the sets
    alone: the same sets get the same noise, however the question is worded."""
    return protected(distinct([records for records, _ in sites]), [seed for _, seed in sites], rules, "distinct")


def protected(count: int, seeds: Sequence[bytes], rules: Rules, place: str) -> Shown:
    """A total of several sites through the rules of the one gate, its noise from the sites' seeds and its `place`."""
    key = hashlib.sha256(b"".join(sorted(seeds))).digest()
    return Gate(rules, key, _Nothing()).fixed(count, place)


def seed_of(secret: bytes, digest: bytes) -> bytes:
    """A site's part of the noise: from its secret and the set it answered for."""
    return hmac.digest(secret, b"estran/seed" + digest, "sha256")


def _words(tokens: Tokens) -> npt.NDArray[np.uint64]:
    """The first half of each token, 0 for none: of ten million patients two have the same with a chance of 3 in 10^6."""
    return np.ascontiguousarray(tokens).view(np.uint64)[:, 0]


class _Nothing(Book):
    """No set was answered before: totals of a linkage unit are not anchored, the sets of the sites are."""

    def near(self, sizes: object, margin: int) -> Sequence[Answer]:
        return ()

    def keep(self, answered: object) -> Sequence[Answer]:
        return ()
