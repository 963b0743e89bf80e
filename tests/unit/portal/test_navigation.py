"""The header's doors."""

from __future__ import annotations

from estran.portal.navigation import GROUPS, menu
from estran.projects.actors import Actor, Role
from estran.projects.policy import Action, decide


def allowed(role: Role) -> set[str]:
    return {action.value for action in Action if decide(Actor("x", role, 1), action).allowed}


def test_everybody_sees_the_doors_that_open_for_them() -> None:
    for role in Role:
        rights = allowed(role)
        shown = {door.address for group in menu(rights) for door in group.doors}
        assert shown == {door.address for group in GROUPS for door in group.doors if door.needs.value in rights}


def test_a_group_of_one_door_needs_no_name() -> None:
    groups = menu({Action.HOLDINGS.value, Action.AUDIT.value})
    assert [(group.name, len(group.doors)) for group in groups] == [("", 1), ("", 1)]
    assert [group.name for group in menu(allowed(Role.OWNER))] == [group.name if len(group.doors) > 1 else "" for group in GROUPS]


def test_a_page_belongs_to_one_door() -> None:
    doors = [door for group in GROUPS for door in group.doors]
    for path, address in (("/", "/"), ("/cohort", "/cohort"), ("/cohort/text", "/cohort"), ("/cohorts/3", "/cohorts"), ("/documents/4", "/search")):
        assert [door.address for door in doors if door.holds(path)] == [address]
