"""The network's own rules, its charters, the trail of its questions, and what everybody may read of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, Response

from estran.hub.governance import CharterKind, Governance, Sight, beside
from estran.hub.harvest import CatalogueDesk
from estran.hub.oppositions import Oppositions
from estran.hub.oversight import PAGE, Oversight
from estran.model.errors import UsageError
from estran.portal.pages import render
from estran.portal.reasons import told
from estran.portal.routes.catalogue_file import Published
from estran.portal.visitor import Poster, Reader, Visitor, room_of, spoken_by
from estran.projects.actors import PERSONS, Role
from estran.projects.policy import ALLOWED, Action, decide
from estran.projects.transparency import PUBLIC, public_projects
from estran.state.transactions import now

router = APIRouter()
Text = Annotated[str, Form()]
ASKING = tuple(role for role in PERSONS if Action.ASK_HUB in ALLOWED[role] and role is not Role.OWNER)


def _desk(who: Visitor) -> Governance:
    hub = who.request.app.state.hub
    if hub is None:
        raise HTTPException(404)
    return Governance(who.desk.state, hub, beside(hub), who.desk.actor)


@router.get("/network/rules")
def rules(who: Reader) -> HTMLResponse:
    return _page(who)


def _page(who: Visitor, status: int = 200, said: str = "") -> HTMLResponse:
    desk = _desk(who)
    may = {action: decide(desk.actor, action).allowed for action in (Action.ASK_HUB, Action.RUN_HUB)}
    charters = desk.charters()
    last = {one.kind: one for one in reversed(charters)}
    members = who.request.app.state.hub.members("site", active=True)
    return who.page(
        "network_rules.html", status, said=said, charters=[last[kind] for kind in CharterKind if kind in last],
        signed={str(kind): desk.shelf.signed(kind, who.account.login) for kind in CharterKind},
        sights=desk.sights() if may[Action.ASK_HUB] else {}, narrowed=not desk.shelf.sees_all(), silence=desk.silence(), seats=desk.seats() if may[Action.ASK_HUB] else {},
        signatures=desk.signatures() if may[Action.RUN_HUB] else [], kinds=list(CharterKind), choices=list(Sight),
        members=members, named={one.id: one.name for one in members}, own=who.desk.state.seats.of(who.account.id),
        people=sorted(one.login for one in who.desk.state.accounts.all() if one.role != Role.HUB) if may[Action.RUN_HUB] else [],
    )  # fmt: skip


def _done(who: Visitor, act: Any, *values: Any) -> Response:
    try:
        act(*values)
    except UsageError as error:
        return _page(who, 422, told(who.spoken, error))
    return who.go("/network/rules")


@router.post("/network/rules/sight")
def sight(who: Poster, role: Text, sight: Text) -> Response:
    return _done(who, _desk(who).set_sight, role, sight)


@router.post("/network/rules/seat")
def seat(who: Poster, login: Text, member: Text = "") -> Response:
    return _done(who, _desk(who).seat, login, member)


@router.post("/network/rules/silence")
def silence(who: Poster, hours: Annotated[float, Form()]) -> Response:
    return _done(who, _desk(who).set_silence, hours)


@router.post("/network/rules/charter")
def charter(who: Poster, kind: Text, text: Text) -> Response:
    return _done(who, _desk(who).publish, kind, text)


@router.post("/network/rules/sign")
def sign(who: Poster, kind: Text, version: Annotated[int, Form()]) -> Response:
    return _done(who, _desk(who).sign, kind, version)


@router.get("/network/audit")
def audit(who: Reader, page: int = 0, verify: str = "") -> HTMLResponse:
    app, page = who.request.app.state, max(0, min(page, 10_000))
    if app.hub is None:
        raise HTTPException(404)
    found = Oversight(who.desk.state, app.hub, app.studies, who.desk.actor).questions(page)
    verdict = who.desk.officer.verdict() if verify else None
    return who.page("network_audit.html", found=found, verdict=verdict, page=page, size=PAGE)


@router.get("/network/oppositions")
def oppositions(who: Reader) -> HTMLResponse:
    return _refused(who)


@router.post("/network/oppositions")
def obeyed(who: Poster, member: Text, number: Annotated[int, Form()], outcome: Text = "") -> Response:
    try:
        _oppositions(who).done(member, number, outcome)
    except UsageError as error:
        return _refused(who, 422, told(who.spoken, error))
    return who.go("/network/oppositions")


def _oppositions(who: Visitor) -> Oppositions:
    hub = who.request.app.state.hub
    if hub is None:
        raise HTTPException(404)
    return Oppositions(who.desk.state, hub, who.desk.actor)


def _refused(who: Visitor, status: int = 200, said: str = "") -> HTMLResponse:
    moment = now()
    found = [{"notice": one, "late": one.late(moment)} for one in _oppositions(who).recent()]
    named = {one.id: one.name for one in who.request.app.state.hub.members("site")}
    return who.page("network_oppositions.html", status, found=found, named=named, said=said)


# For everybody


@router.get("/transparency/network")
def public(request: Request, lang: str = "") -> Response:
    """What the network is, who is in it, what for, how to refuse: no login."""
    hub, site = request.app.state.hub, room_of(request).site
    if hub is None:
        raise HTTPException(404)
    spoken = spoken_by(request, lang)
    kept: Published = request.app.state.public_network
    members, numbers = hub.members("site", active=True), site.settings.catalogue_public and beside(hub).sees_all()
    state = (spoken.code, tuple(one.id for one in members), request.app.state.catalogues.digest(), numbers)
    told = kept.file(spoken.code, state, lambda: _standing(request, numbers))
    projects, citizen = public_projects(site), beside(hub).charter(CharterKind.CITIZEN)
    text = render(
        "network_public.html", spoken, csrf="", theme="auto", site=hub.meta("name"), settings=site.settings, standing=told,
        projects=projects, charter=citizen, open_catalogue=numbers,
    )  # fmt: skip
    return HTMLResponse(text)


def _standing(request: Request, numbers: bool) -> Any:
    app = request.app.state
    return CatalogueDesk(room_of(request).site.state, app.hub, app.catalogues, PUBLIC).public_standing(numbers=numbers)
