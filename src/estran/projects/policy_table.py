"""The policy as people read it: one table, made by asking `policy.decide` about every role and action."""

from __future__ import annotations

import inspect
import re
from enum import StrEnum

from estran.model.perimeter import WHOLE, Perimeter
from estran.projects.actors import Actor, Role
from estran.projects.policy import Action, Target, decide


class Case(StrEnum):
    """The cases that are told apart: whose it is, questions that list patients, inside and outside a perimeter."""

    OWN = "own"
    OTHERS = "others"
    LISTED = "listed"
    KEY_HOLDERS = "key-holders"
    CONFLICT = "conflict"
    INSIDE = "inside"
    OUTSIDE = "outside"


_ME, _SOMEBODY = 1, 2
_TARGETS = {
    Case.OWN: Target(owner_id=_ME),
    Case.OTHERS: Target(owner_id=_SOMEBODY),
    Case.LISTED: Target(owner_id=_ME, names_patients=True),
    Case.KEY_HOLDERS: Target(owner_id=_SOMEBODY, role=Role.OWNER),
    Case.CONFLICT: Target(owner_id=_ME, conflict=True),
    Case.INSIDE: Target(owner_id=_ME),
    Case.OUTSIDE: Target(owner_id=_ME, outside=True),
}
_BOUNDED = Perimeter(wards=("A",))
_HEAD = """# Who may do what

Made by `estran project policy --markdown` from `estran.projects.policy`; a test fails when this page and the policy differ.
What is not allowed here is refused, with the reason, and the refusal is recorded.

Each cell answers seven questions, in this order. The first five are asked for an account without a perimeter: may the
role do it on what is **its own**; on what belongs to **somebody else**; when the question itself **lists patients** by
number; on the account of a **key holder**; with a declared **conflict of interest**. The last two are asked for an
account with a perimeter: on what lies **inside** it; on what lies **outside**. `y` is yes, `-` is no: `yyyyy yy` is
always, `----- --` never. Of a project, what is one's own is what one is in the team of, or was called to judge.

A perimeter takes everything outside away from each read before anything is counted or shown; *outside* is asked when a
person names a patient or a document that has nothing inside. See [Perimeters and opening a record for care](perimeters.md).

An API token narrows this table to its scope, and never reaches `account` or `accounts`. Numbers pass the result gate
whatever the role, and an administrator gives no one more than this table says.
"""


def cell(role: Role, action: Action) -> str:
    """The answers of one role and action: five without a perimeter, two with one."""
    said = "".join("y" if answer(role, action, case) else "-" for case in Case)
    return f"{said[:5]} {said[5:]}"


def answer(role: Role, action: Action, case: Case) -> bool:
    """What the policy decides."""
    bounded = case in (Case.INSIDE, Case.OUTSIDE)
    actor = Actor("somebody", role, _ME, perimeter=_BOUNDED if bounded else WHOLE)
    return decide(actor, action, _TARGETS[case]).allowed


def markdown() -> str:
    """The whole page."""
    actions, said = list(Action), _sentences()
    lines = [_HEAD, "| Role | " + " | ".join(f"`{action}`" for action in actions) + " |"]
    lines.append("|" + "---|" * (len(actions) + 1))
    for role in Role:
        lines.append(f"| `{role}` | " + " | ".join(f"`{cell(role, action)}`" for action in actions) + " |")
    lines += ["", "## Actions", "", "| Action | What it is |", "|---|---|"]
    lines += [f"| `{action}` | {said[action.name]} |" for action in actions]
    return "\n".join(lines) + "\n"


def _sentences() -> dict[str, str]:
    """What the policy says of each action, beside its name."""
    return {m[1]: m[2].strip() for m in re.finditer(r"^    ([A-Z_]+) = .*?  # (.+)$", inspect.getsource(Action), re.M)}
