"""The models of a hub as somebody may see them: which sites take part, the rounds so far, the card, why one was not released.

No key of the hub is needed: all is in its book, and in the folder of each run.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from estran.analysis.learning.course import LOSSES
from estran.analysis.learning.plan import FEWEST_SITES, Plan
from estran.hub.agent.learning import END, GO
from estran.hub.book import HubBook
from estran.hub.governance import Sight, beside
from estran.hub.learning import card as cards
from estran.hub.learning.card import Asked
from estran.hub.learning.question import Lesson
from estran.hub.learning.run import MEMBERS, Run
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target, decide
from estran.state import StateDatabase

FOLDER, JOBS, LESSON = "learning", "jobs.json", "lesson.json"
ASKED, UNDER_WAY, BROKEN, RELEASED, WITHHELD = "asked", "under-way", "broken", "released", "withheld"
_LONGEST = 86_400.0  # seconds after which every node of a run has ended by itself


@dataclass(frozen=True)
class Sheet:
    """One run. `sites` (each with the state of its job) and `rounds` as on its card, which is empty until the run is over; `state` one of
    those above."""

    lesson: Lesson
    moment: dt.datetime
    state: str
    asked: tuple[Asked, ...]
    sites: tuple[Mapping[str, Any], ...]
    rounds: tuple[Mapping[str, Any], ...]
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """What is learned, and how."""
        return self.lesson.plan

    @property
    def willing(self) -> int:
        """Sites that said yes."""
        return sum(one.state == "ok" for one in self.asked)

    @property
    def figures(self) -> Mapping[str, float]:
        """Of all sites together, empty where they are not told."""
        return (self.card.get("performance") or {}).get("all") or {}

    @property
    def why(self) -> tuple[str, ...]:
        """Why it was not released or ended early: few, vote, refused, lost."""
        return why(self.card) if self.card else ()


def why(card: Mapping[str, Any]) -> tuple[str, ...]:
    """What kept a model from being released (few: too few voted at the end; vote: most found it worse than their own), and what ended its
    course before the last round of the plan (refused: the sites; lost: rounds without a sum)."""
    done, rounds = card["performance"], card["method"]["rounds"]
    found = [] if done["released"] else ["few" if sum(done["last_vote"]) < FEWEST_SITES else "vote"]
    if rounds and rounds[-1]["accepted"] is False:
        found.append("refused")
    if len(rounds) >= LOSSES and all(one["sites"] < FEWEST_SITES for one in rounds[-LOSSES:]):
        found.append("lost")
    return tuple(found)


class LearningShelf:
    """One person before the models of one hub. NotAllowed when the policy says no; each look is recorded."""

    def __init__(self, state: StateDatabase, book: HubBook, actor: Actor) -> None:
        self._state, self._book, self.actor = state, book, actor
        self.folder = Path(book.db.path).parent / FOLDER

    def all(self) -> list[Sheet]:
        """Every model that was asked for, the newest first."""
        permit(self._state, self.actor, Action.ASK_HUB, Target("network models"))
        names = [path.parent.name for path in self.folder.glob(f"*/{JOBS}")]
        return sorted((self._sheet(name) for name in names), key=lambda one: one.moment, reverse=True)

    def look(self, name: str) -> Sheet | None:
        """One of them; None when there is none of this name."""
        permit(self._state, self.actor, Action.ASK_HUB, Target(f"learning:{name[:40]}"))
        return self._sheet(name) if self._known(name) else None

    def again(self, name: str) -> Sheet | None:
        """The same while somebody waits before the page: no further line of the audit trail. NotAllowed likewise."""
        found = decide(self.actor, Action.ASK_HUB)
        if not found.allowed:
            raise NotAllowed(found.reason)
        return self._sheet(name) if self._known(name) else None

    def card(self, name: str) -> dict[str, Any]:
        """The card of a model; UsageError when it is not learned yet."""
        permit(self._state, self.actor, Action.ASK_HUB, Target(f"learning:{name[:40]} card"))
        found = self.kept_card(name)
        if found is None:
            raise UsageError("This model is not learned yet.", where=name, hint=f"estran hub learn HUB --go-on {name}")
        return found

    # What is on disk

    def kept_card(self, name: str) -> dict[str, Any] | None:
        """The card as this person may see it; None as long as there is none."""
        path = self.place(name) / cards.FILE_NAME
        return self.seen(orjson.loads(path.read_bytes())) if path.is_file() else None

    def seen(self, made: dict[str, Any]) -> dict[str, Any]:
        """A card with the figures that the rules of the network let this person see; none of a total of fewer than three sites."""
        return cards.seen(made, self._sight, self._own)

    def stand(self, name: str) -> list[Asked]:
        """What the sites answered; UsageError when there is no run of this name."""
        names = {one.id: one.name for one in self._book.members()}
        jobs = self._book.jobs_by_id(list(self.jobs(name).values()))
        asked = [Asked(one.member, names.get(one.member, one.member), one.state, one.said, one.answer) for one in jobs]
        return sorted(asked, key=lambda one: one.name)

    def jobs(self, name: str) -> dict[str, str]:
        """The job of each site; UsageError when there is no run of this name."""
        path = self.place(name) / JOBS
        if not path.is_file():
            raise UsageError("There is no run of this name.", where=name, hint="estran hub learn HUB NAME")
        found: dict[str, str] = orjson.loads(path.read_bytes())
        return found

    def place(self, name: str) -> Path:
        """The folder of a run; UsageError when it cannot be called so."""
        if not _fit(name):
            raise UsageError("A run is named by at most 40 letters, digits, - and _.")
        return self.folder / name

    def lesson(self, name: str) -> Lesson:
        """What was asked."""
        return Lesson.read(orjson.loads((self.place(name) / LESSON).read_bytes()))

    @property
    def _sight(self) -> Sight:
        return beside(self._book).sight(self.actor.role)

    @property
    def _own(self) -> str:
        return self._state.seats.of(self.actor.account_id)

    def _known(self, name: str) -> bool:
        return _fit(name) and (self.folder / name / JOBS).is_file()

    def _sheet(self, name: str) -> Sheet:
        folder, asked, made = self.place(name), self.stand(name), self.kept_card(name)
        moment = dt.datetime.fromtimestamp((folder / JOBS).stat().st_mtime, dt.UTC)
        if made is not None:
            state = RELEASED if made["performance"]["released"] else WITHHELD
            sites, rounds = made["sites"], made["method"]["rounds"]
        else:
            state, sites, rounds = self._state_of(name), self._sites(asked), self._rounds(folder, asked)
        stands = {one.member: one.state for one in asked}
        there = tuple(one | {"state": stands[one["site"]]} for one in sites)
        return Sheet(self.lesson(name), moment, state, tuple(asked), there, tuple(rounds), made or {})

    def _state_of(self, name: str) -> str:
        """Of a run without a card."""
        led = self.place(name) / MEMBERS
        if not led.is_file():
            return ASKED
        began = led.stat().st_mtime
        ended = any(
            one.body.get("run") == name and one.body.get("phase") == END and one.created >= began for one in self._book.of_kind(GO)
        )  # fmt: skip
        whole = Run.open(self.place(name)).course()["over"]  # its card is written once all have been told of the end
        return BROKEN if (ended and not whole) or time.time() > began + _LONGEST else UNDER_WAY

    def _sites(self, asked: Sequence[Asked]) -> list[dict[str, Any]]:
        return [cards.seen_site(cards.site(one, {}), self._sight, self._own) for one in asked]

    def _rounds(self, folder: Path, asked: Sequence[Asked]) -> list[dict[str, Any]]:
        run, names = Run.open(folder), {one.member: one.name for one in asked}
        nodes = {node: names.get(member, member) for node, member in run.members().items()}
        return cards.seen_rounds(cards.rounds_of(run.course(), nodes), self._sight)


def _fit(name: str) -> bool:
    return name.replace("-", "").replace("_", "").isalnum() and name.isascii() and len(name) <= 40
