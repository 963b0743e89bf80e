"""Whose hand is whose: each hand as the right it takes and the accounts that have it in one project."""

from __future__ import annotations

from dataclasses import dataclass

from estran.projects.actors import Actor
from estran.projects.life.machine import Hand, Move, Stage
from estran.projects.life.project import Project
from estran.projects.policy import Action, Decision, Target, decide

_RIGHTS = {
    Hand.ANYBODY: Action.PROPOSE, Hand.TEAM: Action.PROPOSE, Hand.LEAD: Action.PROPOSE, Hand.HANDLER: Action.RUN_PROJECTS,
    Hand.ADVISER: Action.CONSULT, Hand.EXPERT: Action.JUDGE, Hand.MEMBER: Action.JUDGE, Hand.CHAIR: Action.PRESIDE,
}  # fmt: skip


@dataclass(frozen=True)
class Sight:
    """What of a project somebody may see besides its request and its decision."""

    votes: bool  # and the opinions that the members were given
    opinions: bool
    names: bool  # of experts


def of_hand(actor: Actor, hand: Hand, project: Project) -> tuple[Action, Target]:
    """What the policy is asked about this hand in this project."""
    session = project.session
    conflict = False
    parties: tuple[int, ...] = project.members
    if hand is Hand.LEAD:
        parties = (project.lead,)
    elif hand is Hand.EXPERT:
        parties = tuple(expert.account_id for expert in project.experts)
        conflict = any(e.account_id == actor.account_id and e.opinion == "recused" for e in project.experts)
    elif hand in (Hand.MEMBER, Hand.CHAIR):
        called = session.members if session else ()
        parties = called if hand is Hand.MEMBER else (session.chair,) if session else ()
        conflict = bool(session and actor.account_id in session.conflicted)
    return _RIGHTS[hand], Target(f"project:{project.number}", parties=parties, conflict=conflict)


def hand_of(actor: Actor, move: Move, project: Project) -> tuple[Action, Decision]:
    """The first hand of a step that this person has; the last one's refusal when none."""
    for hand in move.hands:
        action, target = of_hand(actor, hand, project)
        decision = decide(actor, action, target)
        if decision.allowed:
            break
    return action, decision


def concerned(project: Project) -> tuple[int, ...]:
    """Who sees a project besides those who handle it: its team, experts asked, members called."""
    called = [member for session in project.sessions for member in session.members]
    return (*project.members, *(expert.account_id for expert in project.experts), *called)


def sight_of(actor: Actor, project: Project) -> Sight:
    """Votes are seen by those who vote; opinions by them and by those who handle the project, then by its team.

    The team never learns who gave an opinion or how somebody voted.
    """
    votes = _may(actor, Hand.MEMBER, project) and _declared(actor, project)
    handles = _may(actor, Hand.HANDLER, project) or _may(actor, Hand.ADVISER, project)
    decided = project.decision is not None and project.stage is not Stage.COMMITTEE
    return Sight(votes, votes or handles or (decided and _may(actor, Hand.TEAM, project)), votes or handles)


def _may(actor: Actor, hand: Hand, project: Project) -> bool:
    action, target = of_hand(actor, hand, project)
    return decide(actor, action, target).allowed


def _declared(actor: Actor, project: Project) -> bool:
    session = project.session
    return session is not None and actor.account_id in dict(session.declared)
