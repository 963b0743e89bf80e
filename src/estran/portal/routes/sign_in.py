"""Signing in, by password and code, by passkey or at an identity provider; and out."""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel

from estran.model.errors import StoreError
from estran.portal import security
from estran.portal.visitor import (
    COOKIE,
    FORM_COOKIE,
    STEP_COOKIE,
    Forged,
    Poster,
    address_of,
    admit,
    agent_of,
    door,
    local_path,
    origin_of,
    remember_step,
    room_of,
    stranger,
)
from estran.projects import federation, passkeys
from estran.projects import sign_in as doorkeeper
from estran.projects.sign_in import SignIn
from estran.state import Place

router = APIRouter()
Field = Annotated[str, Form()]
SECRET = "ESTRAN_OIDC_SECRET"  # noqa: S105 (the name of the variable that holds it)


class Answered(BaseModel):
    """What the device answered to a challenge, as JSON text."""

    answer: str
    back: str = "/"
    name: str = ""


@router.get("/sign-in")
def ask(request: Request, back: str = "/") -> Response:
    return door(request, back=local_path(back))


@router.post("/sign-in")
def check(request: Request, csrf: Field = "", login: Field = "", password: Field = "", back: Field = "/") -> Response:
    _from_the_page(request, csrf)
    site = room_of(request).site
    outcome = doorkeeper.sign_in(site.state, login, password, address_of(request), agent_of(request), site.settings)
    if outcome.step:
        answer = door(request, template="code.html", back=local_path(back))
        remember_step(request, answer, outcome.step)
        return answer
    return _entered(request, outcome, back, login=login[:120])


@router.post("/sign-in/code")
def check_code(request: Request, csrf: Field = "", code: Field = "", back: Field = "/") -> Response:
    _from_the_page(request, csrf)
    site = room_of(request).site
    step = request.cookies.get(STEP_COOKIE, "")
    outcome = doorkeeper.second_step(site.state, step, code[:40], address_of(request), agent_of(request), site.settings)
    if outcome.refusal == "wrong":
        return door(request, 401, "code.html", refusal="wrong", back=local_path(back))
    return _entered(request, outcome, back)


@router.post("/sign-in/passkey/begin", dependencies=[Depends(stranger)])
def begin_passkey(request: Request) -> Response:
    challenge = passkeys.begin_sign_in(room_of(request).site.state, origin_of(request))
    answer = Response(challenge.options, media_type="application/json")
    remember_step(request, answer, challenge.token)
    return answer


@router.post("/sign-in/passkey", dependencies=[Depends(stranger)])
def check_passkey(request: Request, given: Answered) -> Response:
    site, step = room_of(request).site, request.cookies.get(STEP_COOKIE, "")
    place = Place(address_of(request), agent_of(request))
    outcome = passkeys.sign_in(site.state, step, given.answer, origin_of(request), place, site.settings)
    if not outcome.token:
        return JSONResponse({"refusal": outcome.refusal}, 429 if outcome.refusal == "locked" else 401)
    return admit(request, JSONResponse({"go": local_path(given.back)}), outcome)


@router.get("/sign-in/elsewhere")
def go_elsewhere(request: Request, back: str = "/") -> Response:
    """Send the browser to the identity provider."""
    site = room_of(request).site
    try:
        provider = _provider(request)
    except StoreError:
        return door(request, 503, refusal="elsewhere", back=local_path(back))
    token, address = federation.begin(site.state, site.settings, provider, _callback(request), local_path(back))
    answer = RedirectResponse(address, 303)
    remember_step(request, answer, token)
    return answer


@router.get("/sign-in/elsewhere/back")
def come_back(request: Request, state: str = "", code: str = "") -> Response:
    """The browser comes back from the identity provider; it must be the one that was sent there."""
    if not security.same(state, request.cookies.get(STEP_COOKIE, "")):
        return door(request, 401, refusal="late")
    site, place = room_of(request).site, Place(address_of(request), agent_of(request))
    secret = os.environ.get(SECRET, "")
    outcome, back = federation.finish(site.state, site.settings, _provider(request), secret, state, code, place)
    return _entered(request, outcome, back)


@router.post("/sign-out")
def leave(who: Poster) -> Response:
    doorkeeper.sign_out(who.desk.state, who.desk.actor, who.session.id)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(COOKIE)
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'  # what pages left in the browser goes too
    return answer


def _from_the_page(request: Request, csrf: str) -> None:
    if not security.from_here(request) or not security.same(csrf, request.cookies.get(FORM_COOKIE, "")):
        raise Forged


def _entered(request: Request, outcome: SignIn, back: str, login: str = "") -> Response:
    """Into the portal, or back to the door with the reason."""
    if outcome.token:
        return admit(request, RedirectResponse(local_path(back), 303), outcome)
    status = 429 if outcome.refusal == "locked" else 401
    return door(
        request, status, refusal=outcome.refusal, until=outcome.locked_until, login=login, back=local_path(back)
    )


def _provider(request: Request) -> federation.Provider:
    issuer = room_of(request).site.settings.oidc_issuer
    if not issuer:
        raise HTTPException(404)
    return federation.discover(issuer)


def _callback(request: Request) -> str:
    return origin_of(request) + "/sign-in/elsewhere/back"
