"""What the process that holds the key does for datamarts: builds what was asked for on a page, replaces those that
patients left, destroys those whose time or whose project is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from estran.model.errors import EstranError, UsageError
from estran.projects.actors import KEY_HOLDER, Actor
from estran.projects.closing import end_data
from estran.projects.datamarts import holding
from estran.projects.datamarts.shelf import Datamarts
from estran.projects.rights_desk import actor_of
from estran.projects.site import SiteServices
from estran.state import Job, StateDatabase

Shelves = Callable[[Actor], Datamarts]
WHY = "a patient objected or was erased"
_LOOK_EVERY = 3600.0  # seconds between two looks when nothing changed


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
        self._seen, self._next = -1, 0.0

    def look(self) -> list[str]:
        """Do what is due; a sentence for each thing done or gone wrong, which is tried again."""
        version = self._site.snapshot().version
        if version == self._seen and time.monotonic() < self._next and not holding.owes(self._site.state):
            return []
        try:
            made, gone = self._shelf.refresh_due(WHY), self._shelf.expire(unfinished=False)
        except EstranError as error:
            return [f"datamarts: {error.what} {error.where}".strip()]
        self._seen, self._next = version, time.monotonic() + _LOOK_EVERY
        told = [f"datamarts: {one.row.id} replaces one that somebody left" for one in made]
        return told + [f"datamarts: {one.row.id} destroyed, {one.due or 'over'}" for one in gone]
