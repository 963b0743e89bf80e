"""Opening one record for care, outside one's perimeter."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, Response

from estran.model.errors import NotAllowed, UsageError
from estran.portal.reasons import told
from estran.portal.visitor import Poster, Reader, Visitor
from estran.projects.bounding import listed
from estran.projects.policy import Action, decide

router = APIRouter(prefix="/care")
Field = Annotated[str, Form()]


@router.get("")
def page(who: Reader, patient: str = "") -> HTMLResponse:
    decided = decide(who.desk.actor, Action.CARE)
    if not decided.allowed:
        raise NotAllowed(decided.reason)
    return form(who, patient)


@router.post("")
def open_record(who: Poster, patient: Field = "", reason: Field = "") -> Response:
    try:
        numbers = listed(patient[:20])
        if len(numbers) != 1:
            raise UsageError("A patient is named by the pseudonymous number, P42.")
        who.desk.care.open(numbers[0], reason)
    except UsageError as error:
        return form(who, patient, reason, told(who.spoken, error), 422)
    return who.go(f"/patients/{numbers[0]}")


@router.post("/close")
def close(who: Poster) -> Response:
    who.desk.care.close()
    return who.go("/care")


def form(who: Visitor, patient: str = "", reason: str = "", said: str = "", status: int = 200) -> HTMLResponse:
    """The page on which a record is opened; `said` is why the last try failed."""
    care = who.desk.care
    minutes = int(care.lasting.total_seconds() // 60)
    return who.page(
        "care.html",
        status,
        opening=care.current(),
        patient=patient[:20],
        reason=reason[:1000],
        said=said,
        minutes=minutes,
    )
