"""Texts grown from symbols, thousands together: alternatives drawn by arrays, words joined by one copy.

The words of a batch end up one after another in one buffer; where a text or a span begins is a
cumulative length, so that no text is ever searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from estran.region.grammar import SLOT, Flags, Numbers, Tables

_TOGETHER = 512  # texts grown at once
_BYTES_PER_SLIP = 50  # draws; half of them fall where nothing can slip
_LINE, _REACH = 72, 14  # bytes of a line; of which the last ones may be its end
_BLANK, _END = ord(" "), ord("\n")
# Letters near each letter on a French keyboard, four per letter from a to z.
_NEAR = "zqsz gvhn xdfv sfre zrsd dgrt fhty gjyu uojk hkui jliO kmop lpon bhjn ipkl omlu sqaw etdf zdqx ryfg yijh cbfg xqsc wscd tugh aesw"


class Noise:
    """Whole numbers by arrays, the same on every machine for the same words."""

    def __init__(self, *words: object) -> None:
        seed = blake2b("|".join(map(str, words)).encode(), digest_size=16).digest()
        self._bits = np.random.PCG64(int.from_bytes(seed, "big"))

    def below(self, counts: Numbers) -> Numbers:
        """One number per entry, from 0 to that entry less one (below 2^31)."""
        drawn = self._bits.random_raw((counts.size + 1) // 2).view(np.uint32)[: counts.size]
        return (drawn.astype(np.int64) * counts) >> 32

    def many(self, count: int, size: int) -> Numbers:
        """`size` numbers below `count`."""
        return self.below(np.full(size, count, np.int64))


class Extras:
    """Symbols of one batch: words that only its texts hold, and sequences of symbols."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._label = {name: number for number, name in enumerate(tables.labels)}
        self._words: list[str] = []
        self._marks: list[Numbers] = []
        self._sizes: list[int] = []
        self._symbols: list[int] = []

    def words(self, texts: Sequence[str], label: str = "") -> Numbers:
        """A symbol per text, in order."""
        first = self._tables.first.size + len(self._words)
        self._words.extend(texts)
        self._marks.append(np.full(len(texts), self._label.get(label, 0), np.int64))
        return np.arange(first, first + len(texts))

    def sequences(self, rows: Sequence[Sequence[int]]) -> Numbers:
        """A symbol per sequence, in order."""
        first = self._tables.own_first.size + len(self._sizes)
        self._sizes.extend(map(len, rows))
        for row in rows:
            self._symbols.extend(row)
        return -1 - np.arange(first, first + len(rows))

    def added(self) -> Tables:
        """The tables with these symbols."""
        t, words = self._tables, pa.array(self._words, pa.string())
        marks = np.concatenate([np.empty(0, np.int64), *self._marks])
        sizes = np.array(self._sizes, np.int64)
        return Tables(
            pa.concat_arrays([t.words, words]), np.concatenate([t.lengths, pc.utf8_length(words).to_numpy().astype(np.int64)]),
            np.concatenate([t.first, len(t.words) + np.arange(len(words))]), np.concatenate([t.count, np.ones(len(words), np.int64)]),
            np.concatenate([t.opens, marks]), np.concatenate([t.closes, marks]),
            np.concatenate([t.own_first, t.start.size + np.arange(sizes.size)]), np.concatenate([t.own_count, np.ones(sizes.size, np.int64)]),
            np.concatenate([t.start, t.symbols.size + np.cumsum(sizes) - sizes]), np.concatenate([t.size, sizes]),
            np.concatenate([t.symbols, np.array(self._symbols, np.int64)]).astype(np.int32), t.slots, t.labels,
        )  # fmt: skip


_NEIGHBOURS = np.array([[ord(near[n]) for near in _NEAR.lower().split()] for n in range(4)], np.uint8)


@dataclass(frozen=True, slots=True)
class Grown:
    """Texts and their spans: text number, first character, the one after the last, label."""

    texts: list[str]
    owners: Numbers
    starts: Numbers
    ends: Numbers
    labels: Numbers
    words: pa.StringArray


def grow_all(tables: Tables, roots: Numbers, values: Numbers, noise: Noise) -> Grown:
    """One text per root, `_TOGETHER` at a time: their symbols then stay in the cache of the processor."""
    parts, values = [], values.astype(np.int32)
    for first in range(0, roots.size, _TOGETHER):
        part = grow(tables, roots[first : first + _TOGETHER], values[:, first : first + _TOGETHER], noise)
        parts.append(replace(part, owners=part.owners.astype(np.int64) + first))
    owners, starts, ends, labels = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("owners", "starts", "ends", "labels")
    )
    texts = [text for part in parts for text in part.texts]
    return Grown(texts, owners, starts, ends, labels, pa.concat_arrays([part.words for part in parts]))


