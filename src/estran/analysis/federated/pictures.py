"""Drawings of results, as SVG that needs neither style nor script: survival curves and forest plots.

Colours are presentation attributes, so that a page's style sheet may replace them by class (`series-0`…, `axis`);
text takes the colour of the page. Curves also differ by their dashes. Only what a result shows is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from estran.analysis.federated import showing
from estran.analysis.federated.rounds import Result
from estran.analysis.federated.words import Words

_COLOURS = ("#2f8fc4", "#c77a1a", "#c45a92", "#2f9e55", "#8a6fd6", "#8494a6")  # 3:1 on white and on dark
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 4", "1 4")
_LEFT, _RIGHT, _TOP = 96.0, 24.0, 26.0


def survival_curve(result: Result, language: str = "en", width: float = 680, height: float = 320) -> str:
    """The protected steps of a survival result with their 95 % bands, and the patients at risk under them."""
    words, shown = Words(language), result.shown
    groups, horizon = shown["groups"], max(1, *(one["until"] for one in shown["groups"]))
    wide, high = width - _LEFT - _RIGHT, height - _TOP - 44
    parts = [_axes(wide, high, words)]
    for day in (tick["day"] for tick in groups[0]["at_risk"] if tick["day"] <= horizon):
        x = _LEFT + wide * day / horizon
        parts.append(_text(x, _TOP + high + 18, words.number(day, 6), "middle"))
    parts.append(_text(_LEFT + wide, _TOP + high + 36, words("day"), "end"))
    for place, one in enumerate(groups):
        parts += _series(place, one, horizon, wide, high)
    base = height + 14
    parts.append(_text(8, base, words("at risk"), "start", "600"))
    for place, one in enumerate(groups):
        y = base + 18 * (place + 1)
        parts.append(_text(8, y, _short(one["group"]), "start"))
        for tick in one["at_risk"]:
            if tick["day"] <= horizon:
                count = tick["patients"]
                told = f"<{count['below']}" if isinstance(count, dict) else words.count(count)
                parts.append(_text(_LEFT + wide * tick["day"] / horizon, y, told, "middle"))
    return _svg(width, base + 18 * len(groups) + 12, words("Survival by group, in days"), parts)


def _series(place: int, one: dict[str, Any], horizon: float, wide: float, high: float) -> list[str]:
    steps = [step for step in one["steps"] if step["day"] <= horizon]
    colour, dash = _COLOURS[place % len(_COLOURS)], _DASHES[place % len(_DASHES)]

    def path(key: str) -> list[tuple[float, float]]:
        points, level = [(_LEFT, _TOP)], 1.0
        for step in steps:
            x = _LEFT + wide * step["day"] / horizon
            points += [(x, _TOP + high * (1 - level)), (x, _TOP + high * (1 - step[key]))]
            level = step[key]
        return [*points, (_LEFT + wide * min(one["until"], horizon) / horizon, _TOP + high * (1 - level))]

    band = [*path("low"), *reversed(path("high"))]
    line, name = path("survival"), escape(_short(one["group"]))
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    legend = _TOP - 10
    at = _LEFT + 150 * place
    return [
        f'<path class="series-{place} band" fill="{colour}" fill-opacity="0.14" d="{_path(band)} Z"/>',
        f'<path class="series-{place} line" fill="none" stroke="{colour}" stroke-width="2"{dashed} d="{_path(line)}"/>',
        f'<line class="series-{place} line" x1="{at:.1f}" x2="{at + 24:.1f}" y1="{legend - 4:.1f}" y2="{legend - 4:.1f}" '
        f'stroke="{colour}" stroke-width="2"{dashed}/>',
        f'<text x="{at + 30:.1f}" y="{legend:.1f}" fill="currentColor">{name}</text>',
    ]


def _axes(wide: float, high: float, words: Words) -> str:
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _TOP + high * (1 - share)
        parts.append(
            f'<line class="axis" x1="{_LEFT}" x2="{_LEFT + wide:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="#7d8b9b" '
            f'stroke-opacity="{1 if share == 0 else 0.35}"/>'
        )
        parts.append(_text(_LEFT - 8, y + 4, words.number(share), "end"))
    return "".join(parts)


def forest_plot(result: Result, language: str = "en", width: float = 680) -> str:
    """Each site's estimate with its interval, a square as large as its weight, and the pooled diamonds below."""
    words, shown = Words(language), result.shown
    sites, row = shown["sites"], 26.0
    pooled = [(words("fixed effect"), shown["fixed"]), (words("random effects"), shown["random"])]
    reach = [one[key] for one in [*sites, *(effect for _, effect in pooled)] for key in ("low", "high")]
    reach += [0.0, *(shown["prediction"] or [])]
    low, high = min(reach), max(reach)
    margin = 0.06 * ((high - low) or 1.0)
    low, high = low - margin, high + margin
    left, right = 150.0, width - 190.0
    bottom = _TOP + row * (len(sites) + len(pooled) + bool(shown["prediction"])) + 10

    def across(value: float) -> float:
        return float(left + (right - left) * (value - low) / (high - low))

    parts = [
        f'<line class="axis" x1="{across(0):.1f}" x2="{across(0):.1f}" y1="{_TOP - 8}" y2="{bottom:.1f}" stroke="#7d8b9b" '
        'stroke-dasharray="3 3"/>',
        f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom:.1f}" y2="{bottom:.1f}" stroke="#7d8b9b"/>',
        *(_text(across(tick), bottom + 18, words.number(tick), "middle") for tick in showing.ticks(low, high, 5)),
    ]
    title = words(shown["ratio"]) + " (log)" if shown["ratio"] else words("estimate")
    parts.append(_text(right, bottom + 38, words.fact(shown["term"], title), "end"))
    for place, one in enumerate(sites):
        parts += _site(one, _TOP + row * (place + 0.5), across, words, width)
    for place, (name, effect) in enumerate(pooled):
        parts += _diamond(name, effect, _TOP + row * (len(sites) + place + 0.5), across, words, width)
    if shown["prediction"]:
        y = _TOP + row * (len(sites) + len(pooled) + 0.5)
        begin, end = shown["prediction"]
        parts += [_text(8, y + 4, words("prediction"), "start"), _whisker(across(begin), across(end), y, 3)]
        parts.append(_text(width - 8, y + 4, f"{words.number(begin, 3)} ; {words.number(end, 3)}", "end"))
    return _svg(width, bottom + 48, words("Estimate of each site with its 95 % interval, and pooled"), parts)


