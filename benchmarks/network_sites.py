"""Thirty hospitals and a hub on one machine, each a process of its own, over real TLS: what `benchmarks.network` times.

The hospitals' warehouse is made once, by the real writer, and is linked into each site; persons are drawn per site
from those of one region, so that hospitals share patients. The code that runs is the product's own.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import multiprocessing
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import store
from benchmarks.facts import Size
from estran.app import Site, create_site
from estran.hub import house as hubs
from estran.hub.agent.agent import Agent
from estran.hub.agent.counting import keep_linkage_key
from estran.hub.agent.ledger import Answer, Job
from estran.hub.agent.link import Link
from estran.hub.agent.membership import Local, Membership, join, read
from estran.hub.agent.place import Place
from estran.hub.agent.rules import Rules, write_rules
from estran.hub.gathering import after_answer
from estran.hub.keys import Identity
from estran.hub.office import answer_to
from estran.hub.server import Door
from estran.identity.linkage import LinkageTokens, keep_tokens
from estran.projects.desk import ReadingRoom
from estran.projects.network import hub_actor
from estran.settings import Settings

FACTS_EACH = 100  # per patient
SHARED = 0.2  # of a site's patients are also known at others
_KEY, PASSWORD = bytes(range(32)), b"benchmark"
_FORK = multiprocessing.get_context("fork")
Told = dict[str, Any]


@dataclass(frozen=True)
class Region:
    """The folders of a hub, a linkage unit and the sites, joined; `port` is where the hub's door will be."""

    folder: Path
    hub: Path
    sites: tuple[Path, ...]
    port: int


def build(work: Path, patients: int, sites: int) -> Region:
    """Make a network anew; the warehouse is kept from an earlier run."""
    folder, warehouse = work / f"network-{patients}-{sites}", work / f"network-warehouse-{patients}"
    size = Size(FACTS_EACH * patients, patients, 1)
    if not warehouse.is_dir():
        store.build(size, warehouse, lambda line: None)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    hub = create_site(folder / "hub", Settings(name="Benchmark"))
    opened = hubs.create(hub.directory, "Benchmark", f"https://127.0.0.1:{port}", PASSWORD, "Generated patients.")
    _join(opened, folder / "linkage", "linkage", "linkage")
    made = create_site(folder / "template", store.settings(size))
    made.state.close()
    shutil.rmtree(made.directory / "warehouse")
    folders = tuple(_site(opened, made, folder / f"site{n:02}", warehouse, n, patients) for n in range(sites))
    opened.close()
    hub.state.close()
    return Region(folder, hub.directory, folders, port)


def _site(opened: hubs.HubHouse, template: Site, folder: Path, warehouse: Path, number: int, patients: int) -> Path:
    shutil.copytree(template.directory, folder)
    shutil.copytree(warehouse, folder / "warehouse", copy_function=os.link)
    site = Site(folder, template.settings, template.key_file)
    kept, member = _join(opened, folder, folder.name, "site")
    write_rules(kept, Rules(quota=100_000))
    keep_linkage_key(site, kept, _KEY, member.network)
    hub_actor(site.state, member.network)
    site.state.close()
    tokens = _tokens(number, patients)
    keep_tokens(folder / "vault", site.key, site.snapshot().version, _KEY, tokens, with_ins=True)
    return folder


