"""The doors of the portal, in the order of the header: those that a person may open, gathered by what they are for."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from estran.projects.policy import Action


def _(message: str) -> str:
    """Marks a message for extraction."""
    return message


@dataclass(frozen=True)
class Door:
    """A page of the header: its address, its name, the action that it needs, and the paths that belong to it."""

    address: str
    name: str
    needs: Action
    within: tuple[str, ...] = ()

    def holds(self, path: str) -> bool:
        """Whether `path` is this page or one of those under it."""
        return path == self.address or path.startswith((*self.within, *((f"{self.address}/",) if self.address != "/" else ())))


@dataclass(frozen=True)
class Group:
    """Doors under one name; a group without a name shows its doors side by side."""

    name: str
    doors: tuple[Door, ...]

    def holds(self, path: str) -> bool:
        """Whether one of its doors holds the path."""
        return any(door.holds(path) for door in self.doors)


GROUPS = (
    Group("", (
        Door("/", _("Home"), Action.HOLDINGS),
        Door("/search", _("Search"), Action.SEARCH, ("/documents/", "/patients/")),
        Door("/cohort", _("Cohort builder"), Action.COUNT),
        Door("/cohorts", _("Saved cohorts"), Action.SAVE, ("/lists",)),
    )),
    Group(_("Patients"), (
        Door("/reviews", _("Chart reviews"), Action.REVIEW),
        Door("/care", _("Open for care"), Action.CARE),
    )),
    Group(_("Projects"), (
        Door("/projects", _("Projects"), Action.PROJECTS),
        Door("/datamarts", _("Datamarts"), Action.DATAMARTS),
        Door("/pools", _("Pools"), Action.POOLS),
        Door("/spaces", _("Workspaces"), Action.WORKSPACE),
        Door("/airlock", _("Airlock"), Action.RELEASE),
    )),
    Group(_("Data"), (
        Door("/catalogue", _("Catalogue"), Action.CATALOGUE, ("/quality", "/official")),
        Door("/network", _("Network"), Action.ASK_HUB),
        Door("/steering", _("Steering"), Action.STEERING),
        Door("/feeds", _("Feeds"), Action.FEEDS),
    )),
    Group(_("Oversight"), (
        Door("/audit", _("Audit"), Action.AUDIT),
        Door("/rights", _("Rights"), Action.RIGHTS, ("/registry",)),
        Door("/people", _("People"), Action.ACCOUNTS),
    )),
)  # fmt: skip


def menu(allowed: Set[str]) -> list[Group]:
    """The groups with the doors that may be opened; one alone needs no name above it."""
    found = [Group(group.name, tuple(door for door in group.doors if door.needs.value in allowed)) for group in GROUPS]
    return [Group(group.name if len(group.doors) > 1 else "", group.doors) for group in found if group.doors]