def _site(one: dict[str, Any], y: float, across: Any, words: Words, width: float) -> list[str]:
    side = 4 + 12 * math.sqrt(one["weight"])
    return [
        _text(8, y + 4, _short(one["site"]), "start"),
        _whisker(across(one["low"]), across(one["high"]), y, 1.5),
        f'<rect class="series-0 mark" x="{across(one["estimate"]) - side / 2:.1f}" y="{y - side / 2:.1f}" width="{side:.1f}" '
        f'height="{side:.1f}" fill="{_COLOURS[0]}"/>',
        _text(width - 8, y + 4, _told(one, words), "end"),
    ]


def _diamond(name: str, effect: dict[str, float], y: float, across: Any, words: Words, width: float) -> list[str]:
    low, middle, high = (across(effect[key]) for key in ("low", "estimate", "high"))
    corners = [(low, y), (middle, y - 8), (high, y), (middle, y + 8)]
    return [
        _text(8, y + 4, name, "start", "600"),
        f'<path class="series-1 mark" fill="{_COLOURS[1]}" d="{_path(corners)} Z"/>',
        _text(width - 8, y + 4, _told(effect, words), "end", "600"),
    ]


def _told(one: dict[str, Any], words: Words) -> str:
    return f"{words.number(one['estimate'], 3)} ({words.number(one['low'], 3)} ; {words.number(one['high'], 3)})"


def _whisker(begin: float, end: float, y: float, thick: float) -> str:
    return (
        f'<line class="series-0 line" x1="{begin:.1f}" x2="{end:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_COLOURS[0]}" '
        f'stroke-width="{thick}"/>'
    )


def _short(name: str, most: int = 20) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _text(x: float, y: float, said: str, anchor: str, weight: str = "400") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="currentColor">{escape(said)}</text>'


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'font-family="sans-serif" font-size="12"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )
