"""Which records are worth comparing: those that share one of a few keys, each too rare to bring strangers together often.

Every key is a token, or several under one hash. Pairs within a site are made as well: no two records of a site are one
person, so they show what strangers, twins and namesakes look like.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.void]
Words = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

LARGEST = 400  # records that share a key; more say nothing: a date that stands for "not known"
_MIX = np.uint64(0x9E3779B97F4A7C15)


def candidates(rows: Rows) -> tuple[Places, Places]:
    """Pairs of places (first, second), the first smaller, each once."""
    found = np.unique(np.concatenate([_codes(keys, holders, len(rows)) for keys, holders in _blocks(rows)]))
    return np.divmod(found, max(1, len(rows)))


def _blocks(rows: Rows) -> Iterator[tuple[Words, Places]]:
    """Keys, and the places of the records that have them: one key (or more) for each way two records may be compared."""
    every = np.arange(len(rows))
    yield rows["ins"], every
    for kind in ("family", "given"):
        yield _with(rows["date"], rows[kind][:, 0])
        yield _near(rows, f"near_{kind}")
    for anchor in (0, 1):  # same year, same day and month
        family, given = rows["family"][:, anchor], rows["given"][:, anchor]
        for place in range(2):
            yield _with(family[:, place], given)
        yield _with(given[:, 0], family[:, 2:])
        yield _both(family[:, 0], given[:, 0]), every


def _with(one: Words, many: Words) -> tuple[Words, Places]:
    """A hash of a token and each of several; 0 where one of the two is none."""
    mixed = (one[:, None] * _MIX) ^ many
    mixed[(one == 0)[:, None] | (many == 0)] = 0
    return mixed.ravel(), np.repeat(np.arange(len(one)), many.shape[1])


def _both(one: Words, other: Words) -> Words:
    """A hash of two tokens whichever comes first: name and given name may have changed places."""
    return np.where((one == 0) | (other == 0), np.uint64(0), (one ^ other) * _MIX)


def _near(rows: Rows, name: str) -> tuple[Words, Places]:
    """Forms with a letter wrong; they are short, and good within one date only."""
    known = (rows["date"] != 0) & (rows[name][:, 0] != 0)
    keys = rows[name].astype(np.uint64) ^ (rows["date"] << np.uint64(32))[:, None]
    keys[~known] = 0
    return keys.ravel(), np.repeat(np.arange(len(rows)), rows[name].shape[1])


def _codes(keys: Words, holders: Places, records: int) -> Places:
    """All pairs of records with a key in common, as first × records + second."""
    kept = keys != 0
    keys, holders = keys[kept], holders[kept]
    order = np.argsort(keys, kind="stable")
    keys, holders = keys[order], holders[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, np.int64)
    sizes = np.diff(np.r_[starts, len(keys)])
    fit = (sizes > 1) & (sizes <= LARGEST)
    parts = [_within(holders, starts[fit & (sizes == size)], int(size), records) for size in np.unique(sizes[fit])]
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)


def _within(holders: Places, starts: Places, size: int, records: int) -> Places:
    """Pairs within groups of one size."""
    one, other = np.triu_indices(size, 1)
    first, second = holders[starts[:, None] + one].ravel(), holders[starts[:, None] + other].ravel()
    codes = np.minimum(first, second) * records + np.maximum(first, second)
    return np.unique(codes[first != second])
