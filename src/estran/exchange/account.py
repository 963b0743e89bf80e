"""What an export wrote, what it could not say, and the proof that the two make up what was there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from estran.model.errors import StoreError


@dataclass(frozen=True)
class Left:
    """Rows that have no place in the format, and why; `what` is the relation they come from."""

    what: str
    reason: str
    rows: int


@dataclass
class Account:
    """Rows read of each relation, rows written of it to each table or resource, and what was left out.

    `lost` counts rows that were written without something they had (a shortened word, a role).
    """

    read: dict[str, int] = field(default_factory=dict)
    written: dict[str, dict[str, int]] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)  # rows that stand for no row of the source (vocabulary, periods)
    left: list[Left] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)

    def wrote(self, relation: str, place: str, rows: int) -> None:
        """Count rows of a relation written to a place; relation "" for rows of no relation."""
        if not relation:
            self.made[place] = self.made.get(place, 0) + rows
            return
        places = self.written.setdefault(relation, {})
        places[place] = places.get(place, 0) + rows

    def leave(self, what: str, counts: Mapping[str, int]) -> None:
        """Count rows left out, by reason."""
        self.left += [Left(what, reason, rows) for reason, rows in counts.items() if rows]

    def close(self) -> None:
        """StoreError unless every row read of a relation was written once or left for a reason."""
        for relation, read in self.read.items():
            told = sum(self.written.get(relation, {}).values())
            told += sum(one.rows for one in self.left if one.what == relation)
            if told != read:
                raise StoreError(
                    f"The export does not add up: {told} rows told of {read} in {relation}.", hint="estran check SITE"
                )

    def plain(self) -> dict[str, Any]:
        """As the manifest tells it."""
        return {
            "read": self.read, "written": self.written, "made": self.made, "lost": self.lost,
            "not_expressed": [vars(one) for one in self.left],
        }  # fmt: skip
