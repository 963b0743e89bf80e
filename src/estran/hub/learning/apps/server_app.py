"""What runs at the hub: leads the course of a run, and writes what came of it into the folder of the run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from flwr.common import (
    ArrayRecord,
    ConfigRecord,
    FitIns,
    Message,
    RecordDict,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.compat.common import recorddict_compat as compat
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.secure_aggregation import secaggplus_workflow as secagg
from flwr.serverapp import ServerApp
from flwr.superlink.grid import http_grid

from estran.analysis.learning.course import Course, carried
from estran.analysis.learning.learner import State
from estran.analysis.learning.rows import Floats
from estran.hub.learning.apps import masks
from estran.hub.learning.apps.agreed import packed, plan

OUT = "ESTRAN_LEARNING_OUT"  # environment: the folder of the run
PICTURE = "picture"
_SECONDS = float(os.environ.get("ESTRAN_LEARNING_WAIT", "120"))  # for one answer; then a site is lost to the round
_LOOK = 0.25  # seconds between two looks for answers, where Flower sleeps three
secagg.pseudo_rand_gen = masks.mask
http_grid.time = SimpleNamespace(time=time.time, sleep=lambda _: time.sleep(_LOOK))
PLAN = plan()


class Sites:
    """Flower's strategy and client manager in one, for one secure sum."""

    def __init__(self, nodes: Sequence[int], arrays: Sequence[Floats], kind: str) -> None:
        self._nodes, self._asked = nodes, FitIns(ndarrays_to_parameters(list(arrays)), {"kind": kind})
        self.mean: Floats | None = None
        self.sites = 0

    def num_available(self) -> int:
        """How many sites are there."""
        return len(self._nodes)

    def configure_fit(self, *_: Any) -> list[Any]:
        """Everybody is asked the same."""
        return [(SimpleNamespace(node_id=node), self._asked) for node in self._nodes]

    def aggregate_fit(self, _: int, results: Sequence[Any], __: Any) -> tuple[None, dict[str, Any]]:
        """Called with the mean in the place of each site's answer."""
        self.sites = len(results)
        self.mean = np.asarray(parameters_to_ndarrays(results[0][1].parameters)[0], np.float64)
        return None, {}


class Sum(SecAggPlusWorkflow):  # type: ignore[misc]  # of Flower's, which is not where types are checked
    """SecAgg+ that goes on without a site whatever the stage in which it is lost: Flower's counts one that gave no shares among those
    whose masks are to be opened, and gives up. `stayed`: the sites that were there to the end."""

    stayed: frozenset[int] = frozenset()

    def setup_stage(self, grid: Any, context: Any, state: Any) -> bool:
        """Sites give their keys."""
        return super().setup_stage(grid, context, state) and self._without_lost(state)

    def share_keys_stage(self, grid: Any, context: Any, state: Any) -> bool:
        """Sites give each other shares of their secrets."""
        return super().share_keys_stage(grid, context, state) and self._without_lost(state)

    def unmask_stage(self, grid: Any, context: Any, state: Any) -> bool:
        """Sites give what takes the masks off the sum."""
        done = super().unmask_stage(grid, context, state)
        self.stayed = frozenset(state.active_node_ids)
        return bool(done)

    def _without_lost(self, state: Any) -> bool:
        state.sampled_node_ids = set(state.active_node_ids)
        for neighbours in state.nid_to_neighbours.values():
            neighbours &= state.active_node_ids
        return True


