"""What the network promises, over real sockets with real TLS, and by processes that are killed."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

import pytest
from tests.hub_process import Recorder
from tests.network_kit import Network, network
from tests.ports import free_port
from tests.spec.test_cli import Command, estran

from estran.cli.network_demo import network_served
from estran.hub.agent.agent import Agent
from estran.hub.agent.link import Link
from estran.hub.agent.membership import Invitation, Membership, join, read
from estran.hub.book import HubBook, Question
from estran.hub.gathering import gather
from estran.hub.house import open_book
from estran.hub.keys import Identity
from estran.hub.office import utc
from estran.hub.server import Door
from estran.hub.tls import client_context
from estran.hub.wire import unseal
from estran.model.errors import UsageError

__all__ = ["estran"]  # a fixture

ROOT = Path(__file__).resolve().parents[2]


class Served:
    """A hub's door in a thread; `port` is where it is."""

    def __init__(self, net: Network) -> None:
        self.net, self.port, self._ready = net, 0, threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(20)

    def _run(self) -> None:
        def ready(port: int) -> None:
            self.port = port
            self._ready.set()

        self.door = Door(self.net.office, lambda _: None)
        self._task = self._loop.create_task(self.door.serve("127.0.0.1", 0, ready))
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.run_until_complete(_ended())
        self._loop.close()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


async def _ended() -> None:
    """Whatever is still waiting for a job ends."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(network(tmp_path_factory.mktemp("hub"))) as served:
        yield served


def link(hub: Served, identity: Identity | None = None) -> Link:
    place = hub.net.places["linkage"]
    return Link(hub.url, place.membership.certificate, identity or place.identity, patience=10)


def joining(hub: Served, invitation: Invitation, folder: Path) -> Membership:
    """Join as soon as the door has heard of the invitation."""
    for _ in range(1000):
        try:
            return join(invitation, folder, None, lambda guest: link(hub, guest))
        except ConnectionError:
            time.sleep(0.05)
    raise TimeoutError("the door does not let the invited in")


def test_a_member_joins_and_works_over_the_network(hub: Served, tmp_path: Path) -> None:
    invitation = hub.net.invite("Second unit", "linkage")
    joined = joining(hub, invitation, tmp_path / "networks" / "n")
    identity = Identity.open(tmp_path / "networks" / "n" / "keys")
    assert joined == read(tmp_path / "networks" / "n") and joined.member == "second-unit"
    place = hub.net.places["linkage"]
    agent = Agent(type(place)(joined, identity, tmp_path / "networks" / "n"), link(hub, identity))
    now = utc().timestamp()
    job = hub.net.house.book.add_job(None, "second-unit", "telepathy", {}, now, now + 60)
    assert agent.once() == 1
    agent.close()
    found = hub.net.house.book.db.one("SELECT state FROM job WHERE id = ?", (job,))
    assert found is not None and found["state"] == "unsupported"


def test_a_stranger_does_not_get_through_the_handshake(hub: Served, tmp_path: Path) -> None:
    stranger = link(hub, Identity.create(tmp_path / "stranger", "stranger"))
    with pytest.raises(ConnectionError):
        stranger.carry("/task/nextjob/linkage", b"{}\n")


def test_nobody_comes_without_a_certificate_or_with_an_older_tls(hub: Served) -> None:
    place = hub.net.places["linkage"]
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
    old = client_context(place.identity, place.membership.certificate)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    for context in (bare, old):
        connection = http.client.HTTPSConnection("127.0.0.1", hub.port, context=context, timeout=10)
        with pytest.raises((OSError, http.client.HTTPException)):
            connection.request("POST", "/task/nextjob/linkage", b"{}\n")
            connection.getresponse()
        connection.close()


def test_a_hub_with_another_certificate_is_not_spoken_to(hub: Served, tmp_path: Path) -> None:
    other = Identity.create(tmp_path / "other", "other")
    with pytest.raises(ConnectionError):
        Link(hub.url, other.public.certificate, hub.net.places["linkage"].identity, patience=10).carry("/join", b"{}\n")


def test_what_went_over_the_wire_is_not_taken_again(hub: Served, tmp_path: Path) -> None:
    agent = hub.net.agent("linkage", Recorder(link(hub), tmp_path))
    agent.once()
    agent.close()
    (sent,) = [path for path in tmp_path.iterdir() if path.suffix == ""][:1]
    path, _, data = sent.read_bytes().partition(b"\n")
    reply = unseal(link(hub).carry(path.decode(), data), lambda _: hub.net.places["linkage"].membership.hub_key.key)
    assert (reply.kind, reply.body["code"]) == ("refusal", "replayed")


def test_the_message_of_one_member_is_not_taken_from_the_connection_of_another(hub: Served, tmp_path: Path) -> None:
    invitation = hub.net.invite("Third unit", "linkage")
    folder = tmp_path / "networks" / "n"
    joining(hub, invitation, folder)
    agent = hub.net.agent("linkage", Recorder(link(hub, Identity.open(folder / "keys")), tmp_path))
    with pytest.raises(Exception, match="two different members"):
        agent.once()
    agent.close()


def test_a_waiting_member_gets_a_job_at_once(hub: Served) -> None:
    agent = hub.net.agent("linkage", link(hub))
    agent.once()
    now = utc().timestamp()
    timer = threading.Timer(0.3, lambda: hub.net.house.book.add_job(None, "linkage", "telepathy", {}, now, now + 60))
    timer.start()
    assert agent._fetch(20.0)
    assert agent.once() == 1
    agent.close()


def test_who_is_killed_at_work_is_soon_said_not_to_be_reached(hub: Served) -> None:
    book, start = hub.net.house.book, utc().timestamp()
    for number in (1, 2):  # it is given the first, and gone before it gets to the second
        question = Question(f"question{number}", start, "test", "", "", {})
        book.ask(question, [("linkage", "count", {})], start + 600)
    agent = hub.net.agent("linkage", link(hub))
    assert agent._fetch(20.0) and states(book) == ["late", "late"]
    agent.close()  # as the machine does for a process that is killed
    wait_until(lambda: book.gone().get("linkage", 0.0) > start)
    assert states(book) == ["down", "down"]
    agent = hub.net.agent("linkage", link(hub))
    assert agent.once() == 2 and states(book) == ["unsupported"] * 2
    agent.close()
    assert "linkage" not in hub.door._staying, "who comes by the clock goes, and is not missed"


def states(book: HubBook) -> list[str]:
    """What the hub will say of its member in ten seconds, for each of two questions."""
    later = utc().timestamp() + 10
    return [gather(book, f"question{number}", lambda: later).sites[0].state for number in (1, 2)]


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(6000):
        if true():
            return
        time.sleep(0.01)
    raise TimeoutError("it does not come")


def test_faults_neither_lose_nor_change_nor_let_in_anything() -> None:
    """A few faults; the long run is `python -m tests.hub_faults --faults 500`."""
    command = [sys.executable, "-m", "tests.hub_faults", "--faults", "12", "--losses", "1", "--patience", "300"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["faults"] == 12 and found["answers"] == 3 * found["questions"] == 3 * found["totals"]
    assert found["wrong"] == found["lost"] == 0 and set(found["losses"].values()) == {0, 1, 4}


def test_a_network_by_the_command_line(tmp_path: Path, estran: Command) -> None:
    """Two hospitals, a linkage unit and a hub on one machine, from nothing to an answer."""
    hub, port = tmp_path / "hub", free_port()
    made = estran("hub", "init", hub, "--name", "Essai", "--url", f"https://127.0.0.1:{port}", "--json")
    assert made.json["network"].startswith("essai-")
    assert estran("hub", "linkage-key", tmp_path / "shared", "--json").code == 0
    for name, kind in (("unit", "linkage"), ("angers", "site"), ("brest", "site")):
        assert estran("hub", "invite", hub, name, "--kind", kind, "--out", tmp_path / f"{name}.invitation").code == 0
        if kind == "site":
            assert estran("init", tmp_path / name).code == 0
        key = ("--linkage-key", tmp_path / "shared") if kind == "site" else ()
        assert estran("hub", "join", tmp_path / name, tmp_path / f"{name}.invitation", "--hub", hub, *key).code == 0
    assert estran("hub", "join", tmp_path / "brest", tmp_path / "angers.invitation", "--hub", hub).code == 3  # used up
    found = estran("hub", "ask", hub, "âge>=18", "--json").json
    assert {site["state"] for site in found["sites"]} == {"answered"} and len(found["sites"]) == 2
    assert all(site["count"] == {"value": 0, "below": 10, "margin": 0} for site in found["sites"])
    assert (found["patients"]["method"], found["patients"]["below"]) == ("linkage", 10)
    assert [member["state"] for member in estran("hub", "status", hub, "--json").json["members"]] == ["active"] * 3
    jobs = estran("hub", "jobs", tmp_path / "angers", "--json").json["jobs"]
    assert {(job["kind"], job["state"]) for job in jobs} == {("count", "ok"), ("tokens", "ok")}
    _serves_and_ends(hub, free_port())  # another than when they joined
    _ends_when_its_parent_is_killed(hub, free_port())
    assert estran("hub", "withdraw", hub, "brest", "--json").code == 0
    assert len(estran("hub", "ask", hub, "âge>=18", "--json").json["sites"]) == 1
    assert estran("hub", "ask", tmp_path / "angers", "âge>=18").code == 2  # no hub


_HELD = """
import signal, sys
from pathlib import Path
from estran.cli.network_demo import network_served
with network_served(Path(sys.argv[1]), int(sys.argv[2])):
    print("open", flush=True)
    signal.pause()
