"""How often one caller may ask, in this process."""

from __future__ import annotations

import threading
import time
from collections import deque

_MOST_CALLERS = 10_000


class RateLimit:
    """At most `allowed` requests per caller in any `window` seconds."""

    def __init__(self, allowed: int, window: float = 60.0) -> None:
        self._allowed = allowed
        self._window = window
        self._asked: dict[int, deque[float]] = {}
        self._lock = threading.Lock()

    def wait(self, caller: int, moment: float | None = None) -> int:
        """Seconds to wait before asking again; 0 when this request is allowed, which counts it."""
        here = time.monotonic() if moment is None else moment
        with self._lock:
            asked = self._asked.setdefault(caller, deque())
            while asked and asked[0] <= here - self._window:
                asked.popleft()
            if len(asked) >= self._allowed:
                return int(asked[0] + self._window - here) + 1 if asked else int(self._window)
            asked.append(here)
            if len(self._asked) > _MOST_CALLERS:
                self._asked = {c: a for c, a in self._asked.items() if a and a[-1] > here - self._window}
            return 0
