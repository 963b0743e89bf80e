"""`python -m tests.learning [--model logistic|trees|network] [--rounds N] [--exposed] [--control]`: six sites and a hub on Flower, in a network
of their own, another site lost in each round; whatever reaches the hub is searched for what the sites said."""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.learning import auc_of, compared, plan_of, tables
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from estran.hub.learning import flower
from estran.hub.learning.node import Node
from estran.hub.learning.run import Led, Run
from tests.learning import apart, doors, secrecy
from tests.learning.wire import Wire

APPS = "estran/hub/learning/apps"
HERE = Path(__file__).parent
PORT = 19443
WAIT = "45"  # seconds for which the hub waits for an answer


def main() -> int:
    """Run, look, tell."""
    asked = _arguments()
    code = apart.again_apart()
    if code is not None:
        return code
    if apart.apart():
        apart.lay()
    folder = Path(tempfile.mkdtemp(prefix="estran-learning-"))
    try:
        told = _Proof(folder, asked).run()
        if apart.apart():
            told["packets_to_outside"] = apart.packets()
            told["packets_with_telemetry"] = apart.packets_with_telemetry(folder) if asked.control else None
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return _verdict(told, asked)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.learning", description=__doc__)
    parser.add_argument("--model", choices=("logistic", "trees", "network"), default="logistic")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument(
        "--exposed", action="store_true", help="robust aggregation: the search must find what sites said"
    )
    parser.add_argument("--control", action="store_true", help="show that packets to the outside would be seen")
    parser.add_argument("--keep", action="store_true", help="keep the folder of the run")
    parser.add_argument("--minutes", type=float, default=40)
    return parser.parse_args()


class _Proof:
    """One run, watched."""

    def __init__(self, folder: Path, asked: argparse.Namespace) -> None:
        self.folder, self.asked, self.sites = folder, asked, tables()
        self.in_memory: set[bytes] = set()
        self.looks = 0

    def run(self) -> dict[str, Any]:
        """Everything that was found."""
        more: dict[str, Any] = {"model": self.asked.model}
        if self.asked.exposed:
            more = {"aggregation": "trimmed", "exposure_accepted": True, "model": "network", "hidden": 0}
        plan = plan_of(**more, rounds=self.asked.rounds)
        began = time.monotonic()
        run = Run.create(
            self.folder / "run", plan, Ed25519PrivateKey.generate(), f"127.0.0.1:{PORT}", f"127.0.0.1:{PORT}", _spies()
        )
        nodes = {f"site{number}": self._node(run, number) for number in range(len(self.sites))}
        found, refused = self._led(run, nodes)
        with np.load(run.folder / "model.npz") as kept:
            model = dict(kept)
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "model": plan.model, "course": found, "lost": self._lost(), "doors": refused, **self._secrecy(),
            "auc": auc_of(plan, model), "compared": compared(plan), "tables_left": len(list(self.folder.glob("site*/table.npz"))),
            "seconds": time.monotonic() - began, "cpu_seconds": spent.ru_utime + spent.ru_stime,
        }  # fmt: skip

    def _node(self, run: Run, number: int) -> Node:
        """A site whose way to the hub can be cut."""
        place = self.folder / f"site{number}"
        wire = Wire(PORT, self.folder / f"wire{number}.bin", place / "cut")
        job = run.job() | {"address": f"127.0.0.1:{wire.port}"}
        node = Node.prepare(place, job, self.sites[number], time.time() + 60 * self.asked.minutes)
        if not self.asked.exposed:
            (place / "place").write_text(f"{number} {len(self.sites)}")
        return node

    def _led(self, run: Run, nodes: Mapping[str, Node]) -> tuple[dict[str, Any], dict[str, bool]]:
        more = {"ESTRAN_LEARNING_WAIT": WAIT, "ESTRAN_LEARNING_APPS": str(flower.APPS)}
        start = flower.start
        flower.start = lambda script, *rest: start(
            str(HERE / "spying_link.py") if script == "link.py" else script, *rest
        )
        led, started = run.lead({name: node.public for name, node in nodes.items()}, more), []
        try:
            started = [node.start() for node in nodes.values()]
            found = self._watched(led)
            refused = doors.refused(run, PORT, self.folder / "stranger", self.sites[0])
        finally:
            for process in (*started, led.link):
                flower.stop(process, 15)
        return found, refused

    def _watched(self, led: Led) -> dict[str, Any]:
        """Until the run is over: after each round give a cut site its way back, and look into the hub's memory."""
        end, rounds = time.monotonic() + 60 * self.asked.minutes, 0
        while True:
            found = led.run.course()
            if len(found["rounds"]) > rounds or found["over"]:
                rounds = len(found["rounds"])
                for cut in self.folder.glob("site*/cut"):
                    cut.unlink()
                self._look(led.link.pid)
                print(f"  round {found['rounds'][-1]}", flush=True)
            if found["over"]:
                return found
            if time.monotonic() > end or led.link.poll() is not None:
                raise SystemExit(f"WRONG: the run did not come to its end; {found}")
            time.sleep(0.2)

    def _look(self, link: int) -> None:
        wanted = secrecy.clear(self.folder)
        for process in secrecy.family(link):
            self.in_memory |= secrecy.searched(secrecy.memory(process), wanted)
        self.looks += 1

    def _lost(self) -> dict[int, str]:
        """Who was lost when, and how."""
        marks = sorted(self.folder.glob("site*/lost-*"), key=lambda path: path.name)
        return {int(path.name[5:]): f"{path.parent.name} {path.read_text()}" for path in marks}

    def _secrecy(self) -> dict[str, Any]:
        clear, masked = secrecy.clear(self.folder), secrecy.masked(self.folder)
        places = {
            "messages of the server app": [self.folder / "run/seen.bin"],
            "requests after TLS": [self.folder / "run/opened.bin"],
            "bytes on the wire": sorted(self.folder.glob("wire*.bin")),
        }
        found: dict[str, Any] = {"hub's memory": {"clear": len(self.in_memory), "bytes": None, "masked": None}}
        for name, paths in places.items():
            searched = secrecy.searched(
                (part for path in paths for part in secrecy.of_file(path)), [*clear, *masked.values()]
            )
            found[name] = {
                "clear": len(searched & set(clear)), "masked": len(searched & set(masked.values())), "bytes": sum(one.stat().st_size for one in paths),
            }  # fmt: skip
        said = len(list(self.folder.glob("site*/clear-*.npy")))
        return {"said": said, "pieces": len(clear), "masked": len(masked), "looks": self.looks, "found": found}


