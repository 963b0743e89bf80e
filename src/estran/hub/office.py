"""The hub's door: what it takes from members, and what it gives them. Knows nothing of sockets.

The hub's clock is the one that counts. A message is looked at only within fifteen minutes of it, and every reply tells
it, signed and bound to what is replied to: a member with a clock of its own corrects itself by it (docs/reference/hub.md).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from estran.hub import withdrawals
from estran.hub.book import HubBook
from estran.hub.gathering import ask_for_tokens
from estran.hub.keys import Identity, Public
from estran.hub.oppositions import beside
from estran.hub.wire import PROTOCOLS, WINDOW, File, Message, Refused, nonce_of, seal, unseal
from estran.model.errors import UsageError

HUB = "hub"  # what the hub is called in messages
STATES = ("ok", "refused", "unsupported", "failed", "approval")  # what a member may answer
_LIFE = dt.timedelta(minutes=15)  # of a reply
Clock = Callable[[], dt.datetime]


def utc() -> dt.datetime:
    """The present."""
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Taken:
    """A message that was taken, and by which member or invitation it came."""

    message: Message
    member: str


class Office:
    """Takes messages, one by one, and makes the replies."""

    def __init__(self, book: HubBook, identity: Identity, clock: Clock = utc) -> None:
        self.book, self.identity, self.clock = book, identity, clock
        self.network = book.meta("network")

    def take(self, data: bytes, certificate: str | None) -> Taken:
        """The message, once everything about it is right and that is on disk; Refused otherwise.

        `certificate` is the fingerprint that the connection came with; None where there is no connection, and the
        signature alone tells.
        """
        taken = self.read(data, certificate)
        try:
            self.enter(taken)
        except Refused as error:
            self.book.refused(taken.member, error.code, self.clock().timestamp())
            raise
        return taken

    def read(self, data: bytes, certificate: str | None) -> Taken:
        """The message, once all that it says of itself is right; `enter` it before anything is done. Refused likewise."""
        now, claimed = self.clock(), ""
        try:
            message = unseal(data, lambda sender: self._key_of(sender, now))
            claimed = message.sender
            self._check(message, certificate, now)
            joins = message.kind == "join"
            return Taken(message, self._invited(message.sender, now)[0] if joins else message.sender)
        except Refused as error:
            self.book.refused(claimed, error.code, now.timestamp())
            raise

    def enter(self, taken: Taken) -> None:
        """Note that a message was taken; Refused when it, or a later one, was before."""
        if taken.message.kind == "join":
            return  # good for one member, however often it is said
        self.book.take(taken.message, self.clock().timestamp())
        if taken.message.kind == "nextjob":
            withdrawals.hear(self.book, taken.member, taken.message.body)

    def _check(self, message: Message, certificate: str | None, now: dt.datetime) -> None:
        if message.network != self.network or message.receiver != HUB:
            raise Refused("astray", "This message is for another hub.")
        if (
            abs(message.issued - now) > WINDOW
            or message.expires < now - WINDOW
            or message.expires > message.issued + WINDOW
        ):
            raise Refused("expired", "By the clock of the hub this message is too old or too early.")
        if certificate is not None and certificate != self._pinned(message.sender, now):
            raise Refused("certificate", "The connection and the message are of two different members.")

    def _pinned(self, sender: str, now: dt.datetime) -> str:
        """The fingerprint with which a sender has to come; one who joins comes with the invitation's."""
        if sender.startswith(_JOINING):
            return sender.removeprefix(_JOINING)
        known = self.book.member(sender)
        return known.public.fingerprint if known is not None and known.public is not None else ""

    def _key_of(self, sender: str, now: dt.datetime) -> Ed25519PublicKey | None:
        if sender.startswith(_JOINING):
            return Public(self._invited(sender, now)[1], "00" * 32).key
        known = self.book.member(sender)
        return known.public.key if known is not None and known.state == "active" and known.public is not None else None

    def _invited(self, sender: str, now: dt.datetime) -> tuple[str, str]:
        found = self.book.invitation(sender.removeprefix(_JOINING), now.timestamp())
        if found is None:
            raise Refused("uninvited", "This invitation was used, or is too old.")
        return found

    # What members ask for

    def join(self, taken: Taken) -> bytes:
        """An invited member gives its keys; it is told who it is."""
        body = taken.message.body
        try:
            public = Public(str(body["certificate"]), str(body["box"]))
        except (KeyError, UsageError):
            raise Refused("malformed", "A member joins with its certificate and its key.") from None
        now = self.clock()
        self.book.join(taken.message.sender.removeprefix(_JOINING), taken.member, public, body, now.timestamp())
        return self._reply("joined", taken, {"member": taken.member})

    def waits(self, taken: Taken) -> bool:
        """Whether a member who asks for a job has to wait for one."""
        return not self.book.has_job(taken.member, holding(taken.message))

    def job(self, taken: Taken) -> bytes:
        """The next job of a member, or word that there is none."""
        now = self.clock()
        self.book.describe(taken.member, taken.message.body)
        found = self.book.next_job(taken.member, holding(taken.message), now.timestamp())
        if found is None:
            return self._reply("none", taken, {})
        job, files = found
        member = self.book.member(taken.member)
        body = {
            "uuid": job.id, "owner": HUB, "collection": taken.member, "kind": job.kind, "project": job.question or "",
            "expires": job.expires, "task": job.body, "name": "" if member is None else member.name,
        }  # fmt: skip
        return self._reply("job", taken, body, files)

    def result(self, taken: Taken) -> bytes:
        """Keep an answer; the receipt says whether it was the first."""
        message = taken.message
        job, state, said = (str(message.body.get(name, "")) for name in ("uuid", "status", "message"))
        if state not in STATES:
            raise Refused("malformed", "An answer says what came of the job.")
        answer = message.body.get("queryResult")
        body = answer if isinstance(answer, dict) else {}
        how = self.book.answer(taken.member, job, state, said[:1000], body, message.files, self.clock().timestamp())
        return self._reply("receipt", taken, {"uuid": job, "how": how})

    def opposition(self, taken: Taken) -> bytes:
        """Note what patients of a member refused; say of each whether it was obeyed yet."""
        told = beside(self.book).take(taken.member, taken.message.body, self.clock().timestamp())
        return self._reply("noted", taken, {"notices": told})

    def refusal(self, data: bytes, error: Refused, taken: Taken | None = None) -> bytes:
        """A refusal, signed too: it tells the hub's clock, what is spoken here, and to a member
        that lost count (a site restored from a backup) the last number taken of it. Counted, if it was not yet: `taken`
        is what was refused after it was read."""
        if taken is not None:
            self.book.refused(taken.member, error.code, self.clock().timestamp())
        body = {"code": error.code, "message": error.what, "protocols": list(PROTOCOLS), "last": error.last}
        return self._sealed("refusal", "", nonce_of(data), body, ())

    def _reply(self, kind: str, taken: Taken, body: dict[str, Any], files: tuple[File, ...] = ()) -> bytes:
        return self._sealed(kind, taken.message.sender, taken.message.nonce, body, files)

    def _sealed(self, kind: str, receiver: str, reply_to: str, body: dict[str, Any], files: tuple[File, ...]) -> bytes:
        """A reply has no number: it is bound to the nonce that its receiver has just made up."""
        now = self.clock()
        message = Message(kind, self.network, HUB, receiver, 0, now, now + _LIFE, body, files, reply_to)
        return seal(message, self.identity.key)