class Leader:
    """One run."""

    def __init__(self, grid: Any, context: Any) -> None:
        self._grid, self._context, self._round = grid, context, 0
        self.course = Course(PLAN)
        self._out = Path(os.environ[OUT])
        self._wanted = int(os.environ["ESTRAN_LEARNING_SITES"])
        self._stayed: list[list[str]] = []  # the same of each round, as they are written down
        self._there: frozenset[int] = (
            frozenset()
        )  # sites that stayed to the end of the last sum: the others are not waited for

    def run(self) -> None:
        """Lead it to its end; what stands is written after each round, so that a hub that stops has it."""
        self._wait()
        course = self.course
        while not course.over:
            began = time.monotonic()
            put = self._secure(began) if PLAN.secure else self._exposed(began)
            self._stayed.append(sorted(map(str, self._there)))
            while put and not course.decide(
                [one["vote"] > 0.5 for one in self._told(standing=course.standing, candidate=course.state).values()]
            ):
                pass
            self._keep()
        self._finish()

    def _wait(self) -> None:
        """Until all sites that agreed are there, or two minutes are over."""
        end = time.monotonic() + _SECONDS
        while len(self._nodes()) < self._wanted and time.monotonic() < end:
            time.sleep(_LOOK)

    def _nodes(self) -> list[int]:
        return sorted(self._grid.get_node_ids())

    def _secure(self, began: float) -> bool:
        mean, sites = self._sum(self.course.state, "")
        return self.course.take(mean, sites, time.monotonic() - began)

    def _sum(self, state: State, kind: str) -> tuple[Floats | None, int]:
        """The mean over the sites that stay to the end of SecAgg+, and how many they are."""
        nodes = self._nodes()
        if len(nodes) < masks.FEWEST_SITES:
            self._there = frozenset(nodes)
            time.sleep(1)
            return None, len(nodes)
        self._round += 1
        sites = Sites(nodes, packed(state), kind)
        context = LegacyContext(self._context, strategy=sites, client_manager=sites)
        context.state.config_records["config"] = ConfigRecord({"current_round": self._round})
        context.state.array_records["parameters"] = ArrayRecord()
        workflow = Sum(
            1.0, masks.threshold(len(nodes)), max_weight=1.0, clipping_range=float(self.course.learner.bound(PLAN)),
            quantization_range=masks.TARGET, modulus_range=masks.WORD, timeout=_SECONDS,
        )  # fmt: skip
        workflow(self._grid, context)
        self._there = workflow.stayed
        return sites.mean, sites.sites

    def _exposed(self, began: float) -> bool:
        """Robust aggregation: each site's update comes in the clear."""
        self._round += 1
        content = compat.fitins_to_recorddict(FitIns(ndarrays_to_parameters(packed(self.course.state)), {}), True)
        replies = self._ask("train", content, self._nodes())
        self._there = frozenset(one.metadata.src_node_id for one in replies)
        said = [compat.recorddict_to_fitres(one.content, True).parameters for one in replies]
        return self.course.take_each([parameters_to_ndarrays(one)[0] for one in said], time.monotonic() - began)

    def _told(self, **models: State) -> dict[int, dict[str, float]]:
        """What each site says of one or two models."""
        content = RecordDict({name: ArrayRecord(packed(state)) for name, state in models.items()})
        return {
            one.metadata.src_node_id: dict(one.content.metric_records["told"])
            for one in self._ask("evaluate", content, sorted(self._there))
        }

    def _ask(self, kind: str, content: Any, nodes: Sequence[int]) -> list[Any]:
        sent = [Message(content, dst_node_id=node, message_type=kind, group_id=str(self._round)) for node in nodes]
        return [one for one in self._grid.send_and_receive(sent, timeout=_SECONDS) if not one.has_error()]

    def _finish(self) -> None:
        picture, sites = self._sum(self.course.standing, PICTURE) if PLAN.secure else (None, 0)
        figures = None if picture is None else self.course.figures(picture, sites)
        self._there = frozenset(self._nodes())
        each = self._told(candidate=self.course.standing)
        votes = [told.pop("vote", 0.0) > 0.5 for told in each.values()]
        self._keep({
            "over": True, "pictured": sites, "all": None if figures is None else figures.rounded(), "each": {str(node): told or None for node, told in each.items()},
            "last_vote": [sum(votes), len(votes) - sum(votes)], "released": carried(votes),
        })  # fmt: skip

    def _keep(self, more: dict[str, Any] | None = None) -> None:
        """The model and the rounds, whole or not at all."""
        standing: dict[str, Any] = self.course.standing
        np.savez(self._out / "model.new.npz", **standing)
        (self._out / "model.new.npz").replace(self._out / "model.npz")
        rounds = [told | {"stayed": stayed} for told, stayed in zip(self.course.told(), self._stayed, strict=True)]
        told = {"rounds": rounds, "over": False} | (more or {})
        (self._out / "course.new").write_text(json.dumps(told), "utf-8")
        (self._out / "course.new").replace(self._out / "course.json")


def main(grid: Any, context: Any) -> None:
    """Called by Flower."""
    Leader(grid, context).run()


app = ServerApp()
app.main()(main)
