"""Members of a network who go for good, one at a time: what the hub shows of those that are left, and whether all of it
comes once they are back. Part of `python -m tests.hub_faults`."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence

from estran.hub.book import HubBook
from estran.hub.gathering import Gathered, advance, gather
from tests.hub_process import Processes
from tests.hub_truth import Truth, put

Reached = Callable[[Gathered], bool]


class Losses:
    """Each way of going gets every question once; `run` tells what came, what did not, and what was wrong."""

    def __init__(self, every: Processes, truth: Truth, sites: Sequence[str], texts: Sequence[str]) -> None:
        self._all, self._truth, self._sites, self._texts = every, truth, sites, texts
        self._asked: dict[str, str] = {}
        self._told: dict[str, int] = {}
        self._wrong = self._lost = 0

    def run(self, patience: float) -> dict[str, int]:
        """All of it. Each wait is bounded by `patience` seconds."""
        self._patience = patience
        first, second, third = self._sites
        self.site_is_killed(first, {second, third})
        self.network_is_cut(third, {first, second})
        self.site_is_killed_between_count_and_tokens(first, second, third)
        self.linkage_unit_is_killed()
        self._look("all are back", list(self._asked), lambda stands: _linked(stands, set(self._sites)))
        return self._told | {"wrong": self._wrong, "lost": self._lost}

    def site_is_killed(self, gone: str, left: set[str]) -> None:
        """Before it is asked anything."""
        self._all.children[gone].kill()
        self._look("a site killed", self._ask(), lambda stands: _linked(stands, left))
        self._all.start(gone)

    def network_is_cut(self, gone: str, left: set[str]) -> None:
        """While the questions come; without namespaces the site is stopped instead."""
        self._all.cut(gone)
        self._look("a cable cut", self._ask(), lambda stands: _linked(stands, left))
        self._all.cut(gone, again=True)

    def site_is_killed_between_count_and_tokens(self, gone: str, left: str, slow: str) -> None:
        """Its count is there; it may not be part of a total of tokens that never came."""
        os.kill(self._all.children[slow].pid, signal.SIGSTOP)  # while a count may come, nobody is asked for tokens
        for question in self._ask():
            self._until(question, lambda stands: gone in _answered(stands))
        self._all.children[gone].kill()
        os.kill(self._all.children[slow].pid, signal.SIGCONT)
        asked = list(self._asked)[-len(self._texts) :]
        self._look(
            "a site killed after its count",
            asked,
            lambda stands: len(_answered(stands)) == 3 and {left, slow} <= set(stands.total.covers),
        )
        self._all.start(gone)

    def linkage_unit_is_killed(self) -> None:
        """Only bounds can be told."""
        self._all.children["linkage"].kill()
        self._look("the linkage unit killed", self._ask(), lambda stands: len(_answered(stands)) == 3)
        self._all.start("linkage")

    def _ask(self) -> list[str]:
        with contextlib.closing(HubBook(self._all.net.house.folder)) as book:
            asked = {put(book, text, self._sites): text for text in self._texts}
        self._asked |= asked
        return list(asked)

    def _look(self, what: str, questions: Sequence[str], reached: Reached) -> None:
        """Wait for what has to come of each question, and see whether it is right."""
        for question in questions:
            stands = self._until(question, reached)
            self._told[what] = self._told.get(what, 0) + 1
            self._lost += not reached(stands)
            self._wrong += not self._truth.right(self._asked[question], stands)

    def _until(self, question: str, reached: Reached) -> Gathered:
        """As somebody who watches the page."""
        end = time.monotonic() + self._patience
        with contextlib.closing(HubBook(self._all.net.house.folder)) as book:
            while True:
                advance(book, question)
                stands = gather(book, question)
                if reached(stands) or time.monotonic() > end:
                    return stands
                time.sleep(0.1)


def _answered(stands: Gathered) -> set[str]:
    return {site.member for site in stands.sites if site.state == "answered"}


def _linked(stands: Gathered, sites: set[str]) -> bool:
    return stands.total.method == "linkage" and set(stands.total.covers) == sites
