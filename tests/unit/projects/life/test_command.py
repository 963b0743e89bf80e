"""`estran project …` in this process, on a real site."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests import fresh
from tests.unit.projects.life.play import Play

from estran.cli import main
from estran.projects.life.machine import Stage, Step
from estran.settings import Settings


@pytest.fixture
def site(tmp_path: Path) -> Path:
    opened = fresh.site(tmp_path / "site", Settings(language="en"))
    Play(opened.state).to(Stage.SUBMITTED)
    opened.state.close()
    return opened.directory


def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["estran", "project", *map(str, words)])
    capfd.readouterr()
    with pytest.raises(SystemExit) as done:
        main()
    return int(done.value.code or 0), capfd.readouterr().out


def told(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: object) -> Any:
    code, out = run(monkeypatch, capfd, *words, "--json")
    assert code == 0
    return json.loads(out.strip().splitlines()[-1])


def test_projects_are_listed_shown_and_called_for(
    site: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (listed,) = told(monkeypatch, capfd, "list", site)["projects"]
    assert (listed["stage"], listed["lead"], listed["formality"]) == ("submitted", "lea", "MR-004")
    assert told(monkeypatch, capfd, "list", site, "--stage", "open")["projects"] == []
    found = told(monkeypatch, capfd, "show", site, listed["number"])
    assert found["variables"][0]["code"] == "LOINC:33762-6"
    assert [step["step"] for step in found["steps"]][-1] == "submit"
    assert {piece["reference"] for piece in found["pieces"]} == {"missing"}
    code, out = run(monkeypatch, capfd, "show", site, listed["number"])
    assert code == 0 and "NT-proBNP" in out
    assert told(monkeypatch, capfd, "call", site, "Call", "2099-01-31", "--criterion", "Originality=10")["call"] == 1
    assert told(monkeypatch, capfd, "calls", site)["calls"][0]["grid"] == [["Originality", 10]]


def test_notices_wait_and_are_not_sent_without_a_server(
    site: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    waiting = told(monkeypatch, capfd, "notices", site)["waiting"]
    assert {"max", "dan"} <= {one["to"] for one in waiting} and not any(one["address"] for one in waiting)
    assert run(monkeypatch, capfd, "notices", site, "--send")[0] == 2


@pytest.mark.parametrize(
    "words", [("show", "1999-001"), ("call", "T", "tomorrow"), ("call", "T", "2099-01-31", "--criterion", "x")]
)
def test_what_cannot_be_is_refused(
    words: tuple[str, ...], site: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, capfd, words[0], site, *words[1:])[0] == 2


def test_the_table_is_told_to_programs(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    assert {row["step"] for row in told(monkeypatch, capfd, "machine")["steps"]} == {str(step) for step in Step}
