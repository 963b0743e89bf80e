"""Sentences with alternatives, compiled once to tables; a whole batch of texts is drawn from them by arrays.

    {un|une autre} phrase       one of several, nested at will
    <motif>                     a slot, filled per text by a symbol
    [60-110]  [36.2-39.8]       a number between two bounds, with as many decimals as they show
    ((dyspnée=R060))            a concept; ((!…)) denied, ((?…)) possible, ((^…)) of a relative, ((~…)) past

A symbol is a whole number: words to choose from when positive or zero, alternatives of further symbols
when negative, a slot when below `SLOT`. Texts grow from one symbol each, all of them together
(`estran.region.growth`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from estran.region.dice import Dice
from estran.region.variation import by_hand, pieces

SLOT = -(1 << 24)  # the first slot; further ones lie below
Numbers = npt.NDArray[np.integer[Any]]
Flags = npt.NDArray[np.bool_]
_CONTEXTS = {"!": "negated", "?": "hypothetical", "^": "family", "~": "history"}
_TOKEN = re.compile(r"<(\w+)>|\[(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)\]|\(\(([!?^~]?)([^=()]+)=([^()=]+)\)\)|[{|}]")
OFTEN, SELDOM, RARELY = 2048, 256, 128  # ways to write what most reports hold, those of a reason, those of some
_LONG = 48  # characters of words drawn as one; the same ones would come back whole if they were longer
_EVENLY = 8  # draws of each way, so that alternatives weigh the same
_FEW = 100  # numbers of an interval that are all written


@dataclass(frozen=True, slots=True)
class Tables:
    """The grammar as arrays. A span opens and closes on symbols: their label, or 0."""

    words: pa.StringArray
    lengths: Numbers  # in characters
    first: Numbers  # per symbol of words: where its words begin, and how many there are
    count: Numbers
    opens: Numbers
    closes: Numbers
    own_first: Numbers  # per symbol of alternatives, the same
    own_count: Numbers
    start: Numbers  # per alternative: its symbols
    size: Numbers
    symbols: Numbers
    slots: dict[str, int]
    labels: tuple[str, ...]


class Phrasebook:
    """Compiles sentences; `tables` gives what was compiled."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._sets: list[tuple[int, int, int, int]] = []
        self._known: dict[tuple[object, ...], int] = {}
        self._choices: list[tuple[int, int]] = []
        self._options: list[tuple[int, int]] = []
        self._symbols: list[int] = []
        self._slots: dict[str, int] = {}
        self._rules: dict[str, int] = {}
        self._labels: dict[str, int] = {"": 0}

    def words(self, texts: Iterable[str], label: str = "", closing: str | None = None) -> int:
        """The symbol of words drawn evenly; a span called `label` opens on it, one called `closing` ends on it (the same one)."""
        held = tuple(texts)
        key = (held, label, closing)
        if key not in self._known:
            ends = label if closing is None else closing
            self._sets.append((len(self._words), len(held), self.label(label), self.label(ends)))
            self._words.extend(held)
            self._known[key] = len(self._sets) - 1
        return self._known[key]

    def each(self, texts: Sequence[str], label: str = "") -> tuple[int, int]:
        """One symbol per text, in a row, then a symbol that draws one of them: the first of the row, and the draw."""
        start, mark = len(self._sets), self.label(label)
        self._sets.extend((len(self._words) + n, 1, mark, mark) for n in range(len(texts)))
        self._sets.append((len(self._words), len(texts), mark, mark))
        self._words.extend(texts)
        return start, len(self._sets) - 1

    def choice(self, options: Iterable[Sequence[int]]) -> int:
        """The symbol of one of several sequences."""
        held = tuple(map(tuple, options))
        if ("choice", held) not in self._known:
            self._choices.append((len(self._options), len(held)))
            for option in held:
                self._options.append((len(self._symbols), len(option)))
                self._symbols.extend(option)
            self._known["choice", held] = -len(self._choices)
        return self._known["choice", held]

    def rule(self, name: str, symbol: int) -> None:
        """From now on `<name>` in a sentence is this symbol, not a slot."""
        self._rules[name] = symbol

    def slot(self, name: str) -> int:
        """The symbol that stands for what a text, or a rule, calls `name`."""
        if name in self._rules:
            return self._rules[name]
        return SLOT - self._slots.setdefault(name, len(self._slots))

    def sentence(self, source: str, ways: int = OFTEN) -> list[int]:
        """The symbols of a sentence, whose words are written in `ways` ways at most; ValueError when its braces do not match."""
        parts, end = _sequence(source, 0, nested=False)
        if end != len(source):
            raise ValueError(f"a brace closes nothing in: {source[:60]}")
        return self._emit(parts, ways)

    def one(self, sources: Iterable[str], ways: int = OFTEN) -> int:
        """The symbol of one of several sentences."""
        return self.choice([self.sentence(source, ways) for source in sources])

    def tables(self) -> Tables:
        words = pa.array(self._words, pa.string())
        first, count, opens, closes = (np.array(column, np.int64) for column in zip(*self._sets, strict=True))
        own_first, own_count = (np.array(column, np.int64) for column in zip(*self._choices, strict=True))
        start, size = (np.array(column, np.int64) for column in zip(*self._options, strict=True))
        return Tables(
            words, pc.utf8_length(words).to_numpy().astype(np.int64), first, count, opens, closes, own_first, own_count, start, size,
            np.array(self._symbols, np.int64), dict(self._slots), tuple(self._labels),
        )  # fmt: skip

    def label(self, name: str) -> int:
        """The number of a kind of span, from 1."""
        return self._labels.setdefault(name, len(self._labels))

    def _emit(self, parts: list[Part], ways: int) -> list[int]:
        """The symbols of parts: whatever is only words, side by side, is one symbol."""
        found: list[int] = []
        for run in _runs(parts):
            if _is_words(run[0]):
                found.append(self.words(drawn(run, ways)))
            else:
                found.append(self._symbol(run[0], ways))
        return found

    def _symbol(self, part: Part, ways: int) -> int:
        if isinstance(part, _Slot):
            return self.slot(part.name)
        if isinstance(part, _Concept):
            return self.words((part.words,), part.label)
        if isinstance(part, _Choice):
            return self.choice([self._emit(option, ways) for option in part.options])
        raise TypeError(type(part).__name__)


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str


