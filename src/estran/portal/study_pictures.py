"""A federated result as parts of a page: its tables, and its picture where it has one.

The categories that every site has (sex, yes and no) are said in the reader's language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from estran.analysis.federated.pictures import forest_plot, survival_curve
from estran.analysis.federated.rounds import Result
from estran.analysis.federated.telling import tell

_CELL = re.compile(r"(?<!\\)\|")
_FRENCH = {"female": "femmes", "male": "hommes", "false": "non", "true": "oui"}
_ENGLISH = {"female": "women", "male": "men", "false": "no", "true": "yes"}
_DRAWN = {"survival": survival_curve, "meta": forest_plot}


@dataclass(frozen=True)
class Block:
    """A table (`head`, `rows`; the first `names` columns are names), or a line of text."""

    text: str = ""
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    names: int = 1


def blocks(result: Result, language: str) -> list[Block]:
    """The tables of a result in a language, as `telling` makes them."""
    return [_block(one) for one in tell(_said(result, language), language).strip().split("\n\n")]


def picture(result: Result, language: str) -> Markup:
    """Its picture as SVG; empty when it has none. All text in it was escaped where it was drawn."""
    draw = _DRAWN.get(result.method)
    return Markup(draw(_said(result, language), language)) if draw else Markup()  # noqa: S704


def _said(result: Result, language: str) -> Result:
    """The result with its usual categories in a language."""
    words = _FRENCH if language == "fr" else _ENGLISH
    shown: dict[str, Any] = _renamed(dict(result.shown), words)
    return replace(result, shown=shown)


def _renamed(value: Any, words: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {_renamed(key, words): _renamed(one, words) for key, one in value.items()}
    if isinstance(value, list):
        return [_renamed(one, words) for one in value]
    if not isinstance(value, str):
        return value
    name, equals, level = value.rpartition("=")  # of a coefficient: name=level
    return f"{name}{equals}{words.get(level, level)}"


def _block(text: str) -> Block:
    lines = text.splitlines()
    if not text.startswith("|") or len(lines) < 2:
        return Block(text)
    head, kinds, *rows = (_cells(line) for line in lines)
    return Block("", head, tuple(rows), sum(kind.startswith(":") for kind in kinds))


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip().replace("\\|", "|") for cell in _CELL.split(line)[1:-1])
