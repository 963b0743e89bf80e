"""The one place where things are put together: a site and everything that works on it."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from estran.model.errors import StoreError, UsageError
from estran.model.feeds import Feed, read_feeds
from estran.model.site_file import FILE_NAME, check_zone, read_settings, write_settings
from estran.settings import Settings
from estran.warehouse import Snapshot, Warehouse

if TYPE_CHECKING:  # each command imports only what it needs: everything together takes seconds
    from estran.identity.keys import SiteKey
    from estran.identity.linkage import LinkageTokens
    from estran.identity.matching import MatchingTokens
    from estran.identity.vault import Vault
    from estran.projects.actors import Actor
    from estran.projects.datamarts.shelf import Datamarts, Workshop
    from estran.projects.sealing import Sealing
    from estran.sources.pipeline.run import Parts, ReaderOf
    from estran.sources.records import Reader
    from estran.sources.tabular import Shelf
    from estran.state import StateDatabase


def key_path_of(site: Path) -> Path:
    """`SITE.key`, beside the site and never inside it."""
    return site.parent / f"{site.name}.key"


@dataclass(frozen=True)
class Site:
    """An open site. What needs the key asks for it when used, so pages run without it."""

    directory: Path
    settings: Settings
    key_file: Path

    @property
    def feeds(self) -> tuple[Feed, ...]:
        """The feeds that `estran.toml` describes now."""
        return read_feeds(self.directory / FILE_NAME)

    @cached_property
    def warehouse(self) -> Warehouse:
        return Warehouse.open(self.directory / "warehouse", self.settings)

    @cached_property
    def state(self) -> StateDatabase:
        from estran.state import StateDatabase
        from estran.state.database import FILE_NAME as STATE_FILE

        return StateDatabase.open(self.directory / STATE_FILE)

    @property
    def audit_folder(self) -> Path:
        """Where checkpoints of the audit trail are kept, outside the database."""
        return self.directory / "audit"

    def snapshot(self) -> Snapshot:
        """The newest snapshot; the same object as long as nothing was committed."""
        return self.warehouse.snapshot()

    def today(self) -> dt.date:
        """The date on the site's clocks."""
        return self.settings.today()

    @cached_property
    def key(self) -> SiteKey:
        from estran.identity.keys import read_key

        return read_key(self.key_file)

    @cached_property
    def audit_seal(self) -> Sealing:
        """The seal of the audit trail, with the site's key."""
        from estran.projects.sealing import Sealing

        return Sealing.with_key(self, self.key.subkey("audit"))

    @property
    def workshop(self) -> Workshop:
        """What datamarts are built with."""
        from estran.projects.datamarts.shelf import Workshop

        return Workshop(self.key, self.directory / "datamarts", self.warehouse.snapshot)

    def datamarts(self, actor: Actor) -> Datamarts:
        """The datamarts as somebody may have them built."""
        from estran.projects.datamarts.shelf import Datamarts

        return Datamarts(self, actor, self.workshop)

    def secret(self, purpose: str) -> bytes:
        """Key material of this site for one purpose."""
        return self.key.subkey(purpose)

    def linkage_tokens(self, key: bytes, *, with_ins: bool) -> LinkageTokens:
        """Tokens of everybody in the vault, under a network's key; made once per snapshot, and held while it is the newest."""
        from estran.identity.linkage import kept_tokens

        version = self.snapshot().version
        held = self._tokens.get((key, with_ins))
        if held is None or held[0] != version:
            with self.vault() as vault:
                made = kept_tokens(self.directory / "vault", self.key, version, vault, key, with_ins=with_ins)
            held = self._tokens[key, with_ins] = version, made
        return held[1]

    @cached_property
    def _tokens(self) -> dict[tuple[bytes, bool], tuple[int, LinkageTokens]]:
        return {}

    def matching_tokens(self, key: bytes, patients: Collection[int], *, with_ins: bool) -> MatchingTokens:
        """Tokens, trait by trait, of some patients, under the key of one run of a network."""
        from estran.identity.matching import matching_tokens

        with self.vault() as vault:
            return matching_tokens(vault.everybody(patients), key, with_ins=with_ins)

    def numbers_of(self, patient: int) -> list[int]:
        """Every number that a patient had, before merges too."""
        with self.vault() as vault:
            return vault.identities_of(patient)

    @contextlib.contextmanager
    def vault(self) -> Iterator[Vault]:
        """The vault, open for the block."""
        from estran.identity.vault import Vault

        vault = Vault.open(self.directory / "vault", self.key)
        try:
            yield vault
        finally:
            vault.close()

    @cached_property
    def shelf(self) -> Shelf:
        """The mappings that the site keeps."""
        from estran.sources.landing import landing_of
        from estran.sources.tabular import Shelf
        from estran.sources.tabular.shelf import FOLDER as MAPPINGS

        return Shelf(self.directory / MAPPINGS, lambda: landing_of(self.directory, self.key))

    @contextlib.contextmanager
    def loading(self) -> Iterator[Parts]:
        """What a load works with."""
        from estran.sources.landing import landing_of
        from estran.sources.pipeline.run import Parts

        landing = landing_of(self.directory, self.key)
        with self.vault() as vault:
            known = readers(self.settings, lambda: self.shelf)
            yield Parts(self.warehouse, vault, landing, self.key, self.settings, known, {"omop": _omop_database_of})


