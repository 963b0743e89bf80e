"""What a director reads: patients present per ward and day, length of stay, readmissions, ways through the hospital.

Only stays of kind venue are looked at, over the last `DAYS` days up to the newest day on which a stay began or ended.

*Readmissions* follow the French RH30 indicator as far as the data tell (rules of DHA 10.3233/SHTI200220): index
stays are those of patients of `ADULT` years or more that did not end in death, without a palliative-care code
(Z51.5) and that are not one of a series (Z49 dialysis, Z51.0 radiotherapy, Z51.1 chemotherapy), whose thirty days
after are over. A readmission is another stay of kind venue, again not one of a series, that begins 1 to 7 (30) days
after the end. Residence is not asked for: a patient who came from afar may be readmitted elsewhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import duckdb

from estran.catalog.curves import SPELLS
from estran.catalog.reading import rows
from estran.state import Entry
from estran.warehouse import Snapshot

DAYS = 364  # fifty-two whole weeks
ADULT = 18
WARDS = 7  # drawn by name in the ways through the hospital
NIGHTS = ((0, 0), (1, 1), (2, 2), (3, 3), (4, 6), (7, 13), (14, 29), (30, None))


def steering(snapshot: Snapshot) -> Iterator[Entry]:
    """One entry per page; none when no stay is dated."""
    with snapshot.connect() as connection:
        (row,) = rows(connection, f"SELECT max(greatest(start_date, coalesce(end_date, start_date))) AS newest FROM stay "
                                  f"WHERE kind = 'venue' AND start_date <= DATE '{snapshot.date}'")  # fmt: skip
        if row["newest"] is None:
            return
        last = min(row["newest"], snapshot.date)
        _prepare(connection, last - dt.timedelta(days=DAYS - 1), last)
        for name, measure in (
            ("occupancy", _occupancy),
            ("length", _length),
            ("readmissions", _readmissions),
            ("pathways", _pathways),
        ):
            body = {
                "first": (last - dt.timedelta(days=DAYS - 1)).isoformat(),
                "last": last.isoformat(),
                **measure(connection),
            }
            yield Entry("steering", name, snapshot.version, 0, 0, body)


def _prepare(connection: duckdb.DuckDBPyConnection, first: dt.date, last: dt.date) -> None:
    """Tables `spell` (a stretch of a stay in a ward, clipped to nothing), `ward` and `span` for this connection."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE span AS SELECT DATE '{first}' AS first, DATE '{last}' AS last")
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE spell AS
        SELECT m.patient_id, m.stay_id, u.code, coalesce(u.label, u.code) AS label, m.start_date AS start,
               coalesce(m.end_date, lead(m.start_date) OVER w, s.end_date, DATE '{last}' + 1) AS stop,
               row_number() OVER w AS rank, s.entry_mode, s.exit_mode, s.end_date AS gone
        FROM ({SPELLS}) m JOIN stay s USING (stay_id) JOIN unit u ON u.unit_id = m.unit_id
        WHERE s.kind = 'venue' AND m.start_date <= DATE '{last}' AND coalesce(s.end_date, DATE '{last}') >= DATE '{first}'
        WINDOW w AS (PARTITION BY m.stay_id ORDER BY m.start_date, m.start_minute NULLS FIRST, m.unit_id)"""
    )


def _occupancy(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Patients present at midnight, per ward and day; and per week the days spent and the patients who spent them."""
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE present AS
        SELECT code, label, patient_id, (unnest(generate_series(greatest(start, span.first), least(stop - 1, span.last), INTERVAL 1 DAY))::DATE
               - span.first) AS day FROM spell, span WHERE stop > span.first AND stop > start"""
    )
    found: dict[str, dict[str, Any]] = {}
    for row in rows(connection, "SELECT code, label, day, count(*) AS n FROM present GROUP BY ALL"):
        ward = found.setdefault(
            row["code"],
            {"code": row["code"], "label": row["label"], "days": [0] * DAYS, "weeks": [[0, 0]] * (DAYS // 7)},
        )
        ward["days"][row["day"]] = row["n"]
    for row in rows(
        connection,
        "SELECT code, day // 7 AS week, count(*) AS n, count(DISTINCT patient_id) AS p FROM present GROUP BY ALL",
    ):
        found[row["code"]]["weeks"][row["week"]] = [row["n"], row["p"]]
    return {"wards": sorted(found.values(), key=lambda w: (-sum(w["days"]), w["code"]))}


_STAYS = """
    SELECT s.patient_id, s.stay_id, s.start_date, s.end_date, s.exit_mode, s.end_date - s.start_date AS nights, w.code, w.label
    FROM stay s LEFT JOIN (SELECT stay_id, arg_max(code, rank) AS code, arg_max(label, rank) AS label FROM spell GROUP BY stay_id) w
    USING (stay_id) WHERE s.kind = 'venue' AND s.end_date IS NOT NULL AND s.end_date >= s.start_date"""


def _length(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Nights of the stays that ended in the period, over all and per ward left last."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE ended AS SELECT t.* FROM ({_STAYS}) t, span WHERE end_date BETWEEN first AND last"
    )
    bands = [
        f"count(*) FILTER (nights >= {low}{'' if high is None else f' AND nights <= {high}'})" for low, high in NIGHTS
    ]
    people = [
        f"count(DISTINCT patient_id) FILTER (nights >= {low}{'' if high is None else f' AND nights <= {high}'})"
        for low, high in NIGHTS
    ]
    columns = f"""count(*) AS stays, count(DISTINCT patient_id) AS patients, avg(nights) AS mean,
        quantile_cont(nights, [0.25, 0.5, 0.75, 0.9]) AS quantiles, [{", ".join(bands)}] AS bands, [{", ".join(people)}] AS people"""
    (every,) = rows(connection, f"SELECT {columns} FROM ended")
    wards = rows(
        connection,
        f"SELECT code, label, {columns} FROM ended WHERE code IS NOT NULL GROUP BY code, label ORDER BY stays DESC, code",
    )
    return {"all": every, "wards": wards}


_SERIES = (
    "c.code LIKE 'Z49%' OR c.code LIKE 'Z51.0%' OR c.code LIKE 'Z510%' OR c.code LIKE 'Z51.1%' OR c.code LIKE 'Z511%'"
)
_PALLIATIVE = "c.code LIKE 'Z51.5%' OR c.code LIKE 'Z515%'"
_INDEX = f"""
WITH coded AS (
    SELECT f.stay_id, bool_or({_SERIES}) AS series, bool_or({_PALLIATIVE}) AS palliative
    FROM fact_by_concept f JOIN concept c USING (concept_id)
    WHERE c.vocabulary IN ('CIM10', 'ICD10') AND f.stay_id IS NOT NULL AND f.context = 0 AND (c.code LIKE 'Z49%' OR c.code LIKE 'Z51%')
    GROUP BY f.stay_id),
