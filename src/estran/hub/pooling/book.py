"""What a hub remembers of its pools: who was asked for which, what came and what became of it, and every copy.

The jobs themselves are in the hub's own file; what is kept here can be made again from them and from the folders.
"""

from __future__ import annotations

import datetime as dt
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Row
from typing import Any

import orjson

from estran.hub.database import Database
from estran.projects.datamarts.reading import SpecFile, read_spec

FILE_NAME = "pooling.sqlite"
_VERSION = 2
_DROPPED = """
CREATE TABLE dropped (
  id INTEGER PRIMARY KEY, pool TEXT NOT NULL REFERENCES pool (id), member TEXT NOT NULL, at REAL NOT NULL, why TEXT NOT NULL,
  login TEXT NOT NULL, jobs TEXT NOT NULL, certificate TEXT NOT NULL DEFAULT '', own TEXT NOT NULL DEFAULT '')"""
_SCHEMA = f"""
CREATE TABLE pool (
  id TEXT PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL, recipient TEXT NOT NULL, spec TEXT NOT NULL, key TEXT NOT NULL,
  login TEXT NOT NULL, reason TEXT NOT NULL, made REAL NOT NULL, expires REAL NOT NULL, state TEXT NOT NULL DEFAULT 'open',
  built TEXT NOT NULL DEFAULT '', datamart INTEGER, differences TEXT NOT NULL DEFAULT '', certificate TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE TABLE site (
  pool TEXT REFERENCES pool (id), member TEXT, project TEXT NOT NULL, PRIMARY KEY (pool, member)) WITHOUT ROWID;
CREATE TABLE part (
  job TEXT PRIMARY KEY, pool TEXT NOT NULL REFERENCES pool (id), member TEXT NOT NULL, at REAL NOT NULL, made TEXT NOT NULL,
  state TEXT NOT NULL, said TEXT NOT NULL DEFAULT '', folder TEXT NOT NULL DEFAULT '', manifest TEXT NOT NULL DEFAULT '{{}}') WITHOUT ROWID;
CREATE TABLE withdrawal (
  job TEXT PRIMARY KEY, pool TEXT NOT NULL REFERENCES pool (id), member TEXT NOT NULL, made TEXT NOT NULL, ids TEXT NOT NULL,
  state TEXT NOT NULL, said TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE TABLE copy (
  id INTEGER PRIMARY KEY, pool TEXT NOT NULL REFERENCES pool (id), what TEXT NOT NULL, place TEXT NOT NULL, at REAL NOT NULL,
  certificate TEXT NOT NULL DEFAULT '');{_DROPPED}
"""
_STEPS = {1: _DROPPED}


@dataclass(frozen=True)
class Pool:
    """A pool. `state` is open or closed; `built` stands for what its datamart was made of; `expires` in seconds since 1970."""

    id: str
    project: str
    name: str
    recipient: str
    agreed: SpecFile
    key: str
    login: str
    reason: str
    made: float
    expires: float
    state: str
    built: str
    datamart: int | None
    differences: dict[str, Any]
    certificate: dict[str, Any]


@dataclass(frozen=True)
class Part:
    """What one site sent once. `state`: accepted, superseded, quarantined, left (taken out whole), dropped (taken out by a
    person, with all that was sent before); `said` why; `made` by the site's clock."""

    job: str
    pool: str
    member: str
    at: float
    made: str
    state: str
    said: str
    folder: str
    manifest: dict[str, Any]


@dataclass(frozen=True)
class Withdrawal:
    """Whom a site took back, by the hub's own ids; `state`: applied, told (the site heard so), quarantined,
    lost (the site does not know any more what it sent)."""

    job: str
    pool: str
    member: str
    made: str
    ids: tuple[str, ...]
    state: str
    said: str


@dataclass(frozen=True)
class Copy:
    """One place where something of a pool lies or lay; `certificate` says how it was destroyed, {} while it is there."""

    id: int
    pool: str
    what: str
    place: str
    at: float
    certificate: dict[str, Any]


@dataclass(frozen=True)
class Drop:
    """A site that a person (`login`) took out of a pool. `jobs` had been given to it by then: nothing that answers them is
    taken any more. `certificate` is {} while it is under way, `own`, the site's, until it came."""

    id: int
    pool: str
    member: str
    at: float
    why: str
    login: str
    jobs: tuple[str, ...]
    certificate: dict[str, Any]
    own: dict[str, Any]

    @property
    def moment(self) -> dt.datetime:
        """When the person said so."""
        return dt.datetime.fromtimestamp(self.at, dt.UTC)


