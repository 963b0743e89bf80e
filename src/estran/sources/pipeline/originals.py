"""Originals: what masking altered in a document, kept encrypted in the vault.

A blob is JSON: `content`, the hash of the version it belongs to; `text`, `title`, `author_role`, `start`,
`known_at`, `event_time` and `status` of the document; per fact number its `moments` (start date, start minute,
end date, end minute, precision), `words`, `known` and `values`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

_MOMENTS = ("start_date", "start_minute", "end_date", "end_minute", "precision")


@dataclass
class Originals:
    """Collects the originals of one commit, by document row."""

    _of: dict[int, dict[str, object]] = field(default_factory=dict)

    def keep(self, row: int, name: str, value: str | int) -> None:
        """A column of the document."""
        self._of.setdefault(row, {})[name] = value

    def start(self, row: int, date: int | None, minute: int | None, precision: int) -> None:
        self._of.setdefault(row, {})["start"] = [date, minute, precision]

    def moments(self, facts: pa.Table, rows: npt.NDArray[np.int64], documents: npt.NDArray[np.int64]) -> None:
        """Keep the moments of these rows of `facts`, before they are coarsened."""
        if not len(rows):
            return
        columns = [_days(facts[n].take(pa.array(rows))) for n in _MOMENTS]
        numbers = facts["fact_no"].take(pa.array(rows)).to_pylist()
        for place, number in enumerate(numbers):
            kept = self._of.setdefault(int(documents[place]), {}).setdefault("moments", {})
            kept[str(number)] = [c[place] for c in columns]  # type: ignore[index]

    def of_fact(self, row: int, kind: str, place: int | str, value: str | float) -> None:
        """`kind` is words, known or values, `place` the fact's number; or uri, value_text of what hangs."""
        kept = self._of.setdefault(row, {}).setdefault(kind, {})
        kept[str(place)] = value  # type: ignore[index]

    def blobs(self, contents: npt.NDArray[np.int64]) -> dict[int, bytes]:
        """The blob of each document row that has one; `contents` of all rows."""
        return {row: orjson.dumps(value | {"content": int(contents[row])}) for row, value in self._of.items()}


def _days(column: pa.ChunkedArray) -> list[int | None]:
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    values: list[int | None] = column.to_pylist()
    return values
