"""A document as it came, with the names in it: for care only, with a reason, to the browser that asked and to no other.

The portal does not hold the site's key. It leaves a request with one half of a fresh key pair, whose other half goes
to the browser as a cookie and is kept nowhere else; the process with the key looks the bytes up in the landing and
closes them for that half (see `identity.boxes`). A copy of the database therefore opens nothing.
"""

from __future__ import annotations

import datetime as dt
import secrets

from estran.identity import boxes
from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.care import Care, says_why, tidied
from estran.projects.documents import patient_of
from estran.projects.policy import Action, Target
from estran.projects.site import SiteServices
from estran.state import Original

LASTS = dt.timedelta(minutes=15)


def reached(site: SiteServices, actor: Actor, document_id: int) -> tuple[tuple[int, ...], bool]:
    """Whose a document is, and whether this person may not come near it: it lies outside their perimeter, and the
    patient's record is not open to them for care. A document of who had their texts closed is nobody's, as one that is
    not there."""
    snapshot = site.snapshot()
    whose = patient_of(snapshot, document_id) if 0 <= document_id < 2**31 else ()
    whose = () if any(map(snapshot.silent, whose)) else whose
    if actor.perimeter.whole or any(map(Care(site, actor).opens, whose)):
        return whose, False
    return whose, not patient_of(snapshot.within(actor.perimeter), document_id) if whose else True


class Originals:
    """One person's originals. NotAllowed when the policy says no; each step is recorded, with its reason."""

    def __init__(self, site: SiteServices, actor: Actor) -> None:
        self._site = site
        self.actor = actor.bounded(site.state)

    def ask(self, document_id: int, reason: str) -> tuple[int, bytes] | None:
        """Ask for the original of a document: number of the request and the secret that opens it. None when nothing
        may be seen under this number; UsageError when no reason is given, or nobody is there."""
        reason = tidied(reason)
        whose = self._permit(f"ask original of document:{document_id}", document_id, reason)
        if not says_why(reason):
            raise UsageError("Say why the original is needed for care, in a sentence.")
        if self.actor.account_id is None:
            raise UsageError("An original is asked for under an account.", hint="sign in to the portal")
        if not whose:
            return None
        secret = secrets.token_bytes(32)
        public = boxes.Opener(secret).public
        return self._site.state.originals.ask(self.actor.account_id, document_id, whose[0], reason, public, LASTS), secret

    def form(self, document_id: int) -> bool:
        """Whether there is such a document, for the page that asks the reason."""
        return bool(self._permit(f"form for original of document:{document_id}", document_id))

    def mine(self, number: int) -> Original | None:
        """How far a request of this person is; None when there is none."""
        return self._own(number)

    def read(self, number: int, secret: bytes) -> bytes | None:
        """The document; None when there is none under this number, or no longer. UsageError with another secret."""
        one = self._own(number)
        if one is None:
            permit(self._site.state, self.actor, Action.ORIGINAL, Target(f"read original:{number}"), snapshot=self._site.snapshot().version)
            return None
        whose = self._permit(f"read original:{number} document:{one.document_id}", one.document_id, one.reason)
        if one.sealed is None or one.expired or not whose:
            return None
        try:
            return boxes.Opener(secret).open(one.sealed)
        except (UsageError, ValueError):
            raise UsageError("This original was asked for in another browser.", hint="ask again here") from None

    def _own(self, number: int) -> Original | None:
        one = self._site.state.originals.find(number) if 0 <= number < 2**31 else None
        return one if one is not None and one.account_id == self.actor.account_id else None

    def _permit(self, what: str, document_id: int, reason: str = "") -> tuple[int, ...]:
        """Whose the document is, once it is permitted."""
        whose, outside = reached(self._site, self.actor, document_id)
        target = Target(what, patients=whose, outside=outside)
        permit(self._site.state, self.actor, Action.ORIGINAL, target, query=reason, snapshot=self._site.snapshot().version)
        return whose
