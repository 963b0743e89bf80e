"""The presence bitmaps as a scope sees them: what is stored, less what only closed documents support."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyroaring import BitMap, FrozenBitMap

from estran.warehouse import presence_update
from estran.warehouse.encoding import numbers
from estran.warehouse.presence import Ints, Pair, Presence, bitmap, members
from estran.warehouse.presence_update import Removed
from estran.warehouse.scratch import scratch

Paths = tuple[str, ...]


class ScopedPresence(Presence):
    """The bitmaps of one bucket without the pairs that only the documents of `closed` support.

    `hidden` are the retired and cancelled documents: the stored bitmaps are without them already. The pairs are
    looked for when the first bitmap is asked for.
    """

    def __init__(
        self, path: Path, closed: FrozenBitMap, hidden: FrozenBitMap, documents: Paths, facts: Paths, by_concept: Paths
    ) -> None:
        super().__init__(path)
        self._given = (documents, facts, by_concept, closed, hidden)

    @cached_property
    def lost(self) -> Removed:
        """Per concept, the patients and the stays that are taken out."""
        return _lost(*self._given)

    def at(self, index: int, kind: int) -> BitMap:
        """As in `Presence`; may be empty."""
        known = self._cache[kind].get(index)
        if known is None:
            gone = self.lost.get(int(self.concepts[index]))
            stored = self.stored(index, kind)
            known = self._cache[kind][index] = stored if gone is None else stored - bitmap(gone[kind])
        return known

    def pair(self, concept: int) -> Pair:
        """Copies of the two bitmaps of one concept, empty when it is absent."""
        found = self._indices([concept])
        return (self.at(found[0], 0).copy(), self.at(found[0], 1).copy()) if found else (BitMap(), BitMap())

    def held(self) -> Ints:
        """Concepts that some patient still has."""
        emptied = [concept for concept in self.lost if not self.pair(concept)[0]]
        return np.setdiff1d(self.concepts, np.array(emptied, np.int64))


@lru_cache(maxsize=64)
def _lost(documents: Paths, facts: Paths, by_concept: Paths, closed: FrozenBitMap, hidden: FrozenBitMap) -> Removed:
    """What the closed documents alone support: the same question as when documents are retired."""
    with scratch() as connection:
        connection.register("retiring", _ids(closed - hidden))
        connection.register("hidden", _ids(closed | hidden))
        owners = connection.sql(
            "SELECT DISTINCT patient_id FROM read_parquet(?) SEMI JOIN retiring USING (document_id)",
            params=[list(documents)],
        ).to_arrow_table()
        return presence_update.removed(connection, list(facts), list(by_concept), numbers(owners, "patient_id"))


def _ids(values: FrozenBitMap) -> pa.Table:
    return pa.table({"document_id": members(BitMap(values)).astype(np.int32)})
