"""How far two annotators marked the same spans: F1, which needs no count of what neither marked.

Hripcsak and Rothschild (JAMIA 2005;12:296) show that kappa tends to F1 as the unmarked text grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from estran.projects.charts.intervals import Estimate, jackknife
from estran.projects.charts.labels import Span


@dataclass(frozen=True)
class Both:
    """What two annotators marked in one document."""

    first: tuple[Span, ...]
    second: tuple[Span, ...]


def span_f1(documents: Sequence[Both], overlap: bool = False, label: str = "") -> Estimate:
    """F1 over documents, of one label or of all; `n` is the number of documents.

    A span agrees with one of the other annotator's that has its label and its bounds, or with `overlap` at least one
    character of it; each span agrees with one other at most. Attributes are not compared. The interval is the
    jackknife's over documents.
    """
    counted = [_counts(one, overlap, label) for one in documents]
    return jackknife(counted, _f1, 0.0, 1.0)


def _counts(both: Both, overlap: bool, label: str) -> tuple[int, int]:
    """Spans that agree, and spans in all."""
    first, second = ([span for span in side if label in ("", span.label)] for side in (both.first, both.second))
    return len(matched(first, second, overlap)), len(first) + len(second)


def _f1(counted: Sequence[tuple[int, int]]) -> float | None:
    agreed, marked = sum(one for one, _ in counted), sum(all_ for _, all_ in counted)
    return 2 * agreed / marked if marked else None


def matched(first: Sequence[Span], second: Sequence[Span], overlap: bool) -> list[tuple[Span, Span]]:
    """Pairs of spans that agree, each in one pair at most: taken from left to right, the one that ends first first,
    which for intervals leaves the fewest alone."""
    left = sorted(second, key=_by_end)
    pairs = []
    for span in sorted(first, key=_by_end):
        found = next((one for one in left if _agree(span, one, overlap)), None)
        if found is not None:
            left.remove(found)
            pairs.append((span, found))
    return pairs


def _by_end(span: Span) -> tuple[int, int, str]:
    return span.end, span.start, span.label


def _agree(one: Span, other: Span, overlap: bool) -> bool:
    if one.label != other.label:
        return False
    if overlap:
        return one.start < other.end and other.start < one.end
    return (one.start, one.end) == (other.start, other.end)
