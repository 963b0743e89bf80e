"""My ways in: password, one-time codes, passkeys, sessions, API tokens."""

from __future__ import annotations

from typing import Annotated

import segno
from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, Response
from markupsafe import Markup

from estran.model.errors import UsageError
from estran.portal.routes.sign_in import Answered
from estran.portal.visitor import STEP_COOKIE, Poster, Reader, Visitor, hand_over, origin_of, remember_step
from estran.projects import passkeys, people, second_factor, sign_in, tokens
from estran.projects.passwords import SHORTEST_PASSWORD

router = APIRouter(prefix="/account/security")
Field = Annotated[str, Form()]
HERE = "/account/security"


@router.get("")
def page(who: Reader) -> Response:
    return _page(who)


@router.post("/password")
def password(who: Poster, current: Field = "", new: Field = "") -> Response:
    """A new password: my other sessions end, and this one gets a new token."""
    try:
        sign_in.change_own_password(who.desk.state, who.desk.actor, who.account, current, new)
    except sign_in.WrongPassword:
        return _page(who, 422, refusal="current")
    except UsageError:
        return _page(who, 422, refusal="short")
    return _changed(who)


@router.post("/codes")
def enrol(who: Poster) -> Response:
    who.insist()
    return _enrolment(who)


@router.post("/codes/confirm")
def confirm(who: Poster, code: Field = "") -> Response:
    who.insist()
    try:
        codes = second_factor.confirm(who.desk.state, who.desk.actor, code[:20])
    except UsageError:
        return _enrolment(who, 422, refusal="code")
    return _changed(who, who.page("shown_once.html", codes=codes, token=""))


@router.post("/codes/recovery")
def recovery(who: Poster) -> Response:
    who.insist()
    return who.page("shown_once.html", codes=second_factor.new_recovery_codes(who.desk.state, who.desk.actor), token="")


@router.post("/codes/remove")
def remove_codes(who: Poster) -> Response:
    who.insist()
    second_factor.remove(who.desk.state, who.desk.actor)
    return _changed(who)


@router.post("/passkeys/begin")
def begin_passkey(who: Poster) -> Response:
    who.insist()
    state, origin = who.desk.state, origin_of(who.request)
    challenge = passkeys.begin_registration(state, who.desk.actor, who.account, origin, who.desk.site_name)
    answer = Response(challenge.options, media_type="application/json")
    remember_step(who.request, answer, challenge.token)
    return answer


@router.post("/passkeys")
def register(who: Poster, request: Request, given: Answered) -> Response:
    step, origin = request.cookies.get(STEP_COOKIE, ""), origin_of(request)
    passkeys.register(who.desk.state, who.desk.actor, who.account, step, given.answer, origin, given.name)
    return _changed(who, JSONResponse({"go": HERE}))


@router.post("/passkeys/{number}/remove")
def remove_passkey(who: Poster, number: int) -> Response:
    who.insist()
    passkeys.remove(who.desk.state, who.desk.actor, who.account, number)
    return _changed(who)


@router.post("/sessions/others/revoke")
def revoke_others(who: Poster) -> Response:
    people.revoke_mine(who.desk.state, who.desk.actor, who.settings, None, who.session.id)
    return who.go(HERE)


@router.post("/sessions/{number}/revoke")
def revoke_session(who: Poster, number: int) -> Response:
    people.revoke_mine(who.desk.state, who.desk.actor, who.settings, number, who.session.id)
    return who.go(HERE)


@router.post("/tokens")
def make_token(
    who: Poster, name: Field = "", scope: Annotated[list[str] | None, Form()] = None, days: Annotated[int, Form()] = 90
) -> Response:
    who.insist()
    try:
        token = tokens.make(who.desk.state, who.desk.actor, name, scope or [], days)
    except UsageError:
        return _page(who, 422, refusal="token")
    return who.page("shown_once.html", codes=(), token=token)


@router.post("/tokens/{number}/revoke")
def revoke_token(who: Poster, number: int) -> Response:
    tokens.revoke(who.desk.state, who.desk.actor, number)
    return who.go(HERE)


def _page(who: Visitor, status: int = 200, refusal: str = "") -> Response:
    state, number = who.desk.state, who.account.id
    settings = who.settings
    return who.page(
        "security.html", status, refusal=refusal, sessions=people.my_sessions(state, who.desk.actor, settings),
        here=who.session.id, codes=state.second_factors.has(number), left=state.second_factors.codes_left(number),
        passkeys=state.passkeys.of(number), tokens=state.tokens.of(number), scopes=tokens.scopes_for(who.desk.actor),
        longest=tokens.LONGEST, shortest=SHORTEST_PASSWORD, offered=settings.second_factor != "off",
        needed=sign_in.must_enrol(state, settings, who.account, who.session.method),
    )


def _enrolment(who: Visitor, status: int = 200, refusal: str = "") -> Response:
    enrolment = second_factor.begin(who.desk.state, who.desk.actor, who.desk.site_name)
    drawn = segno.make(enrolment.address, micro=False).svg_inline(scale=4, light="#fff")
    groups = [enrolment.secret[at : at + 4] for at in range(0, len(enrolment.secret), 4)]
    return who.page("enrol.html", status, drawing=Markup(drawn), secret=" ".join(groups), refusal=refusal)  # noqa: S704


def _changed(who: Visitor, answer: Response | None = None) -> Response:
    """After a change of the ways in: other sessions end, and this one goes on under a new token."""
    answer = answer or who.go(HERE)
    sessions = who.desk.state.sessions
    sessions.revoke_all(who.account.id, who.session.id)
    hand_over(who.request, answer, sessions.rotate(who.session.id))
    return answer
