"""Presence: for each bucket and concept, the set of patients and of stays with a live fact.

One file per bucket and state, read through memory mapping: a header, the sorted concept ids, two
sizes per concept, then the sets themselves. A set is a serialised Roaring bitmap or, where that is
shorter, a zero byte and its members as 32-bit integers. It is decoded when first asked for.
"""

from __future__ import annotations

import array
import mmap
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from estran.model.errors import StoreError
from estran.warehouse.files import write_durable

MAGIC = b"ESTRPRE1"
_HEADER = struct.Struct("<8sQ")
_FEW = 4  # up to here plain integers are shorter than a Roaring bitmap
Ints = npt.NDArray[np.int64]
Pair = tuple[BitMap, BitMap]  # patients, stays


def bitmap(values: npt.NDArray[np.generic] | Iterable[int]) -> BitMap:
    """A bitmap of numpy integers (through a buffer, thirteen times faster than through Python)."""
    if not isinstance(values, np.ndarray):
        return BitMap(values)
    return BitMap(array.array("I", np.ascontiguousarray(values, dtype=np.uint32).tobytes()))


def members(values: BitMap) -> Ints:
    """The members of a bitmap as sorted numpy integers."""
    return np.frombuffer(values.to_array(), dtype=np.uint32).astype(np.int64)


class Presence:
    """The bitmaps of one bucket. Immutable; may be shared between threads."""

    def __init__(self, path: Path | None) -> None:
        """Open `path`, or nothing at all when it is None; StoreError when it is damaged."""
        self.concepts: Ints = np.zeros(0, np.int64)
        self._offsets: Ints = np.zeros(1, np.int64)
        self._view = memoryview(b"")
        self._cache: tuple[dict[int, BitMap], dict[int, BitMap]] = ({}, {})
        if path is not None:
            self._open(path)

    def _open(self, path: Path) -> None:
        if path.stat().st_size < _HEADER.size:
            raise StoreError("A presence file is damaged.", where=str(path))
        with path.open("rb") as stream:
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        magic, count = _HEADER.unpack_from(data)
        first = _HEADER.size + count * 12
        if magic != MAGIC or len(data) < first:
            raise StoreError("A presence file is damaged.", where=str(path))
        self.concepts = np.frombuffer(data, "<i4", count, _HEADER.size).astype(np.int64)
        sizes = np.frombuffer(data, "<u4", count * 2, _HEADER.size + count * 4)
        self._offsets = np.concatenate([[first], first + np.cumsum(sizes, dtype=np.int64)])
        self._view = memoryview(data)
        if int(self._offsets[-1]) != len(data):
            raise StoreError("A presence file is damaged.", where=str(path))

    def patients(self, concept_ids: Iterable[int] | npt.NDArray[np.generic]) -> BitMap:
        """Patients with a live fact of any of the concepts."""
        return self._union(concept_ids, 0)

    def stays(self, concept_ids: Iterable[int] | npt.NDArray[np.generic]) -> BitMap:
        """Stays with a live fact of any of the concepts; may name stays nobody introduced yet."""
        return self._union(concept_ids, 1)

    def _union(self, concept_ids: Iterable[int] | npt.NDArray[np.generic], kind: int) -> BitMap:
        found = [self.at(index, kind) for index in self._indices(concept_ids)]
        if not found:
            return BitMap()
        return BitMap.union(*found) if len(found) > 1 else found[0].copy()

    def _indices(self, concept_ids: Iterable[int] | npt.NDArray[np.generic]) -> list[int]:
        wanted = np.asarray(concept_ids if isinstance(concept_ids, np.ndarray) else list(concept_ids), np.int64)
        if not len(self.concepts) or not len(wanted):
            return []
        index = np.minimum(np.searchsorted(self.concepts, wanted), len(self.concepts) - 1)
        found: list[int] = index[self.concepts[index] == wanted].tolist()
        return found

    def at(self, index: int, kind: int) -> BitMap:
        """Bitmap of the concept numbered `index` in `concepts`, kind 0 patients, 1 stays; do not change it."""
        cache = self._cache[kind]
        known = cache.get(index)
        if known is None:
            known = cache[index] = self.stored(index, kind)
        return known

    def stored(self, index: int, kind: int) -> BitMap:
        """The same, decoded anew from the file."""
        return _thawed(self.blob(index, kind))

    def held(self) -> Ints:
        """Concepts that some patient has, sorted."""
        return self.concepts

    def pair(self, concept: int) -> Pair:
        """Copies of the two bitmaps of one concept, empty when it is absent."""
        index = int(np.searchsorted(self.concepts, concept))
        if index == len(self.concepts) or self.concepts[index] != concept:
            return BitMap(), BitMap()
        return self.stored(index, 0), self.stored(index, 1)

    def blob(self, index: int, kind: int) -> memoryview:
        """Serialised bitmap number `index`; kind 0 patients, 1 stays."""
        at = index * 2 + kind
        return self._view[int(self._offsets[at]) : int(self._offsets[at + 1])]

    def span(self, first: int, last: int) -> memoryview:
        """Serialised bitmaps of the concepts numbered `first` to `last` (excluded), as one piece."""
        return self._view[int(self._offsets[first * 2]) : int(self._offsets[last * 2])]

    def sizes(self) -> Ints:
        """Bytes of each blob, patients and stays in turn."""
        return np.diff(self._offsets)


