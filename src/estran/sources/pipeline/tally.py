"""The tally: every record read ends as loaded, superseded or quarantined, and the sums say so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from estran.model.tables import LOAD, QUARANTINE
from estran.sources.pipeline.held import Held

SUPERSEDED, LOADED, QUARANTINED = 0, 1, 2
_ODD = 0x9E3779B97F4A7C15  # spreads times over all bits
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reason:
    """Why one record is in quarantine; `waits_for` is the keyed hash of an unknown patient number."""

    field: str
    code: str
    sentence: str
    waits_for: int | None = None


@dataclass
class LoadRow:
    """One line of the `load` table: what became of one part of one file."""

    load_id: int
    file_no: int
    part: str
    source: str
    started: int
    finished: int | None = None
    complete: bool = False
    read: int = 0
    loaded: int = 0
    superseded: int = 0
    quarantined: int = 0
    unknown_stays: int = 0

    @property
    def key(self) -> tuple[int, int, str]:
        return self.load_id, self.file_no, self.part


@dataclass
class _Chunk:
    row: LoadRow
    base: int
    record_no: Ints
    line: pa.ChunkedArray
    content: Ints
    outcome: npt.NDArray[np.int8]
    replayed: bool
    event_time: Ints
    counted: int  # so many of the first records were counted before an interruption
    reasons: dict[int, Reason] = field(default_factory=dict)


class Tally:
    """The records gathered since the last commit, numbered from 0 across files."""

    def __init__(self) -> None:
        self._chunks: list[_Chunk] = []
        self.records = 0

    def open(self, row: LoadRow, records: pa.Table, *, replayed: bool, counted: int = 0) -> int:
        """Enter a batch of records, the first `counted` of which the row counts already; returns the number of its
        first one."""
        base, count = self.records, records.num_rows
        self._chunks.append(
            _Chunk(
                row,
                base,
                _ints(records["record_no"]),
                records["line"],
                _ints(records["content"]),
                np.zeros(count, dtype=np.int8),
                replayed,
                _ints(records["event_time"]),
                counted,
            )
        )
        self.records += count
        return base

    def quarantine(self, record: int, reason: Reason) -> None:
        """Only the latest batch can still be refused; the first reason given is kept."""
        chunk = self._chunks[-1]
        chunk.outcome[record - chunk.base] = QUARANTINED
        chunk.reasons.setdefault(record - chunk.base, reason)

    def quarantined(self, records: Ints) -> npt.NDArray[np.bool_]:
        """Which of these records of the latest batch are refused."""
        chunk = self._chunks[-1]
        return np.asarray(chunk.outcome[records - chunk.base] == QUARANTINED)

    def load(self, records: Iterable[int] | Ints) -> None:
        """These records had an effect."""
        numbers = np.asarray(list(records) if not isinstance(records, np.ndarray) else records, dtype=np.int64)
        loaded = np.zeros(self.records, dtype=np.bool_)
        loaded[numbers] = True
        for chunk in self._chunks:
            here = loaded[chunk.base : chunk.base + len(chunk.outcome)]
            chunk.outcome[here & (chunk.outcome != QUARANTINED)] = LOADED

    def count_unknown_stays(self, records: Ints) -> None:
        """One fact of each of these records (repeats count) names a stay that nobody introduced."""
        for chunk in self._chunks:
            inside = (records >= chunk.base) & (records < chunk.base + len(chunk.outcome))
            chunk.row.unknown_stays += int(inside.sum())

    def close(self, held: Held) -> Closed:
        """Count every record. `held` = (source, part, content) of what quarantine already holds:
        an identical resend of such a record counts as superseded."""
        rows: dict[tuple[int, int, str], LoadRow] = {}
        entries: list[dict[str, object]] = []
        released: list[dict[str, object]] = []
        for chunk in self._chunks:
            rows[chunk.row.key] = chunk.row
            if chunk.replayed:
                _count_replayed(chunk, released)
            else:
                _count_first(chunk, held, entries)
        return Closed(list(rows.values()), entries, released)


@dataclass(frozen=True)
class Closed:
    """What a tally came to: load rows, new quarantine rows, and quarantine rows set free."""

    rows: list[LoadRow]
    entries: list[dict[str, object]]
    released: list[dict[str, object]]

    def load_table(self) -> pa.Table:
        return pa.Table.from_pylist([dict(vars(row)) for row in self.rows], LOAD)

    def quarantine_table(self) -> pa.Table:
        return pa.Table.from_pylist(self.entries, QUARANTINE)

    def released_table(self) -> pa.Table:
        keys = pa.schema([QUARANTINE.field(n) for n in ("file_no", "record_no", "part", "source")])
        return pa.Table.from_pylist(self.released, keys)


def _count_first(chunk: _Chunk, held: Held, entries: list[dict[str, object]]) -> None:
    row = chunk.row
    for place, reason in sorted(chunk.reasons.items()):
        key = (row.source, row.part, _content(chunk, place, reason))
        if key in held:
            chunk.outcome[place] = SUPERSEDED
            continue
        held.add(key)
        entries.append(_entry(chunk, place, reason))
    new = chunk.outcome[chunk.counted :]
    row.read += len(new)
    row.loaded += int((new == LOADED).sum())
    row.superseded += int((new == SUPERSEDED).sum())
    row.quarantined += int((new == QUARANTINED).sum())


def _count_replayed(chunk: _Chunk, released: list[dict[str, object]]) -> None:
    row = chunk.row
    freed = np.flatnonzero(chunk.outcome != QUARANTINED)
    for place in freed:
        number = int(chunk.record_no[place])
        released.append({"file_no": row.file_no, "record_no": number, "part": row.part, "source": row.source})
    row.quarantined -= len(freed)
    row.loaded += int((chunk.outcome == LOADED).sum())
    row.superseded += int((chunk.outcome == SUPERSEDED).sum())


def _content(chunk: _Chunk, place: int, reason: Reason) -> int:
    """What a record in quarantine is known by. One that waits for its patient is another one when it is said again
    at another time: once let in, the latest of them has to stand."""
    content = int(chunk.content[place])
    if reason.waits_for is None:
        return content
    mixed = (content ^ (int(chunk.event_time[place]) * _ODD)) & (2**64 - 1)
    return mixed - 2**64 if mixed >= 2**63 else mixed


def _entry(chunk: _Chunk, place: int, reason: Reason) -> dict[str, object]:
    return {
        "file_no": chunk.row.file_no,
        "record_no": int(chunk.record_no[place]),
        "part": chunk.row.part,
        "source": chunk.row.source,
        "load_id": chunk.row.load_id,
        "line": chunk.line[place].as_py(),
        "field": reason.field,
        "code": reason.code,
        "reason": reason.sentence,
        "content": _content(chunk, place, reason),
        "waits_for": reason.waits_for,
    }


def _ints(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.fill_null(0).to_numpy(), dtype=np.int64)
