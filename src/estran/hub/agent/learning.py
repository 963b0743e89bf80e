"""The kinds `learning` and `learning-go`: a site's part in a model that several sites learn.

The first asks: the site decides, reads its rows once, lays them down for its node, and answers with the node's key and a protected count.
The second starts the node, which talks to the hub's SuperLink by itself, and ends it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import orjson
from pyroaring import BitMap

from estran.cohort.language import json as question_json
from estran.hub.agent.ledger import Answer, Job
from estran.hub.agent.place import Place
from estran.hub.agent.rules import FLOOR
from estran.hub.agent.statistics import Willing, clerk_of, of_willing
from estran.hub.learning import flower, signing
from estran.hub.learning.node import Node
from estran.hub.learning.question import Lesson, numbers_of
from estran.hub.learning.run import packed
from estran.model.errors import NotAllowed, UsageError
from estran.projects.datamarts.analysis import PATIENT, read_wanted
from estran.projects.network import NetworkClerk

KIND, GO = "learning", "learning-go"
START, END = "start", "end"  # phases of the second
FOLDER = "learning"
_TOLD, _TARGET = "told.json", "target"
_LONGEST = 86_400.0  # seconds for which a node may run
_GRACE = 60.0  # seconds that a node has to end by itself


def accept(place: Place, job: Job) -> Answer:
    """Take part in a run; NotAllowed when this site does not."""
    willing = place.rules.willing(KIND)
    if not willing:
        raise NotAllowed("The rules of this site do not allow this kind of question.")
    lesson = Lesson.read(job.body)
    folder = _folder(place, lesson.plan.name)
    if (folder / _TOLD).is_file():
        return Answer("ok", "", orjson.loads((folder / _TOLD).read_bytes()))
    signing.check(str(job.body.get("bundle")), str(job.body.get("signature")), place.membership.hub_key.key)
    flower.python()
    _own_code(lesson, str(job.body.get("bundle")))
    clerk, query = clerk_of(place, willing), question_json.from_object(dict(lesson.cohort))
    asked = of_willing(query, willing)
    shown, rows = clerk.counted_table(asked, read_wanted(lesson.table, query), _target(place, lesson))
    shutil.rmtree(folder, ignore_errors=True)  # of an agent that was killed before it had all ready
    patients = BitMap(rows.column(PATIENT).to_numpy().astype(np.uint32))
    node = Node.prepare(folder, job.body, numbers_of(lesson, rows), time.time() + _LONGEST, patients)
    (folder / _TARGET).write_text(_target(place, lesson), "utf-8")
    told = {"public": node.public, "patients": {"value": shown.value, "margin": shown.margin}}
    (folder / _TOLD).write_bytes(orjson.dumps(told))
    return Answer("ok", "", told)


def go(place: Place, job: Job) -> Answer:
    """Start the node of a run that this site takes part in, or end it."""
    folder, phase = _folder(place, str(job.body.get("run"))), job.body.get("phase")
    if not (folder / _TOLD).is_file():
        raise NotAllowed("This site does not take part in this run.")
    if phase == END:
        Node.at(folder).end()
    elif phase == START:
        node = Node.at(folder)
        target = (folder / _TARGET).read_text("utf-8")
        clerk_of(place, place.rules.willing(KIND) or _unwilling()).still(node.patients(), f"{target} start")
        node.start()
    else:
        raise UsageError("A run has no such phase.")
    return Answer("ok")


def watch(place: Place) -> None:
    """Have runs end here whose time is over, or in whose rows somebody is who has objected since; what they leave, as
    after a power failure, is removed."""
    for folder in sorted((place.folder / FOLDER).glob("*/")):
        node = Node.at(folder)
        if not node.holds:
            continue
        if time.time() > node.until:
            node.clear()
        elif node.ended:
            node.clear(after=_GRACE)
        elif not (folder / _TOLD).is_file():
            continue  # being made ready
        elif not node.patients() <= _everybody(place):
            node.end()


def _everybody(place: Place) -> BitMap:
    if place.room is None or place.actor is None:
        raise UsageError("There are no patients here.")
    return NetworkClerk(place.room, place.actor, floor=FLOOR, quota=0).everybody()


def _unwilling() -> Willing:
    raise NotAllowed("The rules of this site do not allow this kind of question.")


def _own_code(lesson: Lesson, digest: str) -> None:
    """UsageError unless the bundle is the one that this site's own release makes of the plan: nothing else runs beside its rows,
    whoever signed it."""
    with tempfile.TemporaryDirectory(prefix="estran-bundle-") as scratch:
        if packed(Path(scratch), lesson.plan) != digest:
            raise UsageError(
                "The hub's bundle is not what this release of Estran makes of the plan.", hint="use the same release"
            )


def _folder(place: Place, run: str) -> Path:
    if not run.replace("-", "").replace("_", "").isalnum() or len(run) > 40:
        raise UsageError("A run is named by letters, digits, - and _.")
    return place.folder / FOLDER / run


def _target(place: Place, lesson: Lesson) -> str:
    plan = lesson.plan
    said = f"network:{place.membership.network} learning:{plan.name} {plan.model} {plan.aggregation}"
    return f"{said} {plan.outcome} from {', '.join(one.name for one in plan.columns)[:300]}"
