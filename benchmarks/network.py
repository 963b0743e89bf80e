"""One Boolean question to thirty sites over a network of hub and agents: how much later than the slowest site is the hub?"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import machine, network_plain, questions
from benchmarks.network_sites import PASSWORD, Region, Running, build
from benchmarks.tables import table
from estran.app import Site
from estran.cohort.language.text import parse
from estran.hub.book import HubBook
from estran.hub.desk import HubDesk
from estran.hub.gathering import gather
from estran.model.site_file import read_settings
from estran.projects.actors import KEY_HOLDER

RESULT = "network.json"
SITES, SIZES, TIMES, TARGET_MS = 30, (10_000, 30_000, 100_000), 10, 200
HELD = 1.0  # seconds that a site takes in the run where each is as if on a machine of its own
_PATIENCE = 120.0
Found = dict[str, Any]


def run(work: Path, quiet: Callable[[], None], sizes: tuple[int, ...] = SIZES) -> None:
    """Every size, then the largest again with sites that hold their answers; the figures stay in `work`."""
    found: Found = {"machine": machine.describe(), "sites": SITES, "times": TIMES, "runs": {}}

    def keep(name: str, one: Found) -> None:
        found["runs"][name] = one
        (work / RESULT).write_text(json.dumps(found, indent=1))

    for patients in sorted(sizes):
        region = build(work, patients, SITES)
        quiet()
        keep(f"{patients}", _run(region, patients, 0.0))
    quiet()
    keep("held", _run(region, patients, HELD))
    quiet()
    found["plain"] = network_plain.measure(region, _questions(), _told, PASSWORD)
    keep("held", found["runs"]["held"])


def _questions() -> dict[str, list[str]]:
    """Ten that nobody asked before, then one ten times over: its answer is kept at the sites."""
    return {
        "new": [questions.another_boolean(n) for n in range(1, TIMES + 1)],
        "again": [questions.BOOLEAN.text] * (TIMES + 1),
    }


def _run(region: Region, patients: int, hold: float) -> Found:
    running = Running(region, hold)
    running.start()
    try:
        asker = _Asker(region, running)
        asker.settle()
        found: Found = {"patients": patients, "load": machine.load()}
        for name, texts in _questions().items():
            found[name] = _told([asker.ask(text) for text in texts])
            print(f"  {patients:,} patients, hold {hold:g} s, {name}: {found[name]}", flush=True)
        return found | {"memory_mb": round(running.memory_mb())}
    finally:
        running.stop()


def _told(every: list[Found]) -> Found:
    """Median and worst of each figure; the first question of a kind opens what it reads, and is told apart."""
    first, rest = every[0], every[1:]
    names = first.keys()
    return {"first": first} | {
        name: {"median": statistics.median(one[name] for one in rest), "worst": max(one[name] for one in rest)}
        for name in names
    }


class _Asker:
    """Somebody at the hub, in a process of their own as a portal is."""

    def __init__(self, region: Region, running: Running) -> None:
        self._running, self._book = running, HubBook(region.hub / "hub")
        site = Site(region.hub, read_settings(region.hub), region.hub)
        self._desk, self._sites = HubDesk(site.state, self._book, KEY_HOLDER), len(region.sites)

    def settle(self) -> None:
        """Until every site and the linkage unit have come, and are ready."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and any(one.seen is None or not one.kinds for one in self._book.members()):
            time.sleep(0.1)
        time.sleep(3)

    def ask(self, text: str) -> Found:
        """Milliseconds of one question: see `tell`."""
        before, started = self._running.cpu(), time.monotonic()
        number = self._desk.ask(parse(text), "")
        answered = self._until(lambda: self._answered(number) == self._sites)
        counting = self._running.cpu()[0] - before[0]
        total = self._until(lambda: gather(self._book, number).total.method in ("linkage", "sketch"))
        hub, unit, sites = (after - once for after, once in zip(self._running.cpu(), before, strict=True))
        time.sleep(0.2)
        own = [self._running.told.get() for _ in range(self._sites)]
        while not self._running.told.empty():
            self._running.told.get()  # of the linkage unit
        slowest = max(ready - pulled for _, _, pulled, ready, _ in own)
        return {
            "slowest": 1e3 * slowest, "answered": 1e3 * (answered - started), "total": 1e3 * (total - started),
            "over": 1e3 * (answered - started - slowest), "pulled": 1e3 * (max(one[2] for one in own) - started),
            "ready": 1e3 * (max(one[3] for one in own) - started), "site_cpu": 1e3 * statistics.median(one[4] for one in own),
            "hub_cpu": 1e3 * hub, "hub_counts": 1e3 * counting, "unit_cpu": 1e3 * unit, "sites_cpu": 1e3 * sites,
        }  # fmt: skip

    def _answered(self, number: str) -> int:
        found = self._book.db.one(
            "SELECT count(*) FROM job WHERE question = ? AND kind = 'count' AND state = 'ok'", (number,)
        )
        return 0 if found is None else int(found[0])

    def _until(self, done: Callable[[], bool]) -> float:
        """When something was seen to be so."""
        end, seen = time.monotonic() + _PATIENCE, (-1, -1)
        while time.monotonic() < end:
            version = self._book.db.version()
            if version != seen and done():
                return time.monotonic()
            seen = version
            time.sleep(0.002)
        raise TimeoutError("the question was not answered")


def tell(found: Found) -> list[str]:
    """The part of the document."""
    head = [
        "Sites", "question", "slowest site", "hub knows all counts", "after the slowest", "worst", "distinct patients known",
        "CPU of a site", "CPU of all sites", "CPU of the hub until all counts", "with tokens",
    ]  # fmt: skip
    rows = [
        [_sites(name, one), _KINDS[kind], *(_ms(one[kind], n) for n in ("slowest", "answered", "over")), f"{one[kind]['over']['worst']:,.0f}",
         *(_ms(one[kind], n) for n in ("total", "site_cpu", "sites_cpu", "hub_counts", "hub_cpu"))]
        for name, one in found["runs"].items() for kind in _KINDS
    ]  # fmt: skip
    plain = [
        [
            "plain queue",
            _KINDS[kind],
            *(_ms(one, n) for n in ("slowest", "answered", "over")),
            f"{one['over']['worst']:,.0f}",
        ]
        for kind, one in found.get("plain", {}).items()
    ]
    loads = ", ".join(f"{one['load']}" for one in found["runs"].values())
    memory = max(one["memory_mb"] for one in found["runs"].values())
    return [
        f"{found['sites']} sites, a linkage unit and a hub, each a process; milliseconds, the median of {found['times']} questions to all sites, "
        f"and the worst. Target: the hub knows all counts less than {TARGET_MS} ms after the slowest site's own time.\n",
        table(head, rows),
        f"Load: {loads}. All processes together held {memory:,} MB at most.\n",
        *([_PLAIN, table(head[:6], plain)] if plain else []),
    ]


_PLAIN = "The plain queue over the sites of the last rows (HTTPS, JSON, long polls, all in memory; no signature, no disk, no distinct patients):\n"
_KINDS = {"new": "new", "again": "the same again"}


def _sites(name: str, one: Found) -> str:
    return f"{one['patients']:,} patients each" + (f", {HELD:g} s to answer" if name == "held" else "")


def _ms(times: Found, name: str) -> str:
    return f"{times[name]['median']:,.0f}"
