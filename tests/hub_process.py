"""Hub and agents as processes of their own, on a real network with real TLS: forked from one that holds everything
they need, so that killing one costs little. The code they run is the product's own."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import datetime as dt
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from estran.hub.agent.agent import Agent
from estran.hub.agent.link import Link
from estran.hub.agent.membership import Channel
from estran.hub.book import HubBook
from estran.hub.gathering import after_answer
from estran.hub.keys import Identity
from estran.hub.office import Office, Taken
from estran.hub.server import Door
from estran.state import StateDatabase
from tests.network_kit import Network

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET


@dataclass
class Child:
    """A process of ours; `start` may be called again after `kill`."""

    run: Callable[[], None]
    pid: int = 0

    def start(self) -> None:
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                logging.basicConfig(
                    filename=os.environ.get("ESTRAN_FAULTS_LOG", os.devnull),
                    force=True,
                    format="%(process)d %(asctime)s %(message)s",
                )
                self.run()
            finally:
                os._exit(0)

    def kill(self) -> None:
        """kill -9, and not before it is dead."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


class Recorder(Channel):
    """A way to the hub that keeps what was sent, for an attacker who saw it; drops a message now and then."""

    def __init__(self, way: Channel, folder: Path, drop: float = 0.0) -> None:
        self._way, self._folder, self._drop, self._number = way, folder, drop, 0

    def carry(self, path: str, data: bytes) -> bytes:
        self._number += 1
        name = self._folder / f"{time.time_ns()}-{os.getpid()}"
        scratch = name.with_suffix(".part")
        with contextlib.suppress(OSError):  # the disk may be full: then the attacker missed this one
            scratch.write_bytes(path.encode() + b"\n" + data)
            scratch.rename(name)
        if self._drop and self._number % round(1 / self._drop) == 0:
            raise ConnectionError("held back on the way")
        return self._way.carry(path, data)

    def close(self) -> None:
        self._way.close()


@dataclass
class Processes:
    """The processes of a network. `spaces`: the network namespace of each member, where there are some."""

    net: Network
    host: str
    port: int
    folder: Path
    spaces: dict[str, str] = field(default_factory=dict)
    clocks: dict[str, float] = field(default_factory=dict)
    drop: float = 0.0
    children: dict[str, Child] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        """Start the hub ("hub") or agents; all when none is named."""
        for name in names or ("hub", *self.net.places):
            child = self.children.get(name)
            if child is None:
                run = self._hub if name == "hub" else lambda member=name: self._agent(member)
                child = self.children[name] = Child(run)
            child.kill()
            child.start()
            if name == "hub":
                self.wait_for_door()

    def mend(self) -> list[str]:
        """Start what died by itself, as a service of the machine does; names, and what ended each."""
        died = []
        for name, child in self.children.items():
            ended, status = os.waitpid(child.pid, os.WNOHANG) if child.pid else (0, 0)
            if ended:
                died.append(
                    f"{name}: {signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else 'ended'}"
                )
                child.pid = 0
                self.start(name)
        return died

    def cut(self, name: str, *, again: bool = False) -> None:
        """Cut the cable of a process, or (`again`) mend it. Without namespaces it is stopped, and goes on."""
        if name in self.spaces:
            ip("-n", self.spaces[name], "link", "set", "eth0", "up" if again else "down")
        else:
            os.kill(self.children[name].pid, signal.SIGCONT if again else signal.SIGSTOP)

    def stop(self) -> None:
        for child in self.children.values():
            child.kill()

    def wait_for_door(self) -> None:
        """Until somebody listens where the hub should."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if (self.folder / "door").is_file() and (self.folder / "door").read_text() == str(self.children["hub"].pid):
                return
            time.sleep(0.005)
        raise TimeoutError("the hub did not open its door")

    def clock(self, name: str) -> Callable[[], dt.datetime]:
        """The clock of a process, as far off as `clocks` says when it starts."""
        off = dt.timedelta(seconds=self.clocks.get(name, 0.0))
        return lambda: dt.datetime.now(dt.UTC) + off

    def _hub(self) -> None:
        enter(self.spaces.get("hub"))
        folder = self.net.house.folder
        book = HubBook(folder)  # what SQLite held open does not survive a fork
        office = Office(book, Identity.open(folder / "keys", b"hub"), self.clock("hub"))

        def answered(taken: Taken) -> None:
            after_answer(book, str(taken.message.body.get("uuid")))

        def ready(_: int) -> None:
            (self.folder / "door.part").write_text(str(os.getpid()))
            (self.folder / "door.part").rename(self.folder / "door")

        asyncio.run(Door(office, answered).serve(self.host, self.port, ready))

    def _agent(self, member: str) -> None:
        """An agent, started anew when it ends, as a service of the machine does."""
        enter(self.spaces.get(member))
        while True:
            try:
                self._at_work(member)
            except Exception as error:  # noqa: BLE001
                logging.getLogger(__name__).warning("%s of %s", type(error).__name__, member)
                time.sleep(0.1)

    def _at_work(self, member: str) -> None:
        place = self.net.places[member]
        if place.site is not None:
            place.site.state = StateDatabase.open(place.site.directory / "state.sqlite")  # type: ignore[misc]
        link = Link(f"https://{self.host}:{self.port}", place.membership.certificate, place.identity, patience=4.0)
        _hurry(Agent(place, Recorder(link, self.folder / "wire", self.drop), self.clock(member)))


def _hurry(agent: Agent) -> None:
    """As `Agent.run` does, with shorter rests: a test has no minute to wait."""
    agent.rests = (0.05, 0.4)
    agent.run(threading.Event(), wait=2.0)


def enter(space: str | None) -> None:
    """Move this process into a network namespace."""
    if space is None:
        return
    with Path(f"/run/netns/{space}").open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), "the namespace cannot be entered")


def ip(*words: str, check: bool = True) -> int:
    """Run iproute2; its exit code."""
    return subprocess.run(["ip", *words], check=check, capture_output=True).returncode


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
