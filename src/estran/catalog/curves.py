"""Volume curves: documents per week of each source, admissions per week of each ward, with their breaks.

A week is seven days that start on a Monday. The last week is left out when the snapshot does not reach its end;
a curve ends with the newest week of the whole site, so that a source that fell silent ends in zeros.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from estran.catalog.breaks import breaks
from estran.catalog.reading import ask
from estran.state import Entry
from estran.warehouse import Snapshot

WEEKS = 260
_MONDAY = dt.date(1970, 1, 5)

_BY_SOURCE = """
SELECT 'source:' || source AS curve, (start_date - DATE '1970-01-05') // 7 AS week, count(*) AS n,
       count(DISTINCT patient_id) AS patients
FROM document WHERE start_date BETWEEN DATE '{since}' AND DATE '{until}' GROUP BY ALL"""
_BY_WARD = """
SELECT 'ward:' || u.code AS curve, (m.start_date - DATE '1970-01-05') // 7 AS week, count(*) AS n,
       count(DISTINCT m.patient_id) AS patients
FROM ({spells}) m JOIN unit u USING (unit_id)
WHERE m.start_date BETWEEN DATE '{since}' AND DATE '{until}' GROUP BY ALL"""
# Where movements are known they say which wards a stay went through; otherwise the stay's own ward does. Lodging
# movements are believed before those that only say which ward answers for the patient.
SPELLS = """
SELECT m.patient_id, m.stay_id, m.unit_id, m.start_date, m.start_minute, m.end_date
FROM movement m JOIN (
    SELECT stay_id, bool_or(coalesce(responsibility, 'lodging') = 'lodging') AS lodged FROM movement
    WHERE unit_id IS NOT NULL GROUP BY stay_id) h USING (stay_id)
WHERE m.unit_id IS NOT NULL AND coalesce(m.responsibility, 'lodging') = CASE WHEN h.lodged THEN 'lodging' ELSE 'medical' END
UNION ALL
SELECT patient_id, stay_id, unit_id, start_date, start_minute, end_date FROM stay
WHERE unit_id IS NOT NULL AND stay_id NOT IN (SELECT stay_id FROM movement WHERE unit_id IS NOT NULL)"""


def curves(snapshot: Snapshot) -> Iterator[Entry]:
    """One entry per source and per ward that has anything in the last `WEEKS` weeks."""
    last = newest_week(snapshot)
    if last is None:
        return
    since, until = _monday(last - WEEKS + 1), _monday(last) + dt.timedelta(days=6)
    for sql in (_BY_SOURCE, _BY_WARD):
        found: dict[str, list[dict[str, Any]]] = {}
        for row in ask(snapshot, sql.format(spells=SPELLS, since=since, until=until)):
            found.setdefault(row.pop("curve"), []).append(row)
        for name, weeks in sorted(found.items()):
            yield _curve(snapshot, name, weeks, last)


def _curve(snapshot: Snapshot, name: str, weeks: list[dict[str, Any]], last: int) -> Entry:
    first = min(row["week"] for row in weeks)
    counts, people = [0] * (last - first + 1), [0] * (last - first + 1)
    for row in weeks:
        counts[row["week"] - first], people[row["week"] - first] = row["n"], row["patients"]
    body = {
        "first": _monday(first).isoformat(), "counts": counts, "people": people,
        "breaks": [[one.at, one.before, one.after] for one in breaks(counts)],
    }  # fmt: skip
    return Entry("curve", name[:200], snapshot.version, max(people), sum(counts), body)


def newest_week(snapshot: Snapshot) -> int | None:
    """Number of the newest whole week before the snapshot; None when nothing is dated."""
    (row,) = ask(snapshot, f"SELECT max(start_date) AS newest FROM document WHERE start_date <= DATE '{snapshot.date}'")
    if row["newest"] is None:
        return None
    days = int((row["newest"] - _MONDAY).days)
    return (days + 1) // 7 - 1  # the week that the day is in only when it is its Sunday


def _monday(week: int) -> dt.date:
    return _MONDAY + dt.timedelta(weeks=week)
