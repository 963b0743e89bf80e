"""Who is at the door: the session of a request, the form's token, and the desk of the person signed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from estran.portal import security
from estran.portal.language import LANGUAGES, Language, language, preferred
from estran.portal.pages import render
from estran.projects.actors import Actor
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.policy import Action, decide
from estran.state import Account, Session

COOKIE = "estran_session"
FORM_COOKIE = "estran_form"
LANGUAGE_COOKIE = "estran_language"


class SignInNeeded(Exception):
    """Nobody is signed in; `back` is where to return to."""

    def __init__(self, back: str) -> None:
        super().__init__(back)
        self.back = back


class Forged(Exception):
    """A post without the token of this session, or from another site."""


@dataclass(frozen=True)
class Visitor:
    """A person signed in, and what they may reach."""

    request: Request
    account: Account
    session: Session
    desk: Desk

    @property
    def spoken(self) -> Language:
        return language(self.account.language or spoken_code(self.request))

    def page(self, template: str, status: int = 200, **context: Any) -> HTMLResponse:
        """A page in the person's language and theme."""
        allowed = {action.value for action in Action if decide(self.desk.actor, action).allowed}
        text = render(
            template, self.spoken.code, me=self.account, csrf=self.session.csrf, theme=self.account.theme, allowed=allowed,
            site=self.desk.site_name, path=self.request.url.path, partial="hx-request" in self.request.headers, **context,
        )
        return HTMLResponse(text, status)

    def go(self, where: str) -> Response:
        """Redirect after a post; htmx is told in its own way."""
        if "hx-request" in self.request.headers:
            return Response(status_code=204, headers={"HX-Redirect": where})
        return RedirectResponse(where, 303)


def room_of(request: Request) -> ReadingRoom:
    """The reading room that the server was made with."""
    room: ReadingRoom = request.app.state.room
    return room


def visitor(request: Request) -> Visitor:
    """The person signed in; SignInNeeded when there is nobody."""
    room = room_of(request)
    state = room.site.state
    session = state.sessions.find(request.cookies.get(COOKIE, ""))
    account = state.accounts.by_id(session.account_id) if session else None
    if session is None or account is None or account.disabled:
        raise SignInNeeded(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
    return Visitor(request, account, session, Desk(room, Actor.of(account)))


async def posting(request: Request, who: Annotated[Visitor, Depends(visitor)]) -> Visitor:
    """The person signed in, once the post proved to come from one of their own pages."""
    given = request.headers.get("x-csrf-token")
    if given is None:
        given = str((await request.form()).get("csrf", ""))
    if not security.from_here(request) or not security.same(given, who.session.csrf):
        raise Forged
    return who


Reader = Annotated[Visitor, Depends(visitor)]
Poster = Annotated[Visitor, Depends(posting)]


def spoken_code(request: Request) -> str:
    """The language for somebody who has not chosen: cookie, then browser, then the site's."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    return preferred(request.headers.get("accept-language", "")) or room_of(request).site.settings.language


def door(request: Request, status: int = 200, **context: Any) -> HTMLResponse:
    """The sign-in page, with a token of its own."""
    token = request.cookies.get(FORM_COOKIE) or security.new_token()
    text = render(
        "sign_in.html", spoken_code(request), csrf=token, theme="auto", site=room_of(request).site.settings.name,
        **{"refusal": "", "until": None, "login": "", "back": "/", **context},
    )
    answer = HTMLResponse(text, status)
    answer.set_cookie(FORM_COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return answer


def to_door(request: Request, back: str) -> Response:
    """Send to the sign-in page, and back afterwards."""
    where = f"/sign-in?back={quote(back, safe='')}"
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": where})
    return RedirectResponse(where, 303)


def local_path(back: str) -> str:
    """`back` when it is a path of this portal, "/" otherwise: never another host."""
    inside = back.startswith("/") and not back.startswith("//") and "\\" not in back and back.isprintable()
    return back if inside else "/"
