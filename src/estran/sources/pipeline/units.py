"""The book of wards: unit codes that sources name, numbered once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from estran.model.tables import UNIT
from estran.sources.records import UnitKey


class UnitBook:
    """Units known to the snapshot, and those met since. A label arrives with whoever knows it."""

    def __init__(self, units: pa.Table, next_id: int) -> None:
        self._rows: dict[tuple[str, str], dict[str, object]] = {
            (row["code"], row["level"]): row for row in units.to_pylist()
        }
        self.next_id = next_id
        self._changed: dict[int, dict[str, object]] = {}
        self._grew = False

    def resolve(self, keys: Sequence[UnitKey]) -> npt.NDArray[np.int32]:
        """unit_id of each key, then a -1 for 'no unit'."""
        self._grew = False
        return np.array([self._one(key) for key in keys] + [-1], dtype=np.int32)

    def grew(self) -> bool:
        """Whether the last `resolve` learnt something."""
        return self._grew

    def _one(self, key: UnitKey) -> int:
        row = self._rows.get((key.code, key.level))
        if row is None:
            row = {f.name: None for f in UNIT} | {"unit_id": self.next_id, "code": key.code, "level": key.level}
            self._rows[key.code, key.level] = row
            self.next_id += 1
            self._note(row)
        # several sources may label one unit: the first in alphabetical order stays, whoever came first
        if key.label and (not row["label"] or key.label < str(row["label"])):
            row["label"] = key.label
            self._note(row)
        return int(row["unit_id"])  # type: ignore[call-overload, no-any-return]

    def _note(self, row: dict[str, object]) -> None:
        self._changed[int(row["unit_id"])] = row  # type: ignore[call-overload]
        self._grew = True

    def changed(self) -> pa.Table:
        """Rows new or relabelled since the last call."""
        rows, self._changed = list(self._changed.values()), {}
        return pa.Table.from_pylist(rows, UNIT)