def write_presence(path: Path, old: Presence, changed: Mapping[int, Pair]) -> tuple[int, int]:
    """Write `old` with the concepts of `changed` replaced (left out when they have no patient).

    What did not change is copied as bytes. Returns the file's size and its number of concepts.
    """
    kept = ~np.isin(old.concepts, np.fromiter(changed, np.int64, len(changed)))
    fresh = sorted(c for c, (patients, _) in changed.items() if patients)
    concepts = np.concatenate([old.concepts[kept], np.array(fresh, np.int64)])
    order = np.argsort(concepts, kind="stable")
    source = np.concatenate([np.nonzero(kept)[0], np.full(len(fresh), -1)])[order]
    parts, sizes = _bodies(old, changed, concepts[order], source)
    head = [_HEADER.pack(MAGIC, len(concepts)), concepts[order].astype("<i4").tobytes(), sizes.astype("<u4").tobytes()]
    return write_durable(path, [*head, *parts]), len(concepts)


def _bodies(
    old: Presence, changed: Mapping[int, Pair], concepts: Ints, source: Ints
) -> tuple[list[bytes | memoryview], Ints]:
    """Blobs in the order of `concepts`, and the two sizes of each; runs of unchanged ones in one piece."""
    sizes = np.zeros(len(concepts) * 2, np.int64)
    old_sizes = old.sizes() if len(old.concepts) else np.zeros(0, np.int64)
    parts: list[bytes | memoryview] = []
    fresh = source < 0
    breaks = np.nonzero(fresh[1:] | fresh[:-1] | (np.diff(source) != 1))[0] + 1
    for start, stop in zip([0, *breaks.tolist()], [*breaks.tolist(), len(source)], strict=True):
        if start == stop:
            continue
        first = int(source[start])
        if first >= 0:
            last = first + stop - start
            parts.append(old.span(first, last))
            sizes[start * 2 : stop * 2] = old_sizes[first * 2 : last * 2]
        else:
            blobs = [_frozen(b) for b in changed[int(concepts[start])]]
            parts += blobs
            sizes[start * 2 : stop * 2] = [len(b) for b in blobs]
    return parts, sizes


def _frozen(values: BitMap) -> bytes:
    if len(values) <= _FEW:
        return b"\0" + bytes(values.to_array())
    values.run_optimize()
    values.shrink_to_fit()
    return bytes(values.serialize())


def _thawed(blob: memoryview) -> BitMap:
    if blob[0] == 0:  # a Roaring bitmap starts with 0x3A or 0x3B
        return BitMap(array.array("I", bytes(blob[1:])))
    return BitMap.deserialize(bytes(blob))
