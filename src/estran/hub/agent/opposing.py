"""Telling a hub what a patient refused after a datamart was handed to it, until the hub says that it has obeyed.

Pools look after their own patients; this is for a datamart that goes any other way, sealed for the hub or in an office's
hands. The site enters the hub among its recipients before the datamart goes, once for each project, and keeps the
number under which each patient goes: each act of a patient then makes a tombstone with a deadline of a day, and
without the number the hub would know nobody.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyroaring import BitMap

from estran.hub.agent.place import Place
from estran.hub.database import Database
from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER
from estran.projects.datamarts import holding
from estran.projects.rights import acknowledge, due, end, excluded, register
from estran.release.rekey import ProjectKey
from estran.state import Tombstone
from estran.state.datamarts import MartState

FILE_NAME = "sent.sqlite"
_VERSION = 1
_SCHEMA = """
CREATE TABLE sent (project TEXT, patient INTEGER, id TEXT, PRIMARY KEY (project, patient, id)) WITHOUT ROWID
"""
_AT_ONCE = 500  # the most urgent, and as many others
_Owed = tuple[str, Tombstone]


class SentBook:
    """Under which numbers each patient's data went to the hub."""

    def __init__(self, folder: Path) -> None:
        self.db = Database(folder / FILE_NAME, _SCHEMA, _VERSION)

    def close(self) -> None:
        """Give the file back."""
        self.db.close()

    def note(self, project: str, numbers: Mapping[int, str]) -> None:
        """Keep the number of each patient in a project, before anything is sent."""
        with self.db.writing():
            for patient, number in numbers.items():
                self.db.write("INSERT OR IGNORE INTO sent VALUES (?, ?, ?)", (project, patient, number))

    def projects(self) -> list[str]:
        """The projects for which something was sent."""
        return [str(row[0]) for row in self.db.rows("SELECT DISTINCT project FROM sent ORDER BY project")]

    def of(self, project: str, patients: Sequence[int]) -> list[dict[str, str]]:
        """The numbers of a patient in a project, who may have had several here."""
        marks = ", ".join("?" * len(patients))
        rows = self.db.rows(
            f"SELECT id FROM sent WHERE project = ? AND patient IN ({marks}) ORDER BY id", (project, *patients)
        )
        return [{"project": project, "id": str(row["id"])} for row in rows]

    def forget(self, project: str) -> bool:
        """A project is over, and what was sent for it destroyed; False when nothing was."""
        return self.db.write("DELETE FROM sent WHERE project = ?", (project,)) > 0


def recipient(place: Place, project: str) -> str:
    """What the hub is called in the site's register of recipients, for one project."""
    return f"{place.membership.network}: {project}"


def hand_over(place: Place, datamart: int) -> tuple[str, int]:
    """Note that a datamart goes to the hub, before it goes; its project, and how many patients are in it. UsageError
    when there is none of this number, or somebody in it is opposed to that."""
    row = None if place.site is None else place.site.state.datamarts.find(datamart)
    if place.site is None or row is None or row.state != MartState.LIVE:
        raise UsageError("No datamart of this number is there.", hint="estran datamart list SITE")
    patients = BitMap.deserialize(row.members)
    if patients & excluded(place.site.snapshot(), {"hub"}):
        raise UsageError(
            "The datamart holds patients who are opposed to sharing with other hospitals.",
            hint="have it pooled: they are left out",
        )
    names = ProjectKey(row.project, place.site.secret(f"project:{row.project}")).pseudonyms(patients)
    book = SentBook(place.folder)
    try:
        book.note(row.project, dict(zip(patients, names, strict=True)))
    finally:
        book.close()
    state = place.site.state
    register(state, recipient(place, row.project), "hub", holding.scopes(state, row), row.snapshot)
    return row.project, len(patients)


def taken_back(place: Place, project: str) -> None:
    """The hub has destroyed what it had of a project: it owes nothing more. UsageError when nothing was sent."""
    book = SentBook(place.folder)
    try:
        if place.site is None or not book.forget(project):
            raise UsageError("Nothing was sent for a project of this name.", hint="estran rights status SITE")
    finally:
        book.close()
    end(place.site.state, recipient(place, project))


def notices(place: Place) -> list[dict[str, Any]]:
    """What the hub has to be told, or asked about again; nothing where it holds nothing of this site."""
    if place.site is None or not (place.folder / FILE_NAME).is_file():
        return []
    book = SentBook(place.folder)
    try:
        owed = [(name, one) for name in book.projects() for one in due(place.site.state, recipient(place, name))]
        return [
            {
                "number": one.id,
                "what": one.what,
                "due": one.deadline.timestamp(),
                "subjects": book.of(project, place.site.numbers_of(one.patient_id)),
            }
            for project, one in _some(sorted(owed, key=lambda each: each[1].deadline))
        ]
    finally:
        book.close()


def _some(owed: list[_Owed]) -> list[_Owed]:
    """The most urgent, and some of the others, other ones each time: a hub that leaves many undone hears of all."""
    first, rest = owed[:_AT_ONCE], owed[_AT_ONCE:]
    return first + random.SystemRandom().sample(rest, min(len(rest), _AT_ONCE))


def heard(place: Place, told: Any) -> int:
    """Acknowledge what the hub says that it has obeyed; how many that was."""
    if place.site is None or not isinstance(told, list):
        return 0
    said = {
        one["number"]: str(one.get("outcome", ""))[:200]
        for one in told
        if isinstance(one, dict) and one.get("state") == "done" and type(one.get("number")) is int
    }
    book, state = SentBook(place.folder), place.site.state
    try:
        names = [recipient(place, project) for project in book.projects()] if said else []
    finally:
        book.close()
    done = 0
    for name in names:
        by_outcome: dict[str, list[int]] = {}
        for one in due(state, name):
            if one.id in said:
                by_outcome.setdefault(said[one.id], []).append(one.id)
        done += sum(acknowledge(state, name, numbers, outcome, KEY_HOLDER) for outcome, numbers in by_outcome.items())
    return done
