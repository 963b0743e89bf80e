"""One durable SQLite file: what a hub, or a site's agent, must not lose when the power goes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from estran.model.errors import StoreError

_PATIENCE = "busy_timeout = 10000"
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "secure_delete = ON",
    "temp_store = MEMORY",  # VACUUM would write every row to the system's temporary folder
    _PATIENCE,
)


class Database:
    """Rows by name. Used from several threads and processes; one writes at a time."""

    def __init__(self, path: Path, schema: str, version: int, steps: Mapping[int, str] = MappingProxyType({})) -> None:
        """Open or make the file, or bring it up in place: `steps` are the statements that each older version needs for the
        next one. StoreError when it cannot be, or was written by a later release."""
        self.path = path
        self._lock = threading.RLock()
        self._after: list[Callable[[bool], None]] = []
        with self._told():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            for pragma in _PRAGMAS:
                self._db.execute(f"PRAGMA {pragma}")
        with self.writing():
            self._bring_up(schema, version, steps)

    def _bring_up(self, schema: str, version: int, steps: Mapping[int, str]) -> None:
        row = self.one("PRAGMA user_version")
        found = 0 if row is None else int(row[0])
        if found == version:
            return
        if found > version:
            raise StoreError(
                "This file was written by a later version of Estran.",
                where=str(self.path),
                hint="run the version that wrote it, or restore a backup made before it",
            )
        for script in [steps[one] for one in range(found, version)] if found else [schema]:
            for statement in script.split(";\n"):
                self.write(statement)
        self.write(f"PRAGMA user_version = {version}")

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[None]:
        """All or nothing, on disk at the end; an inner block belongs to the outer one. Without `durable` the end does not
        wait for the disk: what a power failure may undo (a killed process undoes nothing), the last of it first."""
        with self._lock, self._told():
            if self._db.in_transaction:
                yield
                return
            with self._synchronous(durable=durable):
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self._commit()
                except BaseException:
                    self._db.rollback()
                    self._end(0, kept=False)
                    raise
                self._end(0, kept=True)

    def afterwards(self, work: Callable[[bool], None]) -> None:
        """Do `work` once what is being written is over; it is told whether that is kept, and raises nothing."""
        self._after.append(work)

    def _end(self, start: int, *, kept: bool) -> None:
        over, self._after[start:] = self._after[start:], []
        for work in over:
            work(kept)

    @contextmanager
    def _synchronous(self, *, durable: bool) -> Iterator[None]:
        if not durable:
            self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            if not durable:
                self._db.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def part(self) -> Iterator[None]:
        """All or nothing of a part of the block that is being written: what fails here takes nothing else along."""
        self.write("SAVEPOINT part")
        start = len(self._after)
        try:
            yield
        except BaseException:
            self.write("ROLLBACK TO part")
            self._end(start, kept=False)
            raise
        finally:
            self.write("RELEASE part")

    def _commit(self) -> None:
        try:
            self._db.execute("COMMIT")
        except BaseException:
            self._db.rollback()
            raise

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._lock, self._told():
            return self._db.execute(sql, values).fetchall()

    def one(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row of a query, if any."""
        with self._lock, self._told():
            found: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
            return found

    def write(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; how many rows it changed."""
        with self._lock, self._told():
            return self._db.execute(sql, values).rowcount

    def version(self) -> tuple[int, int]:
        """Changes when anybody has written: another connection, or this one."""
        found = self.one("PRAGMA data_version")
        return 0 if found is None else int(found[0]), self._db.total_changes

    def shed(self, *, anew: bool = False) -> bool:
        """Put what the log holds into the file, and cut the log to nothing: what was deleted is then in neither, since its
        pages are overwritten (`secure_delete`). With `anew` all of the file is written anew first: where SQLite moved a row
        to another page it may have left a copy, which no deletion overwrites. False when it cannot be now: somebody else
        reads or writes, this is part of what is being written, or the disk is full. It waits for nobody, and what it leaves the next time does."""
        with self._lock, self._told():
            if self._db.in_transaction:
                return False
            self._db.execute("PRAGMA busy_timeout = 0")
            try:
                if anew:
                    self._db.execute("VACUUM")
                row = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                return row is not None and not row[0]
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL):
                    raise
                return False
            finally:
                self._db.execute(f"PRAGMA {_PATIENCE}")

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's own words hold no value of a row."""
        try:
            yield
        except sqlite3.Error as error:
            hint = "make room on the disk" if "full" in str(error) else "check that the folder is writable"
            raise StoreError(f"The network's file cannot be used: {error}.", where=str(self.path), hint=hint) from None