class PoolBook:
    """The file of the pools."""

    def __init__(self, folder: Path) -> None:
        self.db = Database(folder / FILE_NAME, _SCHEMA, _VERSION, _STEPS)

    def close(self) -> None:
        """Give the file back."""
        self.db.close()

    def add(
        self, pool: str, agreed: SpecFile, recipient: str, key: str, login: str, reason: str, sites: Mapping[str, str], days: int,
    ) -> None:  # fmt: skip
        """A new pool of sites, each with the number of its own project."""
        now, spec = time.time(), orjson.dumps(agreed.canonical()).decode()
        with self.db.writing():
            self.db.write(
                "INSERT INTO pool (id, project, name, recipient, spec, key, login, reason, made, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (pool, agreed.project, agreed.name, recipient, spec, key, login, reason, now, now + days * 86_400),
            )
            for member, project in sites.items():
                self.db.write("INSERT INTO site VALUES (?, ?, ?)", (pool, member, project))

    def pools(self) -> list[Pool]:
        """All of them, the newest first."""
        return [_pool(row) for row in self.db.rows("SELECT * FROM pool ORDER BY made DESC, id")]

    def find(self, pool: str) -> Pool | None:
        """A pool by its id, or by the beginning of it when only one begins so."""
        rows = self.db.rows("SELECT * FROM pool WHERE substr(id, 1, ?) = ?", (len(pool), pool)) if pool else []
        return _pool(rows[0]) if len(rows) == 1 else None

    def sites(self, pool: str) -> dict[str, str]:
        """Its sites, each with the number of its project."""
        rows = self.db.rows("SELECT member, project FROM site WHERE pool = ? ORDER BY member", (pool,))
        return {str(row[0]): str(row[1]) for row in rows}

    def change(self, pool: str, **values: Any) -> None:
        """Write other values in the columns named."""
        sets = ", ".join(f"{name} = ?" for name in values)
        self.db.write(f"UPDATE pool SET {sets} WHERE id = ?", (*values.values(), pool))

    # What came

    def parts(self, pool: str, state: str = "") -> list[Part]:
        """What was sent to a pool, the oldest first."""
        rows = self.db.rows("SELECT * FROM part WHERE pool = ? AND ? IN ('', state) ORDER BY at, job", (pool, state))
        return [_part(row) for row in rows]

    def judged(self, pool: str) -> set[str]:
        """Jobs of which it is known already what came, or of which nothing is taken any more."""
        rows = self.db.rows(
            "SELECT job FROM part WHERE pool = ? UNION SELECT job FROM withdrawal WHERE pool = ? "
            "UNION SELECT value FROM dropped, json_each(jobs) WHERE pool = ?", (pool, pool, pool)
        )  # fmt: skip
        return {str(row[0]) for row in rows}

    def accept(self, part: Part) -> list[Part]:
        """Keep what a site sent, in the place of what it sent before; those that it replaces."""
        with self.db.writing():
            old = [one for one in self.parts(part.pool, "accepted") if one.member == part.member]
            for one in old:
                self.db.write("UPDATE part SET state = 'superseded', folder = '' WHERE job = ?", (one.job,))
            self._write(part)
        return old

    def quarantine(self, part: Part) -> None:
        """Note what is not taken, and why."""
        with self.db.writing():
            self._write(part)

    def drop(self, part: Part, said: str) -> None:
        """All that a site sent is out of the pool."""
        self.db.write("UPDATE part SET state = 'left', folder = '', said = ? WHERE job = ?", (said, part.job))

    def _write(self, one: Part) -> None:
        manifest = orjson.dumps(one.manifest).decode()
        self.db.write(
            "INSERT INTO part VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (one.job, one.pool, one.member, one.at, one.made, one.state, one.said, one.folder, manifest),
        )

    def move(self, job: str, folder: str) -> None:
        """What a site sent lies in another folder now."""
        self.db.write("UPDATE part SET folder = ? WHERE job = ?", (folder, job))

    def withdraw(self, one: Withdrawal) -> None:
        """Note whom a site took back."""
        self.db.write(
            "INSERT INTO withdrawal VALUES (?, ?, ?, ?, ?, ?, ?)",
            (one.job, one.pool, one.member, one.made, orjson.dumps(one.ids).decode(), one.state, one.said),
        )

    def withdrawals(self, pool: str) -> list[Withdrawal]:
        """Of all its sites, the oldest first."""
        rows = self.db.rows("SELECT * FROM withdrawal WHERE pool = ? ORDER BY made", (pool,))
        return [Withdrawal(**dict(row) | {"ids": tuple(orjson.loads(row["ids"]))}) for row in rows]

    def lists_set_aside(self) -> list[str]:
        """The jobs whose answer, whom a site takes back, could not be taken, or is not known there any more."""
        return [
            str(row[0]) for row in self.db.rows("SELECT job FROM withdrawal WHERE state IN ('quarantined', 'lost')")
        ]

    def told(self, jobs: list[str]) -> None:
        """The site was told that these were carried out."""
        with self.db.writing():
            for job in jobs:
                self.db.write("UPDATE withdrawal SET state = 'told' WHERE job = ?", (job,))

    # Sites taken out

    def drops(self, pool: str, member: str = "") -> list[Drop]:
        """The sites that were taken out, or one of them each time that it was, the oldest first."""
        rows = self.db.rows(
            "SELECT * FROM dropped WHERE pool = ? AND ? IN ('', member) ORDER BY id", (pool, member)
        )
        return [_drop(row) for row in rows]

    def begin_drop(self, pool: str, member: str, why: str, login: str, jobs: Iterable[str]) -> None:
        """A site is taken out: from now on nothing that it sent is in the pool, and nothing is taken of the jobs that it has."""
        given = orjson.dumps(list(jobs)).decode()
        with self.db.writing():
            self.db.write(
                "INSERT INTO dropped (pool, member, at, why, login, jobs) VALUES (?, ?, ?, ?, ?, ?)",
                (pool, member, time.time(), why, login, given),
            )
            self._take_out(pool, member, why)

    def _take_out(self, pool: str, member: str, why: str) -> None:
        """Nothing that the site sent is in the pool, and who left there is forgotten."""
        of = "WHERE pool = ? AND member = ?"
        self.db.write(
            f"UPDATE part SET state = 'dropped', folder = '', said = ? {of} AND state <> 'quarantined'",
            (why, pool, member),
        )
        told = "state = CASE state WHEN 'applied' THEN 'told' ELSE state END"
        self.db.write(f"UPDATE withdrawal SET ids = '[]', {told} {of}", (pool, member))

    def end_drop(self, number: int, certificate: Mapping[str, Any]) -> None:
        """Everything of the site is destroyed."""
        self.db.write("UPDATE dropped SET certificate = ? WHERE id = ?", (orjson.dumps(certificate).decode(), number))

    def own_certificate(self, number: int, certificate: Mapping[str, Any]) -> None:
        """What the site said when it heard so."""
        self.db.write("UPDATE dropped SET own = ? WHERE id = ?", (orjson.dumps(certificate).decode(), number))

    # Copies

    def copy(self, pool: str, what: str, place: str) -> int:
        """Enter a copy, before it is made; again gives the same number."""
        with self.db.writing():
            found = self.db.one("SELECT id FROM copy WHERE pool = ? AND what = ? AND place = ?", (pool, what, place))
            if found is None:
                self.db.write(
                    "INSERT INTO copy (pool, what, place, at) VALUES (?, ?, ?, ?)", (pool, what, place, time.time())
                )
                found = self.db.one("SELECT last_insert_rowid()")
        return int(found[0]) if found is not None else 0

    def copies(self, pool: str) -> list[Copy]:
        """Every copy that there is or was."""
        rows = self.db.rows("SELECT * FROM copy WHERE pool = ? ORDER BY id", (pool,))
        return [Copy(**dict(row) | {"certificate": orjson.loads(row["certificate"] or "{}")}) for row in rows]

    def destroyed(self, copy: int, certificate: Mapping[str, Any]) -> None:
        """A copy is gone; the first certificate stays."""
        self.db.write(
            "UPDATE copy SET certificate = ? WHERE id = ? AND certificate = ''",
            (orjson.dumps(certificate).decode(), copy),
        )


def new_id() -> str:
    """Of a pool."""
    return secrets.token_hex(8)


def _pool(row: Row) -> Pool:
    values = dict(row)
    for name in ("differences", "certificate"):
        values[name] = orjson.loads(values[name] or "{}")
    return Pool(agreed=read_spec(orjson.loads(values.pop("spec"))), **values)


def _drop(row: Row) -> Drop:
    values = dict(row)
    for name in ("certificate", "own"):
        values[name] = orjson.loads(values[name] or "{}")
    return Drop(**values | {"jobs": tuple(orjson.loads(row["jobs"]))})


def _part(row: Row) -> Part:
    return Part(**dict(row) | {"manifest": orjson.loads(row["manifest"])})
