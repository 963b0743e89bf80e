"""The network of a hub: put a question to its sites, and see them answer."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException
from fastapi.responses import HTMLResponse, Response

from estran.cohort.language import json as question_json
from estran.cohort.language.text import parse
from estran.cohort.query import Node
from estran.hub.book import Question
from estran.hub.gathering import Gathered
from estran.model.errors import UsageError
from estran.portal.builder.translate import build
from estran.portal.builder.wording import explanation
from estran.portal.network_chart import picture
from estran.portal.reasons import told
from estran.portal.routes.cohorts import load
from estran.portal.visitor import Poster, Reader, Visitor

router = APIRouter()
# Milliseconds between two looks: at first, while sites are expected, and when they are only missed.
_FIRST, _SOON, _LATE, _LATER = 150, 400, 1_000, 5_000
_AT_FIRST, _AT_LAST = 3.0, 60.0  # seconds
_PATIENCE = 15.0  # seconds for which tokens that a site was asked for are expected
_BUILT, TEXT = "built", "text"


@router.get("/network")
def network(who: Reader) -> HTMLResponse:
    return _page(who)


def _page(who: Visitor, status: int = 200, said: str = "", text: str = "", title: str = "") -> HTMLResponse:
    desk = who.network
    members = desk.members()
    built = bool(load(who).root.of)
    return who.page(
        "network.html", status, name=desk.name, members=members, questions=desk.mine(), cohorts=who.desk.cohorts(), built=built,
        said=said, text=text, title=title,
    )  # fmt: skip


@router.post("/network")
def ask(
    who: Poster,
    source: Annotated[str, Form()] = TEXT,
    text: Annotated[str, Form()] = "",
    title: Annotated[str, Form()] = "",
) -> Response:
    try:
        query, name = asked_question(who, source, text)
        question = who.network.ask(query, title or name)
    except UsageError as error:
        return _page(who, 422, told(who.spoken, error), text, title)
    return who.go(f"/network/{question}")


def asked_question(who: Visitor, source: str, text: str) -> tuple[Node, str]:
    """The question that was chosen and what it is called: written, being built, or a saved version."""
    if source == _BUILT:
        return build(load(who)).query, ""
    if source.isdecimal():
        found = who.desk.version(int(source))
        if found is None:
            raise HTTPException(404)
        return question_json.loads(found[1].query), found[0].name
    return parse(text), ""


@router.get("/network/{question}")
def answers(who: Reader, question: str) -> HTMLResponse:
    return _drawn(who, "network_question.html", who.network.look(question))


@router.get("/network/{question}/answers")
def answers_now(who: Reader, question: str) -> HTMLResponse:
    return _drawn(who, "parts/network_answers.html", who.network.again(question))


def _drawn(who: Visitor, template: str, seen: tuple[Question, Gathered] | None) -> HTMLResponse:
    if seen is None:
        raise HTTPException(404)
    question, found = seen
    coming = any(site.state == "waiting" for site in found.sites) or _total_comes(found)
    said = explanation(who, question_json.loads(question.query)) if template == "network_question.html" else []
    return who.page(
        template, question=question, found=found, drawn=picture(found), explanation=said,
        next=None if found.settled and not coming else _interval(question, coming=coming),
    )  # fmt: skip


def _interval(question: Question, *, coming: bool) -> int:
    """Milliseconds until the page looks again; a site that is late for a minute is not looked for so often."""
    age = time.time() - question.asked
    if coming:
        return _FIRST if age < _AT_FIRST else _SOON
    return _LATE if age < _AT_LAST else _LATER


def _total_comes(found: Gathered) -> bool:
    """Whether the linkage unit is still to count what the sites sent."""
    recently = time.time() - _PATIENCE
    sent = sum("tokens" in site.has or (site.owes is not None and site.owes > recently) for site in found.sites)
    return sent > 1 and (found.total.method == "bounds" and len(found.total.covers) < sent)
