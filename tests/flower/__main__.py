"""`python -m tests.flower [--model logistic|trees|network] [--rounds N] [--control]`: six sites and a hub on Flower, in a network of their own,
one site lost per round; what the hub could see is searched for what the sites said."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from benchmarks.learning import auc_of, compared, plan_of, tables
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from estran.analysis.learning.site import LEARNERS
from estran.hub.learning import flower
from estran.hub.learning.apps.agreed import FILE_NAME
from estran.hub.learning.node import Node
from estran.hub.learning.run import Run
from tests.flower import secrecy
from tests.flower.wire import Wire

APPS = "estran/hub/learning/apps"
HERE = Path(__file__).parent
_OUTSIDE = "out0"


def main() -> int:
    """Run, look, tell."""
    asked = _arguments()
    if os.geteuid() == 0 and not os.environ.get("ESTRAN_APART"):
        return subprocess.run(
            ["unshare", "-n", sys.executable, "-m", "tests.flower", *sys.argv[1:]],
            env={**os.environ, "ESTRAN_APART": "1"},
            check=False,
        ).returncode
    apart = bool(os.environ.get("ESTRAN_APART"))
    if apart:
        _network()
    folder = Path(tempfile.mkdtemp(prefix="estran-flower-"))
    try:
        told = _run(folder, asked) | ({"packets_to_outside": _packets()} if apart else {})
        if apart and asked.control:
            told["packets_with_telemetry"] = _telemetry(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(told, indent=1))
    return _verdict(told, asked)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.flower", description=__doc__)
    parser.add_argument("--model", choices=("logistic", "trees", "network"), default="logistic")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument(
        "--exposed", action="store_true", help="robust aggregation: the search must find what the sites said"
    )
    parser.add_argument("--lose", action=argparse.BooleanOptionalAction, default=True, help="lose one site per round")
    parser.add_argument("--control", action="store_true", help="show that packets to the outside would be seen")
    parser.add_argument("--minutes", type=float, default=30)
    return parser.parse_args()


def _network() -> None:
    """The loopback, and a way to the outside that leads nowhere: whatever is sent there is counted."""
    for line in ("link set lo up", f"link add {_OUTSIDE} type veth peer name out1"):
        subprocess.run(["ip", *line.split()], check=True)
    for name in (_OUTSIDE, "out1"):  # neighbour discovery would be counted
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    for line in (f"addr add 10.99.0.1/24 dev {_OUTSIDE}", f"link set {_OUTSIDE} up", "link set out1 up", "route add default via 10.99.0.2",
                 f"neigh add 10.99.0.2 lladdr 02:00:00:00:00:02 dev {_OUTSIDE}"):  # fmt: skip
        subprocess.run(["ip", *line.split()], check=True)


def _packets() -> int:
    return int(Path(f"/sys/class/net/{_OUTSIDE}/statistics/tx_packets").read_text())


def _telemetry(folder: Path) -> int:
    """Packets of a start of Flower's own SuperLink with nothing switched off."""
    before = _packets()
    loud = flower.environment(folder) | {"FLWR_TELEMETRY_ENABLED": "1", "FLWR_DISABLE_UPDATE_CHECK": ""}
    program = [flower.python().parent / "flower-superlink", "--insecure", "--port", "19999"]
    with subprocess.Popen(
        program, env=loud, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        end = time.monotonic() + 60
        while _packets() == before and time.monotonic() < end:
            time.sleep(0.5)
        flower.stop(process)
    return _packets() - before


def _run(folder: Path, asked: argparse.Namespace) -> dict:
    extra = (
        {"aggregation": "trimmed", "exposure_accepted": True, "model": "network", "hidden": 0}
        if asked.exposed
        else {"model": asked.model}
    )
    plan = plan_of(**extra, rounds=asked.rounds)
    began, port = time.monotonic(), 19443
    wire = Wire(port, folder / "wire.bin")
    run = Run.create(
        folder / "run", plan, Ed25519PrivateKey.generate(), f"127.0.0.1:{wire.port}", f"127.0.0.1:{port}", _spies()
    )
    nodes = {}
    for number, table in enumerate(tables()):
        nodes[f"site{number}"] = Node.prepare(
            folder / f"site{number}", run.job(), table, time.time() + 60 * asked.minutes
        )
        if asked.lose:
            (folder / f"site{number}" / "place").write_text(f"{number} {len(tables())}")
    led, started = run.lead({name: node.public for name, node in nodes.items()}), []
    try:
        started = [node.start() for node in nodes.values()]
        found = led.wait(60 * asked.minutes)
        held = b"".join(secrecy.memory(one) for one in secrecy.family(led.link.pid))
    finally:
        for process in (*started, led.link):
            flower.stop(process, 5)
    seen = {
        "server app": (run.folder / "seen.bin").read_bytes(),
        "memory": held,
        "wire": (folder / "wire.bin").read_bytes(),
    }
    bound = LEARNERS[plan.model].bound(plan)
    said = [np.load(path) for path in sorted(folder.glob("site*/said-*.npy"))]
    wanted = [piece for one in said for piece in secrecy.traces(one, bound)]
    with np.load(run.folder / "model.npz") as kept:
        model = dict(kept)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "model": plan.model, "rounds": [[one["sites"], one["for"], one["seconds"]] for one in found["rounds"]], "said": len(said),
        "pieces": len(wanted), "bytes": {place: len(data) for place, data in seen.items()},
        "found": {place: secrecy.searched(data, wanted) for place, data in seen.items()},
        "auc": auc_of(plan, model), "compared": compared(plan), "all": found["all"], "last_vote": found["last_vote"], "released": found["released"], "each": found["each"],
        "tables_left": len(list(folder.glob("site*/table.npz"))), "seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(spent.ru_utime + spent.ru_stime, 1),
    }  # fmt: skip


def _spies() -> list[str]:
    """The product's apps under another name, and those of the tests in their place."""
    own = Path(flower.APPS)
    assert FILE_NAME == "plan.json"
    return [
        f"{HERE / 'spying_client.py'}={APPS}/client_app.py", f"{own / 'client_app.py'}={APPS}/genuine_client_app.py",
        f"{HERE / 'spying_server.py'}={APPS}/server_app.py", f"{own / 'server_app.py'}={APPS}/genuine_server_app.py",
    ]  # fmt: skip


def _verdict(told: dict, asked: argparse.Namespace) -> int:
    wrong = []
    if asked.exposed:
        wrong += [] if told["found"]["server app"] else ["the search does not find what is there"]
    else:
        wrong += [f"a site's update is in {place}" for place, many in told["found"].items() if many]
        wrong += [] if told["pieces"] else ["nothing to search for"]
        wrong += [] if abs(told["auc"] - told["compared"]["pooled"]) <= 0.01 else ["far from the pooled model"]
        wrong += [] if told["auc"] > max(told["compared"]["alone"]) else ["a site alone does as well"]
    if asked.lose:
        wrong += (
            [] if all(one[0] == len(tables()) - 1 for one in told["rounds"]) else ["not one site lost in each round"]
        )
    wrong += ["packets to the outside"] if told.get("packets_to_outside") else []
    wrong += ["the counter counts nothing"] if asked.control and not told.get("packets_with_telemetry") else []
    wrong += ["tables left behind"] if told["tables_left"] else []
    print("WRONG: " + "; ".join(wrong) if wrong else "as it must be")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