def grow(tables: Tables, roots: Numbers, values: Numbers, noise: Noise) -> Grown:
    """One text per root; `values[slot, text]` is the symbol that fills a slot."""
    symbols, bounds = _expand(tables, roots, values, noise)
    chosen = tables.first.take(symbols) + noise.below(tables.count.take(symbols))
    lengths = tables.lengths.take(chosen)
    ends = np.cumsum(lengths)
    base = np.concatenate([ends - lengths, ends[-1:]]).take(bounds)
    opens = tables.opens.take(symbols)
    opened, closed = np.flatnonzero(opens), np.flatnonzero(tables.closes.take(symbols))
    whose = _texts_of(opened, bounds)
    sizes = closed - opened + 1
    limits = np.concatenate([[0], np.cumsum(sizes)])
    inside = np.repeat(opened - limits[:-1], sizes) + np.arange(limits[-1])
    is_free = np.ones(symbols.size, bool)
    is_free[inside] = False
    spelt = _taken(tables.words, chosen)
    joined = _with_slips(spelt, is_free, noise)
    base = base.take(whose)
    return Grown(
        _cut(joined, bounds).to_pylist(), whose, (ends - lengths).take(opened) - base, ends.take(closed) - base,
        opens.take(opened), _cut(_taken(spelt, inside), limits),
    )  # fmt: skip


def _taken(words: pa.StringArray, places: Numbers) -> pa.StringArray:
    """`words` at places that are known to exist."""
    return pc.take(words, pa.array(places), boundscheck=False)


def _texts_of(places: Numbers, bounds: Numbers) -> Numbers:
    """The text that each symbol stands in."""
    return np.searchsorted(bounds, places, "right") - 1


def _expand(tables: Tables, roots: Numbers, values: Numbers, noise: Noise) -> tuple[Numbers, Numbers]:
    """Symbols of words only, text after text, and where each text begins, with the end of the last."""
    symbols: Numbers = roots.astype(np.int64)
    bounds: Numbers = np.arange(roots.size + 1)
    while True:
        places = np.flatnonzero(symbols < 0)
        found = symbols.take(places)
        is_named = found <= SLOT
        if is_named.any():
            named = places[is_named]
            symbols[named] = values[SLOT - found[is_named], _texts_of(named, bounds)]
            found = symbols.take(places)
            places, found = places[found < 0], found[found < 0]
        if not places.size:
            return symbols, bounds
        own = -1 - found
        picked = tables.own_first.take(own) + noise.below(tables.own_count.take(own))
        symbols, bounds = _replaced(tables, symbols, bounds, places, picked)


def _replaced(
    tables: Tables, symbols: Numbers, bounds: Numbers, places: Numbers, picked: Numbers
) -> tuple[Numbers, Numbers]:
    """Every symbol at `places` gives way to the symbols of its alternative."""
    sizes = tables.size.take(picked)
    before = np.concatenate([[0], np.cumsum(sizes)])
    room = np.ones(symbols.size, np.int64)
    room[places] = sizes
    symbols = np.repeat(symbols, room)
    inside = np.arange(before[-1])
    # The k-th symbol replaced moves by what those before it gained.
    gained = before - np.arange(places.size + 1)
    targets = np.repeat(places - np.arange(places.size), sizes) + inside
    symbols[targets] = tables.symbols.take(np.repeat(tables.start.take(picked) - before[:-1], sizes) + inside)
    return symbols, bounds + gained.take(np.searchsorted(places, bounds))


def _with_slips(words: pa.StringArray, is_free: npt.NDArray[np.bool_], noise: Noise) -> pa.StringArray:
    """Slips of the keyboard inside free words of five letters or more: as many bytes as before, so that spans stay put."""
    offsets = np.frombuffer(words.buffers()[1], np.int32)
    data = np.frombuffer(words.buffers()[2], np.uint8).copy()
    steps = max(0, data.size // _BYTES_PER_SLIP - 1)
    places = 2 + _BYTES_PER_SLIP * np.arange(steps) + noise.many(_BYTES_PER_SLIP - 4, steps)
    is_letter = (data - ord("a")) < 26  # what is below wraps around
    places = places[np.logical_and.reduce([is_letter.take(places + step) for step in range(-1, 4)])]
    held = np.searchsorted(offsets, places, "right") - 1
    places = places[is_free.take(held) & (offsets.take(held + 1) > places + 1)]
    act, here, following = noise.many(3, places.size), data[places], data[places + 1]
    data[places] = np.where(
        act == 0, following, np.where(act == 1, _NEIGHBOURS[noise.many(4, places.size), here - ord("a")], here)
    )
    data[places + 1] = np.where(act == 1, following, here)
    _break_lines(data, offsets, is_free, noise)
    return pa.StringArray.from_buffers(len(words), words.buffers()[1], pa.py_buffer(data))


def _break_lines(data: npt.NDArray[np.uint8], offsets: Numbers, is_free: Flags, noise: Noise) -> None:
    """Every `_LINE` bytes or so a blank between free words becomes the end of a line, as in reports typed or printed to a width."""
    steps = max(0, data.size // _LINE - 2)
    places = _LINE * np.arange(steps) + noise.many(_LINE // 4, steps)
    is_blank = data.take(places[:, None] + np.arange(_REACH)) == _BLANK
    places = (places + is_blank.argmax(1))[is_blank.any(1)]
    places = places[data.take(places + 1) != _END]
    data[places[is_free.take(np.searchsorted(offsets, places, "right") - 1)]] = _END


def _cut(words: pa.StringArray, bounds: Numbers) -> pa.StringArray:
    """The words between two bounds as one text: they already lie one after another."""
    _, offsets, data = words.buffers()
    held = np.frombuffer(offsets, np.int32)[words.offset :][bounds]
    return pa.StringArray.from_buffers(bounds.size - 1, pa.py_buffer(held.astype(np.int32).tobytes()), data)
