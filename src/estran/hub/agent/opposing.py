"""Telling a hub what a patient refused after data were sent to it, until the hub says that it has obeyed.

The site registers the hub among its recipients, under the name of the network, when it sends the first data
(`projects.rights.register`); each act of a patient then makes a tombstone with a deadline of a day. The numbers under
which a patient was sent, one for each project, are kept here: without them the hub would know nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from estran.hub.agent.place import Place
from estran.hub.database import Database
from estran.projects.actors import KEY_HOLDER
from estran.projects.rights import acknowledge, due

FILE_NAME = "sent.sqlite"
_VERSION = 1
_SCHEMA = """
CREATE TABLE sent (patient INTEGER, project TEXT, id TEXT, PRIMARY KEY (patient, project, id)) WITHOUT ROWID
"""
_AT_ONCE = 500


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
                self.db.write("INSERT OR IGNORE INTO sent VALUES (?, ?, ?)", (patient, project, number))

    def of(self, patients: Sequence[int]) -> list[dict[str, str]]:
        """Projects and numbers of a patient, who may have had several here."""
        marks = ", ".join("?" * len(patients))
        rows = self.db.rows(f"SELECT project, id FROM sent WHERE patient IN ({marks}) ORDER BY project, id", patients)
        return [{"project": str(row["project"]), "id": str(row["id"])} for row in rows]

    def forget(self, project: str) -> None:
        """A project is over, and what was sent for it destroyed."""
        self.db.write("DELETE FROM sent WHERE project = ?", (project,))


def notices(place: Place) -> list[dict[str, Any]]:
    """What the hub has to be told, or asked about again; nothing where it holds nothing of this site."""
    if place.site is None:
        return []
    owed = due(place.site.state, place.membership.network)[:_AT_ONCE]
    if not owed:
        return []
    book = SentBook(place.folder)
    try:
        return [
            {
                "number": one.id,
                "what": one.what,
                "due": one.deadline.timestamp(),
                "subjects": book.of(place.site.numbers_of(one.patient_id)),
            }
            for one in owed
        ]
    finally:
        book.close()


def heard(place: Place, told: Any) -> int:
    """Acknowledge what the hub says that it has obeyed; how many that was."""
    if place.site is None or not isinstance(told, list):
        return 0
    by_outcome: dict[str, list[int]] = {}
    for one in told:
        if isinstance(one, dict) and one.get("state") == "done" and type(one.get("number")) is int:
            by_outcome.setdefault(str(one.get("outcome", ""))[:200], []).append(one["number"])
    state, network = place.site.state, place.membership.network
    return sum(acknowledge(state, network, numbers, outcome, KEY_HOLDER) for outcome, numbers in by_outcome.items())
