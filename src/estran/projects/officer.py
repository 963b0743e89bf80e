"""The desk of the officer: the audit trail, who read a patient, unusual accesses, reviews."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target
from estran.projects.review import WEEK, prove_all, write
from estran.projects.sealing import last_checkpoint
from estran.projects.site import SiteServices
from estran.projects.unusual import Seen, look
from estran.state import AuditEntry, AuditFilter, Checkpoint, Opening, ReviewRecord
from estran.state.transactions import now
from estran.state.verifying import Verdict


@dataclass(frozen=True)
class Reads:
    """One person's reads of a patient."""

    login: str
    role: str
    reads: int
    first: dt.datetime
    last: dt.datetime


@dataclass(frozen=True)
class Lines:
    """Some of the lines asked for, latest first; `total` is how many there are."""

    lines: tuple[AuditEntry, ...]
    total: int


class Officer:
    """One person at the audit trail. NotAllowed when the policy says no; each look is recorded too."""

    def __init__(self, site: SiteServices, actor: Actor) -> None:
        self._site = site
        self._book = site.state.audit
        self.actor = actor

    @property
    def zone(self) -> ZoneInfo:
        """That of the site's clocks."""
        return self._site.settings.clocks

    def _permit(self, what: str) -> None:
        permit(self._site.state, self.actor, Action.AUDIT, Target(what))

    def lines(self, wanted: AuditFilter, limit: int = 50, offset: int = 0) -> Lines:
        """The lines asked for."""
        self._permit(f"lines:{offset}-{offset + limit} {_said(wanted)}".strip())
        return Lines(tuple(self._book.find(wanted, limit, offset)), self._book.count(wanted))

    def readers(self, patients: tuple[int, ...]) -> list[Reads]:
        """Who read a patient, whatever numbers the patient had; the latest reader first."""
        self._permit(f"readers of patient:{','.join(map(str, patients))}")
        found: dict[str, Reads] = {}
        for entry in self._book.each(AuditFilter(patients=patients)):
            if entry.allowed:
                before = found.get(entry.login)
                count, first = (before.reads + 1, before.first) if before else (1, entry.at)
                found[entry.login] = Reads(entry.login, entry.role, count, first, entry.at)
        return sorted(found.values(), key=lambda one: one.last, reverse=True)

    def history(self, patients: tuple[int, ...]) -> list[AuditEntry]:
        """Each read of a patient, the oldest first."""
        self._permit(f"reads of patient:{','.join(map(str, patients))}")
        return [entry for entry in self._book.each(AuditFilter(patients=patients)) if entry.allowed]

    def sealed(self) -> Checkpoint | None:
        """The last checkpoint, believed on its signature."""
        return last_checkpoint(self._site)

    def begins(self) -> dt.datetime | None:
        """When the oldest line that is kept was written."""
        return next((entry.at for entry in self._book.each(AuditFilter(), 1)), None)

    def verdict(self) -> Verdict:
        """Look at the whole trail."""
        self._permit("verification")
        return prove_all(self._site)

    def unusual(self) -> Seen:
        """What was unusual in the last seven days."""
        self._permit("unusual accesses")
        moment = now()
        return look(self._site, moment - WEEK, moment)

    def reviews(self) -> list[ReviewRecord]:
        """The last reviews, the newest first."""
        return self._site.state.reviews.recent()

    def review(self, since: dt.datetime, until: dt.datetime) -> ReviewRecord:
        """Review a period and keep the record; UsageError when it ends before it begins."""
        if since >= until:
            raise UsageError("The period ends before it begins.")
        return write(self._site, since, until, self.actor)

    def openings(self) -> list[Opening]:
        """Records opened for care, those that nobody took note of first."""
        return self._site.state.openings.recent()

    def acknowledge_opening(self, number: int) -> None:
        """Take note of a record opened for care; UsageError when none of this number waits for it."""
        self._permit(f"acknowledge opening:{number}")
        if not self._site.state.openings.acknowledge(number, self.actor.login):
            raise UsageError("No record opened for care has this number and waits to be acknowledged.")

    def acknowledge(self, number: int, note: str) -> None:
        """Take note of a review; UsageError when none of this number waits for it."""
        self._permit(f"acknowledge review:{number}")
        if not self._site.state.reviews.acknowledge(number, self.actor.login, note.strip()[:2000]):
            raise UsageError("No review of this number waits to be acknowledged.")


def _said(wanted: AuditFilter) -> str:
    parts = {
        "login": wanted.login, "action": wanted.action, "patient": ",".join(map(str, wanted.patients)),
        "since": wanted.since.date().isoformat() if wanted.since else "", "refused": "yes" if wanted.refused else "",
    }  # fmt: skip
    return " ".join(f"{name}={value}" for name, value in parts.items() if value)