def _spies() -> list[str]:
    """The product's apps under another name, and those of the tests in their place."""
    own = Path(flower.APPS)
    return [
        f"{HERE / 'spying_client.py'}={APPS}/client_app.py", f"{own / 'client_app.py'}={APPS}/genuine_client_app.py",
        f"{HERE / 'spying_server.py'}={APPS}/server_app.py", f"{own / 'server_app.py'}={APPS}/genuine_server_app.py",
    ]  # fmt: skip


def _verdict(told: dict[str, Any], asked: argparse.Namespace) -> int:
    """Each claim with its numbers; 1 when one does not hold."""
    rounds = told["course"]["rounds"]
    outside = told.get("packets_to_outside")
    claims = [
        (
            f"finishes: {len(rounds)} rounds, sums of {[one['sites'] for one in rounds]} sites",
            rounds and told["course"]["over"],
        ),
        *((f"{who} refused", well) for who, well in told["doors"].items()),
        (f"packets to the outside: {outside}", outside == 0),
        (f"tables left at the sites: {told['tables_left']}", not told["tables_left"]),
        *(_exposure(told) if asked.exposed else _secret(told, rounds)),
    ]
    if asked.control:
        seen = told.get("packets_with_telemetry")
        claims.append((f"packets to the outside with telemetry on, to know that they are seen: {seen}", bool(seen)))
    for sentence, well in claims:
        print(f"{'holds' if well else 'WRONG'}  {sentence}")
    print(json.dumps({name: told[name] for name in ("model", "lost", "course", "seconds", "cpu_seconds")}))
    return int(not all(well for _, well in claims))


def _secret(told: dict[str, Any], rounds: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    sites, lost = len(tables()), told["lost"]
    each = [lost.get(number, "nobody") for number in range(1, len(rounds) + 1)]
    by_site = [one.split()[0] for one in each]
    different = all(a != b for a, b in itertools.pairwise(by_site)) and "nobody" not in by_site
    found = told["found"]
    came = min(found[name]["masked"] for name in ("messages of the server app", "requests after TLS"))
    apart_from = told["auc"] - told["compared"]["pooled"]
    alone = max(told["compared"]["alone"])
    return [
        (f"AUC {told['auc']:.4f}, pooled {told['compared']['pooled']:.4f}: {apart_from:+.4f}", abs(apart_from) <= 0.01),
        (f"best site alone {alone:.4f}", told["auc"] > alone),
        (f"one site lost in each round, another each time: {', '.join(each)}", different),
        (f"each sum is of those that were left when masked vectors were due: {[one['sites'] for one in rounds]}",
         all(one["sites"] in (sites - 1, sites) for one in rounds)),
        *((f"{name}: {one['clear']} of {told['pieces']} pieces of {told['said']} clear updates"
           + (f" in {one['bytes']:,} bytes" if one["bytes"] else f" in {told['looks']} looks"), not one["clear"] and told["pieces"])
          for name, one in found.items()),
        (f"the search finds what is there: {came} of {told['masked']} masked vectors (those of sites lost in time are not there)",
         came >= (sites - 1) * len(rounds)),
        (f"nothing of it is readable on the wire: {found['bytes on the wire']['masked']}", not found["bytes on the wire"]["masked"]),
    ]  # fmt: skip


def _exposure(told: dict[str, Any]) -> list[tuple[str, Any]]:
    found = told["found"]
    return [(f"shows the hub each site's update, as said: {one['clear']} of {told['pieces']} pieces in {name}", one["clear"])
            for name, one in found.items() if name in ("messages of the server app", "requests after TLS")]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