"""


def _ends_when_its_parent_is_killed(hub: Path, port: int) -> None:
    """Killed, the demo can end nobody: its door and its agents see it themselves, let go of the port and of their files."""
    began = time.time()
    locks = [one.parent / "agent.lock" for one in hub.parent.glob("*/networks/*/membership.json")]
    command = [sys.executable, "-c", _HELD, str(hub), str(port)]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    said = list(takewhile(lambda line: line != "open\n", demo.stdout))
    children = [int(line.rpartition(" ")[2]) for line in said if ": process " in line]
    try:
        with contextlib.closing(open_book(hub)) as book:
            wait_until(lambda: all(one.seen is not None and one.seen > began for one in book.members(active=True)))
        assert len(children) == 1 + len(locks) == 4 and not any(map(_free, locks))
        demo.kill()
        demo.wait()
        wait_until(lambda: all(map(_free, locks)))
        wait_until(lambda: not _answers(port))
    except BaseException:
        for one in (demo.pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        raise


def _free(lock: Path) -> bool:
    """Whether no agent holds it: a process that ended holds nothing, reaped or not."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _answers(port: int) -> bool:
    with contextlib.closing(socket.socket()) as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def _serves_and_ends(hub: Path, port: int) -> None:
    """As `estran demo --hub` has it: the door and each agent a process, all ended with the block, and no port taken twice."""
    began = time.time()
    with contextlib.closing(open_book(hub)) as book, network_served(hub, port):
        wait_until(lambda: all(one.seen is not None and one.seen > began for one in book.members(active=True)))
    with socket.create_server(("127.0.0.1", port)), pytest.raises(UsageError, match="door does not open"), network_served(hub, port):
        pass
