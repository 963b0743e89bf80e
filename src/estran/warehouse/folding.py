"""A stay is the fold of what sources said about it, whatever the order of arrival."""

from __future__ import annotations

import pyarrow as pa

from estran.model.tables import STAY, STAY_EVENT
from estran.warehouse.scratch import scratch


def fold_stays(events: pa.Table, patients: pa.Table) -> pa.Table:
    """STAY rows of all stays in `events`, which must hold every STAY_EVENT of each of them.

    For each column the value of the latest statement (event_time, then content) that gives one.
    `clears_end` takes back an end (with its exit mode) stated earlier. `patients` maps identity_id to
    patient_id (two int columns); a stay follows the identity of its latest statement.
    """
    with scratch() as connection:
        connection.register("events", events.select(STAY_EVENT.names))
        connection.register("patients", patients.select(["identity_id", "patient_id"]))
        rows = connection.sql(_FOLD).to_arrow_table()
    return rows.select(STAY.names).cast(STAY)


def _latest(column: str, condition: str = "") -> str:
    """The value of the latest statement that gives the column."""
    return f"arg_max({column}, stamp) FILTER (WHERE {column} IS NOT NULL{condition})"


_STANDS = " AND (cleared IS NULL OR stamp > cleared)"
_START = "arg_max({}, stamp) FILTER (WHERE start_date IS NOT NULL)"
_END = "arg_max({}, stamp) FILTER (WHERE end_date IS NOT NULL" + _STANDS + ")"

# A minute belongs to the date it came with, so both are taken from the same statement. arg_max_null
# gives the minute of that statement even when it is null.
_FOLD = f"""
WITH stamped AS (
    SELECT *, struct_pack(t := event_time, c := content) AS stamp FROM events
), ends AS (
    SELECT *, max(stamp) FILTER (WHERE clears_end) OVER (PARTITION BY stay_id) AS cleared FROM stamped
)
SELECT e.stay_id,
    arg_max(p.patient_id, stamp) AS patient_id,
    {_latest("kind")} AS kind,
    {_START.format("start_date")} AS start_date,
    {_START.replace("arg_max", "arg_max_null").format("start_minute")} AS start_minute,
    {_END.format("end_date")} AS end_date,
    {_END.replace("arg_max", "arg_max_null").format("end_minute")} AS end_minute,
    coalesce({_latest("precision", " AND start_date IS NOT NULL")}, {_latest("precision")}, 0) AS precision,
    {_latest("entry_mode")} AS entry_mode,
    {_latest("exit_mode", _STANDS)} AS exit_mode,
    {_latest("unit_id")} AS unit_id,
    {_latest("parent_stay")} AS parent_stay,
    coalesce({_latest("confidential")}, false) AS confidential,
    coalesce({_latest("status")}, 'active') AS status,
    arg_max(source, stamp) AS source
FROM ends e LEFT JOIN patients p ON e.identity_id = p.identity_id
GROUP BY e.stay_id ORDER BY 2, 1
"""
