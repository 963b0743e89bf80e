"""How the feeds are doing, what is in quarantine, and work on them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, Response

from estran.model.errors import UsageError
from estran.portal.visitor import Poster, Reader
from estran.projects.operations import JobKind

router = APIRouter()


@router.get("/feeds")
def feeds(who: Reader) -> HTMLResponse:
    desk = who.desk
    return who.page("feeds.html", feeds=desk.feeds(), refused=desk.quarantine(), loads=desk.loads(), jobs=desk.jobs())


@router.post("/feeds")
def ask(who: Poster, kind: Annotated[str, Form()], argument: Annotated[str, Form()] = "") -> Response:
    if kind not in set(JobKind):
        raise UsageError("This kind of work is not known.")
    who.desk.ask_for(JobKind(kind), argument)
    return who.go("/feeds#jobs")
