"""The one place that decides: what a role includes (`grants`), and what is refused on a target all the same."""

from __future__ import annotations

from dataclasses import dataclass

from estran.projects.actions import Action
from estran.projects.actors import Actor, Role
from estran.projects.grants import ALLOWED, WHOLE_SITE, WITHIN

__all__ = ["ALLOWED", "WHOLE_SITE", "WITHIN", "Action", "Decision", "Target", "decide", "rights_of"]


@dataclass(frozen=True)
class Decision:
    """Yes or no, and the sentence that says why."""

    allowed: bool
    reason: str


@dataclass(frozen=True)
class Target:
    """What an action bears on: `what` for the audit, `owner_id` when it belongs to somebody; of what belongs to a
    team, each of its members is the owner.

    `names_patients` says that the question itself lists patients, which is reading, not counting; `patients`
    are those of whom something is read. `role` is the role that an account has or would be given. Of a project,
    `parties` are the accounts whose it is in the capacity asked for (the team, those called), and `conflict` says
    that this person declared a conflict of interest. `shared` says that its owner opened it to the person who asks.
    `outside` says that something of what is asked for does not lie within the actor's perimeter.
    """

    what: str = ""
    owner_id: int | None = None
    names_patients: bool = False
    patients: tuple[int, ...] = ()
    role: Role | None = None
    parties: tuple[int, ...] = ()
    conflict: bool = False
    shared: bool = False
    outside: bool = False


def rights_of(actor: Actor) -> frozenset[Action]:
    """What the role allows, narrowed to the perimeter and to the scope of an API token."""
    closed = WITHIN.get(actor.role, frozenset()) if actor.perimeter.whole else WHOLE_SITE
    rights = ALLOWED.get(actor.role, frozenset()) - closed
    return rights if actor.scope is None else frozenset(action for action in rights if action in actor.scope)


def decide(actor: Actor, action: Action, target: Target | None = None) -> Decision:
    """Whether `actor` may do `action` on `target`."""
    rights = rights_of(actor)
    if action not in rights:
        return _missing(actor, action)
    if target is not None and target.outside and action is not Action.CARE:
        return Decision(False, "Nothing of this number lies within your perimeter.")
    refusal = "" if target is None else _refusal(actor, rights, action, target)
    return Decision(not refusal, refusal or f"The role {actor.role} includes '{action}'.")


def _missing(actor: Actor, action: Action) -> Decision:
    """Why an action is not among the actor's rights."""
    if action not in ALLOWED.get(actor.role, frozenset()):
        return Decision(False, f"The role {actor.role} does not include '{action}'.")
    if actor.scope is not None and action not in actor.scope:
        return Decision(False, f"The token does not include '{action}'.")
    if actor.perimeter.whole:
        return Decision(False, f"The role {actor.role} includes '{action}' within a perimeter only, and this account has none.")
    return Decision(False, f"'{action}' is about the whole site, and this account has a perimeter.")


# What belongs to one person: the action that opens it to others too, and what everybody else is told.
_PERSONAL: dict[Action, tuple[Action | None, str]] = {
    Action.OPEN: (Action.OPEN_OTHERS, "This cohort belongs to another person."),
    Action.DATAMARTS: (Action.BUILD_DATAMART, "This datamart was made for another person."),
    Action.POOLS: (Action.RUN_POOLS, "This pool is of a project of other people."),
    Action.ACCOUNT: (None, "This account belongs to another person."),
    Action.SHARE: (None, "Only the owner of a cohort shares or follows it."),
    Action.FOLLOW: (None, "Only the owner of a cohort shares or follows it."),
    Action.REVIEW: (None, "This was not given to you to review."),
    Action.ANNOTATE: (None, "This was not given to you to review."),
    Action.ADJUDICATE: (None, "This was not given to you to review."),
    Action.REVIEW_LISTS: (Action.OPEN_OTHERS, "This review list belongs to another person."),
}


def _refusal(actor: Actor, rights: frozenset[Action], action: Action, target: Target) -> str:
    """Why what the role includes is refused on this target; "" when it is not."""
    said = (refusal(actor, rights, action, target) for refusal in _REFUSALS)
    return next((one for one in said if one), "")


def _listed_refusal(actor: Actor, rights: frozenset[Action], _: Action, target: Target) -> str:
    """A question that lists patients is reading."""
    if target.names_patients and Action.PATIENTS not in rights:
        return f"The role {actor.role} may not ask about listed patients."
    return ""


def _personal_refusal(actor: Actor, rights: frozenset[Action], action: Action, target: Target) -> str:
    """What belongs to one person."""
    instead, said = _PERSONAL.get(action, (None, ""))
    if target.owner_id == actor.account_id or (action is Action.OPEN and target.shared):
        return ""
    return said if instead not in rights else ""


def _account_refusal(actor: Actor, _: frozenset[Action], action: Action, target: Target) -> str:
    """The accounts of key holders, and one's own rights."""
    if action is not Action.ACCOUNTS or actor.role is Role.OWNER:
        return ""
    if target.role is Role.OWNER:
        return "Only a key holder manages the accounts of key holders."
    return "Nobody manages their own rights." if target.owner_id is not None and target.owner_id == actor.account_id else ""


def _project_refusal(actor: Actor, rights: frozenset[Action], action: Action, target: Target) -> str:
    """Why a step of a project is refused to this person; "" when it is not, or when it is no such step."""
    concerned = actor.account_id is not None and (actor.account_id == target.owner_id or actor.account_id in target.parties)
    if action is Action.PROJECTS and not concerned and not rights & {Action.CONSULT, Action.RUN_PROJECTS}:
        return "This project concerns other people."
    if action in (Action.PROPOSE, Action.OWN_DATA) and not concerned:
        return "This project belongs to another team."
    if action in (Action.CONSULT, Action.RUN_PROJECTS, Action.TAKE_DATA) and concerned:
        return "Nobody handles a project of their own."
    if action in (Action.JUDGE, Action.PRESIDE) and target.conflict:
        return "Whoever has a conflict of interest neither sees the vote nor takes part in it."
    if action in (Action.JUDGE, Action.PRESIDE) and not concerned:
        return "Only those who were called judge a project."
    return ""


def _export_refusal(actor: Actor, _: frozenset[Action], action: Action, target: Target) -> str:
    """The whole site leaves by the hand of whoever holds its key; what belongs to a project has an owner."""
    if action is Action.EXPORT and target.owner_id is None and actor.role is not Role.OWNER:
        return "Only a key holder exports a whole site."
    return ""


def _team_refusal(actor: Actor, _: frozenset[Action], action: Action, target: Target) -> str:
    """Somebody in the team of a project, or outside of it."""
    own = target.owner_id is not None and target.owner_id == actor.account_id
    if action in (Action.WORKSPACE, Action.HAND_IN) and not own and actor.role is not Role.OWNER:
        return "You are not in the team of this project."
    if action is Action.RELEASE and own:
        return "Whoever asks, or is in the team, does not decide what leaves its workspace."
    return ""


_REFUSALS = (_listed_refusal, _personal_refusal, _account_refusal, _project_refusal, _team_refusal, _export_refusal)
