"""One person at a hub who has statistics computed by its sites. Decided and recorded like any other question."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass, replace

from estran.analysis.federated.masking import FEWEST_SITES
from estran.cohort.language import json as question_json
from estran.hub.book import HubBook
from estran.hub.conducting import Conductor, Doing
from estran.hub.governance import Sight, beside, require_charter
from estran.hub.studies import ASKING, Step, Studies, Study
from estran.hub.study import Asked
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target, decide
from estran.projects.questions import names_patients, open_names, query_of
from estran.state import StateDatabase

PATIENCE = 600.0  # seconds for which a site that owes an answer is waited for


@dataclass(frozen=True)
class Seen:
    """A study with its sites (name, what it does, what it said) and its steps."""

    study: Study
    sites: tuple[Doing, ...]
    steps: tuple[Step, ...]


class StudyDesk:
    """One person at one hub. NotAllowed when the policy says no; the refusal is recorded too."""

    def __init__(self, state: StateDatabase, book: HubBook, studies: Studies, actor: Actor) -> None:
        self._state, self._book, self._studies, self.actor = state, book, studies, actor
        self.conductor = Conductor(book, studies)

    def ask(self, asked: Asked, sites: Collection[str] = (), patience: float = PATIENCE) -> str:
        """Put a study to all sites, or to some; its id. UsageError when it lists patients, or under three sites."""
        query = question_json.from_object(dict(asked.cohort))
        if names_patients(query):
            raise UsageError("Patient numbers are a site's own: a question to several sites cannot list them.")
        opened = open_names(query, query_of(self._state, self.actor.account_id))
        asked = replace(asked, cohort=question_json.to_object(opened), asker=self.actor.login)
        members = tuple(one.id for one in self._book.members("site", active=True) if not sites or one.id in sites)
        target = Target(f"{asked.method} of {len(members)} sites")
        permit(self._state, self.actor, Action.ASK_HUB, target, query=question_json.dumps(opened))
        require_charter(self._state, beside(self._book), self.actor)
        asked.check()
        if len(members) < FEWEST_SITES:
            raise UsageError("A statistic is computed over three sites or more.", hint="ask more sites")
        study = Study(
            secrets.token_hex(8), time.time(), self.actor.login, asked, members, patience, ASKING, 1, 0, (), {}, "", {}, "", "", None
        )  # fmt: skip
        return self.conductor.begin(study).id

    def look(self, study: str) -> Seen | None:
        """A study and where it stands; None when there is none of this id."""
        found = self._studies.study(study)
        if found is None:
            return None
        own = found.login == self.actor.login
        permit(self._state, self.actor, Action.ASK_HUB if own else Action.RUN_HUB, Target(f"network study:{study}"))
        return self.stand(study)

    def again(self, study: str) -> Seen | None:
        """The same while somebody waits before the page: no further line of the audit trail. NotAllowed likewise."""
        found = self._studies.study(study)
        if found is None:
            return None
        own = found.login == self.actor.login
        decision = decide(self.actor, Action.ASK_HUB if own else Action.RUN_HUB)
        if not own and not decision.allowed:
            raise NotAllowed("This question was put by another person.")
        if not decision.allowed:  # who asked may have been given another role since
            raise NotAllowed(decision.reason)
        return self.stand(study)

    def stand(self, study: str) -> Seen | None:
        """Where a study stands now, as far as the answers and the rules of the network allow."""
        found = self.conductor.advance(study)
        if found is None:
            return None
        return Seen(self._as_seen(found), self.conductor.doing(found), tuple(self._studies.steps(study)))

    def _as_seen(self, study: Study) -> Study:
        """A total of several sites is not shown to who sees the own site alone, nor an estimate of each to who sees totals."""
        sight = beside(self._book).sight(self.actor.role)
        if sight is Sight.SITES or (sight is Sight.TOTAL and study.body.method != "meta") or not study.result:
            return study
        return replace(study, result="", said="The rules of the network do not show you this result.")

    def go_on(self, study: str) -> None:
        """Go on without the sites that have not answered yet; UsageError when there is no such study of this person."""
        if self.look(study) is None:
            raise UsageError("There is no such study.")
        self.conductor.advance(study, at_once=True)

    def mine(self) -> list[Study]:
        """My studies, the newest first; those of everybody for who runs the hub."""
        permit(self._state, self.actor, Action.ASK_HUB, Target("network studies"))
        every = decide(self.actor, Action.RUN_HUB).allowed
        return self._studies.studies("" if every else self.actor.login)
