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
    OPEN = "open"  # open a saved cohort
    AUDIT = "audit"  # read the audit trail
    ACCOUNTS = "accounts"  # create and change accounts


_TOTALS = frozenset({Action.HOLDINGS, Action.CONCEPTS})
_FEASIBILITY = _TOTALS | {Action.COUNT, Action.SEARCH, Action.SAVE, Action.OPEN}
_READING = _FEASIBILITY | {Action.SNIPPETS, Action.DOCUMENT, Action.PATIENTS, Action.TIMELINE}

ALLOWED: dict[Role, frozenset[Action]] = {
    Role.OWNER: frozenset(Action),
    Role.DATA_ENGINEER: _READING | {Action.AUDIT, Action.FEEDS, Action.OPERATE},
    Role.RESEARCHER: _FEASIBILITY,
    Role.CLINICIAN: _FEASIBILITY,
    Role.VIEWER: _TOTALS,
}


@dataclass(frozen=True)
class Decision:
    """Yes or no, and the sentence that says why."""

    allowed: bool
    reason: str


@dataclass(frozen=True)
class Target:
    """What an action bears on: `what` for the audit, `owner_id` when it belongs to somebody.

    `names_patients` says that the question itself lists patients, which is reading, not counting; `patients`
    are those of whom something is read.
    """

    what: str = ""
    owner_id: int | None = None
    names_patients: bool = False
    patients: tuple[int, ...] = ()


def decide(actor: Actor, action: Action, target: Target | None = None) -> Decision:
    """Whether `actor` may do `action` on `target`."""
    rights = ALLOWED.get(actor.role, frozenset())
    if action not in rights:
        return Decision(False, f"The role {actor.role} does not include '{action}'.")
    if target is None:
        return Decision(True, f"The role {actor.role} includes '{action}'.")
    if target.names_patients and Action.PATIENTS not in rights:
        return Decision(False, f"The role {actor.role} may not ask about listed patients.")
    if action is Action.OPEN and target.owner_id != actor.account_id and Action.AUDIT not in rights:
        return Decision(False, "This cohort belongs to another person.")
    return Decision(True, f"The role {actor.role} includes '{action}'.")
