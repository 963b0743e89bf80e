"""Models that hospitals learn together, for pages and pictures: the course is a real one of synthetic tables; Flower is not there."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
from benchmarks.learning import learned, plan_of, tables
from tests.browser.small_site import Site
from tests.network_kit import Network

from estran.analysis.learning.plan import FEWEST_SITES
from estran.cohort.language.text import parse
from estran.hub.learning import flower
from estran.hub.learning.leading import LearningDesk
from estran.hub.learning.question import read_lesson
from estran.hub.learning.run import Run
from estran.projects.actors import KEY_HOLDER

_BUNDLE = b"bundle"
_ALL = {"auc": 0.772, "low": 0.75, "high": 0.79, "brier": 0.1, "loss": 0.3, "observed": 0.2, "expected": 0.21}


class Lesson:
    """A model that all hospitals of a network were asked to learn, and said yes to: each with its own number of patients."""

    def __init__(self, made: Network, hub: Site, name: str, **more: Any) -> None:
        self.desk, self.name = LearningDesk(hub.state, made.house, KEY_HOLDER), name
        lesson = read_lesson(parse("CIM10:I50"), "age, sex, died", "died", "", {"name": name, **more}, "lea")
        self.plan = lesson.plan
        with patch.object(flower, "call", _packed), patch.object(flower, "python", lambda: Path("python")):
            self.desk.ask(lesson, "127.0.0.1:1", "127.0.0.1:1")
        jobs = self.desk.shelf.jobs(name)
        for place, (member, job) in enumerate(jobs.items()):
            said = {"public": "key", "patients": {"value": 120 + 5 * place, "margin": 10}}
            made.house.book.answer(member, job, "ok", "", said, (), time.time())
        self.nodes = {str(number): member for number, member in enumerate(jobs)}
        (self.desk.shelf.place(name) / "members.json").write_bytes(orjson.dumps(self.nodes))

    def learn(self, vote: list[int] | None = None) -> None:
        """Round by round, the second hospital being lost in the second; over, with the card, when there was a last vote."""
        told_with = {} if self.plan.secure else {"loss": None}
        course = learned(plan_of(), tables()[: len(self.nodes)]).told()
        rounds = [one | {"stayed": list(self.nodes)} | told_with for one in course]
        rounds[1] |= _without(rounds[1], [node for node in self.nodes if node != "1"])
        told = {"rounds": rounds, "over": False, "last_vote": vote, "released": bool(vote and vote[0] > 1)}
        run = Run.open(self.desk.shelf.place(self.name))
        (run.folder / "course.json").write_bytes(orjson.dumps(told | (self._over() if vote else {})))
        if vote:
            self.desk._keep(run, self.nodes)

    def _over(self) -> dict[str, Any]:
        """What is told at the end; the second hospital has too few cases to be told of."""
        apart = {node: 0.011 * (int(node) - 1) for node in self.nodes}
        each = {
            node: None if node == "1" else _ALL | {name: round(_ALL[name] + by, 3) for name in ("auc", "low", "high")}
            for node, by in apart.items()
        }
        return {"over": True, "pictured": len(self.nodes), "all": _ALL, "each": each}


def _without(one: dict[str, Any], stayed: list[str]) -> dict[str, Any]:
    """A round of those who stayed; of two there would be no sum, and the course is a real one of all."""
    fewer = {"sites": len(stayed), "for": len(stayed), "against": 0} if len(stayed) >= FEWEST_SITES else {}
    return {"stayed": stayed} | fewer


def _packed(script: str, *arguments: str, home: Path) -> str:
    Path(arguments[0]).write_bytes(_BUNDLE)
    return hashlib.sha256(_BUNDLE).hexdigest()
