"""A block: some records of one table, in order, as columns that are not interpreted yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64s = npt.NDArray[np.int64]

# Why a record could not be cut into columns, by number; 0 is a sound one.
BAD = {
    1: ("row", "truncated", "The row has fewer columns than the header."),
    2: ("row", "malformed", "The row has more columns than the header."),
    3: ("row", "malformed", "A quotation mark of the row is never closed."),
    4: ("row", "encoding", "The row holds a null byte."),
}
# Record numbers are unique in a file: a file of many tables gives each 2^40 of them.
TABLE_SHIFT = 40


@dataclass(frozen=True)
class Block:
    """Records of one table. Bad ones are rows of nulls, with their number of `BAD`."""

    table: pa.Table
    numbers: Int64s  # record numbers
    content: Int64s
    lines: Int64s | None
    bad: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.numbers)

    def only(self, wanted: frozenset[int] | None) -> Block:
        """The records whose number is wanted; all of them when None."""
        if wanted is None:
            return self
        keep = np.isin(self.numbers, np.fromiter(wanted, dtype=np.int64, count=len(wanted)))
        lines = None if self.lines is None else self.lines[keep]
        table = self.table.filter(pa.array(keep))
        return Block(table, self.numbers[keep], self.content[keep], lines, self.bad[keep])


def in_order(found: pa.Table, place: str) -> pa.Table:
    """The rows by column `place`: with several threads DuckDB may hand out later ones first."""
    places = found[place].to_numpy()
    return found.take(pa.array(np.argsort(places, kind="stable"))) if (np.diff(places) < 0).any() else found
