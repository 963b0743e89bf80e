"""Maps from one concept to another: each pair once, and which of them decide for codes that come alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Int64s = npt.NDArray[np.int64]
_SHIFT = 32


class Maps:
    """The maps known so far, as sorted pair keys; grows with `note` and `add`.

    Those that a source gave with its own records (method "source") are kept, and decide nothing
    for other records: else what a code means would depend on which record came first.
    """

    def __init__(self, table: pa.Table) -> None:
        self._keys = np.unique(_pairs(table))
        self._deciding = np.unique(_pairs(_made(table)))
        self._noted: set[tuple[int, int]] = set()

    def target(self, source: int) -> int | None:
        """The concept that `source` is mapped to; the lowest when there are several."""
        place = int(np.searchsorted(self._deciding, source << _SHIFT))
        if place == len(self._deciding) or int(self._deciding[place]) >> _SHIFT != source:
            return None
        return int(self._deciding[place]) & 0xFFFFFFFF

    def note(self, source: int, target: int) -> bool:
        """Keep a pair that a source gave; whether it is new."""
        key = (source << _SHIFT) | target
        place = int(np.searchsorted(self._keys, key))
        stored = place < len(self._keys) and int(self._keys[place]) == key
        if stored or (source, target) in self._noted:
            return False
        self._noted.add((source, target))
        return True

    def add(self, table: pa.Table) -> pa.Table:
        """The rows of `table` (CONCEPT_MAP) that are new, each pair once; a concept is not its own map."""
        keys = _pairs(table)
        noted = np.array([(s << _SHIFT) | t for s, t in self._noted], dtype=np.int64)
        first = np.zeros(len(keys), dtype=bool)
        first[np.unique(keys, return_index=True)[1]] = True
        new = first & ((keys >> _SHIFT) != (keys & 0xFFFFFFFF)) & ~np.isin(keys, np.concatenate([self._keys, noted]))
        rows = table.filter(pa.array(new))
        self._keys = np.union1d(self._keys, keys[new])
        self._deciding = np.union1d(self._deciding, _pairs(_made(table)))
        return rows


def _made(table: pa.Table) -> pa.Table:
    return table.filter(pc.and_(pc.not_equal(table["method"], "source"), _apart(table)))


def _apart(table: pa.Table) -> pa.ChunkedArray:
    return pc.not_equal(table["source_id"], table["target_id"])


def _pairs(table: pa.Table) -> Int64s:
    sources, targets = table["source_id"].to_numpy(), table["target_id"].to_numpy()
    return (np.asarray(sources, dtype=np.int64) << _SHIFT) | np.asarray(targets, dtype=np.int64)


