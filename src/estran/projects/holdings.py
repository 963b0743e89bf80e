"""What the site holds: totals, sources with their loads, freshness, the population by age and sex."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from estran.projects.rows import age_sql, fetch
from estran.warehouse import Snapshot

AGE_BANDS = 10


@dataclass(frozen=True)
class SourceLine:
    """One source: what was read of it. `read` = `loaded` + `superseded` + `quarantined`."""

    source: str
    read: int
    loaded: int
    superseded: int
    quarantined: int
    waiting: int  # records in quarantine today
    last_load: dt.datetime | None
    latest_date: dt.date | None  # the most recent document


@dataclass(frozen=True)
class Pyramid:
    """Patients per ten-year band from 0-9 to 90+."""

    women: tuple[int, ...]
    men: tuple[int, ...]


@dataclass(frozen=True)
class Holdings:
    """Totals of one snapshot, of what may be seen."""

    version: int
    created: dt.datetime
    patients: int
    stays: int
    documents: int
    facts: int
    texts: int
    concepts: int
    sources: tuple[SourceLine, ...]
    kinds: tuple[tuple[str, int], ...]  # documents by kind, most frequent first
    years: tuple[tuple[int, int], ...]  # documents by year
    pyramid: Pyramid


def read_holdings(snapshot: Snapshot) -> Holdings:
    """Count everything once; keep the answer as long as the snapshot."""
    totals = {
        name: int(fetch(snapshot, f"SELECT count(*) AS n FROM {name}")[0]["n"])
        for name in ("stay", "document", "fact", "text", "concept")
    }
    kinds = fetch(snapshot, "SELECT kind, count(*) AS n FROM document GROUP BY kind ORDER BY n DESC, kind")
    years = fetch(
        snapshot,
        "SELECT year(start_date) AS y, count(*) AS n FROM document WHERE start_date IS NOT NULL GROUP BY y ORDER BY y",
    )
    return Holdings(
        version=snapshot.version, created=snapshot.created, patients=len(snapshot.population()), stays=totals["stay"],
        documents=totals["document"], facts=totals["fact"], texts=totals["text"], concepts=totals["concept"],
        sources=_sources(snapshot), kinds=tuple((r["kind"], r["n"]) for r in kinds),
        years=tuple((r["y"], r["n"]) for r in years), pyramid=_pyramid(snapshot),
    )


def _sources(snapshot: Snapshot) -> tuple[SourceLine, ...]:
    rows = fetch(
        snapshot,
        """
        WITH loads AS (
            SELECT source, sum(read) AS read, sum(loaded) AS loaded, sum(superseded) AS superseded,
                   sum(quarantined) AS quarantined, max(finished) AS finished
            FROM load GROUP BY source),
        waiting AS (SELECT source, count(*) AS n FROM quarantine GROUP BY source),
        dates AS (SELECT source, max(start_date) AS latest FROM document GROUP BY source)
        SELECT loads.*, coalesce(waiting.n, 0) AS waiting, latest
        FROM loads LEFT JOIN waiting USING (source) LEFT JOIN dates USING (source) ORDER BY source
        """,
    )
    return tuple(
        SourceLine(
            row["source"], int(row["read"]), int(row["loaded"]), int(row["superseded"]), int(row["quarantined"]),
            row["waiting"], _instant(row["finished"]), row["latest"],
        )
        for row in rows
    )


def _pyramid(snapshot: Snapshot) -> Pyramid:
    age = age_sql("birth_month", "CAST(? AS DATE)")
    rows = fetch(
        snapshot,
        f"SELECT sex, least(greatest({age}, 0) // 10, 9) AS band, count(*) AS n FROM patient "
        "WHERE birth_month IS NOT NULL AND death_date IS NULL GROUP BY ALL",
        [snapshot.date],
    )
    found = {(row["sex"], row["band"]): row["n"] for row in rows}
    sexes = ("female", "male")
    women, men = (tuple(found.get((sex, band), 0) for band in range(AGE_BANDS)) for sex in sexes)
    return Pyramid(women, men)


def _instant(micros: int | None) -> dt.datetime | None:
    return None if micros is None else dt.datetime.fromtimestamp(micros / 1_000_000, dt.UTC)
