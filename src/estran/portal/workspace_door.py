"""The door to workspaces: another origin than the portal's, with a pass of its own, to a notebook that is not trusted.

What a notebook shows runs scripts. They run here, never on the portal's origin; the page lies in a frame that cannot
open another address, and every answer carries a policy that lets it ask nothing elsewhere. Neither cookie nor header
that speaks for the person reaches the notebook, and it can set none.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector, WSMsgType, web
from multidict import CIMultiDict

from estran.model.errors import StoreError
from estran.projects.actors import Actor
from estran.projects.policy import Action, decide
from estran.projects.sign_in import idle
from estran.projects.site import SiteServices
from estran.projects.workspaces.driver import Workspaces, socket_of
from estran.projects.workspaces.spaces import space_of, target_of, why_closed
from estran.state import Account
from estran.state.transactions import token_hash

COOKIE = "estran_workspace"
_TICKET_SECONDS = 60.0
_SURE_SECONDS = 5.0  # for which a pass that was found good is not looked at again
_LARGEST_BODY = 50_000_000
_ROOTS = re.compile(r"(?:lab|static|api|lsp)(?:/|$)")
_CLOSED = re.compile(
    r"(?:api/(?:shutdown|terminals|nbconvert)|files|nbconvert|view|lab/api/(?:extensions|news))(?:/|$)"
)
_CONTENTS = re.compile(r"api/contents(?:/(?P<path>.*))?$")
_READABLE = re.compile(r"\.(?:ipynb|py|r|rmd|md)$|/(?:checkpoints)(?:/[\w\-]+)?$", re.IGNORECASE)
_KEPT_BACK = frozenset(
    ["host", "cookie", "authorization", "connection", "keep-alive", "upgrade", "te", "trailer", "transfer-encoding", "proxy-authorization", "proxy-connection", "x-forwarded-for", "x-forwarded-host", "forwarded", "x-csrf-token", "origin", "referer", "content-length", "accept-encoding"]
)
_NOT_SENT_ON = frozenset(
    "set-cookie connection keep-alive transfer-encoding content-length content-encoding content-disposition "  # noqa: SIM905
    "content-security-policy access-control-allow-origin access-control-allow-credentials refresh link server location "
    "clear-site-data report-to nel sourcemap x-sourcemap service-worker-allowed".split()
)


@dataclass
class _Pass:
    account_id: int
    session_id: int
    project: int
    until: float = float("inf")
    seen: float = 0.0


class Door:
    """Serves workspaces on a port of its own, in a thread of its own, from the first time one is opened."""

    def __init__(self, site: SiteServices, workspaces: Workspaces) -> None:
        self._site, self._workspaces = site, workspaces
        self._tickets: dict[str, _Pass] = {}
        self._passes: dict[str, _Pass] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.port = 0
        self._portal = ""

    def ticket(self, account: Account, session_id: int, project: int) -> str:
        """A word, good once and for a minute, by which the person's browser gets its pass."""
        word = secrets.token_urlsafe(32)
        with self._lock:
            now = time.monotonic()
            self._tickets = {key: one for key, one in self._tickets.items() if one.until > now}
            self._tickets[token_hash(word)] = _Pass(account.id, session_id, project, now + _TICKET_SECONDS)
        return word

    def open(self, portal: str, host: str) -> str:
        """The address of the door as browsers reach it; `portal` is the origin that may frame it."""
        self._portal = portal
        with self._lock:
            if self._loop is None:
                self._start()
        settings = self._site.settings
        return settings.workspace_url.rstrip("/") or f"http://{host}:{self.port}"

    def close(self) -> None:
        """End the door."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _start(self) -> None:
        ready = threading.Event()
        threading.Thread(target=self._serve, args=(ready,), name="workspace door", daemon=True).start()
        if not ready.wait(10) or not self.port:
            raise StoreError("The port of workspaces cannot be opened.", hint="set workspace_port to a free one")

    def _serve(self, ready: threading.Event) -> None:
        loop = asyncio.new_event_loop()
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_get("/enter", self._enter)
        app.router.add_route("*", "/{project:[0-9]+}/{path:.*}", self._pass_on)
        app.on_response_prepare.append(self._close_in)
        runner = web.AppRunner(app, access_log=None)
        try:
            loop.run_until_complete(runner.setup())
            site = web.TCPSite(runner, "127.0.0.1", self._site.settings.workspace_port)
            loop.run_until_complete(site.start())
            self.port = runner.addresses[0][1]
            self._loop = loop
        except OSError:
            return
        finally:
            ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    async def _close_in(self, request: web.Request, answer: web.StreamResponse) -> None:
        """The policy of every answer."""
        answer.headers["Content-Security-Policy"] = "; ".join(
            [
                "default-src 'none'", "script-src 'self' 'unsafe-inline' 'unsafe-eval'", "style-src 'self' 'unsafe-inline'",
                "img-src 'self' data: blob:", "font-src 'self' data:", f"connect-src 'self' {_own_sockets(request)}", "worker-src 'self' blob:",
                "child-src 'self' blob:", "form-action 'none'", "base-uri 'self'", "object-src 'none'", "webrtc 'block'",
                f"frame-ancestors 'self' {self._portal}",
            ]
        )  # fmt: skip
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["X-DNS-Prefetch-Control"] = "off"
        answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        answer.headers["Permissions-Policy"] = (
            "camera=(), geolocation=(), microphone=(), clipboard-read=(), display-capture=()"
        )

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        """Change a ticket for a pass."""
        with self._lock:
            given = self._tickets.pop(token_hash(request.query.get("ticket", "")), None)
        if given is None or given.until < time.monotonic():
            raise web.HTTPForbidden(text="Open the workspace from the page of its project.")
        word = secrets.token_urlsafe(32)
        self._passes[token_hash(word)] = _Pass(given.account_id, given.session_id, given.project)
        answer = web.Response(status=303, headers={"Location": f"/{given.project}/lab"})
        secure = self._site.settings.workspace_url.startswith("https:")
        answer.set_cookie(COOKIE, word, httponly=True, samesite="Strict", secure=secure, path=f"/{given.project}/")
        return answer

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        project, path = int(request.match_info["project"]), request.match_info["path"]
        if not await asyncio.to_thread(self._known, request.cookies.get(COOKIE, ""), project):
            raise web.HTTPForbidden(text="Open the workspace from the page of its project.")
        refuse(request, path)
        place = socket_of(self._site, project)
        if place is None:
            raise web.HTTPServiceUnavailable(text="The workspace is not running.")
        self._workspaces.used(project)
        headers = CIMultiDict((name, value) for name, value in request.headers.items() if _sent_on(name))
        target = f"http://localhost{request.path_qs}"
        async with ClientSession(connector=UnixConnector(str(place)), timeout=ClientTimeout(total=None)) as client:
            try:
                if request.headers.get("upgrade", "").lower() == "websocket":
                    return await _both_ways(request, client, target)
                return await _once(request, client, target, headers)
            except (ClientError, OSError):
                raise web.HTTPBadGateway(text="The workspace does not answer.") from None

    def _known(self, word: str, project: int) -> bool:
        """Whether the pass is for this workspace, its session live, and its holder still of the team."""
        held = self._passes.get(token_hash(word)) if word else None
        if held is None or held.project != project:
            return False
        if time.monotonic() - held.seen < _SURE_SECONDS:
            return True
        state = self._site.state
        account = state.accounts.by_id(held.account_id)
        live = any(one.id == held.session_id for one in state.sessions.of(held.account_id, idle(self._site.settings)))
        space = space_of(self._site, project)
        allowed = account is not None and not account.disabled and held.account_id in space.team and not why_closed(self._site, space)
        if not (
            live
            and allowed
            and account
            and decide(Actor.of(account).bounded(state), Action.WORKSPACE, target_of(space, Actor.of(account), "")).allowed
        ):
            self._passes.pop(token_hash(word), None)
            return False
        held.seen = time.monotonic()
        return True


def refuse(request: web.Request, path: str) -> None:
    """What the door does not let through, whoever asks."""
    plain = unquote(path)
    if ".." in plain.split("/") or "//" in plain or "\\" in plain or not _ROOTS.match(plain) or _CLOSED.match(plain):
        raise web.HTTPForbidden(text="Files leave by the airlock only.")
    contents = _CONTENTS.match(plain)
    if (
        contents
        and request.method == "GET"
        and request.query.get("content", "1") != "0"
        and request.query.get("type") != "directory"
    ):
        name = (contents["path"] or "").rsplit("/", 1)[-1]
        if "." in name and not _READABLE.search(plain):
            raise web.HTTPForbidden(text="Files leave by the airlock only.")
    destination = request.headers.get("sec-fetch-dest", "")
    if destination == "document" or (destination == "iframe" and request.headers.get("sec-fetch-site") == "cross-site"):
        raise web.HTTPForbidden(text="A workspace is shown within the portal's page only.")
    origin = request.headers.get("origin")
    changes = request.method not in ("GET", "HEAD") or "upgrade" in request.headers
    if changes and (origin is None or urlsplit(origin).netloc != request.host):
        raise web.HTTPForbidden(text="This does not come from the workspace's own page.")


def _own_sockets(request: web.Request) -> str:
    return f"ws://{request.host} wss://{request.host}"


def _sent_on(name: str) -> bool:
    plain = name.lower()
    return plain not in _KEPT_BACK and not plain.startswith("sec-websocket")


async def _once(
    request: web.Request, client: ClientSession, target: str, headers: CIMultiDict[str]
) -> web.StreamResponse:
    body = await request.read() if request.body_exists else None
    async with client.request(request.method, target, headers=headers, data=body, allow_redirects=False) as found:
        kept = [(name, value) for name, value in found.headers.items() if name.lower() not in _NOT_SENT_ON]
        where = found.headers.get("location", "")
        if where.startswith(f"/{request.match_info['project']}/"):
            kept.append(("Location", where))
        answer = web.StreamResponse(status=found.status, headers=CIMultiDict(kept))
        await answer.prepare(request)
        async for piece in found.content.iter_chunked(65_536):
            await answer.write(piece)
        await answer.write_eof()
        return answer


async def _both_ways(request: web.Request, client: ClientSession, target: str) -> web.StreamResponse:
    words = [word.strip() for word in request.headers.get("sec-websocket-protocol", "").split(",") if word.strip()]
    async with client.ws_connect(target, protocols=words, max_msg_size=0, autoping=True) as inside:
        outside = web.WebSocketResponse(
            protocols=[inside.protocol] if inside.protocol else [], max_msg_size=_LARGEST_BODY
        )
        await outside.prepare(request)
        tasks = [asyncio.create_task(_copy(outside, inside)), asyncio.create_task(_copy(inside, outside))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        with contextlib.suppress(ClientError, ConnectionError):
            await outside.close()
        return outside


async def _copy(source: object, sink: object) -> None:
    say_text: Callable[[str], Awaitable[None]] = sink.send_str  # type: ignore[attr-defined]
    say_bytes: Callable[[bytes], Awaitable[None]] = sink.send_bytes  # type: ignore[attr-defined]
    async for message in source:  # type: ignore[attr-defined]
        if message.type is WSMsgType.TEXT:
            await say_text(message.data)
        elif message.type is WSMsgType.BINARY:
            await say_bytes(message.data)
