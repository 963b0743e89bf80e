"""Ancestor edges: kept closed, each pair once.

The table holds the transitive closure, so that one lookup finds every descendant. An edge of
distance 0 between two concepts says that they are the same thing under two codes (SNOMED:57676002
and the OMOP concept of that code): the first then inherits every descendant of the second,
whichever of the two edges arrived first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from estran.model.tables import CONCEPT_ANCESTOR

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Int16s = npt.NDArray[np.int16]
_SHIFT = 32


class Hierarchy:
    """The edges known so far, as sorted pair keys; grows with `add`."""

    def __init__(self, edges: pa.Table) -> None:
        keys = _pairs(_numbers(edges["ancestor_id"]), _numbers(edges["descendant_id"]))
        order = np.argsort(keys, kind="stable")
        self._keys: Int64s = keys[order]
        self._distances: Int16s = edges["distance"].to_numpy().astype(np.int16)[order]
        same = self._distances == 0
        self._twins: Int64s = _swapped(self._keys[same])  # (concept, its other code), sorted

    def add(self, ancestors: Int32s, descendants: Int32s, distances: Int16s) -> pa.Table:
        """Edges to store for these ones: new pairs only, and those that equivalence adds."""
        apart = ancestors != descendants
        keys, found = _first(_pairs(ancestors[apart], descendants[apart]), distances[apart])
        keys, found = self._unknown(keys, found)
        self._merge(keys, found)
        twins = _swapped(keys[found == 0])
        self._twins = np.sort(np.concatenate([self._twins, twins]))
        more = [_inherit(self._twins, keys, found), _inherit(twins, self._keys, self._distances)]
        extra, far = _first(np.concatenate([m[0] for m in more]), np.concatenate([m[1] for m in more]))
        extra, far = self._unknown(extra, far)
        self._merge(extra, far)
        return _table(np.concatenate([keys, extra]), np.concatenate([found, far]))

    def _unknown(self, keys: Int64s, distances: Int16s) -> tuple[Int64s, Int16s]:
        if not len(self._keys):
            return keys, distances
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        new = self._keys[place] != keys
        return keys[new], distances[new]

    def _merge(self, keys: Int64s, distances: Int16s) -> None:
        at = np.searchsorted(self._keys, keys)
        self._keys = np.insert(self._keys, at, keys)
        self._distances = np.insert(self._distances, at, distances)


def close(children: Int32s, parents: Int32s) -> tuple[Int32s, Int32s, Int16s]:
    """Ancestors, descendants and distances of the transitive closure of 'is a' edges.

    The shortest distance wins; a cycle ends where it began.
    """
    step, _ = _first(_pairs(parents, children), np.zeros(len(parents), dtype=np.int16))
    reached, level = [step], step
    known, distance = step, 1
    while len(level):
        lower = _inherit(_swapped(level), step, np.zeros(len(step), dtype=np.int16))[0]
        lower = np.setdiff1d(lower[(lower >> _SHIFT) != (lower & 0xFFFFFFFF)], known)
        known, level, distance = np.union1d(known, lower), lower, distance + 1
        reached.append(lower)
    keys = np.concatenate(reached)
    distances = np.repeat(np.arange(1, len(reached) + 1, dtype=np.int16), [len(r) for r in reached])
    return (keys >> _SHIFT).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32), distances


def _inherit(twins: Int64s, keys: Int64s, distances: Int16s) -> tuple[Int64s, Int16s]:
    """For every twin pair (a, n) and every edge (a → d), the edge (n → d); `keys` are sorted."""
    a, n = twins >> _SHIFT, twins & 0xFFFFFFFF
    start = np.searchsorted(keys, a << _SHIFT)
    counts = np.searchsorted(keys, (a + 1) << _SHIFT) - start
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    edge = np.repeat(start, counts) + offsets
    result = (np.repeat(n, counts) << _SHIFT) | (keys[edge] & 0xFFFFFFFF)
    apart = (result >> _SHIFT) != (result & 0xFFFFFFFF)
    return result[apart], distances[edge][apart]


def _first(keys: Int64s, distances: Int16s) -> tuple[Int64s, Int16s]:
    """Each key once, sorted, with its smallest distance."""
    order = np.lexsort((distances, keys))
    keys, distances = keys[order], distances[order]
    first = np.ones(len(keys), dtype=bool)
    first[1:] = keys[1:] != keys[:-1]
    return keys[first], distances[first]


def _pairs(left: npt.NDArray[np.signedinteger], right: npt.NDArray[np.signedinteger]) -> Int64s:
    return (left.astype(np.int64) << _SHIFT) | right.astype(np.int64)


def _swapped(keys: Int64s) -> Int64s:
    return np.sort(((keys & 0xFFFFFFFF) << _SHIFT) | (keys >> _SHIFT))


def _numbers(column: pa.ChunkedArray) -> Int32s:
    return np.asarray(column.to_numpy(), dtype=np.int32)


def _table(keys: Int64s, distances: Int16s) -> pa.Table:
    columns = [(keys >> _SHIFT).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32), distances]
    return pa.table([pa.array(c) for c in columns], schema=CONCEPT_ANCESTOR)
