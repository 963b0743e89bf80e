"""Backups of a whole site: encrypted, incremental, verified by the digest of the site's content.

A repository holds `objects` (the bytes of files, each once, sealed under a keyed hash of its content)
and `backups` (one sealed list of files per backup). A file that the last backup already holds costs
nothing but a look at its size and time. The key of the site opens the repository; it is never in it.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from estran.identity.keys import SiteKey
from estran.identity.vault import Vault
from estran.model.errors import StoreError, UsageError
from estran.model.site_file import read_settings
from estran.sources.landing import Landing
from estran.warehouse import Warehouse
from estran.warehouse.files import publish

_LISTS, _OBJECTS = "backups", "objects"
_PASSING = (".part", ".lock", ".passing", "-wal", "-shm", "-journal")  # what only a running process needs
_PLACE = b"backup/list"

Told = Callable[[int, int], None]  # files done, files in all


@dataclass(frozen=True)
class KeptFile:
    """A file of the site: its path inside it, and where its bytes are."""

    path: str
    size: int
    changed: int  # st_mtime_ns
    object: str


@dataclass(frozen=True)
class Backup:
    """One backup. `digest` is that of the site's content (`estran check --digest`) when it was made."""

    number: int
    created: str  # ISO 8601, UTC
    snapshot: int
    digest: str
    files: tuple[KeptFile, ...]
    added: int = 0  # bytes that no earlier backup held

    @property
    def size(self) -> int:
        """Bytes of the site."""
        return sum(file.size for file in self.files)


