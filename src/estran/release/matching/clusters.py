"""From pairs to persons: at most one record of each site, at most one INS, nothing that contradicts itself."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from estran.release.matching.pairs import Places, Words

Sites = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Pairs:
    """Pairs of records of two sites, each with the chance that it is one person."""

    first: Places
    second: Places
    chance: npt.NDArray[np.float64]

    def where(self, kept: npt.NDArray[np.bool_]) -> Pairs:
        """Those that are kept."""
        return Pairs(self.first[kept], self.second[kept], self.chance[kept])


def one_to_one(pairs: Pairs, sites: Sites) -> Pairs:
    """The same pairs, their chances shared with their rivals: a record has one partner in another site at most."""
    odds = pairs.chance / np.maximum(1e-15, 1 - pairs.chance)
    rivals = _rivals(pairs.first, sites[pairs.second], odds) + _rivals(pairs.second, sites[pairs.first], odds)
    return Pairs(pairs.first, pairs.second, odds / (1 + odds + rivals))


def persons(pairs: Pairs, sites: Sites, ins: Words) -> Places:
    """A number for each record, the same for records of one person."""
    _, label = _components(pairs, len(sites))
    torn = _torn(label, sites, ins)
    kept = pairs.where(~torn[label[pairs.first]])
    loose = pairs.where(torn[label[pairs.first]])
    joined = _one_by_one(loose, sites, ins)
    every = Pairs(
        *(np.concatenate([getattr(kept, name), getattr(joined, name)]) for name in ("first", "second", "chance"))
    )
    return _components(every, len(sites))[1].astype(np.int64)


def _rivals(record: Places, site: Sites, odds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of each pair, the odds of the other pairs of its record with the same site."""
    _, group = np.unique(record * 1_000 + site, return_inverse=True)
    return np.asarray(np.maximum(0.0, np.bincount(group, odds)[group] - odds)) if len(odds) else odds


def _components(pairs: Pairs, records: int) -> tuple[int, npt.NDArray[np.int32]]:
    graph = coo_array((np.ones(len(pairs.first), np.int8), (pairs.first, pairs.second)), (records, records))
    number, label = connected_components(graph, directed=False)
    return int(number), label


def _torn(label: npt.NDArray[np.int32], sites: Sites, ins: Words) -> npt.NDArray[np.bool_]:
    """Which components hold two records of a site, or two INS."""
    found = np.zeros(int(label.max(initial=-1)) + 1, np.bool_)
    twice, counts = np.unique(label.astype(np.int64) * 1_000 + sites, return_counts=True)
    found[twice[counts > 1] // 1_000] = True
    named = np.unique(np.stack([label.astype(np.uint64), ins], 1)[ins != 0], axis=0)[:, 0].astype(np.int64)
    several, counts = np.unique(named, return_counts=True)
    found[several[counts > 1]] = True
    return found


def _one_by_one(pairs: Pairs, sites: Sites, ins: Words) -> Pairs:
    """Of pairs that contradict each other, the likeliest first as long as nothing contradicts; these are few."""
    order = np.argsort(-pairs.chance, kind="stable")
    home: dict[int, int] = {}
    members: defaultdict[int, list[int]] = defaultdict(list)
    kept = np.zeros(len(order), np.bool_)
    for place in order.tolist():
        first, second = int(pairs.first[place]), int(pairs.second[place])
        a, b = home.setdefault(first, first), home.setdefault(second, second)
        whole = (members[a] or [first]) + (members[b] or [second]) if a != b else []
        if a == b or not _agrees(whole, sites, ins):
            continue
        kept[place] = True
        members[a] = whole
        home |= dict.fromkeys(whole, a)
    return pairs.where(kept)


def _agrees(records: list[int], sites: Sites, ins: Words) -> bool:
    named = {int(word) for word in ins[records] if word}
    return len(named) < 2 and len(np.unique(sites[records])) == len(records)