def readers(settings: Settings, shelf: Callable[[], Shelf] | None = None) -> dict[str, ReaderOf]:
    """One reader per format of the command line, made for a source; `shelf` gives the site's mappings.

    Each is imported when it is asked for: together they take seconds, and a load needs one.
    """

    def tabular(source: str) -> Reader:
        from estran.sources.tabular import Shelf, TabularReader

        return TabularReader(shelf() if shelf else Shelf(Path()), source, settings.zone, settings.author_system)

    made = {form: partial(make, settings) for form, make in _READERS.items()}
    return {"csv": tabular, "sql": tabular, **made}


def _dicom(settings: Settings, _: str) -> Reader:
    from estran.sources.dicom.reader import DicomReader

    return DicomReader(settings.zone, settings.author_system)


def _cda(settings: Settings, _: str) -> Reader:
    from estran.sources.cda import CdaReader

    return CdaReader(settings)


def _fhir(settings: Settings, _: str) -> Reader:
    from estran.sources.fhir import FhirReader

    return FhirReader(settings)


def _hl7v2(settings: Settings, _: str) -> Reader:
    from estran.sources.hl7v2 import Hl7v2Reader

    return Hl7v2Reader(settings)


def _omop(settings: Settings, source: str) -> Reader:
    from estran.sources.omop import OmopReader

    return OmopReader(settings.zone, source)


def _pmsi(settings: Settings, _: str) -> Reader:
    from estran.sources.pmsi import PmsiReader

    most = min(10_000, settings.commit_records)
    return PmsiReader(settings.zone, settings.author_system, settings.pmsi_layouts, most)


def _terminology(settings: Settings, _: str) -> Reader:
    from estran.sources.nomenclature import NomenclatureReader

    return NomenclatureReader()


def _report(settings: Settings, _: str) -> Reader:
    from estran.sources.report import ReportReader

    most = min(5_000, settings.commit_records)
    return ReportReader(settings.zone, settings.author_system, most, settings.report_name)


def _signal(settings: Settings, _: str) -> Reader:
    from estran.sources.signal import SignalReader

    return SignalReader(settings.zone, settings.author_system)


def _vcf(settings: Settings, _: str) -> Reader:
    from estran.sources.vcf.reader import VcfReader

    return VcfReader(settings.zone, settings.author_system)


_READERS: dict[str, Callable[[Settings, str], Reader]] = {
    "dicom": _dicom, "cda": _cda, "fhir": _fhir, "hl7v2": _hl7v2, "omop": _omop, "pmsi": _pmsi,
    "terminology": _terminology, "report": _report, "signal": _signal, "vcf": _vcf,
}  # fmt: skip


def _omop_database_of(path: Path) -> str:
    from estran.sources.omop.databases import database_of

    return database_of(path)


def create_site(directory: Path, settings: Settings, key_file: Path | None = None) -> Site:
    """A new empty site with its key file. Nothing that exists is overwritten."""
    from estran.identity.keys import create_key, read_key
    from estran.identity.vault import Vault

    check_zone(settings.zone)
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
    _ = site.audit_seal  # the portal's key is made where the site's is at hand
    site.state.close()
    return Site(directory, settings, key_file)


def set_up(directory: Path, key_file: Path | None = None) -> Site:
    """The site at `directory`, made first when there is only its `estran.toml` yet, whose settings hold."""
    from estran.identity.keys import create_key, read_key
    from estran.identity.vault import Vault

    if not (directory / FILE_NAME).is_file() or any((directory / "warehouse" / "snapshots").glob("*.json")):
        return open_site(directory, key_file)
    settings = read_settings(directory)
    key_file = key_file or key_path_of(directory)
    key = read_key(key_file) if key_file.exists() else create_key(key_file)
    if (directory / "vault").is_dir():  # an interrupted beginning; a vault that was used is no such thing
        with contextlib.closing(Vault.open(directory / "vault", key)) as vault:
            if vault.files():
                raise StoreError("The site has lost its warehouse.", where=str(directory), hint="restore a backup")
    else:
        Vault.create(directory / "vault", key).close()
    (directory / "landing").mkdir(mode=0o700, exist_ok=True)
    site = Site(directory, settings, key_file)
    _ = site.audit_seal  # the portal's key is made where the site's is at hand
    Warehouse.create(directory / "warehouse", settings)  # last: its first snapshot says that the site is whole
    return site


def open_site(directory: Path, key_file: Path | None = None) -> Site:
    """The site at `directory`; UsageError when there is none."""
    if not (directory / FILE_NAME).is_file():
        raise UsageError("This directory is not an Estran site.", where=str(directory), hint=f"estran init {directory}")
    if not (directory / "warehouse").is_dir():
        raise StoreError("The site has lost its warehouse.", where=str(directory), hint="restore it from a backup")
    return Site(directory, read_settings(directory), key_file or key_path_of(directory))
