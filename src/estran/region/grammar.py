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
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from estran.region.variation import by_hand, pieces

SLOT = -(1 << 24)  # the first slot; further ones lie below
Numbers = npt.NDArray[np.integer[Any]]
Flags = npt.NDArray[np.bool_]
_CONTEXTS = {"!": "negated", "?": "hypothetical", "^": "family", "~": "history"}
_TOKEN = re.compile(r"<(\w+)>|\[(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)\]|\(\(([!?^~]?)([^=()]+)=([^()=]+)\)\)|[{|}]")
_MOST = 96  # words written out one by one; beyond, alternatives are drawn in two steps
_TOGETHER, _FEW = 1024, 100  # words side by side drawn as one; numbers of an interval that are all written


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

    def sentence(self, source: str) -> list[int]:
        """The symbols of a sentence; ValueError when its braces do not match."""
        parts, end = _sequence(source, 0, nested=False)
        if end != len(source):
            raise ValueError(f"a brace closes nothing in: {source[:60]}")
        return self._emit(parts)

    def one(self, sources: Iterable[str]) -> int:
        """The symbol of one of several sentences."""
        return self.choice([self.sentence(source) for source in sources])

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

    def _emit(self, parts: list[Part]) -> list[int]:
        """The symbols of parts; words side by side become one set where their combinations are few."""
        found: list[int] = []
        held: tuple[str, ...] = ()
        for one in self._items(parts):
            if isinstance(one, int):
                found += [self.words(held)] * bool(held) + [one]
                held = ()
            elif held and len(held) * len(one) <= _TOGETHER:
                held = tuple(before + after for before in held for after in one)
            else:
                found += [self.words(held)] * bool(held)
                held = one
        return found + [self.words(held)] * bool(held)

    def _items(self, parts: list[Part]) -> Iterator[tuple[str, ...] | int]:
        """Words to draw from, and symbols."""
        for part in parts:
            if isinstance(part, str):
                yield from map(by_hand, pieces(part))
            elif isinstance(part, _Slot):
                yield self.slot(part.name)
            elif isinstance(part, _Concept):
                yield self.words((part.words,), part.label)
            elif isinstance(part, _Number):
                yield _numbers(part.low, part.high)
            else:
                yield self._alternatives(part)

    def _alternatives(self, part: _Choice) -> tuple[str, ...] | int:
        """Words when every alternative is made of words, sequences otherwise."""
        written = [_expanded(option) for option in part.options]
        if all(w is not None for w in written) and sum(len(w or ()) for w in written) <= _MOST:
            # Every alternative weighs the same, however many ways it has of being written.
            room = max(8, *(len(w or ()) for w in written))
            return tuple(word for w in written for word in _spread(w or ("",), room))
        return self.choice([self._emit(option) for option in part.options])


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


def _expanded(parts: list[Part]) -> tuple[str, ...] | None:
    """Every text that words and alternatives of words can make; None when there is something else, or too much."""
    texts: tuple[str, ...] = ("",)
    for part in parts:
        if isinstance(part, str):
            texts = tuple(t + part for t in texts)
        elif isinstance(part, _Choice):
            options = [_expanded(option) for option in part.options]
            if any(o is None for o in options):
                return None
            own = tuple(dict.fromkeys(word for o in options for word in o or ()))
            if len(texts) * len(own) > _MOST:
                return None
            texts = tuple(t + word for t in texts for word in own)
        else:
            return None
    return texts


def _spread(words: tuple[str, ...], room: int) -> list[str]:
    """`room` entries: the words in turn, each time by another hand."""
    return [by_hand(words[n % len(words)])[n // len(words) % len(by_hand(words[n % len(words)]))] for n in range(room)]


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
