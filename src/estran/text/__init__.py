"""French clinical text: how it is cut and compared, and how it is searched."""

from __future__ import annotations

from estran.text.parse import parse
from estran.text.query import And, Filtered, Near, Not, Or, Phrase, Prefix, TextQuery, Word

__all__ = ["And", "Filtered", "Near", "Not", "Or", "Phrase", "Prefix", "TextQuery", "Word", "parse"]
