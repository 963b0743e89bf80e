"""Models that the sites of a network learn together: which were asked for, how they come along, their cards."""

from __future__ import annotations

import datetime as dt
from typing import Any

import orjson
from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, Response

from estran.cohort.language import json as question_json
from estran.hub.learning import card as cards
from estran.hub.learning.shelf import ASKED, UNDER_WAY, Sheet
from estran.model.errors import UsageError
from estran.portal.builder.wording import explanation
from estran.portal.learning_chart import WIDTH, spans, way
from estran.portal.visitor import Reader, Visitor

router = APIRouter(prefix="/network/learning")
_LOOK = {UNDER_WAY: 3_000, ASKED: 15_000}  # milliseconds between two looks


@router.get("")
def models(who: Reader) -> HTMLResponse:
    return who.page("network_learning.html", models=who.models.all())


@router.get("/{name}")
def model(who: Reader, name: str) -> HTMLResponse:
    return _drawn(who, "network_model.html", who.models.look(name))


@router.get("/{name}/now")
def model_now(who: Reader, name: str) -> HTMLResponse:
    return _drawn(who, "parts/network_model.html", who.models.again(name))


@router.get("/{name}/card.md")
def card_page(who: Reader, name: str) -> Response:
    return _file(f"{name}.md", "text/markdown; charset=utf-8", cards.page(_card(who, name)).encode())


@router.get("/{name}/card.json")
def card_object(who: Reader, name: str) -> Response:
    return _file(f"{name}.json", "application/json", orjson.dumps(_card(who, name), option=orjson.OPT_INDENT_2))


def _card(who: Visitor, name: str) -> dict[str, Any]:
    try:
        return who.models.card(name)
    except UsageError:
        raise HTTPException(404) from None


def _file(name: str, kind: str, content: bytes) -> Response:
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _drawn(who: Visitor, template: str, sheet: Sheet | None) -> HTMLResponse:
    if sheet is None:
        raise HTTPException(404)
    whole = template == "network_model.html"
    cohort = question_json.from_object(dict(sheet.lesson.cohort))
    return who.page(
        template, sheet=sheet, plan=sheet.plan, way=way(sheet.rounds, sheet.willing) if sheet.rounds else None,
        spans=spans(sheet.sites, sheet.figures), width=WIDTH, day=dt.date.fromisoformat, next=_LOOK.get(sheet.state),
        explanation=explanation(who, cohort) if whole else "",
    )  # fmt: skip