@dataclass(frozen=True, slots=True)
class _Number:
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class _Concept:
    words: str
    label: str  # `context:code`


@dataclass(frozen=True, slots=True)
class _Choice:
    options: list[list[Part]]


Part = str | _Slot | _Number | _Concept | _Choice


def _sequence(source: str, start: int, *, nested: bool) -> tuple[list[Part], int]:
    """Parts up to the end of the source, or of the alternative."""
    parts: list[Part] = []
    place = start
    while True:
        found = _TOKEN.search(source, place)
        between = source[place : found.start()] if found else source[place:]
        if "((" in between:
            raise ValueError(f"a concept is not written ((words=CODE)) in: {between[:60]}")
        if between:
            parts.append(between)
        if found is None:
            return parts, len(source)
        place = found.end()
        if found.group() in ("|", "}"):
            if not nested:
                raise ValueError(f"'{found.group()}' outside of alternatives in: {source[:60]}")
            return parts, found.start()
        if found.group() == "{":
            part, place = _options(source, place)
            parts.append(part)
        else:
            parts.append(_token(found))


def _options(source: str, start: int) -> tuple[_Choice, int]:
    options: list[list[Part]] = []
    place = start
    while True:
        parts, end = _sequence(source, place, nested=True)
        options.append(parts)
        if end >= len(source):
            raise ValueError(f"a brace is never closed in: {source[:60]}")
        place = end + 1
        if source[end] == "}":
            return _Choice(options), place


