"""Who may have a datamart built, and what is written of it before it is."""

from __future__ import annotations

from estran.cohort.language import json as question_json
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import Actor, Role
from estran.projects.audit import record
from estran.projects.datamarts.spec import Spec
from estran.projects.policy import Action, Decision, Target, decide
from estran.projects.questions import named_patients, names_patients
from estran.state import StateDatabase
from estran.state.datamarts import DatamartRow


def may_build(state: StateDatabase, project: str) -> Decision:
    """Whether a project was accepted, with this datamart: no, as long as nobody says that it was."""
    return Decision(False, f"No accepted project '{project}' is known here.")


def permit_build(state: StateDatabase, actor: Actor, spec: Spec, recipient: str, snapshot: int, reason: str) -> None:
    """Decide and record, then go on; NotAllowed when the answer is no.

    The key holder at the command line goes without the committee, for a reason that the audit trail keeps.
    """
    what = f"datamart:{spec.project}/{spec.name} for:{recipient}"
    listed = named_patients(spec.cohort)
    decision = decide(
        actor, Action.BUILD_DATAMART, Target(what, names_patients=names_patients(spec.cohort), patients=listed)
    )
    if decision.allowed and at_command_line(actor):
        if len(reason.strip()) < 10:
            raise UsageError("Building without the committee needs a reason.", hint='--reason "why, and who decided"')
        decision = Decision(True, f"{decision.reason} Without the committee: {reason.strip()[:500]}")
    elif decision.allowed:
        decision = may_build(state, spec.project)
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
