"""The officer's page: lines of the trail, who read a patient, unusual accesses, reviews."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, Response

from estran.model.errors import UsageError
from estran.portal.visitor import Poster, Reader
from estran.portal.words import WORDS
from estran.state import AuditFilter

router = APIRouter()
PAGE = 50


@router.get("/audit")
def audit(
    who: Reader, login: str = "", patient: str = "", action: str = "", since: str = "", refused: str = "", page: int = 1,
    now: str = "",
) -> HTMLResponse:  # fmt: skip
    """The page; with `now` the trail is proved and the last seven days are looked at."""
    officer = who.desk.officer
    wanted = AuditFilter(login.strip(), action, _patient(patient), _day(since, officer.zone), None, bool(refused))
    page = min(max(page, 1), 10**6)
    found = officer.lines(wanted, PAGE, (page - 1) * PAGE)
    asked = {"login": login, "patient": patient, "action": action, "since": since, "refused": refused}
    return who.page(
        "audit.html", lines=found.lines, total=found.total, number=page, last=max(1, -(-found.total // PAGE)), asked=asked,
        link=urlencode({name: value for name, value in asked.items() if value}), actions=sorted(WORDS["action"]),
        readers=officer.readers(wanted.patients) if wanted.patients else [], patients=wanted.patients,
        reviews=officer.reviews(), openings=officer.openings(), sealed=officer.sealed(), begins=officer.begins(),
        verdict=officer.verdict() if now else None, seen=officer.unusual() if now else None,
    )  # fmt: skip


@router.post("/audit/reviews/{number}")
def acknowledge(who: Poster, number: int, note: Annotated[str, Form()] = "") -> Response:
    who.desk.officer.acknowledge(number, note)
    return who.go("/audit#reviews")


@router.post("/audit/openings/{number}")
def acknowledge_opening(who: Poster, number: int) -> Response:
    who.desk.officer.acknowledge_opening(number)
    return who.go("/audit#care")


def _patient(text: str) -> tuple[int, ...]:
    """A pseudonymous number, with or without its P."""
    text = text.strip().removeprefix("P")
    if not text:
        return ()
    if not text.isdecimal() or int(text) >= 2**31:
        raise UsageError("A patient is named by the pseudonymous number, P42.")
    return (int(text),)


def _day(text: str, zone: ZoneInfo) -> dt.datetime | None:
    try:
        return dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), zone) if text else None
    except ValueError:
        raise UsageError("A day is written YYYY-MM-DD.") from None
