"""Bringing a site to the format of this release, and back.

Files of the warehouse never change, so an upgrade writes new ones and a snapshot record of the new format; the
vault, the application's database and the settings, which do change, are copied first to `SITE/before-upgrade`.
Going back puts the copies in place and forgets the new record, as long as nothing was loaded in between.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from estran.identity.keys import SiteKey
from estran.identity.vault import Vault
from estran.model.errors import StoreError
from estran.model.site_file import FILE_NAME, read_settings
from estran.state import StateDatabase
from estran.state.database import FILE_NAME as STATE_FILE
from estran.warehouse import Warehouse
from estran.warehouse.record import FORMAT

FOLDER = "before-upgrade"
_VERSION = "snapshot"
_DATABASES = (Path("vault") / "vault.sqlite", Path(STATE_FILE))


@dataclass(frozen=True)
class Upgraded:
    """Formats of the warehouse before and after; the same when there was nothing to do."""

    before: int
    after: int


def upgrade(site: Path, key: SiteKey) -> Upgraded:
    """Bring `site` to this release's format. Interrupted, the same command goes on; StoreError when a load runs."""
    warehouse = Warehouse.open(site / "warehouse", read_settings(site))
    before = warehouse.snapshot().record.format
    if before == FORMAT:
        return Upgraded(before, before)
    with warehouse.upgrading() as version:
        if not (site / FOLDER / _VERSION).exists():
            _keep(site, version)
        StateDatabase.open(site / STATE_FILE).close()  # migrations
        with closing(Vault.open(site / "vault", key)) as vault:
            vault.upgrade()
    return Upgraded(before, warehouse.snapshot().record.format)


def roll_back(site: Path) -> int:
    """Undo the last upgrade; returns the snapshot that is the newest again. StoreError when there was none, when
    something was loaded since, or when a load runs."""
    held = site / FOLDER
    if not (held / _VERSION).exists():
        raise StoreError("No upgrade of this site can be undone.", where=str(site), hint="restore a backup")
    version = int((held / _VERSION).read_text())
    with Warehouse.open(site / "warehouse", read_settings(site)).going_back(version):
        for name in _DATABASES:
            if (held / name.name).exists():
                _copy(held / name.name, site / name)
        shutil.copy2(held / FILE_NAME, site / FILE_NAME)
    shutil.rmtree(held)
    return version


def _keep(site: Path, version: int) -> None:
    """The copies; the file that says which snapshot comes last, so that half of them count for nothing."""
    held = site / FOLDER
    held.mkdir(mode=0o700, exist_ok=True)
    for name in _DATABASES:
        if (site / name).exists():
            (held / name.name).unlink(missing_ok=True)
            _copy(site / name, held / name.name)
    shutil.copy2(site / FILE_NAME, held / FILE_NAME)
    (held / _VERSION).write_text(str(version))


def _copy(source: Path, target: Path) -> None:
    """By SQLite itself: whole, whoever else has it open."""
    with closing(sqlite3.connect(source, timeout=30)) as old, closing(sqlite3.connect(target, timeout=30)) as new:
        old.backup(new)
    target.chmod(0o600)
