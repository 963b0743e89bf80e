"""What each role may do, subject by subject. Nothing is allowed unless a line here says so."""

from __future__ import annotations

from collections.abc import Mapping

from estran.projects.actions import Action
from estran.projects.actors import Role

Grants = Mapping[Role, frozenset[Action]]

_TOTALS = frozenset({Action.HOLDINGS, Action.CONCEPTS})
_FEASIBILITY = _TOTALS | {Action.COUNT, Action.SEARCH, Action.SAVE, Action.OPEN, Action.SHARE, Action.FOLLOW}
_READING = _FEASIBILITY | {Action.SNIPPETS, Action.DOCUMENT, Action.PATIENTS, Action.TIMELINE}
_HEALTH = frozenset({Action.HOLDINGS, Action.FEEDS})
_OWN = frozenset({Action.ACCOUNT})

# Questions, records, feeds, accounts, the audit trail.
_HOUSE: Grants = {
    # Who gives rights uses none of them: accounts and the health of the feeds, no question, no patient.
    Role.ADMINISTRATOR: _HEALTH | {Action.ACCOUNTS},
    Role.DATA_ENGINEER: _READING | {Action.OPEN_OTHERS, Action.AUDIT, Action.FEEDS, Action.OPERATE},
    # Checks what a question finds, and takes up the cohorts of those who come for help; changes no data.
    Role.METHODOLOGIST: _READING | {Action.OPEN_OTHERS, Action.FEEDS},
    Role.RESEARCHER: _FEASIBILITY,
    # Reads the records of the perimeter, and of one patient more at a time, for care: see WITHIN.
    Role.CLINICIAN: _READING | {Action.CARE},
    # Answers for the coding of stays: reads de-identified records to check it, sees the feeds, operates nothing.
    Role.DIM_PHYSICIAN: _READING | {Action.FEEDS},
    # Whoever pays for a study learns no count of their own: feasibility is answered within a project.
    Role.INDUSTRIAL_PARTNER: _TOTALS,
    Role.TEACHER: _FEASIBILITY,
    # Judges of projects read the projects, not the warehouse.
    Role.COMMITTEE_MEMBER: _TOTALS,
    Role.EXPERT: frozenset({Action.HOLDINGS}),
    # Those who watch over the readers read the trail, and no document.
    Role.DATA_PROTECTION_OFFICER: frozenset({Action.HOLDINGS, Action.AUDIT}),
    Role.AUDITOR: frozenset({Action.HOLDINGS, Action.AUDIT}),
    Role.HUB_OPERATOR: _HEALTH,
    Role.VIEWER: _TOTALS,
}

_TEAM = frozenset({Action.PROJECTS, Action.PROPOSE, Action.OWN_DATA})
_ADVICE = frozenset({Action.PROJECTS, Action.CONSULT})
_PROJECTS: Grants = {
    Role.DATA_ENGINEER: _TEAM | {Action.RUN_PROJECTS, Action.TAKE_DATA},
    Role.METHODOLOGIST: _TEAM | _ADVICE | {Action.RUN_PROJECTS, Action.TAKE_DATA},
    Role.RESEARCHER: _TEAM,
    Role.CLINICIAN: _TEAM,
    Role.DIM_PHYSICIAN: _TEAM,
    Role.INDUSTRIAL_PARTNER: _TEAM,
    Role.TEACHER: _TEAM,
    Role.COMMITTEE_MEMBER: frozenset({Action.PROJECTS, Action.JUDGE, Action.PRESIDE}),
    Role.EXPERT: frozenset({Action.PROJECTS, Action.JUDGE}),
    Role.DATA_PROTECTION_OFFICER: _ADVICE,
    Role.VIEWER: frozenset({Action.PROJECTS}),
}

# A datamart is seen by the person for whom it was made, whatever the role that came with.
_SEEN = frozenset({Action.DATAMARTS})
_DATAMARTS: Grants = {
    Role.DATA_ENGINEER: _SEEN | {Action.BUILD_DATAMART, Action.EXPORT},
    Role.METHODOLOGIST: _SEEN,
    Role.RESEARCHER: _SEEN,
    Role.CLINICIAN: _SEEN,
    Role.DIM_PHYSICIAN: _SEEN,
    Role.INDUSTRIAL_PARTNER: _SEEN,
    Role.TEACHER: _SEEN,
}

_WORK = frozenset({Action.WORKSPACE, Action.HAND_IN})
_WORKSPACES: Grants = {
    Role.DATA_ENGINEER: _WORK | {Action.PROVIDE, Action.RELEASE},
    Role.METHODOLOGIST: _WORK | {Action.RELEASE},
    Role.RESEARCHER: _WORK,
    Role.CLINICIAN: _WORK,
    Role.DIM_PHYSICIAN: _WORK,
    Role.INDUSTRIAL_PARTNER: _WORK,
    Role.TEACHER: _WORK,
    Role.DATA_PROTECTION_OFFICER: frozenset({Action.RELEASE}),
}

