"""Words with boxes → lines in reading order: columns, table rows, running headers and footers.

Boxes are in points with the origin at the bottom left, as PDF has them. A *line* is a row of words
at one height; a *segment* is a part of a line without a wide gap in it.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

_WIDE = 1.1  # gap, in heights of the text, that parts two segments
_DEEPEST = 4  # columns within columns
_TOP, _BOTTOM = 0.85, 0.13  # zones of running headers and footers, as shares of the page's height
_NUMBER = re.compile(r"(?:page|p\.)?\s*-?\s*\d{1,4}\s*(?:(?:/|sur|de|of)\s*\d{1,4})?\s*-?", re.IGNORECASE)
_BARE = re.compile(r"\d{1,4}")
_PAGE_OF = re.compile(r"(?:page|p\.)\s*\d{1,4}(?:\s*(?:/|sur|de|of)\s*\d{1,4})?|\d{1,4}\s*(?:/|sur|of)\s*\d{1,4}", re.IGNORECASE)
_HYPHEN = "\u00ad"
_SCANNED = "[page scannée, sans texte / scanned page, no text]"
# First halves of French compounds, which keep their hyphen at the end of a line.
_COMPOUNDS = frozenset(
    ["peut", "rendez", "après", "avant", "sous", "non", "post", "pré", "anti", "c'est", "est", "a", "t", "ci", "là", "celui", "celle", "ceux", "elle", "lui", "eux", "vis", "demi", "semi", "mi", "au", "ex", "sus", "entre", "contre", "co", "auto", "intra", "inter", "extra", "péri", "trans", "micro", "macro", "x", "y"]
)


class Word(NamedTuple):
    """A word and its box."""

    left: float
    bottom: float
    right: float
    top: float
    text: str


class Page(NamedTuple):
    """A page's words, and its size in points."""

    words: list[Word]
    width: float
    height: float


class Segment(NamedTuple):
    """Neighbouring words of one line."""

    left: float
    bottom: float
    right: float
    top: float
    text: str


Line = list[Segment]


@dataclass(frozen=True)
class Composed:
    """Text of each page, and what ran over them."""

    pages: list[str]
    header: list[str]
    footer: list[str]


def compose(pages: list[Page], scans: frozenset[int] = frozenset()) -> Composed:
    """Text of all pages; `scans` numbers (from 1) those that are pictures."""
    lined = [_lines(page.words) for page in pages]
    running = _running(pages, lined)
    texts: list[str] = []
    header: dict[str, None] = {}
    footer: dict[str, None] = {}
    for number, (page, lines) in enumerate(zip(pages, lined, strict=True), 1):
        first, last = _body(page, lines, running)
        for margin, removed in ((header, lines[:first]), (footer, lines[last:])):
            margin |= dict.fromkeys(_without_number(_written(line)) for line in removed)
        words = "\n".join(_read(lines[first:last], 0))
        texts.append(_joined(words) if number not in scans else _SCANNED)
    return Composed(texts, [t for t in header if t], [t for t in footer if t])


# lines -----------------------------------------------------------------------------------------------


def _lines(words: list[Word]) -> list[Line]:
    """Rows of segments, from top to bottom."""
    rows: list[list[Word]] = []
    tops: list[tuple[float, float]] = []  # bottom and top of the row's first word
    for word in sorted(words, key=lambda w: (-(w.top + w.bottom), w.left)):
        for place in range(len(rows) - 1, max(len(rows) - 4, -1), -1):
            low, high = tops[place]
            overlap = min(high, word.top) - max(low, word.bottom)
            if overlap > 0.55 * min(high - low, word.top - word.bottom):
                rows[place].append(word)
                break
        else:
            rows.append([word])
            tops.append((word.bottom, word.top))
    return [_segments(sorted(row)) for row in rows]


def _segments(row: list[Word]) -> Line:
    found: Line = []
    for word in row:
        if found:
            last = found[-1]
            gap, size = word.left - last.right, max(min(word.top - word.bottom, last.top - last.bottom), 1.0)
            if gap < _WIDE * size:
                blank = "" if gap < 0.08 * size else " "
                found[-1] = Segment(
                    last.left, min(last.bottom, word.bottom), max(last.right, word.right), max(last.top, word.top),
                    last.text + blank + word.text,
                )  # fmt: skip
                continue
        found.append(Segment(*word))
    return found


# running headers and footers -------------------------------------------------------------------------


