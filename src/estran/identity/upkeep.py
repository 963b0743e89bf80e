"""What the vault notes for later: patients whose documents must be issued anew, and which landed
files speak of whom (for erasure)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from estran.identity.store import Store

Int32s = npt.NDArray[np.int32]


class Upkeep:
    """Rows of numbers only: nothing here needs to be sealed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def mark(self, identities: Iterable[int]) -> None:
        """Note, within the transaction that changed them, identities whose rows must be renewed."""
        self._store.write_many("INSERT OR IGNORE INTO pending VALUES (?)", ((int(i),) for i in identities))

    def pending(self) -> Int32s:
        """Identities marked and not settled since."""
        rows = self._store.rows("SELECT identity_id FROM pending ORDER BY 1")
        return np.array([row[0] for row in rows], np.int32)

    def settle(self, identities: Iterable[int]) -> None:
        """Their rows are renewed and committed."""
        with self._store.transaction():
            self._store.write_many("DELETE FROM pending WHERE identity_id = ?", ((int(i),) for i in identities))

    def mention(self, identities: Iterable[int], file_no: int) -> None:
        """A landed file speaks of these identities."""
        rows = ((int(i), file_no) for i in identities)
        self._store.write_many("INSERT OR IGNORE INTO mentioned VALUES (?, ?)", rows)

    def files_of(self, identities: Iterable[int]) -> list[int]:
        """Landed files that speak of any of these identities."""
        found: set[int] = set()
        for identity in identities:
            rows = self._store.rows("SELECT file_no FROM mentioned WHERE identity_id = ?", (int(identity),))
            found.update(int(row[0]) for row in rows)
        return sorted(found)
