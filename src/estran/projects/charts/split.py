"""Who reads what: patients shared out to reviewers, in turn or by share, once or twice each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from estran.model.errors import UsageError


def share_out(patients: Sequence[int], shares: Mapping[int, float], readings: int = 1) -> dict[int, tuple[int, ...]]:
    """The reviewers of each patient, as many as `readings`; `shares` are the parts of the reviewers, equal ones are
    turns. Each patient goes to those who are farthest behind their share (Sainte-Laguë's rule), so that nobody is ever
    a whole patient ahead of it. UsageError when there are fewer reviewers than readings."""
    if len(shares) < readings:
        raise UsageError("There are fewer reviewers than readings of each patient.")
    if any(not 0 < share <= 1000 for share in shares.values()):
        raise UsageError("A share is a number above 0, and 1000 at most.")
    given = dict.fromkeys(shares, 0)
    order = list(shares)
    found = {}
    for patient in patients:
        behind = sorted(order, key=lambda one: ((2 * given[one] + 1) / shares[one], order.index(one)))[:readings]
        for one in behind:
            given[one] += 1
        found[patient] = tuple(sorted(behind, key=order.index))
    return found
