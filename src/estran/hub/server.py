"""The hub's door on the network: HTTPS with TLS 1.3 and a pinned certificate on both sides. Hospitals come to it;
it never goes to them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import ssl
from collections.abc import Callable
from functools import partial

from aiohttp import web

from estran.hub.gathering import OPENED, tidy
from estran.hub.keys import fingerprint
from estran.hub.office import Office, Taken, reply_to
from estran.hub.tls import admit, server_context
from estran.hub.turns import Turns
from estran.hub.wire import LONGEST, MEDIA_TYPE, Refused
from estran.model.errors import EstranError

log = logging.getLogger(__name__)
LONGEST_WAIT = 25.0  # seconds for which a member that asks for a job is kept waiting
_LOOK_EVERY = 0.02  # seconds between two looks whether another process put a question
_CLOCK_EVERY = 2.0  # seconds between two looks whether somebody was waited for long enough
_TIDY_EVERY = 3_600.0  # seconds; the first time when the door opens
_STATUS = {"malformed": 400, "kind": 404, "version": 426, "unasked": 409}
Answered = Callable[[Taken], None]


class Door:
    """One open door. `answered` is called after each answer that was taken, `clock` every two seconds: for what is to
    be done when nobody comes."""

    def __init__(self, office: Office, answered: Answered, clock: Callable[[], None] = lambda: None) -> None:
        self._office, self._answered, self._clock = office, answered, clock
        self._known = set(office.book.certificates(office.clock().timestamp()))
        self._context = server_context(office.identity, self._known)
        self._turns: Turns[bytes] = Turns(office.book.db)
        self._waiting: dict[str, tuple[Taken, asyncio.Event]] = {}  # by nonce
        self._staying: dict[str, asyncio.BaseTransport] = {}  # on which members wait for jobs, and do them, by member
        self._written = asyncio.Event()

    async def serve(self, host: str, port: int, ready: Callable[[int], None] = lambda port: None) -> None:
        """Answer until cancelled; `ready` is told the port."""
        app = web.Application(client_max_size=LONGEST)
        # Two of the paths are those at which Hutch Bunny polls and hands in; each is the same door here.
        paths = ("/join", "/task/nextjob/{member}", "/task/result/{job}/{member}", "/task/opposition/{member}")
        app.add_routes([web.post(path, self._take) for path in paths])
        # Who hangs up is waited for no longer: a job given to nobody would look as if it were being done.
        runner = web.AppRunner(app, access_log=None, handle_signals=False, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, host, port, ssl_context=self._context, shutdown_timeout=1)
        await site.start()
        self._told(lambda: self._office.book.set_meta({OPENED: str(self._office.clock().timestamp())}))
        gc.freeze()  # what is loaded by now stays: looking through it takes longer than a message
        ready(runner.addresses[0][1])
        try:
            await self._watch()
        finally:
            await runner.cleanup()
            gc.unfreeze()

    async def _watch(self) -> None:
        """Wake who waits when another process wrote, let new members in, and note who is gone."""
        book, seen, struck, tidied = self._office.book, (-1, -1), -_CLOCK_EVERY, -_TIDY_EVERY
        while True:
            if (now := asyncio.get_running_loop().time()) - struck >= _CLOCK_EVERY:
                struck = now
                self._told(self._clock)
            if now - tidied >= _TIDY_EVERY:
                tidied = now
                self._told(lambda: tidy(book, lambda: self._office.clock().timestamp()))
            if (version := book.db.version()) != seen:
                seen = version
                self._wake()
            self._note_who_left()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._written.wait(), _LOOK_EVERY)
            self._written.clear()

    def _wake(self) -> None:
        every = set(self._office.book.certificates(self._office.clock().timestamp()))
        admit(self._context, every - self._known)
        self._known |= every
        for taken, woken in self._waiting.values():
            if not self._office.waits(taken):
                woken.set()

    def _note_who_left(self) -> None:
        """Whoever is killed, at work or while it waits, has its connection closed by the machine that it ran on."""
        for member in [member for member, line in self._staying.items() if line.is_closing()]:
            del self._staying[member]
            self._told(partial(self._office.book.left, member, self._office.clock().timestamp()))

    async def _take(self, request: web.Request) -> web.Response:
        data, taken = await request.read(), None
        try:
            taken = self._office.read(data, _certificate(request))
            reply = await self._reply(taken, request.transport)
        except Refused as error:
            return _answer(self._office.refusal(data, error, taken), _STATUS.get(error.code, 403))
        except EstranError as error:
            log.error("%s: %s", type(error).__name__, error.what)  # nothing was acknowledged: the member comes again
            return web.Response(status=503)
        if taken.message.kind in ("result", "join"):
            asyncio.get_running_loop().call_soon(self._after, taken)  # the receipt goes first
        return _answer(reply, 200)

    async def _reply(self, taken: Taken, line: asyncio.BaseTransport | None) -> bytes:
        """The reply to a message; what it says is on disk, with that of everybody who came at the same time."""
        if taken.message.kind == "nextjob":
            await self._turns.do(lambda: self._enter(taken))
            self._stays(taken, line)
            await self._wait(taken)
            return await self._turns.do(lambda: reply_to(self._office, taken))
        return await self._turns.do(lambda: self._enter(taken) or reply_to(self._office, taken))

    def _stays(self, taken: Taken, line: asyncio.BaseTransport | None) -> None:
        """Who waits for jobs keeps its connection while it does one; who comes by the clock is not missed."""
        self._staying.pop(taken.member, None)
        if line is not None and _patience(taken) > 0:
            self._staying[taken.member] = line

    def _enter(self, taken: Taken) -> bytes:
        self._office.enter(taken)
        return b""

    def _after(self, taken: Taken) -> None:
        self._told(lambda: self._answered(taken))
        self._written.set()

    def _told(self, work: Callable[[], None]) -> None:
        """Do what is not part of a reply; an error is the hub's own, and ends nothing."""
        try:
            work()
        except EstranError as error:
            log.error("%s: %s", type(error).__name__, error.what)

    async def _wait(self, taken: Taken) -> None:
        """Until there is a job, or the member has waited as long as it asked to."""
        patience = _patience(taken)
        if patience <= 0 or not self._office.waits(taken):
            return
        woken = asyncio.Event()
        self._waiting[taken.message.nonce] = taken, woken
        try:
            await asyncio.wait_for(woken.wait(), patience)
        except TimeoutError:
            return
        finally:
            del self._waiting[taken.message.nonce]


def _patience(taken: Taken) -> float:
    """Seconds for which a member wants to wait for a job."""
    asked = taken.message.body.get("wait", 0)
    return min(float(asked) if isinstance(asked, int | float) else 0.0, LONGEST_WAIT)


def _certificate(request: web.Request) -> str:
    """The fingerprint of the certificate that this connection came with."""
    found = None if request.transport is None else request.transport.get_extra_info("ssl_object")
    given = found.getpeercert(binary_form=True) if isinstance(found, ssl.SSLObject) else None
    return "" if given is None else fingerprint(given)


def _answer(data: bytes, status: int) -> web.Response:
    return web.Response(body=data, status=status, content_type=MEDIA_TYPE)
