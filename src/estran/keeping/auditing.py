"""What the process that holds the key does for the audit trail by itself: checkpoints, weekly reviews, letting go."""

from __future__ import annotations

import datetime as dt
import time

from estran.model.errors import EstranError
from estran.projects.review import week_due, write
from estran.projects.sealing import Sealing
from estran.state.transactions import now

_SEAL_EVERY, _TIDY_EVERY = 20.0, 3600.0  # seconds between two looks


class AuditKeeper:
    """Looked at often; does something seldom. What goes wrong is told, and tried again later."""

    def __init__(self, sealing: Sealing) -> None:
        self._sealing = sealing
        self._next_seal = self._next_tidy = 0.0

    def look(self) -> list[str]:
        """Do what is due; returns a sentence for each thing done or gone wrong."""
        told: list[str] = []
        clock = time.monotonic()
        try:
            if clock >= self._next_seal:
                self._next_seal = clock + _SEAL_EVERY
                told += self._seal()
            if clock >= self._next_tidy:
                self._next_tidy = clock + _TIDY_EVERY
                told += self._tidy(now())
        except EstranError as error:
            told.append(f"audit: {error.what} {error.where}".strip())
        return told

    def _seal(self) -> list[str]:
        made = self._sealing.seal() if self._sealing.due() else None
        return [f"audit: checkpoint at line {made.line}"] if made else []

    def _tidy(self, moment: dt.datetime) -> list[str]:
        told, site = [], self._sealing.site
        due = week_due(site, moment)
        if due:
            record = write(site, *due)
            told.append(f"audit: week of {due[0]:%Y-%m-%d} reviewed, {len(record.body['findings'])} findings")
        gone = self._sealing.cut()
        return [*told, f"audit: {gone} lines removed, their time was over"] if gone else told
