"""Saved questions every day: stars, shares, and questions that the clock asks again under their owner's rights.

A run compares sets of patients, in private: those already told of are kept as a bitmap that no page shows. What is
said of the new ones passes the result gate. Who may not read patients one by one learns of new ones only when there
are enough of them to be counted: that one or nobody came must look the same, or a question about a known person would
be a bell on that person's door. Until then they wait, and are told together.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pyroaring import BitMap

from estran.cohort.language import json as question_json
from estran.model.errors import EstranError, NotAllowed, UsageError
from estran.projects.actors import Actor, Role
from estran.projects.audit import permit, record
from estran.projects.gate import Shown, gate_of, rules_of
from estran.projects.policy import ALLOWED, Action, Decision, Target, decide
from estran.projects.questions import named_patients, names_patients, open_names, query_of
from estran.state import Followed, NewsLine, SavedCohort, Share, StateDatabase
from estran.state.transactions import now

if TYPE_CHECKING:
    from estran.projects.desk import ReadingRoom

_RETRY = dt.timedelta(hours=1)


class Every(StrEnum):
    """How often a question is asked again."""

    DAILY = "daily"
    WEEKLY = "weekly"

    @property
    def step(self) -> dt.timedelta:
        return dt.timedelta(days=1 if self is Every.DAILY else 7)


class NewsKind(StrEnum):
    """What people are told."""

    NEW = "new"  # new patients answer a question
    STOPPED = "stopped"  # a question is not asked again any more, and why
    SHARED = "shared"  # a colleague opened a cohort to me
    SCREENING = "screening"  # a list of names of my ward waits at the holder of the key
    HANDED = "handed"  # it was handed over
    OWN_READ = "own-read"  # a file of the data that a project brings was read
    OWN_REMOVED = "own-removed"  # rows of it went, as their patients asked
    SILENT = "silent-site"  # a site of a pool does not say any more whom it takes back


def sharable() -> tuple[Role, ...]:
    """The roles that may open a cohort at all."""
    return tuple(role for role in Role if Action.OPEN in ALLOWED[role])


@dataclass(frozen=True)
class Card:
    """A saved cohort with what its owner made of it."""

    cohort: SavedCohort
    starred: bool
    shares: tuple[Share, ...]
    followed: Followed | None


class EveryDay:
    """One person's stars, shares, followed questions and notices. NotAllowed when the policy says no."""

    def __init__(self, state: StateDatabase, actor: Actor) -> None:
        self._state = state
        self.actor = actor

    @property
    def _account(self) -> int:
        if self.actor.account_id is None:
            raise UsageError("Cohorts are saved under an account.", hint="sign in to the portal")
        return self.actor.account_id

    def _mine(self, cohort_id: int, action: Action, what: str) -> SavedCohort:
        """One of my cohorts; the wish to do something with it is decided and recorded."""
        cohort = self._state.cohorts.cohort(cohort_id)
        if cohort is None:
            raise UsageError("You have no such cohort.")
        permit(self._state, self.actor, action, Target(f"{what} cohort:{cohort.name}", cohort.owner_id))
        return cohort

    # Lists

    def mine(self) -> list[Card]:
        """My cohorts, starred ones first, then the last changed."""
        return self._cards(self._state.cohorts.owned_by(self._account))

    def shared_with_me(self) -> list[Card]:
        """The cohorts that colleagues opened to me, starred ones first."""
        return self._cards(self._state.shares.shared_with(self._account, str(self.actor.role)))

    def _cards(self, cohorts: list[SavedCohort]) -> list[Card]:
        numbers = [cohort.id for cohort in cohorts]
        stars, followed = self._state.shares.stars(self._account), self._state.following.of(numbers)
        shares = self._state.shares.of(numbers)
        cards = [
            Card(one, one.id in stars, tuple(s for s in shares if s.cohort_id == one.id), followed.get(one.id))
            for one in cohorts
        ]
        return sorted(cards, key=lambda card: not card.starred)

    # Stars and shares

    def star(self, cohort_id: int, on: bool) -> None:
        """Star a cohort that I may open, or take the star off."""
        cohort = self._state.cohorts.cohort(cohort_id)
        target = None if cohort is None else open_target(self._state, self.actor, cohort)
        if cohort is None or not decide(self.actor, Action.OPEN, target).allowed:
            raise UsageError("You have no such cohort.")
        self._state.shares.star(self._account, cohort_id, on)

    def share(self, cohort_id: int, login: str, role: str) -> None:
        """Open one of my cohorts to a colleague, or to everybody of a role; UsageError when neither is known."""
        login = login.strip()
        cohort = self._mine(cohort_id, Action.SHARE, f"share with:{login[:120] or role[:30]}")
        if bool(login) == bool(role):
            raise UsageError("Choose one colleague, or one role.")
        if role:
            if role not in sharable():
                raise UsageError("This role is not known.")
            self._state.shares.share(cohort.id, None, role)
            return
        account = self._state.accounts.find(login)
        if account is None or account.disabled:
            raise UsageError("Nobody signs in under this name.", hint="ask your colleague for the exact name")
        if account.id == self._account:
            raise UsageError("This cohort is yours already.")
        if self._state.shares.share(cohort.id, account.id, ""):
            self._state.news.tell(account.id, NewsKind.SHARED, cohort.name, cohort.id)

    def unshare(self, cohort_id: int, number: int) -> None:
        """Take a share of one of my cohorts back."""
        self._mine(cohort_id, Action.SHARE, f"unshare:{number}")
        self._state.shares.unshare(cohort_id, number)

    # Following

    def follow(self, cohort_id: int, every: str) -> None:
        """Have one of my cohorts asked again daily or weekly; "" ends it. The first run only notes who is there."""
        if every not in {"", *Every}:
            raise UsageError("A question is asked again daily or weekly.")
        cohort = self._mine(cohort_id, Action.FOLLOW, f"every:{every or 'never'}")
        if every:
            self._state.following.follow(cohort.id, every)
        else:
            self._state.following.stop(cohort.id)

    def notices(self) -> list[NewsLine]:
        """What I was told, the newest first."""
        return self._state.news.recent(self._account)

    def unread(self) -> int:
        """How many of them I have not seen."""
        return 0 if self.actor.account_id is None else self._state.news.unread(self.actor.account_id)

    def see(self) -> None:
        """I have seen them all."""
        self._state.news.see(self._account)


