"""One person at a hub who has a model learned by its sites: ask them, lead the run among those that said yes, keep the card."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from estran.analysis.learning.plan import FEWEST_SITES
from estran.cohort.language import json as question_json
from estran.hub.agent.learning import END, GO, KIND, START
from estran.hub.book import OPEN
from estran.hub.governance import beside, require_charter
from estran.hub.house import HubHouse
from estran.hub.learning import card, flower
from estran.hub.learning.question import Lesson
from estran.hub.learning.run import Run
from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target
from estran.projects.questions import names_patients
from estran.state import StateDatabase

FOLDER = "learning"
_LIFE = 7 * 86_400.0  # seconds for which sites may answer, an approval included
_JOBS, _LESSON = "jobs.json", "lesson.json"
Meanwhile = Callable[[], None]


@dataclass(frozen=True)
class Asked:
    """A site in a run: its name, what its job became (ok: it takes part) and what it said."""

    member: str
    name: str
    state: str
    said: str
    answer: Mapping[str, Any]


class LearningDesk:
    """One person at one hub. NotAllowed when the policy says no; the refusal is recorded too."""

    def __init__(self, state: StateDatabase, house: HubHouse, actor: Actor) -> None:
        self._state, self._house, self.actor = state, house, actor

    def ask(self, lesson: Lesson, address: str, bind: str, sites: Collection[str] = ()) -> None:
        """Put a question to all sites, or to some; UsageError when it lists patients, under three sites, or when its name is taken."""
        plan, query = lesson.plan, question_json.from_object(dict(lesson.cohort))
        members = [one.id for one in self._house.book.members("site", active=True) if not sites or one.id in sites]
        target = Target(f"learning:{plan.name} {plan.model} {plan.aggregation} of {len(members)} sites")
        permit(self._state, self.actor, Action.ASK_HUB, target, query=question_json.dumps(query))
        require_charter(self._state, beside(self._house.book), self.actor)
        if names_patients(query):
            raise UsageError("Patient numbers are a site's own: a question to several sites cannot list them.")
        if len(members) < FEWEST_SITES:
            raise UsageError(f"A model is learned over {FEWEST_SITES} sites at least.", hint="ask more sites")
        flower.python()
        run = Run.create(self._place(plan.name), plan, self._house.identity.key, address, bind)
        body, now = {**run.job(), **lesson.to_object()}, time.time()
        jobs = {member: self._house.book.add_job(None, member, KIND, body, now, now + _LIFE) for member in members}
        _write(run.folder / _LESSON, lesson.to_object())
        _write(run.folder / _JOBS, jobs)

    def stand(self, name: str) -> list[Asked]:
        """What the sites answered; UsageError when there is no run of this name."""
        names = {one.id: one.name for one in self._house.book.members()}
        found = [self._house.book.job(job) for job in self._jobs(name).values()]
        asked = [
            Asked(one.member, names.get(one.member, one.member), one.state, one.said, one.answer)
            for one in found
            if one
        ]
        return sorted(asked, key=lambda one: one.name)

    def lead(self, name: str, seconds: float, meanwhile: Meanwhile) -> dict[str, Any]:
        """Learn among the sites that said yes; those that have not answered yet are left out. The card, which is kept beside the model.
        `meanwhile`: called once the sites have something to do. StoreError when the time was not enough."""
        permit(self._state, self.actor, Action.ASK_HUB, Target(f"learning:{name} lead"))
        require_charter(self._state, beside(self._house.book), self.actor)
        run, asked = Run.open(self._place(name)), self.stand(name)
        if run.course()["over"]:
            raise UsageError("This model is learned.", where=name, hint="give the next one another name")
        willing = [one for one in asked if one.state == "ok"]
        if len(willing) < FEWEST_SITES:
            why = "; ".join(f"{one.name}: {one.said or one.state}" for one in asked if one.state != "ok")
            raise UsageError(f"A model is learned over {FEWEST_SITES} sites at least.", hint=why)
        for member, job in self._jobs(name).items():
            if any(one.member == member and one.state in OPEN for one in asked):
                self._house.book.give_up(job)
        led = run.lead({one.member: str(one.answer["public"]) for one in willing})
        try:
            self._tell(name, willing, START)
            meanwhile()
            led.wait(seconds)
        finally:
            led.stop()
            self._tell(name, willing, END)
            meanwhile()
        return self._as_seen(self._kept(run, led.members))

    def card(self, name: str) -> dict[str, Any]:
        """The card of a model; UsageError when it is not learned yet."""
        permit(self._state, self.actor, Action.ASK_HUB, Target(f"learning:{name} card"))
        path = self._place(name) / card.FILE_NAME
        if not path.is_file():
            raise UsageError("This model is not learned yet.", where=name, hint=f"estran hub learn HUB --go-on {name}")
        found: dict[str, Any] = orjson.loads(path.read_bytes())
        return self._as_seen(found)

    def _as_seen(self, made: dict[str, Any]) -> dict[str, Any]:
        """With the figures that the rules of the network let this person see; none of a total of fewer than three sites."""
        sight = beside(self._house.book).sight(self.actor.role)
        return card.seen(made, sight, self._state.seats.of(self.actor.account_id))

    def _kept(self, run: Run, members: Mapping[str, str]) -> dict[str, Any]:
        lesson = Lesson.read(orjson.loads((run.folder / _LESSON).read_bytes()))
        made = card.make(lesson, run, self.stand(run.plan.name), members, self._house.book.meta("name"))
        _write(run.folder / card.FILE_NAME, made)
        (run.folder / card.PAGE_NAME).write_text(card.page(made), "utf-8")
        return made

    def _tell(self, name: str, willing: Collection[Asked], phase: str) -> None:
        now = time.time()
        for one in willing:
            self._house.book.add_job(
                None, one.member, GO, {"run": name, "phase": phase, "id": secrets.token_hex(4)}, now, now + _LIFE
            )

    def _jobs(self, name: str) -> dict[str, str]:
        path = self._place(name) / _JOBS
        if not path.is_file():
            raise UsageError("There is no run of this name.", where=name, hint="estran hub learn HUB --name NAME")
        found: dict[str, str] = orjson.loads(path.read_bytes())
        return found

    def _place(self, name: str) -> Path:
        if not name.replace("-", "").replace("_", "").isalnum() or len(name) > 40:
            raise UsageError("A run is named by at most 40 letters, digits, - and _.")
        return self._house.folder / FOLDER / name


def _write(path: Path, value: Any) -> None:
    path.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2))
