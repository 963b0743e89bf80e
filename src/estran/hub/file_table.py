"""The table `file` of a hub, or of an agent: what goes with a job, what comes with its answer. Long files lie beside it.

SQLite writes a long value twice (log, then file), and twice again to overwrite it: the tokens of thirty large hospitals
kept a hub busy for a quarter of a second after each question. So a long file is one of its own, sealed under a key that
is in its row alone. The row goes and the key is overwritten (`secure_delete`); from then on nobody opens the file, whatever
a disk keeps of it, and it is unlinked. Neither is it in a backup, which has the rows only.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from estran.hub.database import Database
from estran.hub.wire import File
from estran.model.errors import StoreError

SCHEMA = """
CREATE TABLE file (
  job TEXT REFERENCES job (id), side TEXT, number INTEGER, name TEXT NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (job, side, number));
CREATE INDEX file_apart ON file (job) WHERE typeof(data) = 'text'"""
# A file of version 1 has every file in its row, where it stays; a program of that version cannot read those that lie beside.
TO_2 = "CREATE INDEX IF NOT EXISTS file_apart ON file (job) WHERE typeof(data) = 'text'"
LONG = 65_536  # bytes from which a file lies beside the database
SIZE = "CASE typeof(data) WHEN 'text' THEN CAST(substr(data, 1, 12) AS INTEGER) ELSE length(data) END"
_APART = "typeof(data) = 'text'"  # of a file that lies beside: its size, its name there, and its key
_NONCE = bytes(12)  # a key seals one file


class FileTable:
    """The files of one database. With `durable`, a file is on disk before its row is."""

    def __init__(self, db: Database, *, durable: bool) -> None:
        self._db, self._durable, self._folder = db, durable, db.path.parent / "files"

    def keep(self, job: str, side: str, files: Iterable[File]) -> None:
        """Keep what went with a job ("job") or came with its answer ("answer"), instead of what was there."""
        with self._db.writing():
            self.drop("job = ? AND side = ?", (job, side))
            for number, one in enumerate(files):
                kept = one.data if len(one.data) < LONG else self._set_apart(one.data)
                self._db.write("INSERT INTO file VALUES (?, ?, ?, ?, ?)", (job, side, number, one.name, kept))

    def of(self, job: str, side: str) -> tuple[File, ...]:
        """The files of one side of a job."""
        rows = self._db.rows("SELECT name, data FROM file WHERE job = ? AND side = ? ORDER BY number", (job, side))
        return tuple(File(str(row[0]), self.open(row[1])) for row in rows)

    def open(self, kept: bytes | str) -> bytes:
        """The bytes of a file, by its column `data`; StoreError when they are not there."""
        if isinstance(kept, bytes):
            return kept
        name, key = kept.split()[1:]
        try:
            return AESGCM(bytes.fromhex(key)).decrypt(_NONCE, self._path(name).read_bytes(), name.encode())
        except (OSError, InvalidTag):
            raise StoreError("A file of the network cannot be read.", where=str(self._path(name))) from None

    def drop(self, where: str, values: Sequence[Any]) -> None:
        """Forget files for good: what lies beside goes once it is certain that the rows are gone."""
        with self._db.writing():
            for row in self._db.rows(f"SELECT data FROM file WHERE ({where}) AND {_APART}", values):
                self._db.afterwards(partial(_unlink_if, self._path(row[0].split()[1]), True))
            self._db.write(f"DELETE FROM file WHERE {where}", values)

    def mend(self, lost: Callable[[str, str], object]) -> None:
        """What a killed process, a power failure or a backup left: files without a row go, and so do rows without their
        file, of which `lost` is told job and side in the same transaction."""
        rows = f"SELECT job, side, data FROM file WHERE {_APART}"
        if not self._folder.is_dir() and self._db.one(rows) is None:
            return
        with self._db.writing():  # whoever else writes files does so while nobody else writes rows
            found = self._db.rows(rows)
            names = {row[2].split()[1] for row in found}
            for path in self._folder.glob("*.passing"):
                if path.stem not in names:
                    _unlink(path)
            for one in sorted({(str(row[0]), str(row[1])) for row in found if not self._whole(row[2])}):
                self.drop("job = ? AND side = ?", one)
                lost(*one)

    def _whole(self, kept: str) -> bool:
        """Whether a file is there. What was forced to the disk is right when it is; other files are opened."""
        if self._durable:
            return self._path(kept.split()[1]).is_file()
        with contextlib.suppress(StoreError):
            return bool(self.open(kept))
        return False

    def _set_apart(self, data: bytes) -> str:
        name, key = secrets.token_hex(16), AESGCM.generate_key(256)
        path = self._path(name)
        self._db.afterwards(partial(_unlink_if, path, False))
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(AESGCM(key).encrypt(_NONCE, data, name.encode()))
                file.flush()
                if self._durable:
                    os.fsync(file.fileno())
            if self._durable:
                _flush(self._folder)
        except OSError as error:
            raise StoreError(
                "A file of the network cannot be kept.", where=str(path), hint=str(error.strerror)
            ) from None
        return f"{len(data):012d} {name} {key.hex()}"

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.passing"


def _unlink_if(path: Path, when: bool, kept: bool) -> None:
    if kept == when:
        _unlink(path)


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):  # the next start finds it
        path.unlink()


def _flush(folder: Path) -> None:
    """Force the entries of a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
