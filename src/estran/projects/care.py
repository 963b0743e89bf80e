"""Breaking the glass: one record outside one's perimeter, for care, with a reason and for a while.

What is opened is de-identified as everything at the portal is: this process does not hold the vault's key. Each
opening is on the officer's page until somebody took note of it, and in every review of its period.
"""

from __future__ import annotations

import datetime as dt

from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target
from estran.projects.site import SiteServices
from estran.state import Opening

_WORDS, _LETTERS, _LONGEST = 3, 20, 1000


def tidied(reason: str) -> str:
    """A reason as it is kept."""
    return " ".join(reason.split())[:_LONGEST]


def says_why(reason: str) -> bool:
    """Whether a reason is a sentence, short as it may be."""
    return len(reason) >= _LETTERS and len(reason.split()) >= _WORDS


class Care:
    """One person's records opened for care. NotAllowed when the policy says no; each step is recorded."""

    def __init__(self, site: SiteServices, actor: Actor) -> None:
        self._site = site
        self.actor = actor

    @property
    def lasting(self) -> dt.timedelta:
        """How long a record stays open."""
        return dt.timedelta(minutes=self._site.settings.care_minutes)

    def current(self) -> Opening | None:
        """What the person has open now."""
        return self._site.state.openings.current(self.actor.account_id)

    def opens(self, patient_id: int) -> bool:
        """Whether the person has this record open now."""
        now_open = self.current()
        return now_open is not None and now_open.patient_id == patient_id

    def open(self, patient_id: int, reason: str) -> None:
        """Open a record; the one opened before is closed. UsageError when the reason is none, or nobody is there."""
        reason = tidied(reason)
        self._permit(f"open patient:{patient_id}", (patient_id,), reason)
        if not says_why(reason):
            raise UsageError("Say why this record is needed for care, in a sentence.")
        if self.actor.account_id is None:
            raise UsageError("A record is opened under an account.", hint="sign in to the portal")
        if not self._site.snapshot().sees(patient_id):
            raise UsageError("There is no such patient, or the patient is opposed.")
        self._site.state.openings.open(self.actor.account_id, patient_id, reason, self.lasting)

    def close(self) -> None:
        """Close what is open."""
        self._permit("close")
        if self.actor.account_id is not None:
            self._site.state.openings.close(self.actor.account_id)

    def read(self, what: str, patient_id: int) -> None:
        """Before something of the record opened is read."""
        self._permit(what, (patient_id,))

    def _permit(self, what: str, patients: tuple[int, ...] = (), reason: str = "") -> None:
        state, version = self._site.state, self._site.snapshot().version
        permit(state, self.actor, Action.CARE, Target(what, patients=patients), query=reason, snapshot=version)
