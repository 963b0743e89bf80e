"""What is kept of the catalogue: entries of the last snapshot measured, runs of the checks, notes, official figures."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from estran.state.schema_catalog import catalog_entry, catalog_note, official_figure, quality_result, quality_run
from estran.state.transactions import now, reading, writing

KEPT_RUNS = 60
_AT_ONCE = 2_000


@dataclass(frozen=True)
class Entry:
    """What was measured of one thing. `body` depends on the kind; `patients` and `rows` are exact; `words` is
    what it is looked up by, as `folded` writes it."""

    kind: str
    key: str
    snapshot: int
    patients: int
    rows: int
    body: dict[str, Any]
    words: str = ""


@dataclass(frozen=True)
class Note:
    """A known problem, in somebody's words."""

    id: int
    kind: str
    key: str
    login: str
    at: dt.datetime
    text: str
    closed: dt.datetime | None
    closed_by: str


@dataclass(frozen=True)
class Run:
    """When the checks ran, on which snapshot, for how long."""

    id: int
    snapshot: int
    at: dt.datetime
    seconds: float


@dataclass(frozen=True)
class Tallied:
    """The rows that a check looked at, those that violate it, and their patients; `threshold` in percent."""

    key: str
    applicable: int
    violated: int
    patients: int
    threshold: float


def folded(text: str) -> str:
    """A text without case or accents."""
    parts = unicodedata.normalize("NFKD", text.lower())
    return "".join(c for c in parts if not unicodedata.combining(c))


