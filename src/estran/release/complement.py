"""Complementary suppression: which parts of a whole are not told, so that no small one can be worked out from the rest.

Who knows the whole and the parts told knows what the others sum up to. Parts under the floor are withheld; as long as
their sum is itself under the floor, or so close to the most that they could be that each follows, the smallest told part
is withheld with them. Source: Hundepool et al., Statistical Disclosure Control (Wiley, 2012), section 4 (secondary
suppression of one-way tables).
"""

from __future__ import annotations

from collections.abc import Mapping


def withheld(counts: Mapping[str, int], floor: int) -> frozenset[str]:
    """The parts not to be told: no count of one of them follows from the whole and the parts told."""
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
