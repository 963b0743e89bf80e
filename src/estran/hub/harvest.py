"""Harvesting the catalogues of the sites: asked by the clock or by a person, looked at once, searched by people.

A site that fails, refuses or answers something invalid keeps its last valid catalogue, which is shown as old. One that says
that it answers no harvest any more keeps nothing here (`withdrawals`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from estran.exchange.dcat_check import checked, written
from estran.hub.agent.cataloguing import GRAPH, HOLDINGS, WITHDRAWN
from estran.hub.book import OPEN, HubBook, JobRecord, Member
from estran.hub.catalogue_sight import EVERYTHING, NAMES_ONLY, REFUSED, View
from estran.hub.catalogues import GONE, INVALID, KIND, VALID, CatalogueBook, Edition, Found, Standing, Thing, shelf_of
from estran.hub.governance import beside, require_charter
from estran.hub.holdings import cleaned
from estran.hub.house import open_book
from estran.hub.withdrawals import obey, tells, withdraw
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit, record
from estran.projects.policy import Action, Decision, Target
from estran.state import StateDatabase

log = logging.getLogger(__name__)
DAY = 86_400.0
USUAL_DAYS = 7
_LIFE = 2 * DAY  # seconds for which a site may answer a harvest
_PERIOD = "catalogue_days"
_END = 5.0  # seconds for a harvest under way, once the door closes
_LOOK = 30.0  # seconds between two looks of the clock
PAGE = 50
Now = Callable[[], float]


class Harvest:
    """The work itself, for the clock and for the desk."""

    def __init__(self, book: HubBook, shelf: CatalogueBook, now: Now = time.time) -> None:
        self._book, self.shelf, self._now = book, shelf, now

    @property
    def period(self) -> float:
        """Seconds between two harvests; 0 when they are asked by hand only."""
        return float(self._book.meta(_PERIOD) or USUAL_DAYS) * DAY

    def every(self, days: float) -> None:
        """Harvest every so many days."""
        self._book.set_meta({_PERIOD: str(days)})

    def ask(self, members: Collection[str] = ()) -> list[str]:
        """Ask the sites, or some; those asked. A site that was asked and has not answered is not asked twice."""
        busy = {job.member for job in self._open()}
        now, path = self._now(), [self._book.meta("network")]
        asked = [one.id for one in self._sites() if one.id not in busy and (not members or one.id in members)]
        for member in asked:
            self._book.add_job(None, member, KIND, {"path": path}, now, now + _LIFE)
        return asked

    def tick(self) -> int:
        """Ask the sites whose turn it is, look at what has come; how many answers that were. What was taken back by then leaves
        the file for good."""
        if self.period:
            last = {job.member: job.created for job in self._book.of_kind(KIND)}
            due = [one.id for one in self._sites() if self._now() - last.get(one.id, 0.0) >= self.period]
            if due:
                self.ask(due)
        looked = self.take_in()
        self.shelf.shed()
        return looked

    def take_in(self) -> int:
        """Look at the answers that came since; how many they were."""
        looked = 0
        for job in self._book.of_kind(KIND):
            if self._over(job) and not self.shelf.knows(job.id):
                self._look(job)
                looked += 1
        for one in self._book.members("site"):
            if one.state != "active":
                self.shelf.forget(one.id)
            else:
                obey(self._book, self.shelf, one.id)
        return looked

    def _look(self, job: JobRecord) -> None:
        came = job.answered or self._now()
        if job.state != "ok":
            state = "expired" if job.state in OPEN else job.state
            if state == "refused" and job.answer.get(WITHDRAWN) is True:
                withdraw(self._book, self.shelf, job.member)  # before the job is known: a killed look is done again
            self.shelf.failed(job.member, job.id, job.created, came, state, job.said)
            return
        if not tells(self._book, job.member):
            self.shelf.failed(job.member, job.id, job.created, came, GONE, "")
            self._book.drop_files(job.id, "answer")
            return
        files = {one.name: one.data for one in self._book.files(job.id, "answer")}
        try:
            sites, parts = cleaned(files.get(HOLDINGS, b"")), checked(files.get(GRAPH, b""))
            self.shelf.keep(job.member, job.id, job.created, came, sites, parts)
        except UsageError as error:
            self.shelf.failed(job.member, job.id, job.created, came, INVALID, error.what)
        self._book.drop_files(job.id, "answer")

    def _over(self, job: JobRecord) -> bool:
        return job.state not in OPEN or job.expires <= self._now()

    def _open(self) -> list[JobRecord]:
        return [job for job in self._book.of_kind(KIND) if not self._over(job)]

    def _sites(self) -> list[Member]:
        return self._book.members("site", active=True)

    def standing(self) -> list[Standing]:
        """Each site and its catalogue."""
        busy, now = {job.member for job in self._open()}, self._now()
        found = []
        for member in self._sites():
            edition, history = self.shelf.latest(member.id), self.shelf.history(member.id, 1)
            last = history[0] if history else None
            stale = edition is not None and bool(self.period) and now - edition.came > 2 * self.period
            old = edition is not None and (stale or (last is not None and last.state != VALID))
            found.append(Standing(member, edition, last, member.id in busy, old))
        return found


class CatalogueDesk:
    """One person before the catalogues of the network. NotAllowed when the policy says no, or when the network has a charter
    for its users that they have not signed; each look is recorded. What is told is what the rules of the network let them
    see: `harvests`, the work itself, knows no person."""

    def __init__(self, state: StateDatabase, book: HubBook, shelf: CatalogueBook, actor: Actor) -> None:
        self._state, self._shelf, self._rules, self.actor = state, shelf, beside(book), actor
        self.harvests = Harvest(book, shelf)

    def _permit(self, action: Action, what: str) -> None:
        permit(self._state, self.actor, action, Target(f"network catalogue {what}"))

    def _look(self, what: str) -> None:
        self._permit(Action.ASK_HUB, what)
        require_charter(self._state, self._rules, self.actor)

    @property
    def view(self) -> View:
        """What the rules of the network let this person see."""
        return View(self._rules.sight(self.actor.role), self._state.seats.of(self.actor.account_id))

    @property
    def days(self) -> float:
        """Between two harvests; 0 when they are asked by hand only."""
        return self.harvests.period / DAY

    def standing(self) -> list[Standing]:
        """Each site and its catalogue, once what came was looked at."""
        self._look("of all sites")
        self.harvests.take_in()
        return self._standing(self.view)

    def _standing(self, view: View) -> list[Standing]:
        return [view.standing(one) for one in self.harvests.standing()]

    def search(self, words: str, kind: str = "", member: str = "", page: int = 0) -> Found:
        """What the sites hold, by words of codes and labels."""
        self._look(f"words:{words[:200]} kind:{kind[:20]} site:{member[:60]}")
        return self.view.look_up(self._shelf, words, kind, member, PAGE, page * PAGE)

    def coverage(self) -> list[tuple[str, str, str, int]]:
        """How many codes of each nature each site holds; no look of its own, it stands beside the search."""
        return self.view.coverage(self._shelf)

    def thing(self, kind: str, key: str) -> Thing | None:
        """One code or kind of document; None when no site holds it, or none that may be told of."""
        self._look(f"{kind[:20]}:{key[:100]}")
        return self.view.thing(self._shelf, kind, key)

    def compared(self) -> list[Standing]:
        """The sites whose numbers are shown side by side; no look of its own, it stands beside a thing."""
        view = self.view
        return [one for one in self._standing(view) if view.sees(one.member.id)]

    def history(self, member: str) -> list[Edition]:
        """What came of each harvest of a site."""
        self._look(f"history of:{member[:60]}")
        view = self.view
        return [view.edition(one) for one in self._shelf.history(member)]

    def site(self, member: str) -> Standing | None:
        """A site that is in the network; no look of its own, it stands beside its history."""
        return next((one for one in self._standing(self.view) if one.member.id == member), None)

    def harvest(self, members: Collection[str] = ()) -> list[str]:
        """Ask the sites now, or some; those asked."""
        self._permit(Action.RUN_HUB, f"harvest of:{','.join(sorted(members))[:200] or 'all'}")
        return self.harvests.ask(members)

    def every(self, days: float) -> None:
        """Harvest every so many days; 0 for by hand only."""
        if not 0 <= days <= 365:
            raise UsageError("Harvests are 0 to 365 days apart.")
        self._permit(Action.RUN_HUB, f"harvest every {days:g} days")
        self.harvests.every(days)

    def public_standing(self, *, numbers: bool) -> list[Standing]:
        """Each site and its catalogue, for the page that everybody may read; its numbers where the hub publishes them."""
        self._permit(Action.HOLDINGS, "on the public page")
        return self._standing(EVERYTHING if numbers and self._rules.sees_all() else NAMES_ONLY)

    def public_file(self, syntax: str) -> bytes:
        """The same for everybody, where the hub publishes it: a viewer may look codes up too. NotAllowed where the network
        shows a role less: nobody sees more by signing out."""
        self._permit(Action.CONCEPTS, f"published as {syntax}")
        if not self._rules.sees_all():
            self._refuse(Action.CONCEPTS, f"published as {syntax}")
        return written(self._shelf.parts().values(), syntax)

    def file(self, syntax: str) -> bytes:
        """The catalogues of all sites that the person may see as one file; NotAllowed when they see none."""
        self._look(f"as {syntax}")
        parts = self.view.parts(self._shelf)
        if parts is None:
            self._refuse(Action.ASK_HUB, f"as {syntax}")
        return written(parts.values(), syntax)

    def _refuse(self, action: Action, what: str) -> NoReturn:
        refusal = Decision(False, REFUSED)
        record(self._state, self.actor, action, refusal, target=f"network catalogue {what}")
        raise NotAllowed(refusal.reason)


@contextmanager
def harvesting(directory: Path) -> Iterator[None]:
    """Catalogues come by the clock for the block, beside what it does."""
    stop = threading.Event()
    thread = threading.Thread(target=keep_harvesting, args=(directory, stop), name="harvest", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_END)


def keep_harvesting(directory: Path, stop: threading.Event) -> None:
    """Harvest by the clock, for as long as the hub's door is open."""
    while not stop.wait(_LOOK):
        try:
            book = open_book(directory)
            try:
                shelf = shelf_of(book)
                Harvest(book, shelf).tick()
                shelf.close()
            finally:
                book.close()
        except Exception as error:  # noqa: BLE001 (a disk that is full or a file that is busy: the next look tries again)
            log.warning("harvest: %s", type(error).__name__)
