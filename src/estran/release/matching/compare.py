"""How two records agree, trait by trait: a level each, together one pattern."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from estran.release.matching.pairs import Places, Rows, Words

Levels = npt.NDArray[np.int8]
#: Trait → its levels, in the order of their numbers.
TRAITS = {
    "date": ("other", "year", "two parts", "turned", "same"),
    "sex": ("not known", "other", "same"),
    "place": ("not known", "other", "same"),
    "family": ("not known", "other", "near", "another name", "same, frequent", "same, rare"),
    "given": ("not known", "other", "near", "another name", "same, frequent", "same, rare"),
}
SHAPE = tuple(len(levels) for levels in TRAITS.values())
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
    family, given = (_name(a, b, kind, rare[kind], crossed) for kind in ("family", "given"))
    return _date(a, b, (family >= 3) | (given >= 3)), _plain(a["sex"], b["sex"]), _place(a, b), family, given


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
    """Places are bound to the year of birth: two of different years tell nothing."""
    year = (
        _equal(a["date"], b["date"]) | _equal(a["month_year"], b["month_year"]) | _equal(a["day_year"], b["day_year"])
    )
    year |= _equal(a["date"], b["turned"])
    level = _plain(a["place"], b["place"])
    return np.where((level == 1) & ~year, np.int8(0), level)


def _name(a: Rows, b: Rows, kind: str, rare: npt.NDArray[np.bool_], crossed: npt.NDArray[np.bool_]) -> Levels:
    one, other = a[kind], b[kind]
    level = np.where(_shared(a[f"near_{kind}"], b[f"near_{kind}"]) & _equal(a["date"], b["date"]), 2, 1)
    known = _any(one, other) if kind == "family" else _any(one[:, :, :1], other) | _any(one, other[:, :, :1])
    level = np.where(known | crossed, 3, level)
    level = np.where(_same(one[:, :, 0], other[:, :, 0]), np.where(rare, 5, 4), level)
    return np.where((one[:, :, 0] == 0).all(1) | (other[:, :, 0] == 0).all(1), 0, level).astype(np.int8)


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