_JOINING = "invitation:"


def holding(message: Message) -> Collection[str]:
    """The jobs that a member says it has on disk already."""
    found = message.body.get("holding", [])
    return frozenset(map(str, found)) if isinstance(found, list) else frozenset()


def answer_to(office: Office, data: bytes, certificate: str | None) -> tuple[bool, bytes]:
    """What a message gets: whether it was taken, and the reply. For where nobody waits."""
    taken = None
    try:
        taken = office.take(data, certificate)
        with office.book.db.writing():
            reply = reply_to(office, taken)
            if taken.message.kind == "result":
                ask_for_tokens(office.book, str(taken.message.body.get("uuid")))
            return True, reply
    except Refused as error:
        return False, office.refusal(data, error, taken)


def reply_to(office: Office, taken: Taken) -> bytes:
    """The reply to a message that was taken, all of it on disk at once; Refused when its kind is not known here, or
    when its sender is no member any more, who may have waited for a while."""
    known = office.book.member(taken.member)
    if taken.message.kind != "join" and (known is None or known.state != "active"):
        raise Refused("unknown", "The sender is not known here.")
    make = {"join": office.join, "nextjob": office.job, "result": office.result, "opposition": office.opposition}.get(
        taken.message.kind
    )
    if make is None:
        raise Refused("kind", f"The hub knows no message of the kind '{taken.message.kind[:40]}'.")
    with office.book.db.writing():
        return make(taken)
