"""One keeper's trouble is its own: it is told, and tried again later; the process goes on."""

from __future__ import annotations

import time
from typing import Protocol

from estran.model.errors import told

_FIRST, _LONGEST = 2.0, 600.0  # seconds before the next try: doubled after each that fails


class Keeper(Protocol):
    """Looks whether there is something to do, does it, and tells."""

    def look(self) -> list[str]: ...


class Guarded:
    """A keeper whose errors end its own look only."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._next, self._pause = 0.0, 0.0
        self.failed = False  # at the last look

    def look(self) -> list[str]:
        """What the keeper tells, or what may be said of its error."""
        if time.monotonic() < self._next:
            return []
        try:
            said = self._keeper.look()
        except Exception as error:  # noqa: BLE001 (whatever it is, the other keepers and the feeds go on)
            self._pause = min(max(_FIRST, 2 * self._pause), _LONGEST)
            self._next, self.failed = time.monotonic() + self._pause, True
            return [f"{type(self._keeper).__name__}: {told(error)}"]
        self._pause, self.failed = 0.0, False
        return said
