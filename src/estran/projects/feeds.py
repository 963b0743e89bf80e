"""How the feeds are doing: freshness, volume, rejects, drift of codes; and the list of loads.

A feed is *silent* when nothing came for longer than it says (`expected`), or, when it says nothing,
for four times its usual pause. Its rejects are *high* when its last load refused far more than its
loads before; its codes *drift* when many facts of the last load bear codes that no earlier one had.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from estran.model.feeds import Feed
from estran.projects.rows import fetch
from estran.warehouse import Snapshot

WEEKS = 26  # of the volume curve
_USUAL_PAUSES = 4
_FEWEST_LOADS = 4  # below, no habit can be told
_REJECTS = (0.02, 3.0)  # a share, and how many times the earlier one
_DRIFT = 0.1  # share of the last load's facts


@dataclass(frozen=True)
class FeedState:
    """One source. `weeks` counts its documents by week of their date, oldest first; `alerts` are of
    silent, rejects, drift, missing (described, but nothing came yet)."""

    source: str
    read: int
    quarantined: int
    last_load: dt.datetime | None
    newest: dt.date | None
    age_seconds: float | None
    reject_rate: float  # of the last load
    new_codes: int
    new_code_share: float
    weeks: tuple[int, ...]
    alerts: tuple[str, ...]


def states(snapshot: Snapshot, feeds: Sequence[Feed] = (), now: dt.datetime | None = None) -> list[FeedState]:
    """The state of each source that loaded anything, and of each of `feeds`."""
    now = now or dt.datetime.now(dt.UTC)
    described = {feed.source: feed for feed in feeds}
    by_source: dict[str, list[dict[str, Any]]] = {name: [] for name in described}
    for row in _per_load(snapshot):
        by_source.setdefault(row["source"], []).append(row)
    newest, weeks = _newest(snapshot), _weeks(snapshot)
    found = []
    for source, rows in by_source.items():
        codes = _new_codes(snapshot, rows[-1]["load_id"]) if len(rows) > 1 else (0, 0.0)
        found.append(_state(source, rows, described.get(source), newest.get(source), weeks.get(source, ()), codes, now))
    return sorted(found, key=lambda state: state.source)


def _state(
    source: str, rows: list[dict[str, Any]], feed: Feed | None, newest: dt.date | None, weeks: tuple[int, ...],
    codes: tuple[int, float], now: dt.datetime,
) -> FeedState:  # fmt: skip
    last = _instant(rows[-1]["at"]) if rows else None
    age = (now - last).total_seconds() if last else None
    rates = [row["quarantined"] / row["read"] if row["read"] else 0.0 for row in rows]
    alerts = [] if rows else ["missing"]
    if age is not None and _is_silent(age, rows, feed):
        alerts.append("silent")
    if len(rates) > 1 and rates[-1] > max(_REJECTS[0], _REJECTS[1] * _before(rows)):
        alerts.append("rejects")
    if codes[1] > _DRIFT:
        alerts.append("drift")
    return FeedState(
        source, sum(row["read"] for row in rows), sum(row["quarantined"] for row in rows), last, newest, age,
        rates[-1] if rates else 0.0, codes[0], codes[1], weeks, tuple(alerts),
    )  # fmt: skip


def _before(rows: list[dict[str, Any]]) -> float:
    """Share refused by all loads but the last."""
    refused, read = (sum(int(row[name]) for row in rows[:-1]) for name in ("quarantined", "read"))
    return refused / max(1, read)


def _is_silent(age: float, rows: list[dict[str, Any]], feed: Feed | None) -> bool:
    if feed is not None and feed.expected_seconds:
        return age > feed.expected_seconds
    if len(rows) < _FEWEST_LOADS:
        return False
    pauses = [float(b["at"] - a["at"]) / 1e6 for a, b in pairwise(rows)]
    return bool(age > _USUAL_PAUSES * max(median(pauses), 60.0))


def _per_load(snapshot: Snapshot) -> list[dict[str, Any]]:
    return fetch(
        snapshot,
        """SELECT source, load_id, max(coalesce(finished, started)) AS at, sum(read)::bigint AS read,
                  sum(quarantined)::bigint AS quarantined
           FROM raw_load GROUP BY source, load_id ORDER BY load_id""",
    )


def _newest(snapshot: Snapshot) -> dict[str, dt.date]:
    rows = fetch(snapshot, "SELECT source, max(start_date) AS newest FROM document GROUP BY source")
    return {row["source"]: row["newest"] for row in rows}


def _weeks(snapshot: Snapshot) -> dict[str, tuple[int, ...]]:
    """Documents per week of their date, for the weeks up to each source's newest."""
    rows = fetch(
        snapshot,
        f"""WITH newest AS (SELECT source, max(start_date) AS day FROM document GROUP BY source)
            SELECT source, (newest.day - start_date) // 7 AS week, count(*) AS n
            FROM document JOIN newest USING (source)
            WHERE start_date > newest.day - {7 * WEEKS} GROUP BY ALL""",
    )
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(row["source"], [0] * WEEKS)[WEEKS - 1 - int(row["week"])] = row["n"]
    return {source: tuple(counts) for source, counts in found.items()}


