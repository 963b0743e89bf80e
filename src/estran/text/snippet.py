"""Where a text matches a query, and the few lines worth showing of it.

Spans are character offsets of the original text, so that a page can mark words without changing them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from estran.text.analysis import Token, tokens
from estran.text.query import Near, Phrase, Prefix, TextQuery, Word, wanted

Span: TypeAlias = tuple[int, int]
LENGTH: Final = 240
_MARGIN = 60


@dataclass(frozen=True, slots=True)
class Snippet:
    """A piece of a text: `start` is its place in the text, `marks` are spans within the piece."""

    text: str
    start: int
    marks: tuple[Span, ...]
    before: bool  # the text goes on before
    after: bool


def marks(query: TextQuery, text: str) -> list[Span]:
    """Spans of the words of `text` that answer `query`, in order; nothing under a Not is marked."""
    words = tokens(text)
    found = {place for leaf in wanted(query) for place in _places(leaf, words)}
    return [(words[place].start, words[place].end) for place in sorted(found)]


def snippets(query: TextQuery, text: str, *, count: int = 2, length: int = LENGTH) -> list[Snippet]:
    """At most `count` pieces of about `length` characters, in order, those with the most marks;
    the beginning of the text when nothing is marked, nothing for an empty text."""
    spans = marks(query, text)
    if not spans:
        return [_cut(text, 0, min(length, len(text)), spans)] if text.strip() else []
    groups = _grouped(spans, max(length // 2, length - 2 * _MARGIN))
    best = sorted(groups, key=lambda group: (-len({text[a:b].lower() for a, b in group}), -len(group), group))[:count]
    return [_cut(text, *_window(text, group, length), spans) for group in sorted(best)]


def _places(leaf: TextQuery, words: Sequence[Token]) -> Iterable[int]:
    if isinstance(leaf, Prefix):
        beginning = leaf.folded
        return [i for i, token in enumerate(words) if token.word.startswith(beginning)]
    if isinstance(leaf, Near):
        return _near(leaf, words)
    return _runs(leaf.stems, words) if isinstance(leaf, Word | Phrase) else []


def _runs(stems: Sequence[str], words: Sequence[Token]) -> list[int]:
    """Places of each run of `words` with exactly these stems."""
    size = len(stems)
    starts = (i for i, token in enumerate(words[: len(words) - size + 1]) if token.stem == stems[0])
    runs = [i for i in starts if all(words[i + j].stem == stems[j] for j in range(size))]
    return [i + j for i in runs for j in range(size)]


def _near(leaf: Near, words: Sequence[Token]) -> list[int]:
    """Places of the words that have another of the words near them."""
    stems = set(leaf.stems)
    places = [i for i, token in enumerate(words) if token.stem in stems]
    if len(stems) == 1:
        return places
    close = [(a, b) for i, a in enumerate(places) for b in places[i + 1 :] if b - a <= leaf.distance]
    return [place for a, b in close if words[a].stem != words[b].stem for place in (a, b)]


def _grouped(spans: Sequence[Span], width: int) -> list[list[Span]]:
    groups: list[list[Span]] = []
    for span in spans:
        if groups and span[1] - groups[-1][0][0] <= width:
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups


def _window(text: str, group: Sequence[Span], length: int) -> Span:
    """About `length` characters around `group`, cut between words."""
    first, last = group[0][0], group[-1][1]
    spare = max(length - (last - first), 2 * _MARGIN) // 2
    start, end = max(0, first - spare), min(len(text), last + spare)
    while start and start < first and not text[start - 1].isspace():
        start += 1
    while end < len(text) and end > last and not text[end].isspace():
        end -= 1
    return start, end


def _cut(text: str, start: int, end: int, spans: Sequence[Span]) -> Snippet:
    inside = tuple((a - start, b - start) for a, b in spans if a >= start and b <= end)
    return Snippet(text[start:end], start, inside, start > 0, end < len(text))
