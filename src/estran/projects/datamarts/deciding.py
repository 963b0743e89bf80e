"""Who may have a datamart built, and what is written of it before it is."""

from __future__ import annotations

import datetime as dt

from estran.cohort.language import json as question_json
from estran.cohort.query import Node
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import Actor, Role
from estran.projects.audit import record
from estran.projects.datamarts.own import own_refusal
from estran.projects.datamarts.spec import Demographic, Spec
from estran.projects.life import OpenProject, open_project
from estran.projects.policy import Action, Decision, Target, decide
from estran.projects.questions import named_patients, names_patients, open_names, query_of
from estran.release.dates import DatePolicy
from estran.state import StateDatabase
from estran.state.datamarts import DatamartRow

# What comes with any cohort; every other demographic is asked for and justified as a variable of this vocabulary.
ALWAYS = frozenset({Demographic.SEX, Demographic.AGE, Demographic.DIED, Demographic.INDEX_DATE})
DEMOGRAPHIC = "DEMOGRAPHIC"

LEAST_REASON = 10  # characters of why the key holder goes without the committee


def may_build(state: StateDatabase, spec: Spec, recipient: str, expires: dt.datetime) -> Decision:
    """Whether this datamart is what an open project was granted, for somebody in its team who signed the charter."""
    try:
        project = open_project(state, spec.project)
    except NotAllowed as refused:
        return Decision(False, refused.what)
    said = _beyond(state, project, spec, recipient, expires)
    return Decision(not said, said or f"The project {project.number} is open and was granted this.")


def granted_cohort(state: StateDatabase, project: OpenProject) -> Node:
    """The question that the project was granted, each cohort that it names opened; UsageError when it is gone."""
    accepted = state.cohorts.version(project.cohort_version)
    owner = state.cohorts.cohort(accepted.cohort_id) if accepted else None
    if accepted is None or owner is None:
        raise UsageError("The cohort that the project was granted is gone.")
    return open_names(question_json.loads(accepted.query), query_of(state, owner.owner_id))


def _beyond(state: StateDatabase, project: OpenProject, spec: Spec, recipient: str, expires: dt.datetime) -> str:
    """What goes beyond what the project was granted; "" when nothing does."""
    account = state.accounts.find(recipient)
    if account is None or account.id not in project.members:
        return "The recipient is not in the project's team, or has not signed the charter."
    if granted_cohort(state, project) != spec.cohort:
        return "The cohort is not the one that the project was granted."
    granted = {variable.code for variable in project.variables}
    beyond = [one.name for one in spec.variables if not {f"{code.vocabulary}:{code.code}" for code in one.codes} <= granted]
    beyond += [one for one in spec.demographics if one not in ALWAYS and f"{DEMOGRAPHIC}:{one}" not in granted]
    if beyond:
        return f"The project was not granted the variables {', '.join(beyond)}."
    return own_refusal(state, spec) or _more(project, spec, expires)


def _more(project: OpenProject, spec: Spec, expires: dt.datetime) -> str:
    """What of texts, dates and time goes beyond what the project was granted."""
    if spec.texts and not project.texts:
        return "The project was not granted texts."
    if spec.dates is DatePolicy.TRUE:
        return "The project was not granted true dates."
    return "The datamart would outlive the project." if expires > project.expires else ""


def permit_build(
    state: StateDatabase, actor: Actor, spec: Spec, recipient: str, snapshot: int, expires: dt.datetime, reason: str
) -> None:
    """Decide and record, then go on; NotAllowed when the answer is no.

    What an open project was granted needs no more. The key holder at the command line may go without the committee,
    for a reason that the audit trail keeps.
    """
    what = f"datamart:{spec.project}/{spec.name} for:{recipient}" + "".join(f" own data:{one.data}" for one in spec.own)
    listed = named_patients(spec.cohort)
    decision = decide(
        actor, Action.BUILD_DATAMART, Target(what, names_patients=names_patients(spec.cohort), patients=listed)
    )
    granted = may_build(state, spec, recipient, expires)
    if decision.allowed and granted.allowed:
        decision = granted
    elif decision.allowed and at_command_line(actor):
        if len(reason.strip()) < LEAST_REASON:
            raise UsageError(f"Building without the committee needs a reason. {granted.reason}", hint='--reason "why, and who decided"')
        decision = Decision(True, f"{decision.reason} Without the committee: {reason.strip()[:500]}")
    elif decision.allowed:
        decision = granted
    query = question_json.dumps(spec.cohort)
    record(state, actor, Action.BUILD_DATAMART, decision, target=what, query=query, snapshot=snapshot, patients=listed)
    if not decision.allowed:
        raise NotAllowed(decision.reason, hint="ask the clinical data centre")


def at_command_line(actor: Actor) -> bool:
    """Whether this is the key holder, without an account of the portal."""
    return actor.role is Role.OWNER and actor.account_id is None


def target_of(actor: Actor, row: DatamartRow) -> Target:
    """A datamart as the policy sees it: one's own when one is its recipient."""
    mine = row.recipient == actor.login
    return Target(f"datamart:{row.id}", owner_id=actor.account_id if mine else -1)
