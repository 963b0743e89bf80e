"""Geometry of the drawings of catalogue, quality and steering; templates turn it into SVG.

Nothing here knows a count that the gate did not show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from estran.projects.gate import Shown

_GAP = 8.0
_NODE = 12.0


def curve(counts: Sequence[Shown], width: float, height: float) -> str:
    """The path of an area under counts; a masked count lies on the bottom."""
    if not counts:
        return ""
    top, step = max((c.value for c in counts), default=0) or 1, width / max(len(counts) - 1, 1)
    points = [f"{n * step:.1f},{height * (1 - c.value / top):.1f}" for n, c in enumerate(counts)]
    return f"M0,{height:.1f} L{' L'.join(points)} L{width:.1f},{height:.1f} Z"


def across(place: int, size: int, width: float) -> float:
    """Where a place of a series of `size` lies on a curve of `width`."""
    return round(width * place / max(size - 1, 1), 1)


@dataclass(frozen=True)
class Cell:
    """A mark of the mosaic of checks."""

    x: float
    y: float
    failed: bool


def mosaic(failed: Sequence[bool], columns: int = 28, step: float = 12.0) -> list[Cell]:
    """One mark per check, the failed ones first."""
    ordered = sorted(failed, reverse=True)
    return [Cell(step * (n % columns), step * (n // columns), one) for n, one in enumerate(ordered)]


@dataclass(frozen=True)
class Node:
    """A place that stays go through; `stays` is what the shown flows through it add up to."""

    name: str
    column: int
    x: float
    y: float
    height: float
    stays: int


@dataclass(frozen=True)
class Flow:
    """A band between two places."""

    path: str
    width: float
    column: int
    source: str
    target: str
    shown: Shown


@dataclass(frozen=True)
class Sankey:
    """A drawing of flows."""

    nodes: tuple[Node, ...]
    flows: tuple[Flow, ...]
    width: float
    height: float


Link = tuple[int, str, str, Shown]  # column of the source, source, target, stays


def sankey(links: Sequence[Link], width: float = 1080, height: float = 420) -> Sankey:
    """Lay out links; ways out stand in the last column, wherever the stay ended."""
    last = max((level for level, *_ in links), default=0) + 1
    placed = [
        ((level, source), (last if target.startswith("exit:") else level + 1, target), shown)
        for level, source, target, shown in links
    ]
    weight: dict[tuple[int, str], list[int]] = {}
    for source, target, shown in placed:
        weight.setdefault(source, [0, 0])[1] += shown.value
        weight.setdefault(target, [0, 0])[0] += shown.value
    size = {key: max(both) for key, both in weight.items()}
    nodes = _nodes(size, last, width, height)
    return Sankey(tuple(nodes.values()), tuple(_flows(placed, nodes)), width, height)


def _nodes(size: Mapping[tuple[int, str], int], last: int, width: float, height: float) -> dict[tuple[int, str], Node]:
    columns: dict[int, list[tuple[int, str]]] = {}
    for key in sorted(size, key=lambda key: (-size[key], key[1])):
        columns.setdefault(key[0], []).append(key)
    heights = [(sum(size[k] for k in keys), len(keys)) for keys in columns.values()]
    scale = min(((height - _GAP * (count - 1)) / max(total, 1) for total, count in heights), default=1.0)
    nodes = {}
    for column, keys in columns.items():
        y = 0.0
        for key in keys:
            tall = max(size[key] * scale, 1.0)
            nodes[key] = Node(key[1], column, column * (width - _NODE) / max(last, 1), y, tall, size[key])
            y += tall + _GAP
    return nodes


def _flows(
    placed: Sequence[tuple[tuple[int, str], tuple[int, str], Shown]], nodes: Mapping[tuple[int, str], Node]
) -> list[Flow]:
    out: dict[tuple[int, str], float] = {}
    into: dict[tuple[int, str], float] = {}
    found = []
    for source, target, shown in sorted(placed, key=lambda one: (one[0][0], nodes[one[0]].y, nodes[one[1]].y)):
        a, b = nodes[source], nodes[target]
        wide = a.height * shown.value / max(a.stays, 1)
        y0, y1 = a.y + out.get(source, 0.0) + wide / 2, b.y + into.get(target, 0.0) + wide / 2
        out[source], into[target] = out.get(source, 0.0) + wide, into.get(target, 0.0) + wide
        x0, x1 = a.x + _NODE, b.x
        middle = (x0 + x1) / 2
        path = f"M{x0:.1f},{y0:.1f} C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f}"
        found.append(Flow(path, round(max(wide, 0.8), 1), source[0], a.name, b.name, shown))
    return found
