"""Which identities are one patient.

Two kinds of link are kept, each a stamped statement on a pair of identities: an *alias* (one record
gives numbers of both) and a *merge* (the hospital says so). Identities tied by an alias are one
from the start, as if their numbers had arrived together; between two such sets the latest merge or
unmerge statement holds. A patient is what the active links tie, and is called by its smallest
identity. None of this depends on the order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from estran.identity.traits import Stamp

Int32s = npt.NDArray[np.int32]
Moved = dict[int, tuple[int, int]]  # identity → patient before, patient after


class LinkKind(IntEnum):
    """Where a link comes from."""

    ALIAS = 0
    MERGE = 1


class Link(NamedTuple):
    """A pair of identities, the smaller first."""

    a: int
    b: int
    kind: LinkKind


class Groups:
    """Links in memory; only identities that have one take any room."""

    def __init__(self, links: Iterable[tuple[Link, Stamp, bool]] = ()) -> None:
        self._said: dict[Link, tuple[Stamp, bool]] = {}
        self._around: dict[int, set[Link]] = {}
        self._patient: dict[int, int] = {}
        self._members: dict[int, tuple[int, ...]] = {}
        self._table: tuple[Int32s, Int32s] | None = None
        for link, stamp, active in links:
            self._keep(link, stamp, active)
        todo = set(self._around)
        while todo:
            todo -= self._settle(next(iter(todo)))[0]

    def say(self, link: Link, stamp: Stamp, active: bool) -> bool:
        """Take a statement; False when a later one is already held."""
        if self.holds(link, stamp, active):
            return False
        self._keep(link, stamp, active)
        return True

    def holds(self, link: Link, stamp: Stamp, active: bool) -> bool:
        """True when this statement, or a later one on the same pair, is already held."""
        held = self._said.get(link)
        return held is not None and held >= (stamp, active)

    def settle(self, identity: int) -> Moved:
        """Recompute the patients around `identity`; what moved."""
        return self._settle(identity)[1]

    def ever_tied(self, identity: int) -> list[int]:
        """`identity` and all that links tie to it, those undone since included."""
        return sorted(self._reach(identity))

    def active_links(self, identity: int) -> list[Link]:
        """Links that tie `identity` now."""
        return sorted(link for link in self._around.get(identity, ()) if self._said[link][1])

    def patient(self, identity: int) -> int:
        """The patient of one identity."""
        return self._patient.get(identity, identity)

    def members(self, patient: int) -> tuple[int, ...]:
        """The identities of a patient, in order."""
        return self._members.get(patient, (patient,))

    def patients(self, identities: Int32s) -> Int32s:
        """The patient of each identity."""
        if not self._patient:
            return identities.copy()
        if self._table is None:
            pairs = sorted(self._patient.items())
            self._table = (np.array([p[0] for p in pairs], np.int32), np.array([p[1] for p in pairs], np.int32))
        keys, values = self._table
        at = np.minimum(np.searchsorted(keys, identities), len(keys) - 1)
        return np.where(keys[at] == identities, values[at], identities).astype(np.int32)

    def merged(self) -> dict[int, tuple[int, ...]]:
        """Patients of several identities."""
        return dict(self._members)

    def drop(self, identities: Iterable[int]) -> None:
        """Forget identities and their links."""
        for identity in identities:
            for link in self._around.pop(identity, set()):
                self._said.pop(link, None)
                other = link.b if link.a == identity else link.a
                self._around.get(other, set()).discard(link)
            self._members.pop(self._patient.pop(identity, identity), None)
        self._table = None

    def _keep(self, link: Link, stamp: Stamp, active: bool) -> None:
        self._said[link] = (stamp, active)
        self._around.setdefault(link.a, set()).add(link)
        self._around.setdefault(link.b, set()).add(link)

    def _reach(self, start: int) -> set[int]:
        """Identities tied to `start` by links of any state."""
        found, todo = {start}, [start]
        while todo:
            for link in self._around.get(todo.pop(), ()):
                new = {link.a, link.b} - found
                found |= new
                todo += new
        return found

    def _settle(self, start: int) -> tuple[set[int], Moved]:
        nodes = self._reach(start)
        links = {link for node in nodes for link in self._around.get(node, ())}
        root = _tie({n: n for n in nodes}, ((k.a, k.b) for k in links if k.kind == LinkKind.ALIAS and self._said[k][1]))
        verdict: dict[tuple[int, int], tuple[Stamp, bool]] = {}
        for link in links:
            if link.kind == LinkKind.MERGE:
                pair = (min(root[link.a], root[link.b]), max(root[link.a], root[link.b]))
                verdict[pair] = max(verdict.get(pair, self._said[link]), self._said[link])
        patient = _tie(root, (pair for pair, (_, active) in verdict.items() if active))
        return nodes, self._assign(patient)

    def _assign(self, patient: dict[int, int]) -> Moved:
        moved: Moved = {}
        members: dict[int, list[int]] = {}
        for node in sorted(patient):
            members.setdefault(patient[node], []).append(node)
            before = self._patient.pop(node, node)
            self._members.pop(before, None)
            if before != patient[node]:
                moved[node] = (before, patient[node])
        for head, nodes in members.items():
            if len(nodes) > 1:
                self._members[head] = tuple(nodes)
                self._patient.update(dict.fromkeys(nodes, head))
        self._table = None
        return moved


def _tie(root: dict[int, int], pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Node → smallest node of its set, once `pairs` are tied on top of the sets of `root`."""
    up = dict(root)

    def top(node: int) -> int:
        while up[node] != node:
            node = up[node]
        return node

    for a, b in pairs:
        low, high = sorted((top(a), top(b)))
        up[high] = low
    return {node: top(node) for node in root}
