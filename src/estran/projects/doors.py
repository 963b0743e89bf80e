"""What an opened project leads to: its datamarts, its workspace, its requests at the airlock, as one person sees them."""

from __future__ import annotations

from dataclasses import dataclass

from estran.projects.actors import Actor
from estran.projects.airlock import Airlock, Request
from estran.projects.datamarts.shelf import Datamarts, Listed
from estran.projects.life.machine import Stage
from estran.projects.life.project import Project
from estran.projects.policy import Action, decide
from estran.projects.site import SiteServices
from estran.projects.workspaces.spaces import mine
from estran.state import Space
from estran.state.datamarts import MartState


@dataclass(frozen=True)
class Doors:
    """`build` and `provide` say whether this person may have a datamart built, a workspace opened on the newest."""

    datamarts: tuple[Listed, ...]
    space: Space | None
    requests: tuple[Request, ...]
    build: bool
    provide: bool


def doors_of(site: SiteServices, actor: Actor, project: Project) -> Doors | None:
    """The doors of a project that was opened, None before; each datamart and request as the policy lets it be seen."""
    if project.opened is None:
        return None

    def may(action: Action) -> bool:
        return decide(actor, action).allowed

    marts = tuple(Datamarts(site, actor).of(project.number)) if may(Action.DATAMARTS) else ()
    space = next((one for one in mine(site, actor) if one.number == project.number), None)
    asked = may(Action.HAND_IN) or may(Action.RELEASE)
    requests = tuple(one for one in Airlock(site, actor).requests() if one.space.number == project.number) if asked else ()
    is_open = project.stage is Stage.OPEN
    live = next((one.row.folder for one in marts if one.row.state == MartState.LIVE), None)
    fit = live is not None and (space is None or not space.datamart.endswith(f"/{live}"))
    return Doors(marts, space, requests, is_open and may(Action.BUILD_DATAMART), is_open and fit and may(Action.PROVIDE))