_RIGHTS: Grants = {
    Role.DATA_PROTECTION_OFFICER: frozenset({Action.RIGHTS, Action.FIND_PERSON, Action.REGISTRY}),
    Role.AUDITOR: frozenset({Action.REGISTRY}),
}

_KNOWING = frozenset({Action.CATALOGUE})
_CHECKING = _KNOWING | {Action.NOTES, Action.FAILURES}
_QUALITY: Grants = {
    Role.DATA_ENGINEER: _CHECKING | {Action.RECONCILE},
    Role.METHODOLOGIST: _CHECKING,
    Role.RESEARCHER: _KNOWING,
    Role.CLINICIAN: _KNOWING,
    # Answers for steering too.
    Role.DIM_PHYSICIAN: _CHECKING | {Action.RECONCILE, Action.STEERING},
    Role.TEACHER: _KNOWING,
}

_GIVEN = frozenset({Action.REVIEW, Action.ANNOTATE, Action.ADJUDICATE})  # within the lists that one was given
_REVIEWS: Grants = {
    Role.DATA_ENGINEER: _GIVEN | {Action.REVIEW_LISTS},
    Role.METHODOLOGIST: _GIVEN | {Action.REVIEW_LISTS},
    Role.RESEARCHER: _GIVEN,
    Role.CLINICIAN: _GIVEN,
    Role.DIM_PHYSICIAN: _GIVEN | {Action.REVIEW_LISTS},
}

_EVERY_DAY: Grants = {
    Role.DATA_ENGINEER: frozenset({Action.IMPORT}),
    # Whoever treats the patients may be handed their names, on paper and by the key holder alone.
    Role.CLINICIAN: frozenset({Action.SCREEN, Action.ORIGINAL}),
}

# Whoever may ask what one hospital holds may ask a network; the answers are the sites' own, protected there.
_NETWORK: Grants = {
    Role.DATA_ENGINEER: frozenset({Action.ASK_HUB, Action.POOLS, Action.RUN_POOLS}),
    Role.METHODOLOGIST: frozenset({Action.ASK_HUB, Action.POOLS}),
    Role.RESEARCHER: frozenset({Action.ASK_HUB, Action.POOLS}),
    Role.CLINICIAN: frozenset({Action.POOLS}),
    Role.DIM_PHYSICIAN: frozenset({Action.POOLS}),
    Role.HUB_OPERATOR: frozenset({Action.ASK_HUB, Action.RUN_HUB, Action.POOLS, Action.RUN_POOLS}),
    Role.HUB: frozenset(
        {Action.HUB_COUNT, Action.HUB_CATALOGUE, Action.HUB_LINK, Action.HUB_STATISTICS, Action.HUB_POOL}
    ),
}

_SUBJECTS: tuple[Grants, ...] = (_HOUSE, _PROJECTS, _DATAMARTS, _WORKSPACES, _RIGHTS, _QUALITY, _REVIEWS, _EVERY_DAY, _NETWORK)


def _of(role: Role) -> frozenset[Action]:
    if role is Role.OWNER:
        return frozenset(Action)
    if role is Role.HUB:
        return _NETWORK[role]  # no person: no account of one's own either
    return _OWN.union(*(subject.get(role, frozenset()) for subject in _SUBJECTS))


ALLOWED: Grants = {role: _of(role) for role in Role}


# What a role includes within a perimeter only: an account without one may not do it.
WITHIN: Grants = {Role.CLINICIAN: (_READING - _FEASIBILITY) | {Action.CARE, Action.ORIGINAL}}

# What is about the whole site, or shows what others found in it: closed to an account with a perimeter.
WHOLE_SITE = frozenset({
    Action.IDENTITY, Action.FEEDS, Action.OPERATE, Action.AUDIT, Action.OPEN_OTHERS,
    # Measured by the clock for the whole site.
    Action.CATALOGUE, Action.NOTES, Action.FAILURES, Action.RECONCILE, Action.STEERING,
    # Made by somebody else, of patients whom a project chose wherever they are.
    Action.DATAMARTS, Action.BUILD_DATAMART, Action.WORKSPACE, Action.PROVIDE, Action.HAND_IN, Action.RELEASE,
    Action.OWN_DATA, Action.TAKE_DATA, Action.POOLS, Action.RUN_POOLS,
    # What reviewers said, who may have seen more.
    Action.ADJUDICATE, Action.REVIEW_LISTS, Action.REVIEW_EXPORT,
    Action.RIGHTS, Action.FIND_PERSON, Action.IDENTITIES, Action.REGISTRY,
})  # fmt: skip
