"""Linking the records of several sites: which are of one person, how sure, how many a person would have to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estran.release.matching.clusters import Pairs, Sites, one_to_one, persons
from estran.release.matching.compare import SHAPE, TRAITS, patterns
from estran.release.matching.model import Counts, Floats, odds
from estran.release.matching.pairs import Places, Rows, candidates

SURE, DOUBT = 0.9, 0.5  # a pair is taken from the first on; between the two somebody would have to look
_WORTH = 0.01  # pairs less likely than this are forgotten
_ENOUGH = 2_000  # pairs with two INS within sites, from which on strangers are learnt from them alone
_BY_INS, _INS_ALONE = 1 - 1e-6, 0.7
_OTHER, *_PARTLY = (TRAITS["given"].index(level) for level in ("other", "a further name", "one in the other"))
_TURNED = TRAITS["date"].index("turned")
_TWINS = 0.7  # of one day, and of one first given name nothing in the other: twins, until somebody looked


@dataclass(frozen=True)
class Linked:
    """`persons`: of each site, a number for each record, equal for records of one person and for no others. `pairs`:
    those worth keeping, by places in all records one after the other; `review`: pairs between `DOUBT` and the threshold
    whose records are not linked."""

    persons: tuple[Places, ...]
    pairs: Pairs
    review: int

    @property
    def distinct(self) -> int:
        """How many persons the records are of."""
        return len(np.unique(np.concatenate(self.persons))) if self.persons else 0

    def shared(self, one: int, other: int) -> int:
        """How many persons two sites, by their places, have in common."""
        return len(np.intersect1d(self.persons[one], self.persons[other]))


def link_records(sites: Sequence[Rows], sure: float = SURE) -> Linked:
    """Link the records of `identity.matching.RECORD` of several sites, each a site's own without doubles. A pair is taken
    from the chance `sure` on; a record has at most one partner in each other site; two INS are two persons."""
    rows = np.concatenate(list(sites))
    home: Sites = np.repeat(np.arange(len(sites), dtype=np.int16), [len(one) for one in sites])
    pairs = scored(rows, home)
    ins = rows["ins"]
    number = persons(pairs.where(pairs.chance >= sure), home, ins)
    doubtful = pairs.where((pairs.chance >= DOUBT) & (number[pairs.first] != number[pairs.second]))
    bounds = np.cumsum([len(one) for one in sites])[:-1]
    return Linked(tuple(np.split(number, bounds)), pairs, len(doubtful.first))


def scored(rows: Rows, home: Sites) -> Pairs:
    """Pairs of two sites with the chance that each is one person, rivals considered."""
    first, second = candidates(rows)
    pattern = patterns(rows, first, second)
    own = home[first] == home[second]
    known = (rows["ins"][first] != 0) & (rows["ins"][second] != 0)
    same = known & (rows["ins"][first] == rows["ins"][second])
    found = odds(_counted(rows, home, pattern, own, known, same))[pattern]
    chance = found / (1 + found)
    date, _, _, family, given = np.unravel_index(pattern, SHAPE)
    alone = (date < 2) & (family < 2) & (given < 2)  # nothing but the INS
    twins = (given == _OTHER) | (np.isin(given, _PARTLY) & (date >= _TURNED))
    chance = np.where(twins, np.minimum(chance, _TWINS), chance)
    chance = np.where(same, np.where(alone, _INS_ALONE, _BY_INS), chance)
    worth = ~own & (same | ~known) & (chance >= _WORTH)
    return one_to_one(Pairs(first, second, chance).where(worth), home)


def _counted(
    rows: Rows, home: Sites, pattern: npt.NDArray[np.int32], own: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_],
    same: npt.NDArray[np.bool_],
) -> Counts:  # fmt: skip
    """The patterns counted. Where there are enough INS, strangers are all pairs of two different ones, within a site or
    not: a double that a site overlooked is not among them. Else they are the pairs within sites."""
    told = known & ~same
    by_ins = int(told.sum()) >= _ENOUGH
    every, named = (
        np.bincount(home[kept], minlength=int(home.max(initial=0)) + 1).astype(float)
        for kept in (home >= 0, rows["ins"] != 0)
    )
    strangers = _pairs_within(named) + _pairs_between(named) if by_ins else _pairs_within(every)
    between = _pairs_between(every) - _pairs_between(named)
    return Counts(
        _count(pattern[told if by_ins else own & ~same]), _count(pattern[~own & ~known]), _count(pattern[~own & same]),
        between / max(1.0, strangers),
    )  # fmt: skip


def _pairs_within(sizes: Floats) -> float:
    return float((sizes * (sizes - 1)).sum() / 2)


def _pairs_between(sizes: Floats) -> float:
    return float((sizes.sum() ** 2 - (sizes**2).sum()) / 2)


def _count(pattern: npt.NDArray[np.int32]) -> Floats:
    return np.bincount(pattern, minlength=int(np.prod(SHAPE))).astype(float)
