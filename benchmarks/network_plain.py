"""The peer: the same sites and the same counts over the plainest queue there is. JSON in HTTPS, one long poll per site,
all in memory: nothing is signed, numbered or on disk, no certificate of a site is looked at, and no distinct patients are
counted."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import multiprocessing
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks.network_sites import Region, place_of
from estran.cohort.language import json as question_json
from estran.cohort.language.text import parse
from estran.hub import house as hubs
from estran.projects.network import NetworkClerk

_FORK = multiprocessing.get_context("fork")
_QUOTA, _WAIT = 100_000, 20.0
Found = dict[str, Any]


def measure(
    region: Region, asked: dict[str, list[str]], told: Callable[[list[Found]], Found], password: bytes
) -> Found:
    """Milliseconds of each kind of questions: the slowest site, the whole question, and the difference."""
    ours, hubs_end = _FORK.Pipe()
    hub = _FORK.Process(target=_serve, args=(region, password, hubs_end), daemon=True)
    hub.start()
    port, found = ours.recv(), {}
    sites = [_FORK.Process(target=_work, args=(folder, port), daemon=True) for folder in region.sites]
    try:
        for site in sites:
            site.start()
        time.sleep(20)
        for kind, texts in asked.items():
            answers = []
            for text in texts:
                ours.send(question_json.to_object(parse(text)))
                answers.append(ours.recv())
            found[kind] = told(answers)
            print(f"  plain queue, {kind}: {found[kind]}", flush=True)
    finally:
        for process in (hub, *sites):
            process.kill()
            process.join()
    return found


def _serve(region: Region, password: bytes, pipe: Any) -> None:
    """The hub: a question from the pipe goes to whoever polls; times go back when every site has answered."""
    asyncio.run(_queue(region, password, pipe))


async def _queue(region: Region, password: bytes, pipe: Any) -> None:
    loop, identity = asyncio.get_running_loop(), hubs.open_house(region.hub, password).identity
    asked: dict[str, asyncio.Queue[Any]] = {folder.name: asyncio.Queue() for folder in region.sites}
    answers: asyncio.Queue[Any] = asyncio.Queue()

    async def next_job(request: web.Request) -> web.Response:
        try:
            return web.json_response(await asyncio.wait_for(asked[request.match_info["site"]].get(), _WAIT))
        except TimeoutError:
            return web.json_response(None)

    async def result(request: web.Request) -> web.Response:
        answers.put_nowait(await request.json())
        return web.json_response({})

    app = web.Application()
    app.add_routes([web.post("/next/{site}", next_job), web.post("/result/{site}", result)])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identity.present(context)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    pipe.send(runner.addresses[0][1])
    while True:
        question = await loop.run_in_executor(None, pipe.recv)
        started = time.monotonic()
        for waiting in asked.values():
            waiting.put_nowait(question)
        slowest = max([(await answers.get())["seconds"] for _ in region.sites])
        whole = time.monotonic() - started
        pipe.send({"slowest": 1e3 * slowest, "answered": 1e3 * whole, "over": 1e3 * (whole - slowest)})


def _work(folder: Path, port: int) -> None:
    """A site: the count is the product's own, through its policy, audit trail and gate."""
    place = place_of(folder)
    assert place.room is not None and place.actor is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    hub = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=60)

    def say(path: str, body: Any) -> Any:
        hub.request("POST", f"/{path}/{folder.name}", json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(hub.getresponse().read())

    with contextlib.suppress(http.client.RemoteDisconnected, ConnectionError):  # the queue has closed: the questions are over
        while True:
            question = say("next", None)
            if question is not None:
                started = time.monotonic()
                clerk = NetworkClerk(place.room, place.actor, floor=10, quota=_QUOTA)
                counted = clerk.count(question_json.from_object(question), "benchmark")
                say("result", {"count": counted.shown.value, "seconds": time.monotonic() - started})
