"""What the process that holds the key does for datamarts: builds what was asked for on a page, replaces those that
patients left, destroys those whose time or whose project is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from estran.model.errors import EstranError, UsageError, told
from estran.projects.actors import KEY_HOLDER, Actor
from estran.projects.closing import end_data
from estran.projects.datamarts import holding
from estran.projects.datamarts.shelf import Datamarts, Listed, Pass
from estran.projects.rights_desk import actor_of
from estran.projects.site import SiteServices
from estran.state import Job, StateDatabase

Shelves = Callable[[Actor], Datamarts]
WHY = "a patient objected or was erased"
_LOOK_EVERY = 3600.0  # seconds between two looks when nothing changed
_TRY_AGAIN = 300.0  # seconds before what went wrong is tried again


def build_asked(state: StateDatabase, shelves: Shelves, job: Job) -> str:
    """Build a datamart as whoever asked for it may today."""
    made = shelves(actor_of(state, job.asked_by)).build_asked(int(job.argument))
    return f"datamart {made.row.id}, rows {made.rows}"


def refresh_asked(state: StateDatabase, shelves: Shelves, job: Job) -> str:
    """Replace a datamart by a build of the newest snapshot."""
    made = shelves(actor_of(state, job.asked_by)).replace(int(job.argument), "", "asked for")
    return f"datamart {made.row.id}, rows {made.rows}"


def end_project(state: StateDatabase, shelves: Shelves, job: Job) -> str:
    """Destroy what a project that is over was given."""
    if not state.projects.events(job.argument):
        raise UsageError("There is no project of this number.")
    return end_data(shelves(KEY_HOLDER), job.argument)


class DatamartKeeper:
    """Looked at often: obeys what patients asked as soon as the warehouse does, and the days that were granted."""

    def __init__(self, site: SiteServices, shelf: Datamarts) -> None:
        self._site, self._shelf = site, shelf
        self._seen, self._next, self._again = -1, 0.0, 0.0

    def look(self) -> list[str]:
        """Do what is due; a sentence for each thing done or gone wrong, which is tried again."""
        version, moment = self._site.snapshot().version, time.monotonic()
        if moment < self._again or (version == self._seen and moment < self._next and not holding.owes(self._site.state)):
            return []
        expired, problems = self._expire()
        try:
            done = self._shelf.refresh_due(WHY)
        except EstranError as error:
            done = Pass(problems=[told(error)])
        problems += done.problems
        self._seen, self._next = version, moment + _LOOK_EVERY
        self._again = moment + _TRY_AGAIN if problems else 0.0
        said = [f"datamarts: {problem}" for problem in problems]
        said += [f"datamarts: {one.row.id} replaces one that somebody left" for one in done.made]
        return said + [f"datamarts: {one.row.id} destroyed, {one.due or 'over'}" for one in (*done.gone, *expired)]

    def _expire(self) -> tuple[list[Listed], list[str]]:
        """Those whose time is over go first: nothing else that goes wrong may keep them."""
        try:
            return self._shelf.expire(unfinished=False), []
        except (EstranError, OSError) as error:
            return [], [f"time over: {told(error)}"]
