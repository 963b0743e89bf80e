"""One person at a hub who has a model learned by its sites: ask them, lead the run among those that said yes, keep the card."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping
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
from estran.hub.learning.card import Asked
from estran.hub.learning.question import Lesson
from estran.hub.learning.run import Run
from estran.hub.learning.shelf import JOBS, LESSON, LearningShelf
from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target
from estran.projects.questions import names_patients
from estran.state import StateDatabase

_LIFE = 7 * 86_400.0  # seconds for which sites may answer, an approval included
Meanwhile = Callable[[], None]


class LearningDesk:
    """One person at one hub. NotAllowed when the policy says no; the refusal is recorded too."""

    def __init__(self, state: StateDatabase, house: HubHouse, actor: Actor) -> None:
        self._state, self._house, self.actor = state, house, actor
        self.shelf = LearningShelf(state, house.book, actor)

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
        run = Run.create(self.shelf.place(plan.name), plan, self._house.identity.key, address, bind)
        body, now = {**run.job(), **lesson.to_object()}, time.time()
        jobs = {member: self._house.book.add_job(None, member, KIND, body, now, now + _LIFE) for member in members}
        _write(run.folder / LESSON, lesson.to_object())
        _write(run.folder / JOBS, jobs)

    def stand(self, name: str) -> list[Asked]:
        """What the sites answered; UsageError when there is no run of this name."""
        return self.shelf.stand(name)

    def lead(self, name: str, seconds: float, meanwhile: Meanwhile) -> dict[str, Any]:
        """Learn among the sites that said yes; those that have not answered yet are left out. The card, which is kept beside the model.
        `meanwhile`: called once the sites have something to do. StoreError when the time was not enough."""
        permit(self._state, self.actor, Action.ASK_HUB, Target(f"learning:{name} lead"))
        require_charter(self._state, beside(self._house.book), self.actor)
        run, asked = Run.open(self.shelf.place(name)), self.stand(name)
        if run.course()["over"]:
            if (run.folder / card.FILE_NAME).is_file():
                raise UsageError("This model is learned.", where=name, hint="give the next one another name")
            return self.shelf.seen(self._keep(run, run.members()))  # of a hub that was killed before it wrote it
        willing = [one for one in asked if one.state == "ok"]
        if len(willing) < FEWEST_SITES:
            why = "; ".join(f"{one.name}: {one.said or one.state}" for one in asked if one.state != "ok")
            raise UsageError(f"A model is learned over {FEWEST_SITES} sites at least.", hint=why)
        for member, job in self.shelf.jobs(name).items():
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
        return self.shelf.seen(self._keep(run, led.members))

    def card(self, name: str) -> dict[str, Any]:
        """The card of a model, with the figures that the rules of the network let this person see; UsageError when it is not
        learned yet."""
        return self.shelf.card(name)

    def _keep(self, run: Run, members: Mapping[str, str]) -> dict[str, Any]:
        made = card.make(
            self.shelf.lesson(run.plan.name), run, self.stand(run.plan.name), members, self._house.book.meta("name")
        )
        _write(run.folder / card.FILE_NAME, made)
        (run.folder / card.PAGE_NAME).write_text(card.page(made), "utf-8")
        return made

    def _tell(self, name: str, willing: Collection[Asked], phase: str) -> None:
        now = time.time()
        for one in willing:
            self._house.book.add_job(
                None, one.member, GO, {"run": name, "phase": phase, "id": secrets.token_hex(4)}, now, now + _LIFE
            )


def _write(path: Path, value: Any) -> None:
    scratch = path.with_suffix(".new")  # a page may be reading it
    scratch.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2))
    scratch.replace(path)
