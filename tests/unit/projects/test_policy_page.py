"""Every role, every action, every case: what the page of the reference says is what the policy decides."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from estran.projects.actors import Actor, Role
from estran.projects.policy import Action, Target, decide
from estran.projects.policy_table import markdown

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "policy.md"
CASES = (
    Target(owner_id=1),
    Target(owner_id=2),
    Target(owner_id=1, names_patients=True),
    Target(owner_id=2, role=Role.OWNER),
    Target(owner_id=1, conflict=True),
)


def cells() -> list[tuple[str, str, int, bool]]:
    """Role, action, case and answer, as the page says."""
    head, _, *rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")][: len(Role) + 2]
    actions = re.findall(r"`([^`]+)`", head)
    found = []
    for row in rows:
        role, *answers = re.findall(r"`([^`]+)`", row)
        for action, answer in zip(actions, answers, strict=True):
            found += [(role, action, case, letter == "y") for case, letter in enumerate(answer)]
    return found


@pytest.mark.parametrize("role", Role)
def test_the_policy_decides_as_the_page_says(role: Role) -> None:
    said = [cell for cell in cells() if cell[0] == role]
    assert {action for _, action, _, _ in said} == {str(action) for action in Action}
    for _, action, case, allowed in said:
        assert decide(Actor("x", role, 1), Action(action), CASES[case]).allowed is allowed, (role, action, case)


def test_the_page_has_every_cell() -> None:
    assert len(cells()) == len(Role) * len(Action) * len(CASES) >= 400


def test_the_page_is_the_generated_one() -> None:
    assert PAGE.read_text("utf-8") == markdown(), "estran policy --markdown > docs/reference/policy.md"
