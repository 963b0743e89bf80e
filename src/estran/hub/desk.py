"""One person at a hub: asks its sites, and sees what they answer. Decided and recorded like any other question."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass

from estran.cohort.language import json as question_json
from estran.cohort.query import Node
from estran.hub.book import HubBook, Member, Question
from estran.hub.gathering import Gathered, advance, gather
from estran.hub.governance import Governance, beside, require_charter, seen
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target, decide
from estran.projects.questions import names_patients, open_names, query_of
from estran.state import StateDatabase

LIFE = 7 * 86_400.0  # seconds for which sites may answer a question


@dataclass(frozen=True)
class MemberState:
    """A member as an operator sees it; `away` seconds since its last visit."""

    member: Member
    away: float | None

    @property
    def last(self) -> dt.datetime | None:
        """When it came last."""
        return None if self.member.seen is None else dt.datetime.fromtimestamp(self.member.seen, dt.UTC)


class HubDesk:
    """One person at one hub. NotAllowed when the policy says no; the refusal is recorded too."""

    def __init__(self, state: StateDatabase, book: HubBook, actor: Actor) -> None:
        self._state, self._book, self.actor = state, book, actor
        self.governance = Governance(state, book, beside(book), actor)

    @property
    def name(self) -> str:
        """What the hub is called."""
        return self._book.meta("name")

    def ask(self, query: Node, title: str = "", sites: Collection[str] = (), *, distinct: bool = True) -> str:
        """Put a question to all sites, or to some; its id. UsageError when it lists patients or nobody can be asked."""
        if names_patients(query):
            raise UsageError("Patient numbers are a site's own: a question to several sites cannot list them.")
        opened = open_names(query, query_of(self._state, self.actor.account_id))
        asked = [one for one in self._book.members("site", active=True) if not sites or one.id in sites]
        said = question_json.dumps(opened)
        permit(self._state, self.actor, Action.ASK_HUB, Target(f"network question to {len(asked)} sites"), query=said)
        require_charter(self._state, self.governance.shelf, self.actor)
        if not asked:
            raise UsageError("No site of this name has joined the network.", hint="estran hub invite HUB NAME")
        question = Question(
            secrets.token_hex(8), time.time(), self.actor.login, title.strip()[:200], said, {"distinct": distinct}
        )
        body = {"cohort": question_json.to_object(opened), "distinct": distinct, "path": [self._book.meta("network")]}
        self._book.ask(question, [(one.id, "count", body) for one in asked], question.asked + LIFE)
        return question.id

    def look(self, question: str) -> tuple[Question, Gathered] | None:
        """A question and where it stands; None when there is none of this id."""
        found = self._book.question(question)
        if found is None:
            return None
        own = found.login == self.actor.login
        permit(
            self._state, self.actor, Action.ASK_HUB if own else Action.RUN_HUB, Target(f"network question:{question}")
        )
        return found, self.stand(question)

    def again(self, question: str) -> tuple[Question, Gathered] | None:
        """The same while somebody waits before the page: no further line of the audit trail. NotAllowed likewise."""
        found = self._book.question(question)
        if found is None:
            return None
        own = found.login == self.actor.login
        decision = decide(self.actor, Action.ASK_HUB if own else Action.RUN_HUB)
        if not own and not decision.allowed:
            raise NotAllowed("This question was put by another person.")
        if not decision.allowed:  # who asked may have been given another role since
            raise NotAllowed(decision.reason)
        return found, self.stand(question)

    def stand(self, question: str) -> Gathered:
        """Where a question stands now, with the numbers that the network lets this person see."""
        advance(self._book, question)
        sight = self.governance.shelf.sight(self.actor.role)
        return seen(gather(self._book, question), sight, self._state.seats.of(self.actor.account_id))

    def mine(self) -> list[Question]:
        """My questions, the newest first; those of everybody for who runs the hub."""
        permit(self._state, self.actor, Action.ASK_HUB, Target("network questions"))
        every = decide(self.actor, Action.RUN_HUB).allowed
        return self._book.questions("" if every else self.actor.login)

    def members(self) -> list[MemberState]:
        """Who is in the network, and when each came last. The names of the sites are no secret of anybody's."""
        permit(self._state, self.actor, Action.ASK_HUB, Target("network members"))
        now = time.time()
        return [MemberState(one, None if one.seen is None else now - one.seen) for one in self._book.members()]

    def refusals(self) -> list[tuple[str, str, int]]:
        """Messages that were not taken: member, why, how many."""
        permit(self._state, self.actor, Action.RUN_HUB, Target("network refusals"))
        return self._book.refusals()

    def withdraw(self, member: str) -> None:
        """Take a member out of the network at once; UsageError when it is in none."""
        permit(self._state, self.actor, Action.RUN_HUB, Target(f"withdraw member:{member[:80]}"))
        if not self._book.withdraw(member):
            raise UsageError("No member is called so.", hint="estran hub status HUB")
