"""What a site keeps of a network it joined: its own keys, the hub's, the rules of the site, and the agent's file."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

from estran.hub.keys import Identity, Public
from estran.hub.wire import Message, Refused, seal, unseal
from estran.model.errors import StoreError, UsageError

FILE_NAME = "membership.json"
_LIFE = dt.timedelta(minutes=10)


@dataclass(frozen=True)
class Membership:
    """Where the hub is, by which certificate it is known, and what this member is called there.

    `linkage_unit` is the X25519 key (hexadecimal) to which tokens may be sealed; "" when there is none.
    """

    network: str
    hub: str
    url: str
    certificate: str
    member: str
    kind: str
    identifiers: str
    linkage_unit: str = ""

    @property
    def hub_key(self) -> Public:
        """The key that signs what the hub says."""
        return Public(self.certificate, "00" * 32)


@dataclass(frozen=True)
class Invitation:
    """What a hub hands to somebody it wants as a member: a secret, good once, until it expires."""

    network: str
    hub: str
    url: str
    certificate: str
    name: str
    kind: str
    identifiers: str
    expires: float
    own_certificate: str
    own_key: str
    own_box: str
    linkage_unit: str = ""

    @classmethod
    def read(cls, path: Path) -> Invitation:
        """The invitation in a file; UsageError when it is none."""
        try:
            return cls(**orjson.loads(path.read_bytes()))
        except (OSError, TypeError, orjson.JSONDecodeError):
            raise UsageError("This file is no invitation.", where=str(path), hint="ask the hub for a new one") from None

    def write(self, path: Path) -> None:
        """Into a new file that only its owner can read."""
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))


class Channel(Protocol):
    """How messages get to the hub. `Local` calls it, `estran.hub.agent.link.Link` goes over the network."""

    def carry(self, path: str, data: bytes) -> bytes:
        """The reply to a message; OSError when the hub cannot be reached."""

    def close(self) -> None:
        """Let go of what is open."""


class Local(Channel):
    """A hub in the same process: the same messages, without a network."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer

    def close(self) -> None:
        """Nothing is open."""

    def carry(self, path: str, data: bytes) -> bytes:
        return self._answer(data)


def folder_of(directory: Path, network: str = "") -> Path:
    """Where the membership lies in a site's folder; UsageError when there is none, or several and none named."""
    found = sorted(path.parent for path in (directory / "networks").glob(f"*/{FILE_NAME}"))
    named = [path for path in found if not network or path.name == network]
    if len(named) != 1:
        hint = f"name one of {', '.join(path.name for path in found)}" if found else "estran hub join SITE INVITATION"
        raise UsageError(
            "This site belongs to no such network." if not named else "This site belongs to several networks.",
            hint=hint,
        )
    return named[0]


def read(folder: Path) -> Membership:
    """The membership in a folder."""
    try:
        return Membership(**orjson.loads((folder / FILE_NAME).read_bytes()))
    except (OSError, TypeError, orjson.JSONDecodeError):
        raise StoreError("The membership cannot be read.", where=str(folder / FILE_NAME)) from None


def join(
    invitation: Invitation, folder: Path, password: bytes | None, channel: Callable[[Identity], Channel], *,
    profile: str = "", entities: tuple[str, ...] = (), now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> Membership:  # fmt: skip
    """Make keys, tell the hub, keep what it says. Again after a cut goes on with the same keys.

    `channel` gives the way to the hub for a connection that presents the invitation. Refused when the hub says no.
    """
    identity = (
        Identity.open(folder / "keys", password)
        if (folder / "keys").is_dir()
        else Identity.create(folder / "keys", invitation.name, password)
    )
    guest = _guest(invitation, folder)
    body: dict[str, Any] = {
        "certificate": identity.public.certificate,
        "box": identity.public.box,
        "profile": profile,
        "entities": list(entities),
    }
    moment = now()
    message = Message(
        "join", invitation.network, f"invitation:{guest.public.fingerprint}", "hub", 0, moment, moment + _LIFE, body
    )
    way = channel(guest)
    reply = open_reply(way.carry("/join", seal(message, guest.key)), message, Public(invitation.certificate, "00" * 32))
    way.close()
    if reply.kind != "joined":
        raise Refused(
            str(reply.body.get("code", "")), str(reply.body.get("message", "The hub did not let this site join."))
        )
    kept = Membership(
        invitation.network, invitation.hub, invitation.url, invitation.certificate, str(reply.body["member"]), invitation.kind,
        invitation.identifiers, invitation.linkage_unit,
    )  # fmt: skip
    write(folder, kept)
    shutil.rmtree(guest.folder)
    return kept


def write(folder: Path, membership: Membership) -> None:
    """Keep a membership, whole or not at all."""
    scratch = folder / f".{FILE_NAME}"
    scratch.write_bytes(orjson.dumps(asdict(membership), option=orjson.OPT_INDENT_2))
    scratch.replace(folder / FILE_NAME)


def open_reply(data: bytes, asked: Message, hub: Public) -> Message:
    """What the hub replied to this very message; Refused when it is anything else."""
    reply = unseal(data, lambda sender: hub.key if sender == "hub" else None)
    if reply.reply_to != asked.nonce or reply.network != asked.network:
        raise Refused("replayed", "This is no reply to what was asked.")
    if reply.receiver not in (asked.sender, ""):
        raise Refused("astray", "This reply is for another member.")
    return reply


def _guest(invitation: Invitation, folder: Path) -> Identity:
    """The one-time identity that came with the invitation."""
    place = folder / "invitation"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in (
        ("key.pem", invitation.own_key),
        ("box.pem", invitation.own_box),
        ("certificate.pem", invitation.own_certificate),
    ):
        path = place / name
        path.touch(mode=0o600)
        path.write_text(text, "ascii")
    return Identity.open(place)
