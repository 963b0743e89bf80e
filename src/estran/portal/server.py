"""The portal as an ASGI application."""

from __future__ import annotations

import logging
import re

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from estran.hub.book import HubBook
from estran.hub.catalogues import shelf_of
from estran.hub.matching import Linkages
from estran.hub.pooling.book import PoolBook
from estran.hub.studies import Studies
from estran.model.errors import EstranError, NotAllowed, UsageError
from estran.portal.limits import RateLimit
from estran.portal.pages import STATIC, render
from estran.portal.routes import (
    account,
    adjudicating,
    api,
    audit,
    care,
    catalog,
    catalogue_file,
    cohorts,
    concepts,
    datamarts,
    documents,
    every_day,
    explore,
    feeds,
    home,
    lists,
    network,
    network_catalogue,
    network_learning,
    network_linkage,
    network_rules,
    network_statistics,
    originals,
    owndata,
    patients,
    people,
    pools,
    project_data,
    projects,
    reviewing,
    reviews,
    rights,
    saved,
    search,
    sign_in,
    spaces,
    steering,
    transparency,
    ways_in,
)
from estran.portal.sealing import lifespan
from estran.portal.security import LARGEST_BODY, SecureHeaders, headers_of
from estran.portal.visitor import EnrolmentNeeded, Forged, SignInNeeded, spoken_by, to_door
from estran.portal.workspace_door import Door
from estran.projects.desk import ReadingRoom
from estran.projects.owndata.handing import MOST_BYTES
from estran.projects.site import SiteServices
from estran.projects.transparency import PublicCounts
from estran.projects.workspaces.driver import Workspaces

log = logging.getLogger(__name__)
_FILES = re.compile(r"/projects/[^/]+/data/\d+/files")


def create_app(site: SiteServices, hub: HubBook | None = None) -> FastAPI:
    """The portal of an open site, with the pages of its network when it is a `hub`. It fetches nothing from any other host, and offers no generated API pages."""
    app = FastAPI(title="Estran", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan(site))
    app.state.room = ReadingRoom(site)
    app.state.hub = hub
    app.state.catalogues = None if hub is None else shelf_of(hub)
    app.state.pools = None if hub is None else PoolBook(hub.db.path.parent)
    app.state.linkages = None if hub is None else Linkages(hub, hub.db.path.parent)
    app.state.studies = None if hub is None else Studies(hub.db.path.parent)
    app.state.limit = RateLimit(site.settings.api_requests_per_minute)
    app.state.workspaces = Workspaces(site)
    app.state.door = Door(site, app.state.workspaces)
    app.state.public_catalogue = catalogue_file.Published()
    app.state.public_network = catalogue_file.Published()
    app.state.public_counts = PublicCounts(site)
    app.state.doorkeeper = transparency.Doorkeeper()
    app.mount("/static", _Static(directory=STATIC), name="static")
    rooms = (
        home, sign_in, account, search, cohorts, saved, concepts, documents, patients, feeds, audit, care, ways_in,
        people, owndata, project_data, projects, datamarts, spaces, rights, transparency, catalog, steering, reviews,
        reviewing, adjudicating, every_day, lists, explore, originals, network_catalogue, network_rules, network_statistics,
        network_linkage, network_learning, catalogue_file, network, pools, api,
    )
    for room in rooms:
        app.include_router(room.router)
    app.add_middleware(_LimitedBody)
    app.add_middleware(SecureHeaders)  # last, so that it is outermost: refusals of the others carry the headers too
    _answer_errors(app)

    @app.get("/healthz")
    def healthz() -> JSONResponse:
        """Whether the site answers; says nothing about what it holds."""
        return JSONResponse({"status": "ok", "snapshot": site.snapshot().version})

    return app


class _Static(StaticFiles):
    """Files whose address changes with their content may be kept for ever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        if b"v=" in scope.get("query_string", b""):
            answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        else:
            answer.headers["Cache-Control"] = "no-cache"
        return answer


class _LimitedBody:
    """Refuses a body that is too large, or that does not say how large it is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            length = headers.get("content-length", "0")
            chunked = "chunked" in headers.get("transfer-encoding", "")
            if chunked or not length.isdigit() or int(length) > _largest(scope["path"]):
                await JSONResponse({"error": "The request is too large."}, 413)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _largest(path: str) -> int:
    """Bytes of a body: only the page to which projects hand in their own data takes large files."""
    return MOST_BYTES + LARGEST_BODY if _FILES.fullmatch(path) else LARGEST_BODY


def _answer_errors(app: FastAPI) -> None:
    """Every error ends on a page that says what happened and what to do."""

    @app.exception_handler(SignInNeeded)
    def sign_in_first(request: Request, error: SignInNeeded) -> Response:
        return to_door(request, error.back if request.method == "GET" else "/")

    @app.exception_handler(EnrolmentNeeded)
    def enrol_first(request: Request, error: EnrolmentNeeded) -> Response:
        if "hx-request" in request.headers:
            return Response(status_code=204, headers={"HX-Redirect": "/account/security"})
        return RedirectResponse("/account/security", 303)

    @app.exception_handler(Forged)
    def forged(request: Request, error: Forged) -> Response:
        return error_page(request, 403, "forged")

    @app.exception_handler(NotAllowed)
    def refused(request: Request, error: NotAllowed) -> Response:
        return error_page(request, 403, "refused", error.what)

    @app.exception_handler(UsageError)
    def malformed(request: Request, error: UsageError) -> Response:
        return error_page(request, 422, "malformed", error.what, error.hint)

    @app.exception_handler(RequestValidationError)
    def unreadable(request: Request, error: RequestValidationError) -> Response:
        return error_page(request, 422, "malformed")

    @app.exception_handler(EstranError)
    def broken(request: Request, error: EstranError) -> Response:
        log.error("%s: %s", type(error).__name__, error.what)
        return error_page(request, 503, "broken", error.what, error.hint)

    @app.exception_handler(HTTPException)
    def plain(request: Request, error: HTTPException) -> Response:
        answer = error_page(request, error.status_code, "missing" if error.status_code == 404 else "malformed", error.detail if _told(error) else "")
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    def unforeseen(request: Request, error: Exception) -> Response:
        route = request.scope.get("route")  # its pattern: a path may name a person
        log.error("unforeseen %s at %s", type(error).__name__, getattr(route, "path", "no route"))
        answer = error_page(request, 500, "unforeseen")
        answer.headers.update(headers_of(request.url.scheme))  # this handler stands outside of every middleware
        return answer


def error_page(request: Request, status: int, kind: str, what: str = "", hint: str = "") -> Response:
    """A readable page; a short fragment when htmx asked; JSON to a program."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": kind, "what": what, "hint": hint}, status)
    template = "parts/error.html" if "hx-request" in request.headers else "error.html"
    answer = HTMLResponse(
        render(template, spoken_by(request), kind=kind, what=what, hint=hint, status=status, theme="auto", site=_name(request)), status
    )
    if "hx-request" in request.headers:
        answer.headers["HX-Retarget"] = "#said"
        answer.headers["HX-Reswap"] = "innerHTML"
    return answer


def _told(error: HTTPException) -> bool:
    """Whether the error says something of its own, and not only the name of its status."""
    return error.status_code in (401, 429)


def _name(request: Request) -> str:
    room: ReadingRoom = request.app.state.room
    return room.site.settings.name
