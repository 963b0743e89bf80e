"""A federated result as parts of a page: its tables, and its picture where it has one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup

from estran.analysis.federated.pictures import forest_plot, survival_curve
from estran.analysis.federated.rounds import Result
from estran.analysis.federated.telling import tell

_CELL = re.compile(r"(?<!\\)\|")
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
    return [_block(one) for one in tell(result, language).strip().split("\n\n")]


def picture(result: Result, language: str) -> Markup:
    """Its picture as SVG; empty when it has none. All text in it was escaped where it was drawn."""
    draw = _DRAWN.get(result.method)
    return Markup(draw(result, language)) if draw else Markup()  # noqa: S704


def _block(text: str) -> Block:
    lines = text.splitlines()
    if not text.startswith("|") or len(lines) < 2:
        return Block(text)
    head, kinds, *rows = (_cells(line) for line in lines)
    return Block("", head, tuple(rows), sum(kind.startswith(":") for kind in kinds))


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip().replace("\\|", "|") for cell in _CELL.split(line)[1:-1])