def _tokens(number: int, patients: int) -> LinkageTokens:
    """As the vault would make them of persons some of whom other sites know; one in four has no INS."""
    dice = np.random.default_rng(number)
    shared = dice.random(patients) < SHARED
    persons = np.where(shared, dice.integers(0, patients, patients), (number + 1) * patients + np.arange(patients))
    words = persons.astype(np.uint64)[:, None] * np.array(
        [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64
    ) + np.uint64(1)
    words ^= words >> np.uint64(29)
    traits = np.ascontiguousarray(words * np.uint64(0xBF58476D1CE4E5B9)).view(np.uint8).reshape(-1, 16)
    ins = np.where((dice.random(patients) < 0.75)[:, None], traits ^ np.uint8(0x5A), np.uint8(0))
    return LinkageTokens(np.arange(patients, dtype=np.int32), ins, traits)


def _join(opened: hubs.HubHouse, folder: Path, name: str, kind: str) -> tuple[Path, Membership]:
    invitation = hubs.invite(opened.book, opened.identity.public.certificate, name, kind, dt.datetime.now(dt.UTC))
    kept, office = folder / "networks" / invitation.network, opened.office
    member = join(invitation, kept, PASSWORD, lambda _: Local(lambda data: answer_to(office, data, None)[1]))
    return kept, member


@dataclass
class Running:
    """The processes of a region: the hub's door first, then the linkage unit and the sites."""

    region: Region
    hold: float = 0.0  # seconds from taking a job until its answer is ready, at least
    told: Any = field(default_factory=_FORK.SimpleQueue)
    processes: dict[str, BaseProcess] = field(default_factory=dict)

    def start(self) -> None:
        ready = _FORK.Event()
        self._run("hub", _serve, self.region, ready.set)
        ready.wait(30)
        for folder in (self.region.folder / "linkage", *self.region.sites):
            self._run(folder.name, _work, folder, self.told, 0.0 if folder.name == "linkage" else self.hold)

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.join()

    def _run(self, name: str, work: Callable[..., None], *given: Any) -> None:
        process = _FORK.Process(target=work, args=given, daemon=True)
        process.start()
        self.processes[name] = process

    def cpu(self) -> tuple[float, float, float]:
        """Processor seconds so far: of the hub, of the linkage unit, of all sites."""
        spent = {name: _cpu(process.pid or 0) for name, process in self.processes.items()}
        hub, unit = spent.pop("hub"), spent.pop("linkage")
        return hub, unit, sum(spent.values())

    def memory_mb(self) -> float:
        """What all processes hold together, pages that they share counted once."""
        return sum(_proportional_mb(process.pid or 0) for process in self.processes.values())


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _proportional_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


def _serve(region: Region, ready: Callable[[], None]) -> None:
    opened = hubs.open_house(region.hub, PASSWORD)
    door = Door(opened.office, lambda taken: after_answer(opened.book, str(taken.message.body.get("uuid"))))
    asyncio.run(door.serve("127.0.0.1", region.port, lambda _: ready()))


def place_of(folder: Path) -> Place:
    """What the agent of a site, or of the linkage unit, works with."""
    kept = next((folder / "networks").iterdir())
    member, identity = read(kept), Identity.open(kept / "keys", PASSWORD)
    if folder.name == "linkage":
        return Place(member, identity, kept)
    site = Site(folder, _settings(folder), folder.parent / "template.key")
    return Place(member, identity, kept, None, ReadingRoom(site), site, hub_actor(site.state, member.network))


def _settings(folder: Path) -> Settings:
    from estran.model.site_file import read_settings

    return read_settings(folder)


def _work(folder: Path, told: Any, hold: float) -> None:
    place = place_of(folder)
    link = Link(place.membership.url, place.membership.certificate, place.identity)
    _Timed(place, link, told, hold).run(threading.Event())


class _Timed(Agent):
    """An agent that tells when it had a job on disk, when its answer was ready, and what that cost."""

    def __init__(self, place: Place, link: Link, told: Any, hold: float) -> None:
        super().__init__(place, link)
        self._told_to, self._hold, self._pulled = told, hold, 0.0

    def _fetch(self, wait: float) -> bool:
        found = super()._fetch(wait)
        self._pulled = time.monotonic()
        return found

    def _done(self, job: Job) -> Answer | None:
        spent = time.process_time()
        answer = super()._done(job)
        time.sleep(max(0.0, self._pulled + self._hold - time.monotonic()))
        member, ready = self.place.membership.member, time.monotonic()
        self._told_to.put((member, job.question, self._pulled, ready, time.process_time() - spent))
        return answer
