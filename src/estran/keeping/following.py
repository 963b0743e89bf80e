"""Asking saved questions again, in the process that runs the feeds."""

from __future__ import annotations

import time

from estran.model.errors import EstranError
from estran.projects.desk import ReadingRoom
from estran.projects.following import run_due

_LOOK_EVERY = 30.0  # seconds


class FollowKeeper:
    """Looked at often; asks what is due. What goes wrong is told, and tried again later."""

    def __init__(self, room: ReadingRoom) -> None:
        self._room = room
        self._next = 0.0

    def look(self) -> list[str]:
        """Run what is due; returns a sentence when something was, or went wrong."""
        if time.monotonic() < self._next:
            return []
        self._next = time.monotonic() + _LOOK_EVERY
        try:
            asked = run_due(self._room)
        except EstranError as error:
            return [f"saved questions: {error.what}"]
        return [f"saved questions: {asked} asked again"] if asked else []
