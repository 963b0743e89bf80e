"""What quarantine holds already: an identical resend of a record that waits there is superseded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from estran.sources.pipeline.columns import fetch
from estran.warehouse import Snapshot

Key = tuple[str, str, int]  # source, part, content


class Held:
    """A set of keys. A source's are read when one of its records is refused: quarantine may be large,
    and a load of a few messages must not pay for it."""

    def __init__(self, snapshot: Snapshot, reaches: Callable[[int], bool]) -> None:
        """`reaches` tells whether a landed file is still there: what waits in another one cannot be replayed,
        so a resend of it is quarantined anew."""
        self._snapshot, self._reaches = snapshot, reaches
        self._added: set[Key] = set()
        self._stored: dict[str, pa.Table] = {}

    def add(self, key: Key) -> None:
        self._added.add(key)

    def __contains__(self, key: Key) -> bool:
        return key in self._added or self._waits(*key)

    def _waits(self, source: str, part: str, content: int) -> bool:
        table = self._of(source)
        contents = table["content"].to_numpy()
        first, last = np.searchsorted(contents, content), np.searchsorted(contents, content, "right")
        rows = table.slice(first, last - first).to_pylist()
        return any(row["part"] == part and self._reaches(row["file_no"]) for row in rows)

    def _of(self, source: str) -> pa.Table:
        if source not in self._stored:
            sql = "select content, part, file_no from raw_quarantine where source = ? order by content"
            self._stored[source] = fetch(self._snapshot.connect(), sql, [source]).combine_chunks()
        return self._stored[source]
