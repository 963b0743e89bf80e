"""Geometry of the pictures of a model: the loss from round to round above the sites of each sum, and the AUC of each site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from estran.analysis.federated.showing import ticks

WIDTH, LEFT, RIGHT = 620.0, 70.0, 18.0
_TOP, _TALL, _GAP, _BAR = 16.0, 170.0, 26.0, 46.0  # of the curve, between both, of the bars
_ROW, _NAME = 28.0, 190.0


@dataclass(frozen=True)
class Tick:
    """A line of the grid and the number beside it."""

    at: float
    value: float


@dataclass(frozen=True)
class Step:
    """One round: where it stands; `y` of its loss, None without one; `inside` and `lost` are heights of the bar of its sites."""

    round: Mapping[str, Any]
    x: float
    y: float | None
    inside: float
    lost: float


@dataclass(frozen=True)
class Way:
    """A run: its steps, the curve through those that have a loss, and the lines of the grid. `base` is the foot of the bars, `top` the
    number of sites that a full bar stands for."""

    steps: tuple[Step, ...]
    path: str
    grid: tuple[Tick, ...]
    base: float
    height: float
    wide: float
    top: int


def way(rounds: Sequence[Mapping[str, Any]], sites: int) -> Way:
    """The picture of the rounds of a run of `sites` sites."""
    losses = [one["loss"] for one in rounds if one.get("loss") is not None]
    high = _TALL if losses else 0.0
    low, top = (min(losses), max(losses)) if losses else (0.0, 1.0)
    margin = 0.12 * (top - low) or 0.05 * top or 0.1
    low, top = max(0.0, low - margin), top + margin
    wide = (WIDTH - LEFT - RIGHT) / max(len(rounds), 1)
    base = _TOP + high + (_GAP if losses else 0) + _BAR

    def down(loss: float) -> float:
        return round(_TOP + high * (1 - (loss - low) / (top - low)), 1)

    steps = tuple(
        _step(one, LEFT + wide * (place + 0.5), down, sites) for place, one in enumerate(rounds)
    )  # fmt: skip
    points = " L".join(f"{one.x:.1f} {one.y}" for one in steps if one.y is not None)
    grid = tuple(Tick(down(value), round(value, 6)) for value in ticks(low, top, 4)) if losses else ()
    return Way(steps, f"M{points}" if points else "", grid, base, base + 40, round(min(28.0, wide * 0.6), 1), sites)


def _step(one: Mapping[str, Any], x: float, down: Any, sites: int) -> Step:
    loss, inside = one.get("loss"), _BAR * min(one["sites"], sites) / max(sites, 1)
    return Step(one, round(x, 1), None if loss is None else down(loss), round(inside, 1), round(_BAR - inside, 1))


@dataclass(frozen=True)
class Span:
    """The AUC of a site, or of all, and its interval; `name` is None for all of them."""

    name: str | None
    y: float
    low: float
    at: float
    high: float


@dataclass(frozen=True)
class Spans:
    """All of them on one scale, with its grid; `foot` is where that ends."""

    rows: tuple[Span, ...]
    grid: tuple[Tick, ...]
    foot: float
    height: float


def spans(sites: Sequence[Mapping[str, Any]], total: Mapping[str, float]) -> Spans | None:
    """The picture of the sites whose figures are told, all of them together below; None of nobody."""
    told: list[tuple[str | None, Mapping[str, float]]] = [
        (one["name"], one["performance"]) for one in sites if one.get("performance")
    ]
    if total:
        told.append((None, total))
    if not told:
        return None
    least = min(0.5, *(one["low"] for _, one in told))
    start = int(least * 10) / 10

    def across(value: float) -> float:
        return round(_NAME + (WIDTH - _NAME - RIGHT) * (value - start) / (1 - start), 1)

    rows = tuple(
        Span(name, _TOP + _ROW * (place + 0.5), across(one["low"]), across(one["auc"]), across(one["high"]))
        for place, (name, one) in enumerate(told)
    )
    foot = _TOP + _ROW * len(told)
    grid = tuple(Tick(across(tenth / 10), tenth / 10) for tenth in range(round(start * 10), 11))
    return Spans(rows, grid, foot, foot + 24)
