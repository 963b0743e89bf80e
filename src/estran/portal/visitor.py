"""Who is at the door: the session of a request, the form's token, and the desk of the person signed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from estran.hub.desk import HubDesk
from estran.hub.harvest import CatalogueDesk
from estran.hub.learning.shelf import LearningShelf
from estran.hub.linkage_desk import LinkageDesk
from estran.hub.pooling.desk import PoolDesk
from estran.hub.study_desk import StudyDesk
from estran.portal import security
from estran.portal.language import LANGUAGES, Language, language, preferred
from estran.portal.pages import render
from estran.projects.actors import Actor
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.policy import Action, decide
from estran.projects.sign_in import FRESH, SignIn, idle, must_enrol
from estran.settings import Settings
from estran.state import Account, Session
from estran.state.transactions import now

COOKIE = "estran_session"
FORM_COOKIE = "estran_form"
STEP_COOKIE = "estran_step"  # what was begun at the door and is not ended yet
LANGUAGE_COOKIE = "estran_language"


class SignInNeeded(Exception):
    """Nobody is signed in; `back` is where to return to."""

    def __init__(self, back: str) -> None:
        super().__init__(back)
        self.back = back


class EnrolmentNeeded(Exception):
    """The site asks for a second factor that this person has not set up."""


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
    def settings(self) -> Settings:
        return room_of(self.request).site.settings

    @property
    def network(self) -> HubDesk:
        """The desk of the network that this hub joins; 404 where there is none."""
        hub = self.request.app.state.hub
        if hub is None:
            raise HTTPException(404)
        return HubDesk(self.desk.state, hub, self.desk.actor)

    @property
    def catalogues(self) -> CatalogueDesk:
        """The desk of the catalogues of the network's sites; 404 where there is none."""
        app = self.request.app.state
        if app.hub is None:
            raise HTTPException(404)
        return CatalogueDesk(self.desk.state, app.hub, app.catalogues, self.desk.actor)

    @property
    def pools(self) -> PoolDesk:
        """The pools of this hub; 404 where there is none."""
        hub = self.request.app.state.hub
        if hub is None:
            raise HTTPException(404)
        return PoolDesk(self.desk.state, hub, self.request.app.state.pools, self.desk.actor)

    @property
    def models(self) -> LearningShelf:
        """The models that the network's sites learn together; 404 where there is no network."""
        hub = self.request.app.state.hub
        if hub is None:
            raise HTTPException(404)
        return LearningShelf(self.desk.state, hub, self.desk.actor)

    @property
    def studies(self) -> StudyDesk:
        """The desk of whoever has the network's sites compute; 404 where there is no network."""
        state = self.request.app.state
        if state.hub is None:
            raise HTTPException(404)
        return StudyDesk(self.desk.state, state.hub, state.studies, self.desk.actor)

    @property
    def linkages(self) -> LinkageDesk:
        """The desk of whoever has records of the network's sites linked; 404 where there is no network."""
        state = self.request.app.state
        if state.hub is None:
            raise HTTPException(404)
        return LinkageDesk(self.desk.state, state.hub, state.linkages, self.desk.actor)

    def insist(self) -> None:
        """SignInNeeded unless the person signed in lately: before what opens or shuts the ways in."""
        if now() - self.session.created > FRESH:
            raise SignInNeeded("/account/security")

    @property
    def spoken(self) -> Language:
        return spoken_by(self.request, self.account.language)

    def page(self, template: str, status: int = 200, **context: Any) -> HTMLResponse:
        """A page in the person's language and theme."""
        allowed = {action.value for action in Action if decide(self.desk.actor, action).allowed}
        if self.request.app.state.hub is None:
            allowed -= {Action.ASK_HUB, Action.RUN_HUB, Action.POOLS, Action.RUN_POOLS}
        text = render(
            template, self.spoken, me=self.account, csrf=self.session.csrf, theme=self.account.theme, allowed=allowed, bounds=self.desk.perimeter,
            site=self.desk.site_name, network=self.request.app.state.hub is not None, path=self.request.url.path, unread=self.desk.every_day.unread(), partial="hx-request" in self.request.headers, **context,
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
    session = state.sessions.find(request.cookies.get(COOKIE, ""), idle(room.site.settings))
    account = state.accounts.by_id(session.account_id) if session else None
    if session is None or account is None or account.disabled:
        raise SignInNeeded(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
    elsewhere = not request.url.path.startswith("/account") and request.url.path != "/sign-out"
    if elsewhere and must_enrol(state, room.site.settings, account, session.method):
        raise EnrolmentNeeded
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


def stranger(request: Request) -> None:
    """Forged unless the post comes from the sign-in page that this browser was shown."""
    given = request.headers.get("x-csrf-token", "")
    if not security.from_here(request) or not security.same(given, request.cookies.get(FORM_COOKIE, "")):
        raise Forged


def address_of(request: Request) -> str:
    """The network address of whoever asks."""
    return request.client.host if request.client else "unknown"


def agent_of(request: Request) -> str:
    """What the browser calls itself, fit to be listed."""
    return "".join(c for c in request.headers.get("user-agent", "") if c.isprintable())[:200]


def origin_of(request: Request) -> str:
    """Scheme and host of this portal as the browser sees it."""
    return room_of(request).site.settings.public_url.rstrip("/") or f"{request.url.scheme}://{request.headers.get('host', '')}"


def admit(request: Request, answer: Response, outcome: SignIn) -> Response:
    """Give the session just opened to the browser; the one it came with ends."""
    sessions = room_of(request).site.state.sessions
    old = sessions.find(request.cookies.get(COOKIE, ""))
    if old is not None:
        sessions.revoke(old.id)
    hand_over(request, answer, outcome.token)
    for name in (FORM_COOKIE, STEP_COOKIE):
        answer.delete_cookie(name)
    return answer


def hand_over(request: Request, answer: Response, token: str) -> None:
    """The session cookie."""
    hours = room_of(request).site.settings.session_hours
    answer.set_cookie(COOKIE, token, max_age=hours * 3600, httponly=True, samesite="lax", secure=over_tls(request))


def remember_step(request: Request, answer: Response, token: str) -> None:
    """The cookie that ties what was begun to this browser; it must come back from another site's page."""
    answer.set_cookie(STEP_COOKIE, token, max_age=300, httponly=True, samesite="lax", secure=over_tls(request))


def over_tls(request: Request) -> bool:
    """Whether people reach this portal over https, so that its cookies travel over nothing else."""
    return origin_of(request).startswith("https:")


def spoken_code(request: Request) -> str:
    """The language for somebody who has not chosen: cookie, then browser, then the site's."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    return preferred(request.headers.get("accept-language", "")) or room_of(request).site.settings.language


def spoken_by(request: Request, chosen: str = "") -> Language:
    """The language of a page, on the site's clocks: the one chosen, or that for somebody who has not."""
    return language(chosen if chosen in LANGUAGES else spoken_code(request), room_of(request).site.settings.zone)


def door(request: Request, status: int = 200, template: str = "sign_in.html", **context: Any) -> HTMLResponse:
    """The sign-in page, or a later step of it, with a token of its own."""
    settings = room_of(request).site.settings
    token = request.cookies.get(FORM_COOKIE) or security.new_token()
    text = render(
        template, spoken_by(request), csrf=token, theme="auto", site=settings.name,
        passkeys=settings.second_factor != "off", elsewhere=bool(settings.oidc_issuer),
        **{"refusal": "", "until": None, "login": "", "back": "/", **context},
    )
    answer = HTMLResponse(text, status)
    answer.set_cookie(FORM_COOKIE, token, httponly=True, samesite="strict", secure=over_tls(request))
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
