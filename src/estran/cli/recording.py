"""Writing in the audit trail what a command is about to read or change."""

from __future__ import annotations

from estran.app import Site
from estran.projects.actors import Actor, Role
from estran.projects.audit import permit
from estran.projects.policy import Action, Target

# Whoever runs a command that proves no key: the machine's own rights on the site's folder let them in.
COMMAND_LINE = Actor("command-line", Role.OWNER)


def recorded(site: Site, action: Action, what: str, patients: tuple[int, ...] = ()) -> None:
    """Decide and record, before it is done."""
    permit(site.state, COMMAND_LINE, action, Target(what, patients=patients))