def _token(found: re.Match[str]) -> Part:
    slot, low, high, context, words, code = found.groups()
    if slot:
        return _Slot(slot)
    if low:
        return _Number(low, high)
    return _Concept(words, f"{_CONTEXTS.get(context, 'affirmed')}:{code}")


def _is_words(part: Part) -> bool:
    """Whether nothing in it is a slot or a concept."""
    if isinstance(part, _Choice):
        return all(map(_is_words, chain.from_iterable(part.options)))
    return isinstance(part, str | _Number)


def _runs(parts: list[Part]) -> Iterator[list[Part]]:
    """Parts of words that stand together, cut where they grow long; every other part alone."""
    held: list[Part] = []
    size = 0
    for part in parts:
        for one in _cut(part):
            is_words = _is_words(one)
            if held and (not is_words or size >= _LONG):
                yield held
                held, size = [], 0
            if is_words:
                held, size = [*held, one], size + _room(one)
            else:
                yield [one]
    if held:
        yield held


def _room(part: Part) -> int:
    """About how many characters a part of words takes."""
    if isinstance(part, _Choice):
        return max(sum(map(_room, option)) for option in part.options)
    return len(part) if isinstance(part, str) else 3


def drawn(parts: Sequence[Part], most: int) -> tuple[str, ...]:
    """Texts that parts of words make: each alternative as often as the others, `most` at most."""
    ways = 1
    for part in parts:
        ways *= min(_ways(part), most)
    count = 1 if ways == 1 else min(most, _EVENLY * ways)
    return tuple(
        map(
            "".join,
            zip(*(_column(part, count, Dice("drawn", place, part)) for place, part in enumerate(parts)), strict=True),
        )
    )


def _ways(part: Part) -> int:
    if isinstance(part, _Choice):
        return sum(prod(map(_ways, option)) for option in part.options)
    return len(_written(part))


def _written(part: Part) -> tuple[str, ...]:
    """Every way to write a piece or a number."""
    return _numbers(part.low, part.high) if isinstance(part, _Number) else by_hand(str(part))


def _column(part: Part, count: int, dice: Dice) -> list[str]:
    """`count` draws of one part."""
    if not isinstance(part, _Choice):
        return dice.picks(_written(part), count)
    shares = [count // len(part.options) + (n < count % len(part.options)) for n in range(len(part.options))]
    columns = [
        _sequences(option, share, dice) for option, share in zip(dice.shuffled(part.options), shares, strict=True)
    ]
    return dice.shuffled([*chain.from_iterable(columns)])


def _sequences(parts: list[Part], count: int, dice: Dice) -> list[str]:
    if not parts:
        return [""] * count
    return list(
        map("".join, zip(*(_column(piece, count, dice) for part in parts for piece in _cut(part)), strict=True))
    )


def _cut(part: Part) -> Iterable[Part]:
    return pieces(part) if isinstance(part, str) else (part,)


@lru_cache(maxsize=1024)
def _numbers(low: str, high: str) -> tuple[str, ...]:
    """Every number of a small interval; of a larger one 256 that lean to its middle."""
    decimals = len(low.partition(".")[2])
    bottom, size = float(low), float(high) - float(low)
    steps = round(size * 10**decimals)
    if steps <= _FEW:
        found = [bottom + n / 10**decimals for n in range(steps + 1)]
    else:
        shares = ((n + 0.5) / 256 for n in range(256))
        found = [bottom + size * (s + 0.35 * s * (1 - s) * (0.5 - s) * 4) for s in shares]
    return tuple(f"{one:.{decimals}f}".replace(".", ",") for one in found)


def capitalised(source: str) -> str:
    """The same sentence with a capital, its first concept included."""
    place = next((n for n, c in enumerate(source) if c.isalpha()), 0)
    return f"{source[:place]}{source[place].upper()}{source[place + 1 :]}"
