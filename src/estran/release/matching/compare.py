"""How two records agree, trait by trait: a level each, together one pattern."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from estran.identity.matching import HALVES
from estran.release.matching.pairs import Places, Rows, Words

Levels = npt.NDArray[np.int8]
#: Trait → its levels, in the order of their numbers.
TRAITS = {
    "date": ("other", "year", "two parts", "turned", "same"),
    "sex": ("not known", "other", "same"),
    "place": ("not known", "other", "same"),
    "family": ("not known", "other", "near", "another name", "same, frequent", "same, rare", "both same"),
    "given": (
        "not known", "other", "a further name", "near", "one in the other", "a half", "exchanged", "same, frequent", "same, rare",
        "both same",
    ),
}  # fmt: skip
SHAPE = tuple(len(levels) for levels in TRAITS.values())
_NAMED = {"family": TRAITS["family"].index("another name"), "given": TRAITS["given"].index("one in the other")}
_FURTHER = TRAITS["given"].index("a further name")
_HALVES = slice(2, 2 + HALVES)
_STEP = 200_000  # pairs at a time: what is held in memory is bounded


def patterns(rows: Rows, first: Places, second: Places) -> npt.NDArray[np.int32]:
    """The number of each pair's pattern (`numpy.unravel_index(…, SHAPE)` gives the levels)."""
    rare = {name: _rare(rows, name) for name in ("family", "given")}
    found = np.empty(len(first), np.int32)
    for start in range(0, len(first), _STEP):
        here = slice(start, start + _STEP)
        a, b = rows[first[here]], rows[second[here]]
        seldom = {name: held[first[here]] for name, held in rare.items()}
        found[here] = np.ravel_multi_index(_levels(a, b, seldom), SHAPE)
    return found


def _levels(a: Rows, b: Rows, rare: dict[str, npt.NDArray[np.bool_]]) -> tuple[Levels, ...]:
    crossed = _same(a["family"][:, :, 0], b["given"][:, :, 0]) & _same(a["given"][:, :, 0], b["family"][:, :, 0])
    family, given = _family(a, b, rare["family"], crossed), _given(a, b, rare["given"], crossed)
    named = (family >= _NAMED["family"]) | (given >= _NAMED["given"]) | (given == _FURTHER)
    return _date(a, b, named), _plain(a["sex"], b["sex"]), _place(a, b), family, given


def _plain(one: Words, other: Words) -> Levels:
    return np.where((one == 0) | (other == 0), 0, np.where(one == other, 2, 1)).astype(np.int8)


def _date(a: Rows, b: Rows, named: npt.NDArray[np.bool_]) -> Levels:
    """`named`: a name agrees, which it can only where the year, or day and month, do."""
    parts = [_equal(a[part], b[part]) for part in ("day_month", "month_year", "day_year")]
    level = np.where(named, 1, 0)
    level = np.where(parts[0] | parts[1] | parts[2], 2, level)
    level = np.where(_equal(a["date"], b["turned"]), 3, level)
    return np.where(_equal(a["date"], b["date"]), 4, level).astype(np.int8)


def _place(a: Rows, b: Rows) -> Levels:
    """Places are bound to the year of birth, and to day and month: where the dates have neither in common nothing is told."""
    year = (
        _equal(a["date"], b["date"]) | _equal(a["month_year"], b["month_year"]) | _equal(a["day_year"], b["day_year"])
    )
    year |= _equal(a["date"], b["turned"])
    by_year, by_day = (_plain(a["place"][:, anchor], b["place"][:, anchor]) for anchor in (0, 1))
    return np.where(year, by_year, np.where(_equal(a["day_month"], b["day_month"]), by_day, np.int8(0)))


def _family(a: Rows, b: Rows, rare: npt.NDArray[np.bool_], crossed: npt.NDArray[np.bool_]) -> Levels:
    one, other = a["family"], b["family"]
    level = np.where(_near(a, b, "family"), 2, 1)
    level = np.where(_any(one, other) | crossed, 3, level)
    return _first(one, other, level, rare, 4)


def _given(a: Rows, b: Rows, rare: npt.NDArray[np.bool_], crossed: npt.NDArray[np.bool_]) -> Levels:
    one, other = a["given"], b["given"]
    mine, yours = _any(one[:, :, :1], other), _any(one, other[:, :, :1])
    level = np.where(_any(one, other), _FURTHER, 1)
    level = np.where(_near(a, b, "given"), 3, level)
    level = np.where(mine | yours, 4, level)
    level = np.where(_any(one[:, :, :1], other[:, :, _HALVES]) | _any(one[:, :, _HALVES], other[:, :, :1]), 5, level)
    level = np.where((mine & yours) | crossed, 6, level)
    return _first(one, other, level, rare, 7)


def _first(one: Words, other: Words, level: npt.NDArray[np.int64], rare: npt.NDArray[np.bool_], best: int) -> Levels:
    """The levels of a first name that is the same, alone or with the second, the latter being the best."""
    same = _same(one[:, :, 0], other[:, :, 0])
    level = np.where(same, np.where(rare, best + 1, best), level)
    level = np.where(same & _same(one[:, :, 1], other[:, :, 1]), best + 2, level)
    return np.where((one[:, :, 0] == 0).all(1) | (other[:, :, 0] == 0).all(1), 0, level).astype(np.int8)


def _near(a: Rows, b: Rows, kind: str) -> npt.NDArray[np.bool_]:
    """Whether the names differ by a letter, or sound alike, on one date."""
    return np.asarray(_shared(a[f"near_{kind}"], b[f"near_{kind}"]) & _equal(a["date"], b["date"]))


def _equal(one: Words, other: Words) -> npt.NDArray[np.bool_]:
    return np.asarray((one == other) & (one != 0))


def _same(one: Words, other: Words) -> npt.NDArray[np.bool_]:
    """Equal at one of the anchors."""
    return np.asarray(_equal(one, other).any(1))


def _any(one: Words, other: Words) -> npt.NDArray[np.bool_]:
    """Some name of one is some name of the other, at one of the anchors."""
    places = [(i, j) for i in range(one.shape[2]) for j in range(other.shape[2])]
    return np.asarray(np.logical_or.reduce([_same(one[:, :, i], other[:, :, j]) for i, j in places]))


def _shared(one: npt.NDArray[np.uint32], other: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Whether two sets of forms have one in common."""
    both = np.sort(np.concatenate([one, other], axis=1), axis=1)
    return np.asarray(((both[:, 1:] == both[:, :-1]) & (both[:, 1:] != 0)).any(1))


def _rare(rows: Rows, kind: str) -> npt.NDArray[np.bool_]:
    """Whether the first name of a record is rarer, among those born in its year, than half of the records' names."""
    words = rows[kind][:, 0, 0]
    _, back, counts = np.unique(words, return_inverse=True, return_counts=True)
    times = counts[back]
    return np.asarray(times <= np.median(times)) if len(times) else np.zeros(0, np.bool_)
