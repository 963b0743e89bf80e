"""The next date that a project must keep."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from estran.projects.life.machine import Stage
from estran.projects.life.needs import Circuit
from estran.projects.life.project import Project
from estran.settings import Settings


class Due(StrEnum):
    """What is due."""

    LETTER = "letter"  # of intent, by the call
    OPINION = "opinion"  # of the expert who is asked first
    SESSION = "session"
    EXPIRY = "expiry"  # end of the months granted


@dataclass(frozen=True)
class Deadline:
    """A date, and what is due then."""

    due: Due
    day: dt.date


def deadline_of(project: Project, circuit: Circuit, settings: Settings) -> Deadline | None:
    """The next one at this stage, by the site's clocks; None when there is none."""
    if project.stage is Stage.IDEA and circuit.deadline:
        return Deadline(Due.LETTER, circuit.deadline)
    if project.stage is Stage.EXPERTISE:
        waited = [expert.due for expert in project.experts if not expert.opinion]
        return Deadline(Due.OPINION, min(waited)) if waited else None
    if project.stage is Stage.COMMITTEE and project.session:
        return Deadline(Due.SESSION, project.session.day)
    if project.stage in (Stage.OPEN, Stage.SUSPENDED) and project.expires:
        return Deadline(Due.EXPIRY, settings.day(project.expires))
    return None
