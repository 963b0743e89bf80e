"""Reading rows through a snapshot's connection, values always bound."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, NamedTuple

from estran.model.codes import Precision
from estran.warehouse import Snapshot


class When(NamedTuple):
    """A local moment as it is known: the time is None when only the day (or less) is."""

    date: dt.date | None
    minute: int | None = None
    precision: int = Precision.DAY

    @property
    def clock(self) -> str:
        """`14:05`, or "" when the time of day is not known. Elapsed minutes past 23:59 stay on the day."""
        if self.minute is None or self.precision < Precision.HOUR:
            return ""
        return f"{min(self.minute // 60, 23):02d}:{self.minute % 60:02d}"


def fetch(snapshot: Snapshot, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The rows of a query as dictionaries."""
    with snapshot.connect() as connection:
        found = connection.execute(sql, list(values))
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def one(snapshot: Snapshot, sql: str, values: Sequence[Any] = ()) -> dict[str, Any] | None:
    """The first row, or None."""
    return next(iter(fetch(snapshot, sql, values)), None)


def age(birth: dt.date | None, day: dt.date | None) -> int | None:
    """Completed years, to the month, of a month of birth on a day; None when one of them is not known."""
    if birth is None or day is None:
        return None
    months = day.year * 12 + day.month - birth.year * 12 - birth.month
    return int(months / 12)  # towards zero, as SQL divides


def age_sql(birth: str, day: str) -> str:
    """Completed years, to the month, of a month of birth on a day; both are SQL expressions."""
    return f"CAST(date_diff('month', {birth}, date_trunc('month', {day})) // 12 AS INTEGER)"
