"""A hub on disk: a site of its own (accounts, audit trail, projects) with a folder `hub` in it."""

from __future__ import annotations

import datetime as dt
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from estran.hub.agent.membership import Invitation
from estran.hub.book import HubBook, slug
from estran.hub.keys import Identity
from estran.hub.office import Office
from estran.model.errors import UsageError

FOLDER = "hub"
KINDS = ("site", "linkage")
INVITATION_DAYS = 14


@dataclass(frozen=True)
class HubHouse:
    """A hub whose private keys are at hand."""

    folder: Path
    book: HubBook
    identity: Identity

    @property
    def office(self) -> Office:
        """Its door."""
        return Office(self.book, self.identity)

    def close(self) -> None:
        """Give the file back."""
        self.book.close()


def create(directory: Path, name: str, url: str, password: bytes, ins_decision: str = "") -> HubHouse:
    """Make the site at `directory` a hub that members reach at `url`. With `ins_decision`, the decision that allows
    to use the national identifier (INS) to recognise patients; by strict traits alone otherwise. StoreError when it
    is a hub already."""
    folder = directory / FOLDER
    identity = Identity.create(folder / "keys", name, password)
    book = HubBook(folder)
    book.set_meta(
        {"network": f"{slug(name)}-{secrets.token_hex(4)}", "name": name, "url": url,
         "identifiers": "ins" if ins_decision else "traits", "ins_decision": ins_decision}
    )  # fmt: skip
    return HubHouse(folder, book, identity)


def is_hub(directory: Path) -> bool:
    """Whether a site is a hub."""
    return (directory / FOLDER / "keys").is_dir()


def open_book(directory: Path) -> HubBook:
    """The hub's file alone, for pages: no key is needed. UsageError when the site is no hub."""
    if not is_hub(directory):
        raise UsageError("This site is no hub.", where=str(directory), hint=f"estran hub init {directory}")
    return HubBook(directory / FOLDER)


def open_house(directory: Path, password: bytes) -> HubHouse:
    """The hub at `directory`; UsageError when the site is none."""
    book = open_book(directory)
    return HubHouse(directory / FOLDER, book, Identity.open(directory / FOLDER / "keys", password))


def invite(book: HubBook, certificate: str, name: str, kind: str, now: dt.datetime) -> Invitation:
    """An invitation for `name`, good once and for two weeks; UsageError when it is a member already."""
    if kind not in KINDS:
        raise UsageError("A member is a site or a linkage unit.", hint="use site or linkage")
    folder = Path(tempfile.mkdtemp(prefix="estran-invitation-"))
    try:
        guest = Identity.create(folder / "keys", name)
        own_key, own_box = ((folder / "keys" / file).read_text("ascii") for file in ("key.pem", "box.pem"))
    finally:
        shutil.rmtree(folder)
    expires = (now + dt.timedelta(days=INVITATION_DAYS)).timestamp()
    book.invite(name, kind, guest.public.certificate, guest.public.fingerprint, now.timestamp(), expires)
    unit = next(iter(book.members("linkage", active=True)), None)
    return Invitation(
        network=book.meta("network"), hub=book.meta("name"), url=book.meta("url"), certificate=certificate, name=name, kind=kind,
        identifiers=book.meta("identifiers"), expires=expires, own_certificate=guest.public.certificate, own_key=own_key, own_box=own_box,
        linkage_unit="" if unit is None or unit.public is None else unit.public.box,
    )  # fmt: skip
