"""What a project that is over leaves: its datamarts' files, its own data's and its workspace's are destroyed, with certificates."""

from __future__ import annotations

from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER
from estran.projects.audit import permit
from estran.projects.datamarts.shelf import Datamarts
from estran.projects.life.machine import Stage
from estran.projects.life.opening import project_of
from estran.projects.owndata import end as end_own
from estran.projects.policy import Action, Target
from estran.projects.workspaces.spaces import end_space


def end_data(datamarts: Datamarts, number: str) -> str:
    """Destroy what a project that is over was given; its workspace's files once its archive is recorded.

    Asked for by the step that closes the project, done by the process that holds the key; again does no harm.
    UsageError when the project is not being closed.
    """
    site = datamarts.site
    project = project_of(site.state, number)
    if project is None or project.stage not in (Stage.CLOSING, Stage.CLOSED):
        raise UsageError("This project is not being closed.")
    gone, brought, wiped = datamarts.close(number), end_own(site, number), False
    if project.archive is not None:
        permit(site.state, KEY_HOLDER, Action.PROVIDE, Target(f"project:{number} end of workspace"))
        wiped = end_space(site, number)
    return f"datamarts -{len(gone)}, own data -{len(brought)}, workspace -{int(wiped)}"
