"""Accesses that a reviewer should look at. Each rule is one question put to the lines of a period.

A rule accuses nobody: it says what is more than the setting, or other than the person's own habit.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import duckdb
import pyarrow as pa

from estran.model.errors import UsageError
from estran.projects.policy import Action
from estran.projects.rows import fetch
from estran.projects.site import SiteServices
from estran.settings import Settings
from estran.state import AuditEntry, AuditFilter

HABIT = dt.timedelta(weeks=8)  # before the period: what a person usually does
_LINES = pa.schema(
    [("line", pa.int64()), ("moment", pa.timestamp("us")), ("login", pa.string()), ("allowed", pa.bool_()),
     ("direct", pa.bool_()), ("opens", pa.bool_()), ("odd", pa.bool_()), ("recent", pa.bool_())]
)  # fmt: skip
_DIRECT = (Action.DOCUMENT, Action.TIMELINE, Action.CARE, Action.REVIEW, Action.ANNOTATE, Action.ADJUDICATE)
_READS = pa.schema([("line", pa.int64()), ("patient", pa.int64())])
_OPENED = pa.schema(
    [
        ("line", pa.int64()),
        ("moment", pa.timestamp("us")),
        ("login", pa.string()),
        ("document", pa.int64()),
        ("recent", pa.bool_()),
    ]
)
_KINDS = pa.schema([("document", pa.int64()), ("kind", pa.string()), ("ward", pa.string())])


@dataclass(frozen=True)
class Finding:
    """`count` against `usual` (a threshold or a habit); `about` names a patient, kind or ward; `at` is when
    it was at its height, on the site's clocks; lines `first` to `last` hold it."""

    rule: str
    login: str
    at: str
    count: int
    usual: float
    about: str
    first: int
    last: int


