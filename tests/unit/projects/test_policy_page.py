"""Every role, every action, every case: what the page of the reference says is what the policy decides."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from estran.model.perimeter import WHOLE, Perimeter
from estran.projects.actors import Actor, Role
from estran.projects.policy import WHOLE_SITE, WITHIN, Action, Target, decide
from estran.projects.policy_table import markdown

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "policy.md"
BOUNDED = Perimeter(wards=("CARD",))
CASES = (  # the perimeter of who asks, and what is asked for
    (WHOLE, Target(owner_id=1)),
    (WHOLE, Target(owner_id=2)),
    (WHOLE, Target(owner_id=1, names_patients=True)),
    (WHOLE, Target(owner_id=2, role=Role.OWNER)),
    (WHOLE, Target(owner_id=1, conflict=True)),
    (BOUNDED, Target(owner_id=1)),
    (BOUNDED, Target(owner_id=1, outside=True)),
)
# What a person names by its number, and may lie outside a perimeter.
NUMBERED = {Action.DOCUMENT, Action.TIMELINE, Action.PATIENTS, Action.SNIPPETS}


def cells() -> list[tuple[str, str, int, bool]]:
    """Role, action, case and answer, as the page says."""
    head, _, *rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")][: len(Role) + 2]
    actions = re.findall(r"`([^`]+)`", head)
    found = []
    for row in rows:
        role, *answers = re.findall(r"`([^`]+)`", row)
        for action, answer in zip(actions, answers, strict=True):
            found += [(role, action, case, letter == "y") for case, letter in enumerate(answer.replace(" ", ""))]
    return found


@pytest.mark.parametrize("role", Role)
def test_the_policy_decides_as_the_page_says(role: Role) -> None:
    said = [cell for cell in cells() if cell[0] == role]
    assert {action for _, action, _, _ in said} == {str(action) for action in Action}
    for _, action, case, allowed in said:
        perimeter, target = CASES[case]
        decided = decide(Actor("x", role, 1, perimeter=perimeter), Action(action), target)
        assert decided.allowed is allowed, (role, action, case)
        assert decided.reason.endswith(".")


def test_the_page_has_every_cell() -> None:
    assert len(cells()) == len(Role) * len(Action) * len(CASES) >= 1500


def test_outside_a_perimeter_only_opening_for_care_is_left() -> None:
    allowed = {(role, action) for role, action, case, yes in cells() if case == 6 and yes}
    assert {action for _, action in allowed} & NUMBERED == set()
    assert {role for role, action in allowed if action == Action.CARE} == {Role.CLINICIAN, Role.OWNER}


def test_a_perimeter_gives_no_right_but_those_that_need_one() -> None:
    """Inside is what the role allows without a perimeter, less the whole site's, plus what needs bounds."""
    said = {(role, action, case): yes for role, action, case, yes in cells()}
    for role in Role:
        for action in Action:
            free, inside = said[role, action, 0], said[role, action, 5]
            if free != inside:
                assert action in (WITHIN[role] if inside else WHOLE_SITE), (role, action)


def test_the_page_is_the_generated_one() -> None:
    assert PAGE.read_text("utf-8") == markdown(), "estran project policy --markdown > docs/reference/policy.md"
