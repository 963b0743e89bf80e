"""From what an open project was granted to the specification of its datamart: nothing that was not granted is offered."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from estran.cohort.language import json as question_json
from estran.cohort.language.text import to_text
from estran.model.codes import DocumentKind
from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.datamarts.deciding import ALWAYS, DEMOGRAPHIC, granted_cohort
from estran.projects.datamarts.spec import Aggregate, Demographic, Form
from estran.projects.life import open_project
from estran.projects.policy import Action, Target
from estran.release.dates import DatePolicy
from estran.state import Account, StateDatabase
from estran.state.transactions import now

MOST_DAYS = 1830
AGGREGATES = tuple(Aggregate)
DATES = (DatePolicy.SHIFT, DatePolicy.YEAR)
FORMATS = (Form.PARQUET, Form.DUCKDB, Form.CSV)


@dataclass(frozen=True)
class Column:
    """A variable that was granted, under the name that its column would have."""

    name: str
    label: str
    code: str
    justification: str


@dataclass(frozen=True)
class Offer:
    """What may be built for a project: the question as text, columns, demographics, for whom, for how many days at most.

    `bare` are variables that were granted without a code: they are no column of a datamart.
    """

    number: str
    title: str
    question: str
    cohort: dict[str, Any]
    columns: tuple[Column, ...]
    bare: tuple[str, ...]
    demographics: tuple[Demographic, ...]
    team: tuple[Account, ...]
    texts: bool
    days: int


@dataclass(frozen=True)
class Chosen:
    """What is asked for, of what is offered: name, login, columns with what becomes of their facts, and the rest."""

    name: str
    recipient: str
    columns: Mapping[str, str]
    demographics: tuple[str, ...]
    texts: bool
    dates: str
    formats: tuple[str, ...]
    days: int


def offer(state: StateDatabase, actor: Actor, number: str) -> Offer:
    """What may be built for a project now; NotAllowed when it is not open, or when the policy says no."""
    permit(state, actor, Action.BUILD_DATAMART, Target(f"offer for project:{number}"))
    project = open_project(state, number)
    question = granted_cohort(state, project)
    coded = [one for one in project.variables if one.code and not one.code.startswith(f"{DEMOGRAPHIC}:")]
    granted = {one.code for one in project.variables}
    return Offer(
        number, project.title, to_text(question), question_json.to_object(question),
        tuple(Column(name, one.name, one.code, one.justification) for name, one in zip(_names([v.name for v in coded]), coded, strict=True)),
        tuple(one.name for one in project.variables if not one.code),
        tuple(one for one in Demographic if one in ALWAYS or f"{DEMOGRAPHIC}:{one}" in granted),
        tuple(one for one in state.accounts.all() if one.id in project.members), project.texts,
        min(MOST_DAYS, (project.expires - now()) // dt.timedelta(days=1)),
    )  # fmt: skip


def spec_of(offered: Offer, chosen: Chosen) -> dict[str, Any]:
    """The specification of what was chosen, as `Datamarts.ask` takes it; UsageError when it was not offered."""
    columns = {one.name: one for one in offered.columns}
    if not set(chosen.columns) <= set(columns):
        raise UsageError("A variable chosen was not granted.")
    variables = [
        {"name": name, "codes": [columns[name].code], "aggregate": kind, "justification": columns[name].justification}
        for name, kind in chosen.columns.items()
    ]  # fmt: skip
    every = chosen.texts or any(kind == Aggregate.ALL for kind in chosen.columns.values())
    return {
        "project": offered.number, "name": chosen.name, "cohort": offered.cohort,
        "demographics": list(chosen.demographics), "variables": variables, "texts": chosen.texts,
        "documents": {"kinds": [str(kind) for kind in DocumentKind]} if chosen.texts else None,
        "shape": "tables" if every else "flat", "dates": chosen.dates, "formats": list(chosen.formats), "days": chosen.days,
    }  # fmt: skip


def _names(labels: list[str]) -> list[str]:
    """A column name for each: small letters, digits and _, none twice."""
    found: list[str] = []
    for label in labels:
        plain = re.sub(r"[^a-z0-9]+", "_", label.lower().translate(_PLAIN)).strip("_")[:50]
        plain = plain if plain[:1].isalpha() else f"v_{plain}".rstrip("_")
        taken = {*found, "patient", *Demographic}
        found.append(next(name for name in (plain, *(f"{plain}_{n}" for n in range(2, 400))) if name not in taken))
    return found


_PLAIN = str.maketrans("àâäéèêëîïôöùûüçÿ", "aaaeeeeiioouuucy")
