"""The one place that decides. Nothing is allowed unless a line here says so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from estran.projects.actors import Actor, Role


class Action(StrEnum):
    """What may be asked for."""

    HOLDINGS = "holdings"  # totals of the site, loads and sources
    FEEDS = "feeds"  # health of the feeds, reasons of the quarantine, work under way: no value of any record
    OPERATE = "operate"  # have quarantine or a source read anew, or a load taken back
    CONCEPTS = "concepts"  # look a code up, with its number of patients
    COUNT = "count"  # how many patients a question selects, with its steps and breakdowns
    SEARCH = "search"  # how many documents and patients match words, and facets
    SNIPPETS = "snippets"  # the matching documents themselves
    DOCUMENT = "document"  # one de-identified document and its facts
    PATIENTS = "patients"  # pseudonymous numbers of the patients selected, and why
    TIMELINE = "timeline"  # everything about one pseudonymous patient
    SAVE = "save"  # save a version of a cohort
    OPEN = "open"  # open a saved cohort of one's own
    OPEN_OTHERS = "open-others"  # open a saved cohort of another person
    AUDIT = "audit"  # read the audit trail
    CARE = "care"  # open one patient's record for care, outside the perimeter, with a reason and for a while
    IDENTITY = "identity"  # read or change what the vault knows of who somebody is; where the key is, never at the portal
    ACCOUNT = "account"  # one's own account: password, second factor, passkeys, sessions, API tokens
    ACCOUNTS = "accounts"  # other people's accounts: create, change, disable, reset, end sessions


_TOTALS = frozenset({Action.HOLDINGS, Action.CONCEPTS})
_FEASIBILITY = _TOTALS | {Action.COUNT, Action.SEARCH, Action.SAVE, Action.OPEN}
_READING = _FEASIBILITY | {Action.SNIPPETS, Action.DOCUMENT, Action.PATIENTS, Action.TIMELINE}
_HEALTH = frozenset({Action.HOLDINGS, Action.FEEDS})
_OWN = frozenset({Action.ACCOUNT})

ALLOWED: dict[Role, frozenset[Action]] = {
    Role.OWNER: frozenset(Action),
    # Who gives rights uses none of them: accounts and the health of the feeds, no question, no patient.
    Role.ADMINISTRATOR: _OWN | _HEALTH | {Action.ACCOUNTS},
    Role.DATA_ENGINEER: _OWN | _READING | {Action.OPEN_OTHERS, Action.AUDIT, Action.FEEDS, Action.OPERATE},
    # Checks what a question finds, and takes up the cohorts of those who come for help; changes no data.
    Role.METHODOLOGIST: _OWN | _READING | {Action.OPEN_OTHERS, Action.FEEDS},
    Role.RESEARCHER: _OWN | _FEASIBILITY,
    # Reads the records of the perimeter, and of one patient more at a time, for care: see WITHIN.
    Role.CLINICIAN: _OWN | _READING | {Action.CARE},
    # Answers for the coding of stays: reads de-identified records to check it, sees the feeds, operates nothing.
    Role.DIM_PHYSICIAN: _OWN | _READING | {Action.FEEDS},
    # Whoever pays for a study learns no count of their own: feasibility is answered within a project.
    Role.INDUSTRIAL_PARTNER: _OWN | _TOTALS,
    Role.TEACHER: _OWN | _FEASIBILITY,
    # Judges of projects read the projects, not the warehouse.
    Role.COMMITTEE_MEMBER: _OWN | _TOTALS,
    Role.EXPERT: _OWN | {Action.HOLDINGS},
    # Those who watch over the readers read the trail, and no document.
    Role.DATA_PROTECTION_OFFICER: _OWN | {Action.HOLDINGS, Action.AUDIT},
    Role.AUDITOR: _OWN | {Action.HOLDINGS, Action.AUDIT},
    Role.HUB_OPERATOR: _OWN | _HEALTH,
    Role.VIEWER: _OWN | _TOTALS,
}


# What a role includes within a perimeter only: an account without one may not do it.
WITHIN: dict[Role, frozenset[Action]] = {Role.CLINICIAN: (_READING - _FEASIBILITY) | {Action.CARE}}

# What is about the whole site, or shows what others found in it: closed to an account with a perimeter.
WHOLE_SITE = frozenset({Action.IDENTITY, Action.FEEDS, Action.OPERATE, Action.AUDIT, Action.OPEN_OTHERS})


@dataclass(frozen=True)
class Decision:
    """Yes or no, and the sentence that says why."""

    allowed: bool
    reason: str


@dataclass(frozen=True)
class Target:
    """What an action bears on: `what` for the audit, `owner_id` when it belongs to somebody.

    `names_patients` says that the question itself lists patients, which is reading, not counting; `patients`
    are those of whom something is read. `role` is the role that an account has or would be given. `outside` says
    that nothing of what is asked for lies within the actor's perimeter.
    """

    what: str = ""
    owner_id: int | None = None
    names_patients: bool = False
    patients: tuple[int, ...] = ()
    role: Role | None = None
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


def _refusal(actor: Actor, rights: frozenset[Action], action: Action, target: Target) -> str:
    """Why what the role includes is refused on this target; "" when it is not."""
    own = target.owner_id == actor.account_id
    if target.names_patients and Action.PATIENTS not in rights:
        return f"The role {actor.role} may not ask about listed patients."
    if action is Action.OPEN and not own and Action.OPEN_OTHERS not in rights:
        return "This cohort belongs to another person."
    if action is Action.ACCOUNT and not own:
        return "This account belongs to another person."
    if action is Action.ACCOUNTS and actor.role is not Role.OWNER:
        if target.role is Role.OWNER:
            return "Only a key holder manages the accounts of key holders."
        if target.owner_id is not None and own:
            return "Nobody manages their own rights."
    return ""
