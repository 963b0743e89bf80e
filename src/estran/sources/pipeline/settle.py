"""Settling versions: of all versions of one record key, the latest by event time, then by content,
is current; every other is superseded. Order of arrival has no say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from estran.sources.pipeline.columns import fetch

Bools = npt.NDArray[np.bool_]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

TimesSaid = Callable[[pa.Table], Int64s]  # stored rows → their event times as the source said them

_KEYS = ("identity_id", "record_key")


@dataclass(frozen=True)
class Verdict:
    """`wins` marks the candidate rows that become current; `losers` are stored documents that go."""

    wins: Bools
    losers: pa.Table  # document_id, patient_id


def latest(keys: list[Int64s], event_time: Int64s, content: Int64s) -> Bools:
    """Mask of the latest row of each key; among identical rows the first."""
    count = len(event_time)
    if not count:
        return np.zeros(0, dtype=bool)
    if not _repeats(keys):
        return np.ones(count, dtype=bool)
    order = np.lexsort((-np.arange(count), content, event_time, *keys))
    last = np.ones(count, dtype=bool)
    same = np.ones(count - 1, dtype=bool)
    for key in keys:
        sorted_key = key[order]
        same &= sorted_key[1:] == sorted_key[:-1]
    last[:-1] = ~same
    wins = np.zeros(count, dtype=bool)
    wins[order[last]] = True
    return wins


def _repeats(keys: list[Int64s]) -> bool:
    """Whether any key may come twice: only then must all be sorted on everything."""
    last = np.sort(keys[-1])
    return bool((last[1:] == last[:-1]).any())


def settle_documents(
    candidates: pa.Table, connection: duckdb.DuckDBPyConnection, said: TimesSaid, lost: Bools, gone: Int32s, *, empty: bool
) -> Verdict:
    """Compare candidates with each other and with the stored documents of the same record keys, but for the
    candidates that have `lost` and the stored documents that are `gone` already.

    Times are compared as they were said: `event_time` of the candidates, and of the stored what `said`
    gives back. `connection` sees `stored_document`, the documents not yet retired (whatever their
    status); `empty` says that there are none, which spares the look-up.
    """
    columns = {n: candidates[n].to_numpy() for n in (*_KEYS, "event_time", "content")}
    wins = ~lost
    kept = {n: v[wins] if lost.any() else v for n, v in columns.items()}
    wins[wins] = latest([kept[k] for k in _KEYS], kept["event_time"], kept["content"])
    nothing = pa.table({"document_id": pa.array([], pa.int32()), "patient_id": pa.array([], pa.int32())})
    if empty or not wins.any():
        return Verdict(wins, nothing)
    places = np.flatnonzero(wins)
    batch = pa.table({"place": places, **{n: columns[n][places] for n in columns}})
    connection.register("candidate", batch)
    stored = fetch(
        connection,
        """
        select c.place, d.document_id, d.patient_id, identity_id, record_key, d.event_time, d.content
        from candidate c join stored_document d using (identity_id, record_key)
        """,
    )
    connection.unregister("candidate")
    if len(gone):
        stored = stored.filter(pa.array(~np.isin(stored["document_id"].to_numpy(), gone)))
    stays = _outlasts(stored, said, columns["event_time"], columns["content"])
    wins[stored["place"].to_numpy()[stays]] = False
    return Verdict(wins, stored.filter(pa.array(~stays)).select(["document_id", "patient_id"]))


def _outlasts(stored: pa.Table, said: TimesSaid, event_time: Int64s, content: Int64s) -> Bools:
    """Which stored rows are at least as late as the candidate of their `place`."""
    times, contents, place = said(stored), stored["content"].to_numpy(), stored["place"].to_numpy()
    same = (times == event_time[place]) & (contents >= content[place])
    return np.asarray((times > event_time[place]) | same, dtype=bool)


def settle_rows(
    candidates: pa.Table, key: str, connection: duckdb.DuckDBPyConnection, stored: str, said: TimesSaid, gone: Int64s
) -> Bools:
    """Mask of the candidates that are newer than the row of the same key in table `stored`, by the
    times as they were said; the rows of the keys `gone` are no rivals."""
    times, contents = candidates["event_time"].to_numpy(), candidates["content"].to_numpy()
    keys = candidates[key].to_numpy()
    wins = latest([keys], times, contents)
    places = np.flatnonzero(wins)
    connection.register("candidate", pa.table({"place": places, key: keys[places]}))
    held = fetch(
        connection,
        f"select c.place, {key}, d.identity_id, d.event_time, d.content from candidate c join {stored} d using ({key})",
    )
    connection.unregister("candidate")
    if len(gone):
        held = held.filter(pa.array(~np.isin(held[key].to_numpy(), gone)))
    wins[held["place"].to_numpy()[_outlasts(held, said, times, contents)]] = False
    return wins


def new_statements(candidates: pa.Table, connection: duckdb.DuckDBPyConnection, stored: str, said: TimesSaid) -> Bools:
    """Mask of the stay statements (stay_id, content) that `stored` does not hold yet, or holds as of an earlier time
    only: what is said again later outdoes what was said in between."""
    keys = [candidates["stay_id"].to_numpy(), candidates["content"].to_numpy()]
    times = candidates["event_time"].to_numpy()
    new = latest(keys, times, np.zeros(len(times), dtype=np.int64))
    places = np.flatnonzero(new)
    connection.register(
        "candidate", pa.table({"place": places, "stay_id": keys[0][places], "content": keys[1][places]})
    )
    held = fetch(
        connection,
        f"""select c.place, d.identity_id, xor(d.content, d.stay_id::bigint) as kept, d.event_time, d.content
            from candidate c join {stored} d using (stay_id, content)""",
    )
    connection.unregister("candidate")
    place = held["place"].to_numpy()
    new[place[said(held) >= times[place]]] = False
    return new
