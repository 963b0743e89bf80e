"""Projects: the board, one project, the room of the committee, the register of outputs."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response

from estran.model.errors import UsageError
from estran.portal.visitor import Poster, Reader, Visitor, room_of
from estran.portal.words import WORDS
from estran.projects.doors import doors_of
from estran.projects.life.desk import Card, Sheet
from estran.projects.life.fields import FIELDS
from estran.projects.life.machine import Stage, Step
from estran.projects.policy import Action
from estran.state import Account

router = APIRouter(prefix="/projects")
Text = Annotated[str, Form()]

LANES: dict[str, tuple[Stage, ...]] = {
    "idea": (Stage.IDEA, Stage.LETTER), "request": (Stage.WRITING, Stage.SUBMITTED),
    "judgement": (Stage.EXPERTISE, Stage.COMMITTEE), "preparation": (Stage.CONDITIONS, Stage.ACCEPTED),
    "open": (Stage.OPEN, Stage.SUSPENDED), "closing": (Stage.CLOSING, Stage.CLOSED),
}  # fmt: skip
_ROOM = (
    Step.DECLARE,
    Step.VOTE,
    Step.ACCEPT,
    Step.CONDITION,
    Step.REFUSE,
    Step.ADJOURN,
)  # steps of the committee's room
_ENDS = (Stage.REFUSED, Stage.WITHDRAWN)


@router.get("")
def board(who: Reader) -> HTMLResponse:
    desk = who.desk.projects
    cards = desk.board()
    lanes = {name: [card for card in cards if card.project.stage in stages] for name, stages in LANES.items()}
    return who.page(
        "projects.html", lanes=lanes, ended=[card for card in cards if card.project.stage in _ENDS],
        sessions=_agenda(cards), calls=desk.calls(), today=desk.today, address=who.desk.state.notices.address(who.account.id),
        people=desk.people,
    )  # fmt: skip


@router.post("")
async def propose(who: Poster, request: Request) -> Response:
    given = await _given(request)
    return who.go(f"/projects/{await run_in_threadpool(who.desk.projects.propose, given)}")


@router.get("/new")
def new(who: Reader) -> HTMLResponse:
    desk = who.desk.projects
    calls = [call for call in desk.calls() if call.deadline >= desk.today]
    team = [one for one in desk.may(Action.PROJECTS) if one.id != who.account.id]
    return who.page(
        "project_new.html",
        step=Step.PROPOSE,
        fields=FIELDS[Step.PROPOSE],
        **_forms(),
        calls=calls,
        choices={"members": team},
    )


@router.get("/outputs")
def outputs(who: Reader) -> HTMLResponse:
    return who.page("outputs.html", outputs=who.desk.projects.outputs())


@router.post("/notices")
def notices(who: Poster, address: Text = "") -> Response:
    """Where this person's own notices go."""
    who.desk.state.notices.write_to(who.account.id, address)
    return who.go("/projects#notices")


@router.post("/calls")
def publish(
    who: Poster, title: Text = "", deadline: Text = "", sites: Text = "", experts: Text = "", grid: Text = ""
) -> Response:
    if not (sites.isdecimal() and experts.isdecimal()):
        raise UsageError(
            "The rules of the call do not fit.", hint="1 to 100 sites, 0 to 20 experts, 1 to 100 points a criterion"
        )
    criteria = tuple(_criterion(line) for line in grid.splitlines() if line.strip())
    who.desk.projects.publish(title, _day(deadline), int(sites), int(experts), criteria)
    return who.go("/projects#calls")


@router.get("/{number}")
def one(who: Reader, number: str) -> HTMLResponse:
    sheet = _sheet(who, number)
    offered = [choice for choice in sheet.choices if choice.move.step not in _ROOM]
    doors = doors_of(room_of(who.request).site, who.desk.actor, sheet.project)
    return who.page("project.html", offered=offered, doors=doors, stations=_stations(sheet), **_shown(who, sheet))


@router.get("/{number}/committee")
def committee(who: Reader, number: str) -> HTMLResponse:
    sheet = _sheet(who, number)
    if sheet.project.session is None:
        raise HTTPException(404)
    offered = [choice for choice in sheet.choices if choice.move.step in _ROOM]
    return who.page("committee.html", offered=offered, session=sheet.project.session, **_shown(who, sheet))


@router.post("/{number}/{step}")
async def take(who: Poster, request: Request, number: str, step: str) -> Response:
    if step not in set(Step) or step == Step.PROPOSE:
        raise HTTPException(404)
    given = await _given(request)
    await run_in_threadpool(who.desk.projects.take, number, Step(step), given)
    if step in (Step.CLOSE, Step.SUSPEND):
        await run_in_threadpool(request.app.state.workspaces.look)
    return who.go(f"/projects/{number}/committee" if step in _ROOM[:2] else f"/projects/{number}")


async def _given(request: Request) -> dict[str, list[str]]:
    """The form, each name with all its values; files are none of ours."""
    form = await request.form()
    found: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, str):
            found.setdefault(name, []).append(value)
    return found


def _sheet(who: Visitor, number: str) -> Sheet:
    found = who.desk.projects.sheet(number)
    if found is None:
        raise HTTPException(404)
    return found


def _shown(who: Visitor, sheet: Sheet) -> dict[str, Any]:
    """What the pages of one project draw."""
    desk, project = who.desk.projects, sheet.project
    outside = [one for one in desk.may(Action.JUDGE) if one.id not in project.members]
    members: dict[str, list[Account]] = {
        "members": [one for one in desk.may(Action.PROJECTS) if one.id != project.lead], "expert": outside,
        "called": [one for one in desk.may(Action.PRESIDE) if one.id not in project.members],
    }  # fmt: skip
    filed = {one.piece: one for one in project.pieces}
    return {
        "sheet": sheet, "project": project, "people": desk.people, "seats": who.desk.state.seats.all(), "choices": members, "cohorts": desk.cohorts(),
        "saved_total": who.desk.saved_total, "filed": filed, "pieces": tuple(dict.fromkeys((*project.route.pieces, *filed))),
        "fields": FIELDS, **_forms(),
    }  # fmt: skip


def _forms() -> dict[str, Any]:
    return {"field_words": WORDS["field"]}


def _stations(sheet: Sheet) -> list[tuple[str, str]]:
    """The lanes that a project goes through, each done, now, or to come."""
    stage = sheet.project.stage
    passed = {Step(event.step) for event in sheet.history}
    if stage in _ENDS:
        return []
    names = list(LANES)
    here = next(place for place, name in enumerate(names) if stage in LANES[name])
    states = ["done" if place < here else "now" if place == here else "to come" for place in range(len(names))]
    if Step.END in passed:
        states[-1] = "done"
    return list(zip(names, states, strict=True))


def _agenda(cards: list[Card]) -> list[Card]:
    """Projects whose session is to come, by day."""
    sitting = [card for card in cards if card.project.stage is Stage.COMMITTEE and card.project.session]
    return sorted(sitting, key=lambda card: card.project.session.day if card.project.session else dt.date.max)


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError("A day is written YYYY-MM-DD.") from None


def _criterion(line: str) -> tuple[str, int]:
    name, _, most = line.rpartition("=")
    if not name.strip() or not most.strip().isdecimal():
        raise UsageError("A criterion is written NAME=POINTS.")
    return name.strip()[:100], int(most)
