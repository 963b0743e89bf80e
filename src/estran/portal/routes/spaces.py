"""Workspaces of projects, and the airlock by which files leave them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from estran.model.errors import UsageError
from estran.portal.reasons import told
from estran.portal.visitor import Poster, Reader, Visitor, origin_of, room_of
from estran.portal.workspace_door import Door
from estran.projects.airlock import Airlock
from estran.projects.workspaces.driver import Workspaces
from estran.projects.workspaces.spaces import mine, why_closed

router = APIRouter()
Field = Annotated[str, Form()]
_SHOWN = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "svg": "image/svg+xml"}


@router.get("/spaces")
def listed(who: Reader) -> HTMLResponse:
    return who.page("spaces.html", spaces=mine(room_of(who.request).site, who.desk.actor))


@router.get("/spaces/{project}")
def space(who: Reader, project: int) -> HTMLResponse:
    return _space(who, project)


@router.post("/spaces/{project}/start")
def start(who: Poster, project: int) -> Response:
    try:
        _workspaces(who.request).start(who.desk.actor, project)
    except UsageError as error:
        return _space(who, project, f"{told(who.spoken, error)} {error.where}".strip(), 422)
    return who.go(f"/spaces/{project}")


@router.post("/spaces/{project}/stop")
def stop(who: Poster, project: int) -> Response:
    _workspaces(who.request).stop(who.desk.actor, project)
    return who.go(f"/spaces/{project}")


@router.get("/spaces/{project}/lab")
def lab(who: Reader, project: int) -> Response:
    """The frame in which the notebook lies; it can open no other address."""
    workspaces, door = _workspaces(who.request), _door(who.request)
    found = workspaces.state(who.desk.actor, project)
    if not found.running or who.account.id not in found.space.team:
        return who.go(f"/spaces/{project}")
    workspaces.wait(project)
    address = door.open(origin_of(who.request), who.request.url.hostname or "127.0.0.1")
    who.request.state.frame = address
    ticket = door.ticket(who.account, who.session.id, project)
    return who.page("lab.html", space=found.space, frame=f"{address}/enter?ticket={ticket}")


@router.post("/spaces/{project}/hand-in")
def hand_in(
    who: Poster, project: int, purpose: Field = "", name: Annotated[list[str] | None, Form()] = None
) -> Response:
    try:
        made = _airlock(who).hand_in(project, name or [], purpose)
    except UsageError as error:
        return _space(who, project, told(who.spoken, error), 422)
    return who.go(f"/airlock/{made.id}")


@router.get("/airlock")
def requests(who: Reader) -> HTMLResponse:
    return who.page("airlock.html", requests=_airlock(who).requests())


@router.get("/airlock/{number}")
def look(who: Reader, number: int) -> HTMLResponse:
    return _look(who, number)


@router.post("/airlock/{number}")
def decide(who: Poster, number: int, answer: Field = "", reason: Field = "") -> Response:
    try:
        if answer not in ("release", "refuse"):
            raise UsageError("Say whether the files leave.")
        _airlock(who).decide(number, answer == "release", reason)
    except UsageError as error:
        return _look(who, number, told(who.spoken, error), 422)
    return who.go(f"/airlock/{number}")


@router.get("/airlock/{number}/files/{place}")
def fetch(who: Reader, number: int, place: int) -> Response:
    """A released file, for whoever asked."""
    return _attached(*_airlock(who).fetch(number, place))


@router.get("/airlock/{number}/look/{place}")
def preview(who: Reader, number: int, place: int) -> Response:
    """A file for whoever is to decide: figures are shown, the rest is fetched."""
    name, data = _airlock(who).preview(number, place)
    kind = _SHOWN.get(name.rsplit(".", 1)[-1].lower())
    if kind is None:
        return _attached(name, data)
    return Response(data, media_type=kind)


def _attached(name: str, data: bytes) -> Response:
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(data, media_type="application/octet-stream", headers=headers)


def _space(who: Visitor, project: int, refusal: str = "", status: int = 200) -> HTMLResponse:
    airlock, state = _airlock(who), _workspaces(who.request).state(who.desk.actor, project)
    member = who.account.id in state.space.team
    ready = airlock.ready(project) if member else []
    closed = why_closed(room_of(who.request).site, state.space)
    return who.page(
        "space.html",
        status,
        state=state,
        member=member,
        ready=ready,
        closed=closed,
        requests=airlock.requests(project),
        refusal=refusal,
    )


def _look(who: Visitor, number: int, refusal: str = "", status: int = 200) -> HTMLResponse:
    airlock = _airlock(who)
    request = airlock.look(number)
    return who.page(
        "release.html", status, request=request, deciding=airlock.may_decide(request), refusal=refusal,
        mine=request.record.asked_by == who.account.id, pictures=tuple(_SHOWN),
    )  # fmt: skip


def _airlock(who: Visitor) -> Airlock:
    return Airlock(room_of(who.request).site, who.desk.actor)


def _workspaces(request: Request) -> Workspaces:
    found: Workspaces = request.app.state.workspaces
    return found


def _door(request: Request) -> Door:
    found: Door = request.app.state.door
    return found
