"""Complementary suppression: which parts of a whole are not told, so that no small one can be worked out from the rest.

Who knows the whole and the parts told knows what the others sum up to. Parts under the floor are withheld; as long as
their sum is itself under the floor, or so close to the most that they could be that each follows, the smallest told part
is withheld with them. Who knows this rule and the exact numbers can still work a part out now and then, because the
choice itself tells that the part taken is the smallest one (four parts from 0 to 8 and a floor of 3: a small part follows
in 128 of the 2333 views whose whole is told); numbers with noise, as the gate gives them, do not allow it. Source: Hundepool et al., Statistical Disclosure Control (Wiley, 2012), section 4 (secondary
suppression of one-way tables).
"""

from __future__ import annotations

from collections.abc import Mapping


def withheld(counts: Mapping[str, int], floor: int) -> frozenset[str]:
    """The parts not to be told: the sum of those withheld leaves open which has how many."""
    order = sorted(counts, key=lambda part: (counts[part], part))
    hidden = [part for part in order if counts[part] < floor]
    for part in order[len(hidden) :]:
        if not hidden or _safe([counts[one] for one in hidden], floor):
            break
        hidden.append(part)
    return frozenset(hidden)


def _safe(hidden: list[int], floor: int) -> bool:
    total, most = sum(hidden), (floor - 1) * len(hidden)
    return total >= floor and (max(hidden) >= floor or most - total >= floor)