every AS (SELECT t.*, coalesce(series, false) AS series, coalesce(palliative, false) AS palliative
          FROM ({_STAYS.replace("s.end_date IS NOT NULL AND s.end_date >= s.start_date", "s.start_date IS NOT NULL")}) t
          LEFT JOIN coded USING (stay_id))
SELECT e.*, (SELECT min(n.start_date) FROM every n WHERE n.patient_id = e.patient_id AND NOT n.series AND n.start_date > e.end_date
             AND n.start_date <= e.end_date + 30 AND n.stay_id <> e.stay_id) AS next
FROM every e JOIN patient p USING (patient_id), span
WHERE e.end_date BETWEEN span.first AND span.last - 30 AND e.end_date >= e.start_date
  AND NOT e.series AND NOT e.palliative AND coalesce(e.exit_mode, '') <> '9'
  AND date_diff('month', p.birth_month, e.start_date) >= {12 * ADULT}"""


def _readmissions(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Index stays, and those followed by another within 7 and 30 days, per month of the end and per ward."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE index_stay AS {_INDEX}")
    counts = """count(*) AS stays, count(DISTINCT patient_id) AS patients, count(*) FILTER (next <= end_date + 7) AS week,
        count(DISTINCT patient_id) FILTER (next <= end_date + 7) AS week_patients,
        count(*) FILTER (next <= end_date + 30) AS month, count(DISTINCT patient_id) FILTER (next <= end_date + 30) AS month_patients"""
    (every,) = rows(connection, f"SELECT {counts} FROM index_stay")
    months = rows(
        connection, f"SELECT strftime(end_date, '%Y-%m') AS name, {counts} FROM index_stay GROUP BY 1 ORDER BY 1"
    )
    wards = rows(
        connection,
        f"SELECT code, label, {counts} FROM index_stay WHERE code IS NOT NULL GROUP BY code, label ORDER BY stays DESC, code",
    )
    return {"all": every, "months": months, "wards": wards}


_LINKS = """
WITH top AS (SELECT code FROM spell GROUP BY code ORDER BY count(DISTINCT stay_id) DESC, code LIMIT {wards}),
changed AS (SELECT *, lag(code) OVER (PARTITION BY stay_id ORDER BY rank) AS before FROM spell WHERE gone IS NOT NULL),
passed AS (SELECT * EXCLUDE (rank), row_number() OVER (PARTITION BY stay_id ORDER BY rank) AS rank FROM changed
           WHERE before IS DISTINCT FROM code),
step AS (SELECT stay_id, patient_id, rank, CASE WHEN code IN (SELECT code FROM top) THEN 'ward:' || code ELSE 'other' END AS node,
                entry_mode, exit_mode, max(rank) OVER (PARTITION BY stay_id) AS steps FROM passed WHERE rank <= 3),
link AS (
    SELECT 0 AS level, 'entry:' || coalesce(entry_mode, '') AS source, node AS target, stay_id, patient_id FROM step WHERE rank = 1
    UNION ALL
    SELECT a.rank, a.node, b.node, a.stay_id, a.patient_id FROM step a JOIN step b ON a.stay_id = b.stay_id AND b.rank = a.rank + 1
    UNION ALL
    SELECT steps, node, 'exit:' || coalesce(exit_mode, ''), stay_id, patient_id FROM step WHERE rank = steps)
SELECT level, source, target, count(DISTINCT stay_id) AS stays, count(DISTINCT patient_id) AS patients FROM link
GROUP BY ALL ORDER BY level, stays DESC, source, target"""


def _pathways(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """How stays went: from the way in through at most three wards to the way out."""
    labels = {f"ward:{row['code']}": row["label"] for row in rows(connection, "SELECT DISTINCT code, label FROM spell")}
    links = rows(connection, _LINKS.format(wards=WARDS))
    used = {node for link in links for node in (link["source"], link["target"])}
    return {"links": links, "labels": {node: label for node, label in labels.items() if node in used}}
