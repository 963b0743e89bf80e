"""The desk of rights: requests, who must still obey; and the registry sheet."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from estran.model.errors import UsageError
from estran.portal.visitor import Poster, Reader, room_of
from estran.projects import registry
from estran.projects.opposition import ASKERS, CHANNELS, SCOPES
from estran.projects.rights_desk import KINDS, Asked

router = APIRouter()
Field = Annotated[str, Form()]


@router.get("/rights")
def board(who: Reader) -> HTMLResponse:
    board = who.desk.rights.board()
    return who.page("rights.html", board=board, kinds=list(KINDS), scopes=SCOPES, askers=ASKERS, channels=CHANNELS)


@router.post("/rights")
def enter(
    who: Poster, kind: Field = "", scope: Field = "warehouse", project: Field = "", asked_by: Field = "person",
    channel: Field = "letter", proof_date: Field = "", proof: Field = "", system: Field = "", number: Field = "",
) -> Response:  # fmt: skip
    wanted = f"project:{project.strip()}" if project.strip() else scope
    made = who.desk.rights.enter(Asked(kind, wanted, asked_by, channel, _day(proof_date), proof, system, number))
    return who.go(f"/rights/{made.id}")


@router.get("/rights/{request_id}")
def one(who: Reader, request_id: int) -> HTMLResponse:
    found = who.desk.rights.read(request_id)
    if found is None:
        raise HTTPException(404)
    return who.page("right.html", file=found)


@router.post("/rights/{request_id}/find")
def find(who: Poster, request_id: int, system: Field = "", number: Field = "") -> Response:
    who.desk.rights.find(request_id, system, number)
    return who.go(f"/rights/{request_id}")


@router.post("/rights/{request_id}/carry-out")
def carry_out(who: Poster, request_id: int) -> Response:
    who.desk.rights.carry_out(request_id)
    return who.go(f"/rights/{request_id}")


@router.post("/rights/{request_id}/close")
def close(who: Poster, request_id: int, outcome: Field = "") -> Response:
    who.desk.rights.close(request_id, outcome)
    return who.go("/rights")


@router.get("/registry")
def sheet(who: Reader) -> HTMLResponse:
    return who.page("registry.html", sheet=registry.sheet(room_of(who.request).site, who.desk.actor))


@router.get("/registry.md")
def download(who: Reader) -> Response:
    """The sheet as a page to be kept."""
    text = registry.markdown(registry.sheet(room_of(who.request).site, who.desk.actor))
    return PlainTextResponse(text, headers={"Content-Disposition": 'attachment; filename="registry.md"'})


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise UsageError("A day is written YYYY-MM-DD.") from None