def open_target(state: StateDatabase, actor: Actor, cohort: SavedCohort, what: str = "") -> Target:
    """What opening a cohort bears on, for the policy: whose it is, whether it is shared, whether it lists patients."""
    shared = actor.account_id is not None and state.shares.reach(cohort.id, actor.account_id, str(actor.role))
    lists = any(names_patients(question_json.loads(version.query)) for version in cohort.versions)
    return Target(what or f"cohort:{cohort.name}", cohort.owner_id, names_patients=lists, shared=shared)


def run_due(room: ReadingRoom, moment: dt.datetime | None = None) -> int:
    """Ask again what is due, each under its owner's rights as they are now; returns how many were asked."""
    due = room.site.state.following.due(moment or now())
    for one in due:
        _run(room, one)
    return len(due)


def _run(room: ReadingRoom, one: Followed) -> None:
    state = room.site.state
    cohort = state.cohorts.cohort(one.cohort_id)
    account = None if cohort is None else state.accounts.by_id(cohort.owner_id)
    if cohort is None or account is None or not cohort.versions:
        state.following.stop(one.cohort_id)
        return
    actor = Actor.of(account)
    if account.disabled:
        record(state, actor, Action.FOLLOW, Decision(False, "This account is disabled."), target=f"run cohort:{cohort.name}")
        _stop(state, actor, cohort, "This account is disabled.")
        return
    try:
        actor = actor.bounded(state)
        asked = _permitted(room, actor, cohort)
    except NotAllowed as error:
        _stop(state, actor, cohort, error.what)
        return
    except UsageError as error:  # a cohort that it names is gone, or the perimeter cannot be read
        _stop(state, actor, cohort, error.what)
        return
    try:
        _compare(room, actor, cohort, one, asked)
    except EstranError as error:  # no more questions this period, or a store that is busy: the next hour is another one
        state.following.ran(cohort.id, next_run=now() + _RETRY, problem=error.what)


def _permitted(room: ReadingRoom, actor: Actor, cohort: SavedCohort) -> BitMap:
    """The patients that answer today, once following and counting were decided and recorded."""
    state, view = room.site.state, room.view_of(actor)
    query = question_json.loads(cohort.versions[0].query)
    version = view.snapshot.version
    permit(state, actor, Action.FOLLOW, Target(f"run cohort:{cohort.name}", cohort.owner_id), snapshot=version)
    opened = open_names(query, query_of(state, actor.account_id))
    target = Target(f"run cohort:{cohort.name}", cohort.owner_id, names_patients(opened), named_patients(opened))
    permit(state, actor, Action.COUNT, target, query=question_json.dumps(query), snapshot=version)
    return view.answers.run(opened).patients


def _compare(room: ReadingRoom, actor: Actor, cohort: SavedCohort, one: Followed, today: BitMap) -> None:
    """Tell of new patients when there is something to tell, and keep who was told of."""
    version = cohort.versions[0].id
    next_run = _next(one)
    state = room.site.state
    if one.last is None or one.version_id != version:  # nothing to compare with yet, or another question
        state.following.ran(cohort.id, next_run=next_run, version_id=version, members=bytes(today.serialize()))
        return
    # Who left the warehouse, or what the owner may see, leaves this too.
    told = BitMap.deserialize(one.members) & room.view_of(actor).snapshot.population()
    shown = _said(room, actor, today - told)
    if shown:
        count = {"value": shown.value, "below": shown.below, "margin": shown.margin}
        state.news.tell(cohort.owner_id, NewsKind.NEW, cohort.name, cohort.id, **count)
        told |= today
    state.following.ran(cohort.id, next_run=next_run, version_id=version, members=bytes(told.serialize()))


def _said(room: ReadingRoom, actor: Actor, new: BitMap) -> Shown | None:
    """What may be said of the new patients, None when nothing may or need be."""
    reads = decide(actor, Action.PATIENTS).allowed
    enough = 1 if reads else rules_of(room.site.settings).floor
    if len(new) < enough:
        return None
    shown = gate_of(actor, room.site.state, room.site.settings).answers({"new": new})["new"].shown
    return shown if reads or not shown.below else None


def _next(one: Followed) -> dt.datetime:
    """The same time of the day as when it began; runs missed while nothing ran are not made up for."""
    step, moment = Every(one.every).step, now()
    return one.next + step * max(1, 1 + (moment - one.next) // step)


def _stop(state: StateDatabase, actor: Actor, cohort: SavedCohort, why: str) -> None:
    state.following.stop(cohort.id)
    state.news.tell(cohort.owner_id, NewsKind.STOPPED, why, cohort.id)
