"""Spans marked in a text: their labels and attributes, and what makes a mark a good one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from estran.model.errors import UsageError

MOST_SPANS = 2000


@dataclass(frozen=True)
class Mark:
    """A label or an attribute that a span may have; `key` is the one that gives it, "" for none."""

    id: str
    label: str
    label_en: str = ""
    key: str = ""

    def said(self, lang: str) -> str:
        """Its name in a language."""
        return self.label_en or self.label if lang == "en" else self.label


@dataclass(frozen=True, order=True)
class Span:
    """Characters `start` to `end` (excluded) of a text, counted in Unicode code points from 0."""

    start: int
    end: int
    label: str
    attributes: tuple[str, ...] = ()

    def as_row(self) -> dict[str, Any]:
        """For JSON."""
        return {"start": self.start, "end": self.end, "label": self.label, "attributes": list(self.attributes)}


def fingerprint(text: str) -> str:
    """SHA-256 of a text: offsets are true of this text only."""
    return hashlib.sha256(text.encode()).hexdigest()


def spans_of(rows: Sequence[Mapping[str, Any]]) -> tuple[Span, ...]:
    """Spans of their rows, in order of place."""
    return tuple(sorted(Span(r["start"], r["end"], r["label"], tuple(r["attributes"])) for r in rows))


def read_spans(body: str, labels: Sequence[Mark], attributes: Sequence[Mark], length: int) -> tuple[Span, ...]:
    """Spans that a browser or a program sent as a JSON list, for a text of `length` characters.

    Twice the same span is once. UsageError when one is out of the text or has a label that the guide does not know.
    """
    try:
        rows = orjson.loads(body)
        spans = {
            Span(int(r["start"]), int(r["end"]), str(r["label"]), tuple(sorted(set(map(str, r.get("attributes", []))))))
            for r in rows
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UsageError("The marks cannot be read.") from None
    if len(spans) > MOST_SPANS:
        raise UsageError(f"A text takes {MOST_SPANS} marks at most.")
    known, flags = {one.id for one in labels}, {one.id for one in attributes}
    for span in spans:
        if not 0 <= span.start < span.end <= length:
            raise UsageError("A mark is outside the text.")
        if span.label not in known or not set(span.attributes) <= flags:
            raise UsageError("A mark has a label that this form does not have.")
    return tuple(sorted(spans))
