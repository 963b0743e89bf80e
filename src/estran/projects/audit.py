"""Recording a decision before acting on it."""

from __future__ import annotations

from estran.model.errors import NotAllowed
from estran.projects.actors import Actor
from estran.projects.policy import Action, Decision, Target, decide
from estran.state import AuditLine, StateDatabase


def record(
    state: StateDatabase, actor: Actor, action: str, decision: Decision, *, target: str = "", query: str = "",
    snapshot: int | None = None, patients: tuple[int, ...] = (),
) -> int:
    """Write one line of the audit trail; returns its number once it is on disk."""
    line = AuditLine(
        actor.login, str(actor.role), str(action), decision.allowed, f"{decision.reason} {actor.via}".strip(), target,
        query, snapshot,
        tuple(number for number in patients if 0 <= number < 2**31),  # what a person typed in an address is anything
    )
    return state.audit.append(line)


def permit(
    state: StateDatabase, actor: Actor, action: Action, target: Target | None = None, *, query: str = "",
    snapshot: int | None = None,
) -> int:
    """Decide, record, then go on: NotAllowed, with the reason, when the answer is no."""
    decision = decide(actor, action, target)
    target = target or Target()
    number = record(
        state, actor, action, decision, target=target.what, query=query, snapshot=snapshot, patients=target.patients
    )
    if not decision.allowed:
        raise NotAllowed(decision.reason, hint="ask the clinical data centre for the right role")
    return number
