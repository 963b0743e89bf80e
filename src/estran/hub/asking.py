"""A study as people write it: one variable per line, and what is done with them; made into the question of a method.

`age`, `sex`, `birth_year` and `died` are there. `NAME = CODES` says whether a patient has one of the codes (joined by
+, each with all below it); a word after them what is taken instead (last, first, min, max, mean, count), then a unit,
then days around the index date (-365..0). `NAME = age 40/65/80` cuts a number into bands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from estran.analysis.federated.cox import Cox
from estran.cohort.language import json as question_json
from estran.cohort.query import Node
from estran.hub.study import Asked
from estran.model.errors import UsageError
from estran.projects.datamarts.analysis import DAYS, EVENT, TOLD, Band
from estran.projects.datamarts.spec import Aggregate, Demographic

_LINE = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(?:=\s*(.+?))?\s*")
_CUTS = re.compile(r"-?\d+(\.\d+)?(/-?\d+(\.\d+)?)*")
_WINDOW = re.compile(r"(-?\d*)\.\.(-?\d*)")
_TAKEN = tuple(one for one in Aggregate if one is not Aggregate.ALL)
_YES = ["false", "true"]
_DEATH = ("", "death", "décès", "deces", "died")
FOLLOWED = ("cox", "survival")


@dataclass(frozen=True)
class Choices:
    """What a method wants to know besides its variables. `event`: codes, or nothing for death; `horizon` in days;
    `low` and `high` bound a variable whose quantiles are asked for; `model` is what a meta-analysis pools."""

    outcome: str = ""
    family: str = "logistic"
    event: str = ""
    horizon: int = 365
    group: str = ""
    term: str = ""
    model: str = "glm"
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class _Columns:
    """The table that lines make, and the categories of its columns that have some."""

    table: dict[str, Any]
    levels: dict[str, list[str]]
    names: tuple[str, ...]

    def term(self, name: str, *, category: bool) -> Any:
        """A variable of a question; UsageError when no line names it."""
        if name not in self.names:
            raise UsageError(f"No variable is called '{name[:60]}'.", hint=f"name one of {', '.join(self.names)}")
        levels = self.levels.get(name)
        return {"name": name, "levels": levels} if levels and (category or levels != _YES) else name


def read_study(method: str, cohort: Node, text: str, choices: Choices, title: str = "", asker: str = "") -> Asked:
    """The study that is written so; UsageError with the line that cannot be read, or what the method misses."""
    found = _columns(text)
    whole = _model(choices.model, found, choices) if method == "meta" else {}
    if method == "meta":
        spec: dict[str, Any] = {"model": {"method": choices.model, **whole}, "term": choices.term or found.names[0]}
    else:
        spec = _model(method, found, choices)
    if choices.model in FOLLOWED if method == "meta" else method in FOLLOWED:
        found.table["follow_up"] = {"codes": [] if choices.event.strip().lower() in _DEATH else _codes(choices.event)}
    asked = Asked(method, spec, question_json.to_object(cohort), found.table, title.strip()[:200], asker)
    asked.check()
    return asked


def _model(method: str, found: _Columns, choices: Choices) -> dict[str, Any]:
    follow = {"time": DAYS, "event": EVENT, "horizon": choices.horizon}
    if method == "describe":
        return {"variables": [found.term(one, category=True) for one in found.names]}
    if method == "contingency":
        return {"factors": [found.term(one, category=True) for one in found.names]}
    if method == "quantiles":
        return {
            "variable": found.names[0], "low": choices.low, "high": choices.high, "error": (choices.high - choices.low) / 1000,
            "probabilities": [0.25, 0.5, 0.75],
        }  # fmt: skip
    if method == "survival":
        return follow | ({"group": found.term(choices.group, category=True)} if choices.group else {})
    rest = [found.term(one, category=False) for one in found.names if one != choices.outcome]
    if method == Cox().name:
        return follow | {"covariates": rest}
    found.term(choices.outcome, category=False)
    return {"family": choices.family, "outcome": choices.outcome, "covariates": rest}


def _columns(text: str) -> _Columns:
    lines = [one for one in re.split(r"[\n,;]", text) if one.strip()]
    table: dict[str, Any] = {"demographics": [], "variables": [], "bands": []}
    found = _Columns(table, {Demographic.SEX: ["female", "male"], Demographic.DIED: _YES}, ())
    cut: set[str] = set()
    for line in lines:
        said = _LINE.fullmatch(line)
        if said is None:
            raise UsageError("This line is no variable.", where=line.strip()[:80], hint="write NAME, or NAME = CODES")
        name, rest = said[1], (said[2] or "").split()
        found = replace(found, names=(*found.names, name))
        if not rest:
            _demographic(name, table)
        elif len(rest) == 2 and _CUTS.fullmatch(rest[1]) and ":" not in rest[0]:
            cut.add(rest[0])
            _band(name, rest, found)
        else:
            _variable(name, rest, found)
    _add_cut(table, cut, found.names)
    return found


def _demographic(name: str, table: dict[str, Any]) -> None:
    if name not in TOLD:
        raise UsageError(f"'{name}' is not known of a patient.", hint=f"use {', '.join(TOLD)}, or NAME = CODES")
    table["demographics"].append(name)


def _band(name: str, rest: list[str], found: _Columns) -> None:
    cuts = [float(one) for one in rest[1].split("/")]
    found.table["bands"].append({"name": name, "of": rest[0], "cuts": cuts})
    found.levels[name] = Band(name=name, of=rest[0], cuts=cuts).levels


def _add_cut(table: dict[str, Any], cut: set[str], names: tuple[str, ...]) -> None:
    """What is cut into bands is read, even where no line of its own asks for it."""
    table["demographics"] += [one for one in TOLD if one in cut and one not in names]


def _variable(name: str, rest: list[str], found: _Columns) -> None:
    codes, *words = rest
    made: dict[str, Any] = {"name": name, "codes": _codes(codes), "aggregate": Aggregate.ANY}
    for word in words:
        if word in _TAKEN:
            made["aggregate"] = word
        elif window := _WINDOW.fullmatch(word):
            made["window"] = [int(one) if one.lstrip("-") else None for one in window.groups()]
        else:
            made["unit"] = word
    if made["aggregate"] == Aggregate.ANY:
        found.levels[name] = _YES
    found.table["variables"].append({**made, "aggregate": str(made["aggregate"])})


def _codes(text: str) -> list[str]:
    codes = [one.strip() for one in text.split("+")]
    if not all(":" in one.strip(":") for one in codes):
        raise UsageError("A code is written VOCABULARY:CODE.", where=text[:80])
    return codes
