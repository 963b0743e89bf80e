"""The table of steps as people read it: a page and a picture, both made from `machine`."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Iterable
from enum import StrEnum

from estran.projects.life.machine import TABLE, Hand, Need, Stage

_LINE = [
    Stage.IDEA, Stage.LETTER, Stage.WRITING, Stage.SUBMITTED, Stage.EXPERTISE, Stage.COMMITTEE, Stage.CONDITIONS,
    Stage.ACCEPTED, Stage.OPEN, Stage.SUSPENDED, Stage.CLOSING, Stage.CLOSED,
]  # fmt: skip
_ENDS = (Stage.REFUSED, Stage.WITHDRAWN)
_STEP, _LEFT, _WIDE, _HIGH = 74, 330, 170, 38
_HEAD = """# Life of a project

Made by `estran project machine --markdown` from `estran.projects.life.machine`; a test fails when they differ.

![The stages of a project](project-life.svg)

Each step is kept as a row that is never changed: who, when, as what, and the line of the audit trail that allowed it.
A step that this table does not give at a stage is refused; so is one whose needs are not met, with the sentence why.

| Step | From | To | By | Needs |
|---|---|---|---|---|
"""


def markdown() -> str:
    """The page of the reference."""
    rows = "\n".join(
        f"| `{m.step}` | {_list(s for s in Stage if s in m.sources)} | {m.to or '–'} | {', '.join(m.hands)} | {_list(m.needs)} |"
        for m in TABLE
    )
    legends = "\n".join(_legend(title, kind) for title, kind in (("Stages", Stage), ("Hands", Hand), ("Needs", Need)))
    return f"{_HEAD}{rows}\n{legends}"


def drawn() -> str:
    """The picture: stages from top to bottom, steps that go on at the right, steps that go back at the left."""
    high = 40 + _STEP * len(_LINE)
    arcs = "\n".join(_arc(_LINE.index(source), _LINE.index(to), steps) for (source, to), steps in _edges().items())
    boxes = "\n".join(_box(place, stage) for place, stage in enumerate(_LINE))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 {high}" role="img" font-family="sans-serif" font-size="13">\n'
        "<title>The stages of a project, and the steps between them</title>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#07456a"/></marker></defs>\n'
        f'<rect width="900" height="{high}" fill="#ffffff"/>\n{arcs}\n{boxes}\n</svg>\n'
    )


def _edges() -> dict[tuple[Stage, Stage], list[str]]:
    found: dict[tuple[Stage, Stage], list[str]] = defaultdict(list)
    for move in TABLE:
        for source in _LINE:
            if source in move.sources and move.to in _LINE and move.to is not source:
                found[source, move.to].append(str(move.step))
    return found


def _arc(source: int, to: int, steps: list[str]) -> str:
    """Straight down to the next stage, else a curve as wide as it is long."""
    top = 20 + source * _STEP + _HIGH // 2
    end = 20 + to * _STEP + _HIGH // 2
    label, style = ", ".join(steps), 'fill="none" stroke="#07456a" marker-end="url(#tip)"'
    if to == source + 1:
        x, y = _LEFT + _WIDE // 2, 20 + source * _STEP + _HIGH
        return f'<path d="M{x} {y}V{y + _STEP - _HIGH - 2}" {style}/><text x="{x + 8}" y="{y + 22}" fill="#12202f">{label}</text>'
    right = to > source
    x, reach = (_LEFT + _WIDE, 58 + 52 * (to - source)) if right else (_LEFT, -(58 + 52 * (source - to)))
    middle, anchor = x + reach * 0.75 + (6 if right else -6), "start" if right else "end"
    return (
        f'<path d="M{x} {top}C{x + reach} {top} {x + reach} {end} {x + (2 if right else -2)} {end}" {style}/>'
        f'<text x="{middle:.0f}" y="{(top + end) / 2 + 4:.0f}" text-anchor="{anchor}" fill="#12202f">{label}</text>'
    )


def _box(place: int, stage: Stage) -> str:
    y = 20 + place * _STEP
    ends = [f"{m.step}: {m.to}" for m in TABLE if stage in m.sources and m.to in _ENDS]
    aside = "".join(f'<text x="16" y="{y + 16 + 15 * row}" fill="#a61b1b">{end}</text>' for row, end in enumerate(ends))
    return (
        f'<rect x="{_LEFT}" y="{y}" width="{_WIDE}" height="{_HIGH}" rx="9" fill="#e1f0f7" stroke="#0a5a83"/>'
        f'<text x="{_LEFT + _WIDE // 2}" y="{y + 24}" text-anchor="middle" font-weight="600" fill="#12202f">{stage}</text>{aside}'
    )


def _list(names: Iterable[StrEnum]) -> str:
    return ", ".join(map(str, names)) or "–"


def _legend(title: str, kind: type[StrEnum]) -> str:
    """The names of a list with what the code says of each beside it."""
    said = dict(re.findall(r'^    [A-Z_]+ = "([^"]+)"(?:  # (.+))?$', inspect.getsource(kind), re.M))
    rows = "\n".join(f"| `{name}` | {said.get(str(name)) or str(name).replace('-', ' ')} |" for name in kind)
    return f"\n## {title}\n\n| Name | What it is |\n|---|---|\n{rows}\n"
