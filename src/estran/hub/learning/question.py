"""What a hub asks its sites to learn from: which patients, which columns of each, and the plan."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from estran.analysis.learning.plan import Column, Plan, Privacy
from estran.cohort.language import json as question_json
from estran.cohort.query import Node
from estran.hub.asking import Choices, read_study
from estran.model.errors import UsageError
from estran.projects.datamarts.analysis import read_wanted

_BOUNDS = re.compile(r"([a-z][a-z0-9_]*)\s+(-?[\d.]+)\.\.(-?[\d.]+)(\s+log)?")
_USUAL = {"age": (0.0, 110.0), "birth_year": (1900.0, 2030.0)}
_HIGH = "male"  # of a column of two words, the one that counts 1


@dataclass(frozen=True)
class Lesson:
    """A question. `cohort` and `table` as in a statistic over the network, the columns of the plan among those of the table."""

    plan: Plan
    cohort: Mapping[str, Any]
    table: Mapping[str, Any]
    asker: str = ""

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Lesson:
        """The question in a job; UsageError when it is none, or not well formed."""
        try:
            found = cls(
                Plan.read(said["plan"]), dict(said["cohort"]), dict(said["table"]), str(said.get("asker", ""))[:100]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"This is not a question of learning: {error}.") from None
        read_wanted(found.table, question_json.from_object(dict(found.cohort)))
        return found

    def to_object(self) -> dict[str, Any]:
        """As it travels."""
        return {"plan": self.plan.told(), "cohort": self.cohort, "table": self.table, "asker": self.asker}


def read_lesson(
    cohort: Node, variables: str, outcome: str, bounds: str, more: Mapping[str, Any], asker: str = ""
) -> Lesson:
    """The question that is written so; `more`: further fields of the plan. UsageError with the word that cannot be read."""
    asked = read_study("describe", cohort, variables, Choices())
    if asked.table["bands"]:
        raise UsageError("Bands are not for learning.", hint="take the number itself, and give its bounds")
    given, columns = _bounds(bounds), []
    for one in asked.spec["variables"]:
        name, words = (one["name"], one["levels"]) if isinstance(one, dict) else (one, [])
        if name != outcome:
            columns.append(_column(name, words, given))
    try:
        privacy = Privacy(**more["privacy"]) if more.get("privacy") else None
        plan = Plan(outcome=outcome, columns=tuple(columns), **{**more, "privacy": privacy})
    except ValueError as error:
        raise UsageError(str(error)) from None
    if outcome not in [one["name"] for one in asked.spec["variables"] if isinstance(one, dict)]:
        raise UsageError("The outcome is a variable of yes or no.", hint="died, or NAME = CODES")
    return Lesson(plan, asked.cohort, asked.table, asker)


def numbers_of(lesson: Lesson, table: pa.Table) -> dict[str, npt.NDArray[np.float64]]:
    """The columns of the plan as numbers, missing ones nan: yes and male are 1."""
    names = (lesson.plan.outcome, *(one.name for one in lesson.plan.columns))
    return {name: _numbers(table.column(name)) for name in names}


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    if pa.types.is_string(column.type) or pa.types.is_dictionary(column.type):
        values = column.to_pylist()
        return np.array([np.nan if one is None else float(one == _HIGH) for one in values], np.float64)
    return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)


def _bounds(text: str) -> dict[str, Column]:
    found = {}
    for one in filter(None, (part.strip() for part in text.split(","))):
        said = _BOUNDS.fullmatch(one)
        if said is None:
            raise UsageError(
                "These are no bounds.", where=one[:80], hint="write NAME LOW..HIGH, with log behind where it fits"
            )
        try:
            found[said[1]] = Column(said[1], float(said[2]), float(said[3]), bool(said[4]))
        except ValueError as error:
            raise UsageError(str(error)) from None
    return found


def _column(name: str, words: list[str], given: Mapping[str, Column]) -> Column:
    if name in given:
        return given[name]
    if words:
        return Column(name, 0, 1)
    if name not in _USUAL:
        raise UsageError(
            f"The plan has no bounds for '{name}'.", hint=f"--bounds '{name} LOW..HIGH': they are never taken from data"
        )
    return Column(name, *_USUAL[name])
