"""Rounds of a statistic over a real network: six small hospitals, each an agent that stays with a hub over TLS.

All run in one process (`python -m benchmarks.network_statistics`): wall seconds per round as the hub records them, and
processor seconds per round of hub and six sites together.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
import time
from pathlib import Path

from tests.network_kit import Network, add_hospital, network

from estran.cohort.language.text import parse
from estran.hub.agent.agent import Agent
from estran.hub.agent.link import Link
from estran.hub.agent.rules import Rules
from estran.hub.asking import Choices, read_study
from estran.hub.conducting import Conductor
from estran.hub.server import Door
from estran.hub.studies import Studies
from estran.hub.study_desk import StudyDesk
from estran.projects.actors import KEY_HOLDER

SITES = {"angers": "CARD", "brest": "DIAB", "nantes": "URG", "tours": "HEP", "rennes": "CARD", "poitiers": "URG"}
COLUMNS, EVENT = "age\nsex\nheart = CIM10:I50\ndiabetes = CIM10:E11", "CIM10:E11"
ASKED = {
    "describe": ("âge>=0", COLUMNS, Choices()),
    "contingency": ("âge>=0", "sex\nheart = CIM10:I50", Choices()),
    "glm": ("âge>=0", COLUMNS, Choices(outcome="heart")),
    "cox": ("CIM10:I10", "age\nsex", Choices(event=EVENT, horizon=900)),
    "survival": ("CIM10:I10", "sex", Choices(event=EVENT, horizon=900, group="sex")),
    "meta": ("âge>=0", "age\nsex\nheart = CIM10:I50", Choices(outcome="heart", term="age")),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        net = network(folder)
        rules = {site: Rules(answer=("statistics",), approve=(), units=(unit,)) for site, unit in SITES.items()}
        for site, own in rules.items():
            add_hospital(net, folder, site, rules=own)
        _run(net)


def _run(net: Network) -> None:
    studies, stop = Studies(net.house.folder), threading.Event()
    port = _served(net, studies)
    for site in SITES:
        place = net.places[site]
        way = Link(f"https://127.0.0.1:{port}", place.membership.certificate, place.identity)
        threading.Thread(target=Agent(place, way).run, args=(stop,), daemon=True).start()
    state = net.places["angers"].site.state  # type: ignore[union-attr]
    desk = StudyDesk(state, net.house.book, studies, KEY_HOLDER)
    for method, (cohort, columns, choices) in ASKED.items():
        begun = time.process_time()
        number = desk.ask(read_study(method, parse(cohort), columns, choices))
        while (found := studies.study(number)) is not None and found.open:
            time.sleep(0.01)
        spent = time.process_time() - begun
        rounds = [one.seconds or 0.0 for one in studies.steps(number) if one.phase == "round"]
        told = {
            "method": method, "state": found and found.state, "rounds": len(rounds), "processor_all": round(spent, 2),
            "wall_per_round": round(sum(rounds) / max(1, len(rounds)), 3), "wall_first": round(studies.steps(number)[0].seconds or 0, 3),
        }  # fmt: skip
        print(json.dumps(told), flush=True)
    stop.set()


def _served(net: Network, studies: Studies) -> int:
    """The hub's door in a thread; its port."""
    found, ready = [0], threading.Event()
    conductor = Conductor(net.house.book, studies)

    def opened(port: int) -> None:
        found[0] = port
        ready.set()

    door = Door(net.office, lambda taken: conductor.answered(str(taken.message.body.get("uuid"))))
    threading.Thread(target=lambda: asyncio.run(door.serve("127.0.0.1", 0, opened)), daemon=True).start()
    ready.wait(60)
    return found[0]


if __name__ == "__main__":
    main()
