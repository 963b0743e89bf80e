"""Wholes: documents that a source always sends together, such as the RUM of one RSS.

Of the sendings (files) of a whole the latest is current, all of it and nothing else: a part that it leaves out
is gone. The upper half of the record key of a part is that of its whole, so that the stored parts of a whole are
found; the content of a part tells of the whole that it came in, so that a whole sent again unchanged is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from estran.sources.pipeline.columns import fetch
from estran.sources.pipeline.settle import TimesSaid, latest

Bools = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]

_HALF = np.int64(0xFFFFFFFF)
_NOTHING = pa.schema([(n, t) for n, t in (
    ("document_id", pa.int32()), ("patient_id", pa.int32()), ("identity_id", pa.int32()), ("content", pa.int64()),
)])  # fmt: skip


def part_keys(parts: Int64s, wholes: Int64s) -> Int64s:
    """Record keys of parts: the upper half of the whole's key, the lower half of the part's own."""
    keys: Int64s = (wholes & ~_HALF) | (parts & _HALF)
    return keys


@dataclass(frozen=True)
class Parting:
    """`lost` marks the candidates of a sending that a later one of the same whole replaces; `gone` are the stored
    documents that a candidate's sending replaces."""

    lost: Bools
    gone: pa.Table  # document_id, patient_id, identity_id, content


def part(candidates: pa.Table, connection: duckdb.DuckDBPyConnection, said: TimesSaid, *, empty: bool) -> Parting:
    """Which sending of each whole is the latest, of the candidates and of what is stored."""
    lost = np.zeros(candidates.num_rows, dtype=bool)
    rows = np.flatnonzero(candidates["whole"].to_numpy())
    if not len(rows):
        return Parting(lost, _NOTHING.empty_table())
    parts = {n: candidates[n].to_numpy()[rows] for n in ("identity_id", "record_key", "event_time", "content", "file_no")}
    whole = (parts["identity_id"].astype(np.int64) << 32) | ((parts["record_key"] >> 32) & _HALF)
    names, group = np.unique(whole, return_inverse=True)
    last = np.empty(len(names), dtype=np.int64)  # the latest part of each whole
    newest = np.flatnonzero(latest([whole], parts["event_time"], parts["content"]))
    last[group[newest]] = newest
    lost[rows] = parts["file_no"] != parts["file_no"][last][group]
    if empty:
        return Parting(lost, _NOTHING.empty_table())
    titles = candidates["title"].take(pa.array(rows[last]))
    stored = _stored(connection, {n: v[last] for n, v in parts.items()}, titles)
    verdicts = _verdicts(stored, said, parts, group, last)
    lost[rows] |= verdicts[group] < 0
    gone = stored.filter(pa.array(verdicts[stored["place"].to_numpy()] > 0))
    return Parting(lost, gone.select(_NOTHING.names).cast(_NOTHING))


def _stored(connection: duckdb.DuckDBPyConnection, last: dict[str, Int64s], titles: pa.ChunkedArray) -> pa.Table:
    """The stored parts of wholes; `place` is the whole's, `again` the time of the latest sending that said the same:
    documents sent again unchanged keep their time, their movements do not."""
    wanted = pa.table({"place": np.arange(len(titles)), "identity_id": last["identity_id"],
                       "half": last["record_key"] >> 32, "title": titles.cast(pa.string())})  # fmt: skip
    connection.register("whole", wanted)
    stored = fetch(
        connection,
        """
        select w.place, d.document_id, d.patient_id, d.identity_id, d.record_key, d.event_time, d.content, d.file_no,
            coalesce((select max(m.event_time) from raw_movement m
                      where m.identity_id = d.identity_id and m.content = d.content), d.event_time) as again
        from whole w join stored_document d
            on d.identity_id = w.identity_id and d.record_key >> 32 = w.half and d.title = w.title
        """,
    )
    connection.unregister("whole")
    return stored


def _verdicts(stored: pa.Table, said: TimesSaid, parts: dict[str, Int64s], group: Int64s, last: Int64s) -> Int64s:
    """Of each whole: 1 when the candidates replace what is stored, -1 when that is the later sending, 0 when
    nothing is stored, or parts of the very same sending."""
    verdicts = np.zeros(len(last), dtype=np.int64)
    place, contents = stored["place"].to_numpy(), stored["content"].to_numpy()
    times = np.maximum(said(stored), stored["again"].to_numpy())
    newest = np.flatnonzero(latest([place], times, contents))
    at = last[place[newest]]
    event, content = parts["event_time"][at], parts["content"][at]
    older = (times[newest] < event) | ((times[newest] == event) & (contents[newest] < content))
    verdicts[place[newest]] = np.where(older, 1, -1)
    verdicts[place[newest][stored["file_no"].to_numpy()[newest] == parts["file_no"][at]]] = 0
    mine = set(zip(group.tolist(), parts["content"].tolist(), strict=True))
    same = [w for w, c in zip(place.tolist(), contents.tolist(), strict=True) if (w, c) in mine]
    verdicts[same] = 0
    return verdicts
