"""Days by the site's clocks."""

from __future__ import annotations

import datetime as dt

import pytest

from estran.projects.life import deadlines
from estran.projects.life.formality import Kind
from estran.projects.life.machine import Stage
from estran.projects.life.needs import circuit_of
from estran.projects.life.project import Project
from estran.settings import Settings

LATE = dt.datetime(2026, 6, 30, 22, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize(("zone", "day"), [("Europe/Paris", dt.date(2026, 7, 1)), ("America/Cayenne", dt.date(2026, 6, 30))])
def test_a_day_is_that_of_the_sites_clocks(zone: str, day: dt.date) -> None:
    assert Settings(zone=zone).day(LATE) == day


def test_a_project_ends_on_the_day_that_the_sites_clocks_show() -> None:
    project = Project("2026-001", "Knees", Kind.RESEARCH, 1, (1,), (), Stage.OPEN, opened=LATE, months=12)
    due = deadlines.deadline_of(project, circuit_of(project.kind, None), Settings())
    assert due == deadlines.Deadline(deadlines.Due.EXPIRY, dt.date(2027, 7, 1))
