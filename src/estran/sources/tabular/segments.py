"""Where a file of grouped rows may be cut: between two rows that no document spans.

A first reading tells the groups apart by a hash per row; cuts are made where every document begun is
complete, so the second reading holds one segment at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from estran.model.errors import InputRefused
from estran.sources.omop.blocks import Block
from estran.sources.tabular.batches import group_hashes
from estran.sources.tabular.inputs import Input
from estran.sources.tabular.plan import Plan

Int64s = npt.NDArray[np.int64]
SEGMENT = 100_000  # rows, at least
_LONGEST = 2_000_000
_MOST_ROWS = 200_000_000


def cuts(con: duckdb.DuckDBPyConnection, opened: Input, plan: Plan, file: str) -> Int64s:
    """Rows after which a segment ends, the last row included."""
    hashes = [group_hashes(plan, plan.run(con, block, plan.group)) for block in opened.blocks(plan.columns)]
    rows = sum(map(len, hashes))
    if rows > _MOST_ROWS:
        raise InputRefused("A file of grouped rows holds at most 200 million of them.", where=file)
    if not rows:
        return np.zeros(0, dtype=np.int64)
    _, group = np.unique(np.concatenate(hashes), return_inverse=True)
    last = np.zeros(int(group.max()) + 1, dtype=np.int64)
    np.maximum.at(last, group, np.arange(rows))
    complete = np.flatnonzero(np.maximum.accumulate(last[group]) == np.arange(rows)) + 1
    found = [0]
    while found[-1] < rows:
        place = min(int(np.searchsorted(complete, found[-1] + SEGMENT)), len(complete) - 1)
        found.append(int(complete[place]))
        if found[-1] - found[-2] > _LONGEST:
            raise InputRefused("The rows of one document are too far apart: sort the file by the group.", where=file)
    return np.array(found[1:], dtype=np.int64)


def segments(blocks: Iterator[Block], ends: Int64s) -> Iterator[Block]:
    """The blocks cut anew at `ends`."""
    held: list[Block] = []
    count, done = 0, 0
    for block in blocks:
        held.append(block)
        count += len(block)
        while done < len(ends) and count >= ends[done]:
            joined = joined_blocks(held)
            over = count - int(ends[done])
            size = len(joined) - over
            yield part_of(joined, 0, size)
            held = [part_of(joined, size, len(joined))] if over else []
            done += 1


def joined_blocks(blocks: list[Block]) -> Block:
    """Blocks one after another."""
    lines = [b.lines for b in blocks if b.lines is not None]
    return Block(
        pa.concat_tables([b.table for b in blocks]).combine_chunks(),
        np.concatenate([b.numbers for b in blocks]),
        np.concatenate([b.content for b in blocks]),
        np.concatenate(lines) if len(lines) == len(blocks) else None,
        np.concatenate([b.bad for b in blocks]),
    )


def part_of(block: Block, first: int, last: int) -> Block:
    """Rows `first` to `last` of a block."""
    lines = None if block.lines is None else block.lines[first:last]
    table = block.table.slice(first, last - first)
    return Block(table, block.numbers[first:last], block.content[first:last], lines, block.bad[first:last])