def _new_codes(snapshot: Snapshot, load_id: int) -> tuple[int, float]:
    """Codes that only the documents of this load bear, and the share of its facts that bear them."""
    rows = fetch(
        snapshot,
        """WITH mine AS (
               SELECT concept_id, count(*) AS n FROM fact SEMI JOIN (
                   SELECT document_id FROM document WHERE load_id = ?) USING (document_id) GROUP BY concept_id),
           every AS (SELECT concept_id, count(*) AS n FROM fact SEMI JOIN mine USING (concept_id) GROUP BY concept_id)
           SELECT count(*) FILTER (every.n = mine.n) AS codes,
                  coalesce(sum(mine.n) FILTER (every.n = mine.n), 0) / greatest(sum(mine.n), 1) AS share
           FROM mine JOIN every USING (concept_id)""",
        [load_id],
    )
    return int(rows[0]["codes"]), float(rows[0]["share"] or 0.0)


@dataclass(frozen=True)
class Refused:
    """Records in quarantine for one reason: where the first ones are, and how many wait for their patient."""

    source: str
    part: str
    field: str
    code: str
    reason: str
    records: int
    waiting: int
    examples: tuple[tuple[int, int | None, int], ...]  # number of the file, line, record


def refused(snapshot: Snapshot, most: int = 200) -> list[Refused]:
    """The quarantine by source and reason, the most frequent first."""
    rows = fetch(
        snapshot,
        """SELECT source, part, coalesce(field, '') AS field, code, reason, count(*) AS records,
                  count(waits_for) AS waiting,
                  min_by((file_no, line, record_no), (file_no, record_no), 3) AS examples
           FROM raw_quarantine GROUP BY ALL ORDER BY records DESC, source, part, field, code LIMIT ?""",
        [most],
    )
    return [Refused(**row | {"examples": tuple(tuple(item) for item in row["examples"])}) for row in rows]


def loads(snapshot: Snapshot, source: str = "", limit: int = 30) -> list[dict[str, Any]]:
    """Loads with their counts, the newest first; `load` is what `unload` asks for."""
    rows = fetch(
        snapshot,
        """SELECT load_id AS load, source, min(started) AS started, count(DISTINCT file_no) AS files,
                  sum(read)::bigint AS read, sum(loaded)::bigint AS loaded, sum(superseded)::bigint AS superseded,
                  sum(quarantined)::bigint AS quarantined, bool_and(complete) AS complete
           FROM raw_load WHERE ? IN ('', source) GROUP BY ALL ORDER BY load_id DESC LIMIT ?""",
        [source, limit],
    )
    return [
        row | {"at": (at := _instant(row["started"])), "started": at.isoformat(timespec="seconds")} for row in rows
    ]


def as_row(state: FeedState) -> dict[str, Any]:
    """For programs: instants and dates as ISO 8601."""
    row = dataclasses.asdict(state)
    return row | {
        "last_load": state.last_load.isoformat(timespec="seconds") if state.last_load else None,
        "newest": state.newest.isoformat() if state.newest else None,
    }


def _instant(micros: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(micros / 1e6, dt.UTC)