def _running(pages: list[Page], lined: list[list[Line]]) -> tuple[frozenset[str], frozenset[str]]:
    """Lines that come back at the top (at the bottom) of at least half of the pages, two at least; their
    page numbers are made neutral."""
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for page, lines in zip(pages, lined, strict=True):
        zones = ((_zone(line, page), line) for line in lines)
        for zone, key in {(zone, _neutral(_written(line))) for zone, line in zones if zone is not None}:
            counts[zone][key] += 1
    least = max(2, (len(pages) + 1) // 2)
    top, bottom = (frozenset(key for key, n in count.items() if n >= least) for count in counts)
    return top, bottom


def _body(page: Page, lines: list[Line], running: tuple[frozenset[str], frozenset[str]]) -> tuple[int, int]:
    """First line after the running header, and the one after the last before the footer."""
    first, last = 0, len(lines)
    while first < last and _is_margin(lines[first], page, running, 0):
        first += 1
    while last > first and _is_margin(lines[last - 1], page, running, 1):
        last -= 1
    return first, last


def _without_number(text: str) -> str:
    return "" if _NUMBER.fullmatch(text.strip()) else _PAGE_OF.sub("", text).strip(" -–|·\t")


def _zone(line: Line, page: Page) -> int | None:
    if line[0].bottom > page.height * _TOP:
        return 0
    return 1 if line[0].top < page.height * _BOTTOM else None


def _written(line: Line) -> str:
    return "\t".join(segment.text for segment in line)


def _neutral(text: str) -> str:
    return "#" if _BARE.fullmatch(text.strip()) else _PAGE_OF.sub("#", text)


def _is_margin(line: Line, page: Page, running: tuple[frozenset[str], frozenset[str]], zone: int) -> bool:
    if _zone(line, page) != zone:
        return False
    text = _written(line).strip()
    if _NUMBER.fullmatch(text) and (_PAGE_OF.search(text) or (zone == 1 and not _far(line, page))):
        return True
    return _neutral(_written(line)) in running[zone]


def _far(line: Line, page: Page) -> bool:
    """A bare number high in the bottom zone may be a result, not a page number."""
    return bool(_BARE.fullmatch(_written(line).strip())) and line[0].top > page.height * 0.09


# reading order ---------------------------------------------------------------------------------------


def _read(lines: list[Line], depth: int) -> list[str]:
    """Lines as text, the columns among them one after another."""
    if not lines:
        return []
    cut = _columns(lines) if depth < _DEEPEST else None
    if cut is None:
        return _rows(lines)
    first, last, edge = cut
    inside = lines[first:last]
    left = [line for line in ([s for s in one if s.right <= edge] for one in inside) if line]
    right = [line for line in ([s for s in one if s.left >= edge] for one in inside) if line]
    blocks = [_read(lines[:first], depth + 1), _read(left, depth + 1), _read(right, depth + 1), _read(lines[last:], depth + 1)]
    found: list[str] = []
    for block in blocks:
        found += ([""] if found and block else []) + block
    return found


def _rows(lines: list[Line]) -> list[str]:
    """One text line per line, an empty one where the page leaves a wide space."""
    found: list[str] = []
    for place, line in enumerate(lines):
        if place:
            above = lines[place - 1]
            space = min(s.bottom for s in above) - max(s.top for s in line)
            if space > 0.75 * max(line[0].top - line[0].bottom, 1.0):
                found.append("")
        found.append(_written(line))
    return found


def _columns(lines: list[Line]) -> tuple[int, int, float] | None:
    """(first line, line after the last, x) of the largest part that is set in columns at x."""
    best: tuple[int, tuple[int, int, float]] | None = None
    for edge in _edges(lines):
        first = 0
        while first < len(lines):
            last = first
            while last < len(lines) and not any(s.left < edge < s.right for s in lines[last]):
                last += 1
            if last - first >= 4 and (best is None or last - first > best[0]):
                bounds = _trimmed(lines, first, last, edge)
                if bounds and _is_columnar(lines[bounds[0] : bounds[1]], edge):
                    best = (last - first, (*bounds, edge))
            first = last + 1
    return best[1] if best else None


def _trimmed(lines: list[Line], first: int, last: int, edge: float) -> tuple[int, int] | None:
    """Without the leading lines that lie on one side alone: titles above the columns."""
    both = [n for n in range(first, last) if lines[n][0].right <= edge <= lines[n][-1].left]
    return (both[0], last) if len(both) >= 3 else None


def _edges(lines: list[Line]) -> list[float]:
    """Where most gaps lie: up to three places, far apart."""
    gaps = [(a.right, b.left) for line in lines for a, b in itertools.pairwise(line)]
    points = sorted({(a + b) / 2 for a, b in gaps})
    step = max(len(points) // 200, 1)
    votes = sorted(((sum(a < x < b for a, b in gaps), x) for x in points[::step]), reverse=True)
    found: list[float] = []
    for count, x in votes:
        if count >= 3 and all(abs(x - other) > 20 for other in found):
            found.append(x)
        if len(found) == 3:
            break
    return found


def _is_columnar(lines: list[Line], edge: float) -> bool:
    """Columns are read down, table rows across: prose on both sides, or lines at different heights."""
    left = [[s for s in line if s.right <= edge] for line in lines]
    right = [[s for s in line if s.left >= edge] for line in lines]
    sides = [[line for line in side if line] for side in (left, right)]
    if min(map(len, sides)) < 4:
        return False
    if all(map(_is_prose, sides)):
        return True
    pairs = [(a[0], b[0]) for a, b in zip(left, right, strict=True) if a and b]
    level = sum(abs(a.bottom - b.bottom) < 0.12 * max(a.top - a.bottom, 1.0) for a, b in pairs)
    return level < 0.4 * len(pairs) and any(map(_is_prose, sides))


def _is_prose(side: list[Line]) -> bool:
    """Lines in one piece that mostly fill their column."""
    if sum(len(line) == 1 for line in side) < 0.85 * len(side):
        return False
    widths = [line[-1].right - line[0].left for line in side]
    return median(len(line[0].text) for line in side) >= 20 and median(widths) >= 0.6 * max(widths)


def _joined(text: str) -> str:
    """Words cut at the end of a line put together again."""
    if _HYPHEN not in text:
        return text
    pieces = re.split(f"{_HYPHEN}\n(?=[^\\W\\d_])", text)
    whole = pieces[0]
    for piece in pieces[1:]:
        stem = re.split(r"[\s(\[«\"]", whole)[-1].lower()
        known = stem.rpartition("-")[2] in _COMPOUNDS or not stem[-1:].isalpha() or piece[:1].isupper()
        word, blank, rest = piece.partition(" ")
        head, newline, tail = word.partition("\n")
        whole += ("-" if known else "") + head + "\n" + ((tail + blank + rest) if newline else rest)
    return whole.replace(_HYPHEN, "-")
