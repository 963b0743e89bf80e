"""What travels between a site and its hub: signed messages, each good for one sender, one receiver and one moment.

A message is one line of JSON (protocol, text, signature) followed by the bytes of its files. The signature (Ed25519,
RFC 8032) is over the text exactly as sent, so nothing is ever written anew before it is checked.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from estran.model.errors import EstranError

PROTOCOL = "estran-hub-1"
PROTOCOLS = (PROTOCOL,)
WINDOW = dt.timedelta(minutes=15)  # how far from the hub's clock a message may be: clocks 10 minutes off still work
LONGEST_TEXT = 16 * 2**20
LONGEST = 256 * 2**20  # of a whole message, files included
MEDIA_TYPE = "application/vnd.estran.hub"


class Refused(EstranError):
    """A message that is not taken; `code` says why in one word, for programs; `last` the last number that was."""

    exit_code = 3

    def __init__(self, code: str, what: str, last: int = 0) -> None:
        super().__init__(what)
        self.code, self.last = code, last


@dataclass(frozen=True)
class File:
    """Bytes that go with a message."""

    name: str
    data: bytes = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Message:
    """One message. `sequence` grows with each from this sender to this receiver; `reply_to` is the nonce answered."""

    kind: str
    network: str
    sender: str
    receiver: str
    sequence: int
    issued: dt.datetime
    expires: dt.datetime
    body: dict[str, Any]
    files: tuple[File, ...] = ()
    reply_to: str = ""
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))

    def file(self, name: str) -> bytes | None:
        """The bytes of a file, None when there is none of this name."""
        return next((one.data for one in self.files if one.name == name), None)


def seal(message: Message, key: Ed25519PrivateKey) -> bytes:
    """The message as it travels."""
    text = orjson.dumps(
        {
            "kind": message.kind, "network": message.network, "sender": message.sender, "receiver": message.receiver,
            "sequence": message.sequence, "nonce": message.nonce, "issued": stamp(message.issued),
            "expires": stamp(message.expires), "reply_to": message.reply_to, "body": message.body,
            "files": [{"name": one.name, "size": len(one.data), "sha256": one.digest} for one in message.files],
        }
    )  # fmt: skip
    signature = base64.b64encode(key.sign(_signed(PROTOCOL, text))).decode()
    head = orjson.dumps({"protocol_version": PROTOCOL, "message": text.decode(), "signature": signature})
    return b"\n".join((head, b"".join(one.data for one in message.files)))


def unseal(data: bytes, key_of: Callable[[str], Ed25519PublicKey | None]) -> Message:
    """The message that `seal` made, its signature checked with the key of its sender; Refused when anything is wrong.

    `key_of` gives None for a sender that is not known.
    """
    head, text, signature = _head(data)
    fields = _object(text)
    sender = fields.get("sender")
    key = key_of(sender) if isinstance(sender, str) else None
    if key is None:
        raise Refused("unknown", "The sender is not known here.")
    try:
        key.verify(signature, _signed(head["protocol_version"], text))
    except InvalidSignature:
        raise Refused("forged", "The signature does not fit the message.") from None
    return _message(fields, data[data.index(b"\n") + 1 :])


def nonce_of(data: bytes) -> str:
    """The nonce that a message claims, believed or not, to answer it by; "" when it has none."""
    try:
        found = _object(_head(data)[1]).get("nonce")
    except Refused:
        return ""
    return found if isinstance(found, str) and len(found) <= 64 else ""


def _head(data: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    end = data.find(b"\n", 0, LONGEST_TEXT)
    if end < 0 or len(data) > LONGEST:
        raise Refused("malformed", "This is not a message.")
    head = _object(data[:end])
    if head.get("protocol_version") not in PROTOCOLS:
        raise Refused("version", f"This version of the protocol is not spoken here; {', '.join(PROTOCOLS)} is.")
    try:
        return head, head["message"].encode(), base64.b64decode(head["signature"], validate=True)
    except (KeyError, AttributeError, TypeError, binascii.Error, ValueError):
        raise Refused("malformed", "This is not a message.") from None


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise Refused("malformed", "This is not a message.")
    return found


def _message(fields: dict[str, Any], rest: bytes) -> Message:
    try:
        return Message(
            kind=_text(fields["kind"]), network=_text(fields["network"]), sender=_text(fields["sender"]),
            receiver=_text(fields["receiver"]), sequence=_whole(fields["sequence"]), issued=moment(fields["issued"]),
            expires=moment(fields["expires"]), body=dict(fields["body"]), files=tuple(_files(fields["files"], rest)),
            reply_to=_text(fields["reply_to"]), nonce=_text(fields["nonce"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        raise Refused("malformed", "The message lacks something.") from None


def _files(listed: list[dict[str, Any]], rest: bytes) -> list[File]:
    files, at = [], 0
    for one in listed:
        size = _whole(one["size"])
        files.append(File(_text(one["name"]), rest[at : at + size]))
        at += size
        if files[-1].digest != one["sha256"]:
            raise Refused("forged", "A file is not the one that was signed.")
    if at != len(rest):
        raise Refused("malformed", "The message does not end where it says.")
    return files


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError
    return value


def _signed(protocol: str, text: bytes) -> bytes:
    """What is signed names the protocol, so that a signature is good for nothing else."""
    return protocol.encode() + b"\n" + text


def stamp(value: dt.datetime) -> str:
    """A moment as RFC 3339 in UTC, to the millisecond."""
    return value.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> dt.datetime:
    """The moment that `stamp` wrote; ValueError when it has no zone or is none."""
    found = dt.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a moment has a zone")
    return found