@dataclass(frozen=True)
class Seen:
    """What was looked at, in numbers, and what was found."""

    lines: int
    people: int
    reads: int
    patients: int
    refused: int
    findings: tuple[Finding, ...]

    def as_row(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def look(site: SiteServices, since: dt.datetime, until: dt.datetime) -> Seen:
    """Apply every rule to the lines of a period (aware, `until` excluded)."""
    with duckdb.connect() as connection:
        _lay_out(connection, site, since, until)
        found = [finding for rule in RULES for finding in rule(connection, site.settings)]
        lines, people, refused = connection.execute(
            "SELECT count(*), count(DISTINCT login), count(*) FILTER (NOT allowed) FROM line WHERE recent"
        ).fetchall()[0]
        reads, patients = connection.execute(
            "SELECT count(DISTINCT line), count(DISTINCT patient) FROM line JOIN reading USING (line) WHERE recent AND allowed"
        ).fetchall()[0]
    return Seen(lines, people, reads, patients, refused, tuple(found))


def many_patients(connection: duckdb.DuckDBPyConnection, settings: Settings) -> list[Finding]:
    """Many patients within an hour, the worst hour of each day."""
    return _findings(
        connection, "many_patients", settings.audit_patients_hour, "",
        """SELECT login, arg_max(moment, n), max(n), min(line), max(line) FROM (
               SELECT login, line, moment, count(DISTINCT patient) OVER (
                   PARTITION BY login ORDER BY moment RANGE BETWEEN INTERVAL 1 HOUR PRECEDING AND CURRENT ROW) AS n
               FROM line JOIN reading USING (line) WHERE recent AND allowed)
           WHERE n >= ? GROUP BY login, CAST(moment AS DATE) ORDER BY login, 2""",
    )  # fmt: skip


def odd_hours(connection: duckdb.DuckDBPyConnection, settings: Settings) -> list[Finding]:
    """Reads by night and at weekends, beyond twice what the person did before in as much time."""
    rows = connection.execute(
        """SELECT login, max(moment) FILTER (recent), count(*) FILTER (recent) AS n,
                  2.0 * count(*) FILTER (NOT recent) * (SELECT share FROM period) AS usual,
                  min(line) FILTER (recent), max(line) FILTER (recent)
           FROM line SEMI JOIN reading USING (line) WHERE odd AND allowed GROUP BY login
           HAVING n >= ? + usual ORDER BY login""",
        [settings.audit_odd_reads],
    ).fetchall()
    return [Finding("odd_hours", r[0], _text(r[1]), r[2], round(r[3], 1), "", r[4], r[5]) for r in rows]


def same_patient(connection: duckdb.DuckDBPyConnection, settings: Settings) -> list[Finding]:
    """One patient opened again and again by one person; what a page asks for within a minute counts once."""
    return _findings(
        connection, "same_patient", settings.audit_same_patient, "patient:",
        """SELECT login, max(moment), count(DISTINCT date_trunc('minute', moment)) AS n, min(line), max(line), patient
           FROM line JOIN reading USING (line) WHERE recent AND allowed AND direct
           GROUP BY login, patient HAVING n >= ? ORDER BY login, patient""",
    )  # fmt: skip


def first_access(connection: duckdb.DuckDBPyConnection, settings: Settings) -> list[Finding]:
    """A ward or a kind of document that a person of some habit never opened before."""
    return _findings(
        connection, "first_access", settings.audit_first_after, "",
        """WITH habit AS (SELECT login FROM opened WHERE NOT recent GROUP BY login HAVING count(*) >= ?),
           seen AS (SELECT login, line, moment, recent, unnest(['kind:' || kind, 'ward:' || ward]) AS about
                    FROM opened JOIN document USING (document) SEMI JOIN habit USING (login))
           SELECT login, min(moment), count(*), min(line), max(line), about FROM seen
           WHERE about IS NOT NULL GROUP BY login, about HAVING bool_and(recent) ORDER BY login, about""",
    )  # fmt: skip


def refusals(connection: duckdb.DuckDBPyConnection, settings: Settings) -> list[Finding]:
    """Refused attempts one after the other, wrong passwords included."""
    return _findings(
        connection, "refusals", settings.audit_refusals, "",
        """SELECT login, min(moment), count(*) AS n, min(line), max(line) FROM (
               SELECT *, row_number() OVER (PARTITION BY login ORDER BY line)
                         - row_number() OVER (PARTITION BY login, allowed ORDER BY line) AS run
               FROM line WHERE recent)
           WHERE NOT allowed GROUP BY login, run HAVING n >= ? ORDER BY login, 2""",
    )  # fmt: skip


def opened_for_care(connection: duckdb.DuckDBPyConnection, settings: Settings) -> list[Finding]:
    """Records opened for care, outside the person's perimeter: each time is to be looked at."""
    return _findings(
        connection, "opened_for_care", settings.audit_care_openings, "",
        """SELECT login, max(moment), count(*) AS n, min(line), max(line) FROM line
           WHERE recent AND allowed AND opens GROUP BY login HAVING n >= ? ORDER BY login""",
    )  # fmt: skip


RULES: tuple[Callable[[duckdb.DuckDBPyConnection, Settings], list[Finding]], ...] = (
    many_patients, odd_hours, same_patient, first_access, refusals, opened_for_care,
)  # fmt: skip


def _findings(connection: duckdb.DuckDBPyConnection, rule: str, usual: int, about: str, sql: str) -> list[Finding]:
    """The rows (login, at, count, first line, last line, and about what) beyond the threshold bound to `?`."""
    rows = connection.execute(sql, [usual]).fetchall()
    return [
        Finding(rule, r[0], _text(r[1]), r[2], usual, about + str(r[5]) if len(r) > 5 else "", r[3], r[4]) for r in rows
    ]


def _text(at: dt.datetime) -> str:
    return at.isoformat(sep=" ", timespec="minutes")


def _lay_out(connection: duckdb.DuckDBPyConnection, site: SiteServices, since: dt.datetime, until: dt.datetime) -> None:
    """Tables `line`, `reading`, `opened` (documents, as far back as the trail goes), `document`, `period`."""
    book, lines, reads = site.state.audit, _Columns(_LINES), _Columns(_READS)
    night, zone = _night(site.settings.audit_odd_hours), site.settings.clocks
    for entry in book.each(AuditFilter(since=since - HABIT, until=until)):
        at = entry.at.astimezone(zone).replace(tzinfo=None)
        odd = at.weekday() >= 5 or at.hour >= night[0] or at.hour < night[1]
        lines.add(entry.id, at, entry.login, entry.allowed, _is_direct(entry), _opens(entry), odd, entry.at >= since)
        for patient in entry.patients:
            reads.add(entry.id, patient)
    opened = _Columns(_OPENED)
    for entry in book.each(AuditFilter(action=Action.DOCUMENT, until=until)):
        number = entry.target.removeprefix("document:")
        if entry.allowed and number.isdecimal() and entry.patients:
            at = entry.at.astimezone(zone).replace(tzinfo=None)
            opened.add(entry.id, at, entry.login, int(number), entry.at >= since)
    documents = sorted(set(opened.of["document"]))
    tables = {
        "line": lines.table(),
        "reading": reads.table(),
        "opened": opened.table(),
        "document": _kinds(site, documents),
    }
    for name, table in tables.items():
        connection.register(name, table)
    connection.execute("CREATE TABLE period AS SELECT ? AS share", [(until - since) / HABIT])


class _Columns:
    """Values gathered column by column."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self.of: dict[str, list[Any]] = {name: [] for name in schema.names}

    def add(self, *values: Any) -> None:
        for column, value in zip(self.of.values(), values, strict=True):
            column.append(value)

    def table(self) -> pa.Table:
        return pa.table(self.of, self._schema)


def _is_direct(entry: AuditEntry) -> bool:
    """Whether one patient was opened, not seen in a list."""
    return entry.action in _DIRECT or entry.target.startswith("evidence:")


def _opens(entry: AuditEntry) -> bool:
    """Whether a record was opened for care."""
    return entry.action == Action.CARE and entry.target.startswith("open ")


def _kinds(site: SiteServices, documents: list[int]) -> pa.Table:
    """Kind and ward of documents that are still there."""
    rows = []
    if documents:
        rows = fetch(
            site.snapshot(),
            """SELECT document_id AS document, kind, coalesce(u.label, u.code) AS ward
               FROM document LEFT JOIN unit u USING (unit_id) WHERE document_id IN (SELECT unnest(?))""",
            [documents],
        )
    return pa.Table.from_pylist(rows, _KINDS)


def _night(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(first) <= 24 and int(last) <= 24):
        raise UsageError("The hours of the night are two numbers: 20-7.", where="audit_odd_hours")
    return int(first), int(last)
