"""Signing in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from estran.portal import security
from estran.portal.visitor import COOKIE, FORM_COOKIE, Forged, Poster, door, local_path, room_of
from estran.projects import sign_in as doorkeeper
from estran.state.sessions import LIFETIME

router = APIRouter()
Field = Annotated[str, Form()]


@router.get("/sign-in")
def ask(request: Request, back: str = "/") -> Response:
    return door(request, back=local_path(back))


@router.post("/sign-in")
def check(request: Request, csrf: Field = "", login: Field = "", password: Field = "", back: Field = "/") -> Response:
    if not security.from_here(request) or not security.same(csrf, request.cookies.get(FORM_COOKIE, "")):
        raise Forged
    address = request.client.host if request.client else "unknown"
    outcome = doorkeeper.sign_in(room_of(request).site.state, login, password, address)
    if not outcome.token:
        status = 429 if outcome.refusal == "locked" else 401
        return door(
            request, status, refusal=outcome.refusal, until=outcome.locked_until, login=login[:120], back=local_path(back)
        )
    answer = RedirectResponse(local_path(back), 303)
    answer.set_cookie(
        COOKIE, outcome.token, max_age=int(LIFETIME.total_seconds()), httponly=True, samesite="lax",
        secure=request.url.scheme == "https",
    )
    answer.delete_cookie(FORM_COOKIE)
    return answer


@router.post("/sign-out")
def leave(who: Poster) -> Response:
    doorkeeper.sign_out(who.desk.state, who.desk.actor, who.session.id)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(COOKIE)
    return answer
