"""The file of the vault: SQLite, every value sealed before SQLite sees it.

What can be read in the file without the key: dense ids, keyed hashes, sizes and counts. Rows are
found by keyed hash; sealed values are bound to their row, so that a value moved elsewhere does not
open.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from estran.identity.keys import Cipher, SiteKey
from estran.model.errors import StoreError

FILE_NAME = "vault.sqlite"
SCHEMA_VERSION = 1
# Whose stay a number is: derived from `stay`, and made again from it where it is missing.
WHOSE = """CREATE TABLE whose (
  hash INTEGER, stay_id INTEGER, identity_id INTEGER NOT NULL, PRIMARY KEY (hash, stay_id)) WITHOUT ROWID;
CREATE INDEX whose_identity ON whose (identity_id)"""
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE identity (identity_id INTEGER PRIMARY KEY, sealed BLOB NOT NULL);
CREATE TABLE number (hash INTEGER PRIMARY KEY, identity_id INTEGER NOT NULL, sealed BLOB NOT NULL);
CREATE INDEX number_identity ON number (identity_id);
CREATE TABLE ins (hash INTEGER, identity_id INTEGER, PRIMARY KEY (hash, identity_id)) WITHOUT ROWID;
CREATE INDEX ins_identity ON ins (identity_id);
CREATE TABLE stay (
  hash INTEGER PRIMARY KEY, stay_id INTEGER NOT NULL UNIQUE, identity_id INTEGER NOT NULL, sealed BLOB NOT NULL);
CREATE INDEX stay_identity ON stay (identity_id);
CREATE TABLE link (a INTEGER, b INTEGER, kind INTEGER, sealed BLOB NOT NULL, PRIMARY KEY (a, b, kind)) WITHOUT ROWID;
CREATE TABLE original (
  identity_id INTEGER NOT NULL, record_key INTEGER NOT NULL, sealed BLOB NOT NULL, size INTEGER NOT NULL,
  PRIMARY KEY (identity_id, record_key));
CREATE TABLE file (file_no INTEGER PRIMARY KEY, hash INTEGER NOT NULL UNIQUE, sealed BLOB NOT NULL);
CREATE TABLE trace (trace_no INTEGER PRIMARY KEY, sealed BLOB NOT NULL);
CREATE TABLE pending (identity_id INTEGER PRIMARY KEY);
CREATE TABLE mentioned (identity_id INTEGER, file_no INTEGER, PRIMARY KEY (identity_id, file_no)) WITHOUT ROWID;
"""
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -65536",
)

Row = tuple[Any, ...]


class Store:
    """Rows of the vault. One writer at a time; a transaction is all or nothing."""

    def __init__(self, path: Path, cipher: Cipher) -> None:
        self.path = path
        self._cipher = cipher
        self._lock = threading.RLock()
        self._depth = 0
        self._seen_version = -1
        self._checkpoint = False
        with _readable(path):
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            for pragma in _PRAGMAS:
                self._db.execute(pragma)

    @classmethod
    def create(cls, directory: Path, key: SiteKey) -> Store:
        """A new vault in `directory`; StoreError when there is one."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / FILE_NAME
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            raise StoreError("A vault is already there; it is never overwritten.", where=str(path)) from None
        store = cls(path, key.cipher("vault"))
        with store.transaction():
            for statement in (*_SCHEMA.split(";\n"), *WHOSE.split(";\n")):
                store.write(statement)
            values = (
                ("schema", str(SCHEMA_VERSION).encode()),
                ("check", key.check_value),
                ("key", key.key_id.encode()),
            )
            store.write_many("INSERT INTO meta VALUES (?, ?)", values)
        return store

    @classmethod
    def open(cls, directory: Path, key: SiteKey) -> Store:
        """The vault of `directory`; StoreError when it is missing, damaged, or of another key."""
        path = directory / FILE_NAME
        if not path.is_file():
            raise StoreError("The vault is missing.", where=str(path), hint="restore the site from a backup")
        store = cls(path, key.cipher("vault"))
        meta: dict[str, bytes] = dict(store.rows("SELECT name, value FROM meta"))
        if meta.get("check") != key.check_value:
            store.close()
            raise StoreError(
                f"The key {key.key_id} is not the one of this vault.",
                where=str(path),
                hint=f"use the key {meta.get('key', b'?').decode('ascii', 'replace')}",
            )
        if meta.get("schema") != str(SCHEMA_VERSION).encode():
            store.close()
            raise StoreError("The vault was written by another version of Estran.", where=str(path))
        return store

    def seal(self, plain: bytes, table: str, *key: int) -> bytes:
        """`plain` sealed for the row `key` of `table`."""
        return self._cipher.seal(plain, _place(table, key))

    def unseal(self, sealed: bytes, table: str, *key: int) -> bytes:
        """Inverse of `seal`; StoreError when the value was altered or moved."""
        return self._cipher.open(sealed, _place(table, key))

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query."""
        with _readable(self.path):
            return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of a query, if any."""
        try:
            found: Row | None = self._db.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise _failed(self.path, error) from None
        return found

    def scan(self, sql: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        """Rows of a query, one by one."""
        with _readable(self.path):
            yield from self._db.execute(sql, values)

    def write(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; returns the number of rows changed."""
        with _readable(self.path):
            return self._db.execute(sql, values).rowcount

    def write_many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each tuple of values."""
        with _readable(self.path):
            self._db.executemany(sql, values)

    def counter(self, name: str) -> int:
        """The next free number of `name`."""
        found = self.row("SELECT value FROM meta WHERE name = ?", (f"next/{name}",))
        return int(found[0]) if found else 0

    def set_counter(self, name: str, value: int) -> None:
        """Numbers below `value` are never given again."""
        self.write("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"next/{name}", str(value).encode()))

    def changed_elsewhere(self) -> bool:
        """True when another connection has committed since this was last asked."""
        found = self.row("PRAGMA data_version")
        version = int(found[0]) if found else 0
        changed, self._seen_version = version != self._seen_version, version
        return changed

    def forget(self) -> None:
        """After the commit in progress, empty the write-ahead log too: deleted values are then gone."""
        self._checkpoint = True

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; an inner transaction ends with the outer one, and fails alone."""
        with self._lock:
            mark = f"level{self._depth}"
            self.write(f"SAVEPOINT {mark}" if self._depth else "BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                self._undo(mark)
                raise
            self._depth -= 1
            self.write(f"RELEASE {mark}" if self._depth else "COMMIT")
            if self._checkpoint and not self._depth:
                self._checkpoint = False
                self.write("PRAGMA wal_checkpoint(TRUNCATE)")

    def _undo(self, mark: str) -> None:
        if self._depth:
            self.write(f"ROLLBACK TO {mark}")
            self.write(f"RELEASE {mark}")
        else:
            self._checkpoint = False
            self._db.rollback()

    def damages(self) -> list[str]:
        """What SQLite itself finds wrong in the file."""
        return [str(row[0]) for row in self.rows("PRAGMA integrity_check") if row[0] != "ok"]

    def close(self) -> None:
        """Close the file; its write-ahead log is folded into it."""
        self._db.close()


def _place(table: str, key: Sequence[int]) -> bytes:
    return f"{table}/{'/'.join(map(str, key))}".encode()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _failed(path, error) from None


def _failed(path: Path, error: sqlite3.Error) -> StoreError:
    """Only SQLite's own words are repeated: they hold no value."""
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return StoreError("The vault is busy.", where=str(path), hint="wait for the other load to end")
    return StoreError(f"The vault cannot be used: {error}.", where=str(path), hint="restore the site from a backup")
