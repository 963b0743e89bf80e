"""The door of workspaces, before a notebook server that does its worst; and the pages around it."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from aiohttp import ClientSession, web
from tests.browser.small_site import Site
from tests.unit.portal.conftest import sign_in, token
from tests.unit.projects.opened import YEAR, furnished, key, step

from estran.portal.workspace_door import COOKIE, Door
from estran.projects.actors import Actor
from estran.projects.airlock import Airlock
from estran.projects.workspaces.driver import Workspaces, runtime_of
from estran.projects.workspaces.spaces import folders_of
from estran.state import Account

PROJECT, OTHER = key(1), key(2)
PORTAL = "http://portal.test"


@pytest.fixture(scope="module")
def spaces(site: Site) -> Site:
    site.settings = dataclasses.replace(site.settings, workspace_port=0)
    team = [account.id for login in ("researcher", "teacher") if (account := site.state.accounts.find(login))]
    for _ in (PROJECT, OTHER):
        furnished(site, team, site.folder)
    return site


@pytest.fixture(scope="module")
def notebook(spaces: Site) -> Iterator[list[dict[str, str]]]:
    """A server on the socket that notes what reaches it, sets cookies and sends its reader elsewhere."""
    heard: list[dict[str, str]] = []
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        heard.append({name.lower(): value for name, value in request.headers.items()})
        if request.headers.get("upgrade"):
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            async for message in socket:
                await socket.send_str(f"echo {message.data}")
            return socket
        if request.path.endswith("/away"):
            return web.Response(status=302, headers={"Location": "https://example.org/"})
        headers = {
            "Set-Cookie": "estran_session=stolen; Path=/",
            "Content-Security-Policy": "default-src *",
            "Refresh": "0;url=https://example.org",
        }
        return web.Response(text="<p>notebook</p>", content_type="text/html", headers=headers)

    def serve() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app)
        loop.run_until_complete(runner.setup())
        place = runtime_of(spaces, PROJECT) / "lab.sock"
        place.unlink(missing_ok=True)
        loop.run_until_complete(web.UnixSite(runner, str(place)).start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    threading.Thread(target=serve, daemon=True).start()
    assert ready.wait(60)
    yield heard
    loop.call_soon_threadsafe(loop.stop)
    (runtime_of(spaces, PROJECT) / "lab.sock").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def door(spaces: Site, notebook: list[dict[str, str]]) -> Iterator[tuple[Door, str]]:
    workspaces = Workspaces(spaces)
    opened = Door(spaces, workspaces)
    yield opened, opened.open(PORTAL, "127.0.0.1")
    opened.close()
    workspaces.close()


def account(site: Site, login: str = "researcher") -> Account:
    found = site.state.accounts.find(login)
    assert found is not None
    return found


def session(site: Site, login: str = "researcher") -> int:
    word = site.state.sessions.start(account(site, login).id)
    found = site.state.sessions.find(word)
    assert found is not None
    return found.id


@pytest.fixture
def inside(door: tuple[Door, str], spaces: Site) -> Iterator[httpx.Client]:
    """A browser that came through the door."""
    opened, address = door
    word = opened.ticket(account(spaces), session(spaces), PROJECT)
    with httpx.Client(base_url=address, trust_env=False, timeout=30) as client:
        entered = client.get(f"/enter?ticket={word}")
        assert (entered.status_code, entered.headers["location"]) == (303, f"/{PROJECT}/lab")
        assert client.get(f"/enter?ticket={word}").status_code == 403, "a ticket is good once"
        yield client


def test_who_came_through_the_door_reads_the_notebook(inside: httpx.Client) -> None:
    page = inside.get(f"/{PROJECT}/lab")
    assert (page.status_code, page.text) == (200, "<p>notebook</p>")


def test_the_door_says_no(
    inside: httpx.Client, door: tuple[Door, str], spaces: Site, notebook: list[dict[str, str]]
) -> None:
    """Each way of the table of docs/reference/workspace.md that ends at the door, by its name there."""
    heard = len(notebook)
    stranger = httpx.Client(base_url=door[1], trust_env=False)
    mine, origin = f"/{PROJECT}", {"Origin": door[1]}
    contents = f"{mine}/api/contents"
    refused = {
        "a visitor without a pass": stranger.get(f"{mine}/lab"),
        "a pass of another project": inside.get(f"/{OTHER}/lab", cookies={COOKIE: inside.cookies.get(COOKIE) or ""}),
        "a post from another site": inside.post(f"{mine}/api/kernels", headers={"Origin": "https://example.org"}),
        "a page opened outside of the portal's frame": inside.get(
            f"{mine}/lab", headers={"Sec-Fetch-Dest": "document"}
        ),
        "download through files/": inside.get(f"{mine}/files/patients.csv"),
        "download through nbconvert/": inside.get(f"{mine}/nbconvert/html/a.ipynb"),
        "download of a table through contents": inside.get(f"{contents}/patients.csv"),
    }
    assert {name: answer.status_code for name, answer in refused.items()} == dict.fromkeys(refused, 403)
    for path in (f"{mine}/api/shutdown", f"{mine}/api/kernels"):
        assert inside.post(path).status_code == 403, "no page of ours posts without saying where it is from"
    assert inside.post(f"{mine}/api/shutdown", headers=origin).status_code == 403
    for path in (
        "/static/../files/x.csv",
        "/api/contents/%2e%2e/x.csv",
        "/lab%2f..%2ffiles/x",
        "/api/contents/a.CSV?content=1&type=file",
        "/view/x",
    ):
        assert inside.get(mine + path).status_code == 403, path
    assert len(notebook) == heard, "nothing of it reached the notebook"
    assert inside.get(f"{contents}/a.ipynb?content=1").status_code == 200
    assert inside.get(f"{contents}/patients.csv?content=0").status_code == 200
    assert inside.post(f"{mine}/api/kernels", headers=origin).status_code == 200


def test_neither_side_gets_what_speaks_for_the_other(inside: httpx.Client, notebook: list[dict[str, str]]) -> None:
    """ "the portal's cookie read by the notebook", "a cookie set for the portal" """
    answer = inside.get(
        f"/{PROJECT}/lab",
        cookies={"estran_session": "secret"},
        headers={"X-CSRF-Token": "secret", "Authorization": "Bearer s"},
    )
    assert not {"cookie", "authorization", "x-csrf-token"} & set(notebook[-1])
    assert "set-cookie" not in answer.headers and "refresh" not in answer.headers
    away = inside.get(f"/{PROJECT}/lab/away")
    assert "location" not in away.headers


def test_what_a_notebook_shows_can_ask_nothing_elsewhere(inside: httpx.Client) -> None:
    """ "a picture or a request to another address": the policy of every answer; the browser test sees it hold."""
    policy = inside.get(f"/{PROJECT}/lab").headers["content-security-policy"]
    for part in (
        "default-src 'none'",
        "img-src 'self' data: blob:;",
        "connect-src 'self' ws://",
        f"frame-ancestors 'self' {PORTAL}",
        "form-action 'none'",
    ):
        assert part in policy
    assert "*" not in policy and "https:" not in policy


@pytest.mark.parametrize("way", ["a pass after signing out", "a pass after leaving the team"])
def test_a_pass_ends(door: tuple[Door, str], spaces: Site, way: str) -> None:
    opened, address = door
    number = session(spaces, "teacher")
    with httpx.Client(base_url=address, trust_env=False) as client:
        client.get(f"/enter?ticket={opened.ticket(account(spaces, 'teacher'), number, PROJECT)}")
        assert client.get(f"/{PROJECT}/lab").status_code == 200
        if way.endswith("out"):
            spaces.state.sessions.revoke(number)
        else:
            step(spaces.state, f"{YEAR}-001", "staff", members=[])
        for held in opened._passes.values():
            held.seen = 0.0
        assert client.get(f"/{PROJECT}/lab").status_code == 403


def test_words_go_both_ways_on_a_socket(inside: httpx.Client, door: tuple[Door, str]) -> None:
    async def talk(origin: str) -> str:
        channel = f"{door[1]}/{PROJECT}/api/kernels/1/channels"
        async with (
            ClientSession(cookies={COOKIE: inside.cookies.get(COOKIE) or ""}) as client,
            client.ws_connect(channel, headers={"Origin": origin}) as socket,
        ):
            await socket.send_str("a")
            return str((await socket.receive()).data)

    with ThreadPoolExecutor(1) as apart:  # a test before may have left a loop running in this thread
        assert apart.submit(lambda: asyncio.run(talk(door[1]))).result() == "echo a"
        with pytest.raises(Exception, match="403"):
            apart.submit(lambda: asyncio.run(talk("https://example.org"))).result()


def test_the_pages_of_a_project_and_of_its_airlock(client: httpx.Client, base: str, spaces: Site) -> None:
    (folders_of(spaces, PROJECT).out / "table.csv").write_text("service,n\nCardiologie,40\nUrgences,3\n")
    sign_in(client, "researcher")
    assert f"{YEAR}-001" in client.get("/spaces").text
    page = client.get(f"/spaces/{PROJECT}")
    assert "table.csv" in page.text
    data = {"csrf": token(page), "name": "table.csv", "purpose": "Table 1"}
    assert client.post(f"/spaces/{PROJECT}/hand-in", data=data | {"csrf": ""}).status_code == 403
    assert client.post(f"/spaces/{PROJECT}/hand-in", data=data | {"purpose": ""}).status_code == 422
    made = client.post(f"/spaces/{PROJECT}/hand-in", data=data)
    seen = client.get(made.headers["location"])
    assert '<td class="marked">3' in seen.text and "The count 3 is less than 10." in seen.text
    assert "Decide" not in seen.text
    (folders_of(spaces, PROJECT).out / "table.csv").write_text("service,n\nCardiologie,40\nUrgences,[REDACTED]\n")
    corrected = client.post(f"/spaces/{PROJECT}/hand-in", data=data).headers["location"]
    assert "The checks found nothing." in client.get(corrected).text
    assert client.get("/spaces/999").status_code == 422
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as other:
        sign_in(other, "methodologist")
        assert corrected in other.get("/airlock").text
        look = other.get(corrected)
        assert other.get(f"{corrected}/look/1").headers["content-disposition"].startswith("attachment")
        assert client.get(f"{corrected}/look/1").status_code == 403
        assert other.post(corrected, data={"csrf": token(look), "answer": "release", "reason": ""}).status_code == 422
        assert (
            other.post(corrected, data={"csrf": token(look), "answer": "release", "reason": "Fine."}).status_code == 303
        )
        assert other.get(f"{corrected}/files/1").status_code == 403
        assert other.get(f"/spaces/{PROJECT}").status_code == 403
    fetched = client.get(f"{corrected}/files/1")
    assert "[REDACTED]" in fetched.text and fetched.headers["content-disposition"].startswith("attachment")
    assert client.post(
        corrected, data={"csrf": token(seen) if 'name="csrf"' in seen.text else "", "answer": "refuse", "reason": "x"}
    ).status_code in (403, 422)
    assert Airlock(spaces, Actor.of(account(spaces, "clinician"))).requests(PROJECT) == []