class CatalogueShelf:
    """Entries are replaced as a whole by each measurement."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def replace(self, entries: Iterable[Entry]) -> int:
        """Put these in the place of all that was there; how many they are."""
        count, waiting = 0, []
        with writing(self._engine) as connection:
            connection.execute(catalog_entry.delete())
            for entry in entries:
                waiting.append(vars(entry) | {"body": orjson.dumps(entry.body).decode()})
                if len(waiting) == _AT_ONCE:
                    connection.execute(catalog_entry.insert(), waiting)
                    count, waiting = count + len(waiting), []
            if waiting:
                connection.execute(catalog_entry.insert(), waiting)
        return count + len(waiting)

    def snapshot(self) -> int | None:
        """The snapshot that was measured; None when none ever was."""
        with reading(self._engine) as connection:
            found: int | None = connection.execute(sa.select(sa.func.max(catalog_entry.c.snapshot))).scalar()
        return found

    def entry(self, kind: str, key: str) -> Entry | None:
        """One entry; None when nothing was measured under this name."""
        return next(iter(self._read(catalog_entry.c.kind == kind, catalog_entry.c.key == key)), None)

    def entries(self, kind: str, keys: Sequence[str] | None = None) -> list[Entry]:
        """Entries of a kind, those of most patients first; all of them, or those of these keys."""
        if keys is None:
            return self._read(catalog_entry.c.kind == kind)
        return self._read(catalog_entry.c.kind == kind, catalog_entry.c.key.in_(list(keys)))

    def look_up(self, kind: str, words: str, most: int) -> list[Entry]:
        """The entries of a kind whose code or labels hold every word, those of most patients first."""
        holds = [catalog_entry.c.words.contains(word, autoescape=True) for word in folded(words).split()]
        return self._read(catalog_entry.c.kind == kind, *holds, limit=most)

    def count(self, kind: str) -> int:
        """How many entries of a kind there are."""
        query = sa.select(sa.func.count()).where(catalog_entry.c.kind == kind)
        with reading(self._engine) as connection:
            return int(connection.execute(query).scalar() or 0)

    def _read(self, *where: sa.ColumnElement[bool], limit: int | None = None) -> list[Entry]:
        query = catalog_entry.select().where(*where).order_by(catalog_entry.c.patients.desc(), catalog_entry.c.key)
        with reading(self._engine) as connection:
            rows = connection.execute(query.limit(limit)).all()
        return [Entry(**dict(row._mapping) | {"body": orjson.loads(row.body)}) for row in rows]

    # Notes

    def add_note(self, kind: str, key: str, login: str, text: str) -> int:
        """Write a known problem down; its number."""
        values = {"kind": kind, "key": key, "login": login, "at": now(), "text": text}
        with writing(self._engine) as connection:
            made = connection.execute(catalog_note.insert().values(**values)).inserted_primary_key
        return int(made[0]) if made else 0

    def close_note(self, number: int, login: str) -> bool:
        """The problem is gone; False when no open note has this number."""
        mine = sa.and_(catalog_note.c.id == number, catalog_note.c.closed.is_(None))
        with writing(self._engine) as connection:
            done = connection.execute(catalog_note.update().where(mine).values(closed=now(), closed_by=login))
            return done.rowcount == 1

    def notes(self, kind: str, key: str) -> list[Note]:
        """Notes on one thing, open ones first, then the newest."""
        mine = sa.and_(catalog_note.c.kind == kind, catalog_note.c.key == key)
        query = catalog_note.select().where(mine).order_by(catalog_note.c.closed.is_not(None), catalog_note.c.id.desc())
        with reading(self._engine) as connection:
            return [Note(**row._mapping) for row in connection.execute(query).all()]

    def open_notes(self) -> list[Note]:
        """Every note that is still true, the newest first."""
        query = catalog_note.select().where(catalog_note.c.closed.is_(None)).order_by(catalog_note.c.id.desc())
        with reading(self._engine) as connection:
            return [Note(**row._mapping) for row in connection.execute(query).all()]

    # Checks

    def keep_run(self, snapshot: int, seconds: float, results: Sequence[Tallied]) -> int:
        """Keep the results of a run; older runs than the last KEPT_RUNS are forgotten."""
        with writing(self._engine) as connection:
            values = {"snapshot": snapshot, "at": now(), "seconds": seconds}
            made = connection.execute(quality_run.insert().values(**values)).inserted_primary_key
            number = int(made[0]) if made else 0
            rows = [_result_row(number, one) for one in results]
            if rows:
                connection.execute(quality_result.insert(), rows)
            kept = sa.select(quality_run.c.id).order_by(quality_run.c.id.desc()).limit(KEPT_RUNS)
            oldest = min(connection.execute(kept).scalars())
            connection.execute(quality_result.delete().where(quality_result.c.run_id < oldest))
            connection.execute(quality_run.delete().where(quality_run.c.id < oldest))
        return number

    def runs(self, limit: int = KEPT_RUNS) -> list[Run]:
        """The last runs, the newest first."""
        query = quality_run.select().order_by(quality_run.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [Run(**row._mapping) for row in connection.execute(query).all()]

    def results(self, run: int) -> list[Tallied]:
        """The results of a run."""
        query = quality_result.select().where(quality_result.c.run_id == run).order_by(quality_result.c.check_key)
        with reading(self._engine) as connection:
            return [_tallied(row) for row in connection.execute(query).all()]

    def history(self, check: str) -> list[tuple[Run, Tallied]]:
        """What a check found in each run, the oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(
                quality_result.select().where(quality_result.c.check_key == check).order_by(quality_result.c.run_id)
            ).all()
        runs = {run.id: run for run in self.runs()}
        return [(runs[row.run_id], _tallied(row)) for row in rows if row.run_id in runs]

    # Official figures

    def keep_figures(self, figures: Mapping[tuple[str, str, str], int], login: str) -> None:
        """Put official figures (month, figure, code → value) in the place of those of the same months."""
        months = {month for month, _, _ in figures}
        stamped = {"login": login, "at": now()}
        rows = [
            {"month": month, "figure": figure, "code": code, "value": value} | stamped
            for (month, figure, code), value in figures.items()
        ]
        with writing(self._engine) as connection:
            connection.execute(official_figure.delete().where(official_figure.c.month.in_(sorted(months))))
            if rows:
                connection.execute(official_figure.insert(), rows)

    def figures(self) -> dict[tuple[str, str, str], int]:
        """All official figures: (month, figure, code) → value."""
        with reading(self._engine) as connection:
            rows = connection.execute(official_figure.select()).all()
        return {(row.month, row.figure, row.code): row.value for row in rows}


def _result_row(run: int, one: Tallied) -> dict[str, Any]:
    return {
        "run_id": run, "check_key": one.key, "applicable": one.applicable, "violated": one.violated,
        "patients": one.patients, "threshold": one.threshold,
    }  # fmt: skip


def _tallied(row: sa.Row[Any]) -> Tallied:
    return Tallied(row.check_key, row.applicable, row.violated, row.patients, row.threshold)
