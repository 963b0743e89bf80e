"""Days by the site's clocks."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.projects.auditing import audited

from estran import app as house
from estran.hub.pooling import silence
from estran.model.errors import UsageError
from estran.model.site_file import read_settings, write_settings
from estran.projects import measures
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


def test_a_silence_is_told_with_the_day_of_the_hubs_clocks() -> None:
    pool: Any = SimpleNamespace(id="3f0c", name="kidney", project="2026-001")
    for french, day in ((True, "01/07/2026"), (False, "2026-07-01")):
        told = silence._letter(Settings(), pool, "Brest", silence.Silence("brest", LATE.timestamp(), 0.0), french=french)
        assert day in told[1]


def test_measures_are_told_with_the_days_of_the_sites_clocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = audited(tmp_path)
    monkeypatch.setattr(measures, "last_checkpoint", lambda _: SimpleNamespace(line=1, at=LATE))
    told = [one.evidence for one in measures.trail(site)]
    site.state.close()
    assert "Last signed checkpoint at line 1 on 2026-07-01." in told


@pytest.mark.parametrize("zone", ["Paris", "Europe", "", "../Europe/Paris"])
def test_clocks_of_no_zone_are_refused_before_a_page_needs_them(tmp_path: Path, zone: str) -> None:
    write_settings(tmp_path, Settings(zone=zone))
    with pytest.raises(UsageError, match="No time zone") as told:
        read_settings(tmp_path)
    assert str(tmp_path) in str(told.value) and "Europe/Paris" in str(told.value)
    with pytest.raises(UsageError, match="No time zone"):
        house.create_site(tmp_path / "site", Settings(zone=zone))
    assert not (tmp_path / "site").exists()
