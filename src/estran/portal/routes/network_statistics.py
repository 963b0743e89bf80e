"""Statistics over the sites of a network: asked, followed round by round, and shown."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, Response

from estran.analysis.federated.families import FAMILIES
from estran.analysis.federated.meta import MODELS
from estran.analysis.federated.methods import METHODS
from estran.cohort.language import json as question_json
from estran.hub.asking import Choices, read_study
from estran.hub.study_desk import Seen
from estran.model.errors import UsageError
from estran.portal.builder.wording import explanation
from estran.portal.reasons import told
from estran.portal.routes.cohorts import load
from estran.portal.routes.network import TEXT, asked_question
from estran.portal.study_pictures import blocks, picture
from estran.portal.visitor import Poster, Reader, Visitor

router = APIRouter(prefix="/network/statistics")
_SOON, _LATER = 400, 5_000  # milliseconds between two looks: while a site answers, and while one is waited for
_FIRST = "age\nsex\ndiabetes = CIM10:E11"
_NUMBERS = {"horizon": int, "low": float, "high": float}


@router.get("")
def statistics(who: Reader) -> HTMLResponse:
    return _page(who)


def _page(who: Visitor, status: int = 200, said: str = "", given: dict[str, str] | None = None) -> HTMLResponse:
    usual = {name: "" if value in (0.0, "") else str(value) for name, value in asdict(Choices()).items()}
    values = {"method": "glm", "variables": _FIRST, "text": "", "title": "", "source": TEXT, **usual, **(given or {})}
    return who.page(
        "network_statistics.html", status, studies=who.studies.mine(), cohorts=who.desk.cohorts(), built=bool(load(who).root.of),
        methods=list(METHODS), families=list(FAMILIES), models=list(MODELS), said=said, given=values,
    )  # fmt: skip


@router.post("")
async def ask(who: Poster, request: Request) -> Response:
    given = {name: str(value) for name, value in (await request.form()).items() if name != "csrf"}
    try:
        cohort, name = asked_question(who, given.get("source", TEXT), given.get("text", ""))
        title = given.get("title", "") or name
        asked = read_study(given.get("method", ""), cohort, given.get("variables", ""), _choices(given), title)
        return who.go(f"/network/statistics/{who.studies.ask(asked)}")
    except UsageError as error:
        return _page(who, 422, told(who.spoken, error), given)


def _choices(given: dict[str, str]) -> Choices:
    """What was filled in; UsageError when a number is none."""
    found: dict[str, Any] = {}
    for one in fields(Choices):
        text = given.get(one.name, "").strip()
        try:
            if text:
                found[one.name] = _NUMBERS.get(one.name, str)(text)
        except ValueError:
            raise UsageError("This is no number.", where=one.name) from None
    return Choices(**found)


@router.get("/{study}")
def study(who: Reader, study: str) -> HTMLResponse:
    return _drawn(who, "network_study.html", who.studies.look(study))


@router.get("/{study}/now")
def study_now(who: Reader, study: str) -> HTMLResponse:
    return _drawn(who, "parts/network_study.html", who.studies.again(study))


@router.post("/{study}/go-on")
def go_on(who: Poster, study: str, sure: Annotated[str, Form()] = "") -> Response:
    if sure:
        who.studies.go_on(study)
    return who.go(f"/network/statistics/{study}")


def _drawn(who: Visitor, template: str, seen: Seen | None) -> HTMLResponse:
    if seen is None:
        raise HTTPException(404)
    found, code = seen.study, who.spoken.code
    waits = any(one.state == "waiting" for one in seen.sites)
    result = found.outcome
    cohort = question_json.from_object(dict(found.body.cohort))
    return who.page(
        template, study=found, sites=seen.sites, steps=seen.steps, waits=waits,
        explanation=explanation(who, cohort) if template == "network_study.html" else "",
        blocks=[] if result is None else blocks(result, code), picture="" if result is None else picture(result, code),
        next=None if not found.open else _SOON if waits else _LATER,
    )  # fmt: skip
