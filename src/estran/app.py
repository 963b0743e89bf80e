"""The one place where things are put together: a site and everything that works on it."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from estran.identity.keys import SiteKey, create_key, read_key
from estran.identity.vault import Vault
from estran.model.errors import StoreError, UsageError
from estran.model.site_file import FILE_NAME, read_settings, write_settings
from estran.settings import Settings
from estran.sources.fhir import FhirReader
from estran.sources.hl7v2 import Hl7v2Reader
from estran.sources.landing import landing_of
from estran.sources.omop import OmopReader
from estran.sources.omop.databases import database_of
from estran.sources.pipeline.run import Parts, ReaderOf
from estran.sources.report import ReportReader
from estran.state import StateDatabase
from estran.state.database import FILE_NAME as STATE_FILE
from estran.warehouse import Snapshot, Warehouse


def key_path_of(site: Path) -> Path:
    """`SITE.key`, beside the site and never inside it."""
    return site.parent / f"{site.name}.key"


@dataclass(frozen=True)
class Site:
    """An open site. What needs the key asks for it when used, so pages run without it."""

    directory: Path
    settings: Settings
    key_file: Path

    @cached_property
    def warehouse(self) -> Warehouse:
        return Warehouse.open(self.directory / "warehouse", self.settings)

    @cached_property
    def state(self) -> StateDatabase:
        return StateDatabase.open(self.directory / STATE_FILE)

    def snapshot(self) -> Snapshot:
        """The newest snapshot; the same object as long as nothing was committed."""
        return self.warehouse.snapshot()

    def today(self) -> dt.date:
        """The date on the site's clocks."""
        return dt.datetime.now(ZoneInfo(self.settings.zone)).date()

    @cached_property
    def key(self) -> SiteKey:
        return read_key(self.key_file)

    @contextlib.contextmanager
    def vault(self) -> Iterator[Vault]:
        """The vault, open for the block."""
        vault = Vault.open(self.directory / "vault", self.key)
        try:
            yield vault
        finally:
            vault.close()

    @contextlib.contextmanager
    def loading(self) -> Iterator[Parts]:
        """What a load works with."""
        landing = landing_of(self.directory, self.key)
        with self.vault() as vault:
            yield Parts(
                self.warehouse, vault, landing, self.key, self.settings, readers(self.settings), {"omop": database_of}
            )


def readers(settings: Settings) -> dict[str, ReaderOf]:
    """One reader per format of the command line, made for a source."""
    zone, authority = settings.zone, settings.author_system
    return {
        "fhir": lambda _: FhirReader(settings),
        "hl7v2": lambda _: Hl7v2Reader(settings),
        "omop": lambda source: OmopReader(zone, source),
        "report": lambda _: ReportReader(zone, authority, min(5_000, settings.commit_records)),
    }


def create_site(directory: Path, settings: Settings, key_file: Path | None = None) -> Site:
    """A new empty site with its key file. Nothing that exists is overwritten."""
    key_file = key_file or key_path_of(directory)
    if directory.exists() and any(directory.iterdir()):
        raise UsageError("The directory is not empty.", where=str(directory), hint="name a new directory")
    key = read_key(key_file) if key_file.exists() else create_key(key_file)
    directory.mkdir(parents=True, exist_ok=True)
    Warehouse.create(directory / "warehouse", settings)
    Vault.create(directory / "vault", key).close()
    (directory / "landing").mkdir(mode=0o700)
    write_settings(directory, settings)
    site = Site(directory, settings, key_file)
    site.state.close()
    return Site(directory, settings, key_file)


def open_site(directory: Path, key_file: Path | None = None) -> Site:
    """The site at `directory`; UsageError when there is none."""
    if not (directory / FILE_NAME).is_file():
        raise UsageError("This directory is not an Estran site.", where=str(directory), hint=f"estran init {directory}")
    if not (directory / "warehouse").is_dir():
        raise StoreError("The site has lost its warehouse.", where=str(directory), hint="restore it from a backup")
    return Site(directory, read_settings(directory), key_file or key_path_of(directory))