class Repository:
    """A folder of backups of one site. Raises UsageError when `directory` lies inside a site."""

    def __init__(self, directory: Path, key: SiteKey) -> None:
        self._directory = directory
        self._objects = Landing(directory / _OBJECTS, key.subkey("backup"))
        self._lists = directory / _LISTS
        self._cipher = key.cipher("backup")

    def numbers(self) -> list[int]:
        """Numbers of the backups that are whole, oldest first."""
        return sorted(int(path.stem) for path in self._lists.glob("[0-9]" * 6 + ".bak"))

    def read(self, number: int | None = None) -> Backup:
        """One backup, the last one by default. UsageError when there is none of this number."""
        known = self.numbers()
        if not known or (number is not None and number not in known):
            raise UsageError("There is no such backup.", where=str(self._directory), hint="estran backups REPOSITORY")
        number = known[-1] if number is None else number
        row = orjson.loads(self._cipher.open(self._path(number).read_bytes(), _PLACE))
        return Backup(**row | {"files": tuple(KeptFile(**file) for file in row["files"])})

    def make(self, site: Path, key: SiteKey, told: Told = lambda _done, _all: None) -> Backup:
        """Back up the site as it is between two loads; waits for nobody: StoreError when one is running.

        The list appears at the end, by one rename: an interrupted backup leaves objects that the next
        one uses, and no list.
        """
        self._refuse_inside(site)
        warehouse = Warehouse.open(site / "warehouse", read_settings(site))
        self._lists.mkdir(parents=True, exist_ok=True)
        last = {file.path: file for file in self.read().files} if self.numbers() else {}
        with warehouse.writer() as writer, tempfile.TemporaryDirectory(dir=self._directory) as scratch:
            digest = digest_of(site, key)
            kept, added = self._keep_all(site, last, Path(scratch), told)
            number = (self.numbers() or [0])[-1] + 1
            now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            backup = Backup(number, now, writer.snapshot.version, digest, tuple(kept), added)
        self._publish(backup)
        return backup

    def _refuse_inside(self, site: Path) -> None:
        if self._directory.resolve().is_relative_to(site.resolve()):
            raise UsageError(
                "A backup inside the site is lost with it.", where=str(self._directory), hint="name a folder elsewhere"
            )

    def _keep_all(
        self, site: Path, last: dict[str, KeptFile], scratch: Path, told: Told
    ) -> tuple[list[KeptFile], int]:
        kept, added, names = [], 0, sorted(_files(site))
        for done, name in enumerate(names, start=1):
            file, new = self._keep(site / name, name, last.get(name), scratch)
            kept.append(file)
            added += file.size if new else 0
            told(done, len(names))
        return kept, added

    def _keep(self, path: Path, name: str, before: KeptFile | None, scratch: Path) -> tuple[KeptFile, bool]:
        """The file among the objects; True when its bytes were not there yet."""
        is_database = path.suffix == ".sqlite"
        state = path.stat()
        same = before is not None and (before.size, before.changed) == (state.st_size, state.st_mtime_ns)
        if before is not None and same and not is_database and self._objects.holds(before.object):
            return before, False
        source = _copy_database(path, scratch) if is_database else path
        name_of_bytes = self._objects.digest(source)
        new = not self._objects.holds(name_of_bytes)
        if new:
            self._objects.keep(source)
        return KeptFile(name, source.stat().st_size, state.st_mtime_ns, name_of_bytes), new

    def _publish(self, backup: Backup) -> None:
        publish(self._path(backup.number), self._cipher.seal(orjson.dumps(asdict(backup)), _PLACE))

    def _path(self, number: int) -> Path:
        return self._lists / f"{number:06d}.bak"

    def check(self, number: int | None = None, told: Told = lambda _done, _all: None) -> list[str]:
        """Open every object of a backup; the paths of the files that do not come back whole."""
        files = self.read(number).files
        bad = []
        for done, file in enumerate(files, start=1):
            try:
                with self._objects.restored(file.object) as copy:
                    if self._objects.digest(copy) != file.object:
                        bad.append(file.path)
            except StoreError:
                bad.append(file.path)
            told(done, len(files))
        return bad

    def restore(
        self, site: Path, key: SiteKey, number: int | None = None, told: Told = lambda _done, _all: None
    ) -> Backup:
        """Make the site anew at `site`, which must not exist; it appears when it is whole and its digest
        is the one that was noted. StoreError otherwise, and nothing is left."""
        if site.exists():
            raise UsageError("There is something here already.", where=str(site), hint="name a new directory")
        backup = self.read(number)
        scratch = site.with_name(f"{site.name}.part")
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            for done, file in enumerate(backup.files, start=1):
                self._write(scratch / file.path, file)
                told(done, len(backup.files))
            (scratch / "landing").mkdir(mode=0o700, exist_ok=True)
            if digest_of(scratch, key) != backup.digest:
                raise StoreError("The restored site is not the one that was backed up.", where=str(site))
            scratch.rename(site)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return backup

    def _write(self, target: Path, file: KeptFile) -> None:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._objects.restored(file.object) as copy:
            shutil.copyfile(copy, target)
        target.chmod(0o600)
        os.utime(target, ns=(file.changed, file.changed))

    def prune(self, keep: int) -> int:
        """Forget all but the last `keep` backups (at least one) and the objects that none names; bytes freed."""
        for number in self.numbers()[: -max(1, keep)]:
            self._path(number).unlink()
        named = {file.object for number in self.numbers() for file in self.read(number).files}
        freed = 0
        for path in (self._directory / _OBJECTS).rglob("*.land"):
            if path.stem not in named:
                freed += path.stat().st_size
                path.unlink()
        return freed


def digest_of(site: Path, key: SiteKey) -> str:
    """The digest of a site's content, as `estran check SITE --digest` shows it."""
    with closing(Vault.open(site / "vault", key)) as vault:
        keys = vault.natural_keys()
    return Warehouse.open(site / "warehouse", read_settings(site)).digest(keys.patients, keys.stays)


def _files(site: Path) -> Iterator[str]:
    for path in site.rglob("*"):
        if path.is_file() and not path.name.endswith(_PASSING):
            yield path.relative_to(site).as_posix()


def _copy_database(path: Path, scratch: Path) -> Path:
    """A whole copy of a database that others may be writing to: SQLite's own online backup."""
    target = scratch / path.name
    target.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, timeout=30)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
    return target

