"""What others build for a project: only while it is open, only for who signed, only what was granted."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from estran.model.errors import NotAllowed
from estran.projects.life.formality import Kind
from estran.projects.life.machine import Stage
from estran.projects.life.project import Project, fold
from estran.projects.life.request import Variable
from estran.state import StateDatabase
from estran.state.transactions import now


@dataclass(frozen=True)
class OpenProject:
    """An open project as a datamart or a workspace needs it.

    `members` are account numbers of those in the team who signed the charter; `cohort_version` is the saved version
    that was accepted (`state.cohorts.version`); `texts` says whether de-identified texts were granted.
    """

    number: str
    title: str
    kind: Kind
    lead: int
    members: tuple[int, ...]
    sites: tuple[str, ...]
    variables: tuple[Variable, ...]
    cohort_version: int
    texts: bool
    opened: dt.datetime
    expires: dt.datetime


def project_of(state: StateDatabase, number: str) -> Project | None:
    """A project at any stage; None when there is none of this number. Decide before showing it to anybody."""
    events = state.projects.events(number)
    return fold(number, events) if events else None


def open_project(state: StateDatabase, number: str) -> OpenProject:
    """The project, open now; NotAllowed with the sentence why when it is not, so that nothing is built for it."""
    project = project_of(state, number)
    if project is None:
        raise NotAllowed("There is no project of this number.")
    if project.stage is Stage.SUSPENDED:
        raise NotAllowed("This project is suspended.", hint="ask the clinical data centre")
    if project.stage is not Stage.OPEN or project.opened is None or project.expires is None or project.cohort is None:
        raise NotAllowed("This project is not open.", hint="its page says what is missing")
    if now() >= project.expires:
        raise NotAllowed("The time granted to this project is over.", hint="ask for an amendment, or close it")
    return OpenProject(
        project.number, project.title, project.kind, project.lead,
        tuple(member for member in project.members if member in project.signed), project.sites,
        project.request.variables, project.cohort.version_id, project.request.texts, project.opened, project.expires,
    )  # fmt: skip
