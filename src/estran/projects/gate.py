"""How a count is shown: exact to the clinical data centre, protected to everybody else.

Protected: below `FLOOR` only "< 10" is said, zero included; above, the count is rounded to the nearest
`STEP`. Every number of a page passes here (nodes, steps, bars and facets alike), because an exact part beside a
masked total gives the total away. This is a display rule, not the release of results.
"""

from __future__ import annotations

from dataclasses import dataclass

from estran.projects.actors import Actor, Role

FLOOR = 10
STEP = 10
EXACT_ROLES = frozenset({Role.OWNER, Role.DATA_ENGINEER})


@dataclass(frozen=True)
class Shown:
    """A count fit to be shown: `value` to write and draw, `below` when only "< FLOOR" may be said."""

    value: int
    below: bool = False


@dataclass(frozen=True)
class Gate:
    """The rule that applies to one person."""

    exact: bool

    @classmethod
    def of(cls, actor: Actor) -> Gate:
        return cls(actor.role in EXACT_ROLES)

    def show(self, count: int) -> Shown:
        """`count` as this person may see it."""
        if self.exact:
            return Shown(count)
        if count < FLOOR:
            return Shown(0, below=True)
        return Shown((count + STEP // 2) // STEP * STEP)
