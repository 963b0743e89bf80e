"""What a workspace offers inside: Python with the client, R with survival; and who may start it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.projects.opened import YEAR, furnished, key, opened, step
from tests.unit.projects.spaces import PROJECT, Stage, stage

from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import KEY_HOLDER, Role
from estran.projects.airlock import Airlock
from estran.projects.workspaces import bubblewrap
from estran.projects.workspaces.bubblewrap import Enclosure
from estran.projects.workspaces.driver import Workspaces, _Running, enclosure_of
from estran.projects.workspaces.spaces import end_space, folders_of, mine, provide, space_of
from estran.state import StateDatabase

needs_bubblewrap = pytest.mark.skipif(
    bool(bubblewrap.missing()), reason="bubblewrap is not here, or may make no user namespace"
)


@pytest.fixture
def play(tmp_path: Path, state: StateDatabase) -> Iterator[Stage]:
    yield stage(tmp_path, state)


def run(play: Stage, *command: str) -> str:
    try:
        enclosure = enclosure_of(play.site, space_of(play.site, PROJECT), play.site.settings)  # type: ignore[arg-type]
    except UsageError as error:
        pytest.skip(str(error))
    words = [str(enclosure.python) if word == "python" else word for word in command]
    done = subprocess.run(
        [*bubblewrap.closed(enclosure), *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-1500:]
    return done.stdout


@needs_bubblewrap
def test_the_client_loads_protects_proves_and_hands_in(play: Stage) -> None:
    code = """
import estran
p = estran.load('patients')
assert estran.tables() == ['patients'] and len(p) == 300
assert int(estran.sql('select count(*) n from patients')['n'][0]) == 300
t = p.groupby('age').size().rename('n').reset_index()
t.loc[0, 'n'] = 3
done = estran.protect(t[['n']])
assert done['n'][0] == '[REDACTED]' and set(done['n'][1:]) <= {'[REDACTED]', 10}
e = estran.evidence(p['age'], p['sex'])
assert list(e.columns) == ['n', 'total', 'largest', 'second', 'negative'] and e['n'].sum() == 300
estran.hand_in(t, 't.csv'); estran.hand_in(e, 't.evidence.csv')
try: estran.load('absent')
except KeyError: print('fine')
"""
    assert run(play, "python", "-c", code).strip() == "fine"
    assert (play.out / "t.csv").read_text().startswith("age,n\n30,3\n")
    assert (play.out / "t.evidence.csv").read_text().startswith("sex,n,total,largest,second,negative\n")


@needs_bubblewrap
@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not here")
def test_r_has_its_kernel_and_survival_analysis(play: Stage) -> None:
    code = 'library(survival); library(IRkernel); d <- read.csv("/work/datamart/patients.csv"); cat(nrow(d))'
    assert run(play, "Rscript", "-e", code).startswith("300")
    assert "ir" in run(play, "python", "-m", "jupyter", "kernelspec", "list").split()


def test_only_the_team_starts_and_sees_its_workspace(play: Stage) -> None:
    workspaces = Workspaces(play.site)  # type: ignore[arg-type]
    for role in Role:
        if role in (Role.RESEARCHER, Role.TEACHER, Role.OWNER):
            assert workspaces.state(play.people[role], PROJECT).running is False
        else:
            with pytest.raises(NotAllowed):
                workspaces.start(play.people[role], PROJECT)
    workspaces.close()


def test_only_the_data_centre_provides_one_and_for_an_open_project_with_a_datamart_alone(play: Stage) -> None:
    site, team = play.site, [play.people[Role.CLINICIAN].account_id or 0]
    number = opened(site.state, team)
    engineer = play.people[Role.DATA_ENGINEER]
    with pytest.raises(NotAllowed, match="does not include"):
        provide(site, play.people[Role.RESEARCHER], number)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no datamart"):
        provide(site, engineer, number)  # type: ignore[arg-type]
    with pytest.raises(NotAllowed, match="no project of this number"):
        provide(site, engineer, f"{YEAR}-099")  # type: ignore[arg-type]
    made = furnished(site, team, site.folder / "datamart")  # type: ignore[arg-type]
    assert (made.number, made.team) == (f"{YEAR}-003", frozenset(team))
    assert made.datamart == str((site.folder / "datamart").resolve())
    assert [space.project for space in mine(site, play.people[Role.CLINICIAN])] == [key(3)]  # type: ignore[arg-type]
    assert [space.project for space in mine(site, engineer)] == [PROJECT, key(3)]  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no workspace"):
        space_of(site, key(2))  # type: ignore[arg-type]


def test_who_leaves_the_team_leaves_the_workspace_and_who_joins_signs_first(play: Stage) -> None:
    number, team = f"{YEAR}-001", [play.people[Role.CLINICIAN].account_id]
    step(play.site.state, number, "staff", members=team)
    researcher = play.people[Role.RESEARCHER].account_id
    assert space_of(play.site, PROJECT).team == {researcher}, "the lead stays, the teacher left, the clinician has not signed"  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["suspend", "close"])
def test_nobody_works_in_the_workspace_of_a_project_that_is_not_open(play: Stage, name: str) -> None:
    step(play.site.state, f"{YEAR}-001", name, reason="Over.")
    workspaces = Workspaces(play.site)  # type: ignore[arg-type]
    for actor in (play.people[Role.RESEARCHER], KEY_HOLDER):
        with pytest.raises(NotAllowed, match="suspended" if name == "suspend" else "not open"):
            workspaces.start(actor, PROJECT)
    line = play.site.state.audit.latest(1)[0]
    assert (line.action, line.allowed, line.target) == ("workspace", False, f"project:{YEAR}-001 start")
    with pytest.raises(NotAllowed):
        Airlock(play.site, play.people[Role.RESEARCHER]).hand_in(PROJECT, ["t.csv"], "Table 1")  # type: ignore[arg-type]
    workspaces.close()


def test_a_running_workspace_ends_with_its_project_or_moves_with_its_datamart(play: Stage) -> None:
    site, workspaces = play.site, Workspaces(play.site)  # type: ignore[arg-type]
    space = space_of(site, PROJECT)  # type: ignore[arg-type]
    enclosure = Enclosure(PROJECT, folders_of(site, PROJECT), Path(space.datamart), site.folder, Path(sys.executable))  # type: ignore[arg-type]
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        workspaces._running[PROJECT] = _Running(process, enclosure)
        assert workspaces.over(PROJECT) == ""
        site.state.spaces.move(space.datamart, "/elsewhere")
        assert workspaces.over(PROJECT) == "moved"
        with pytest.raises(UsageError, match="once its project is closed"):
            end_space(site, space.number)  # type: ignore[arg-type]
        step(site.state, space.number, "close", reason="Over.")
        assert workspaces.over(PROJECT) == "closed"
        process.kill()
    assert end_space(site, space.number) and not end_space(site, space.number)  # type: ignore[arg-type]
    assert not folders_of(site, PROJECT).root.exists() and space_of(site, PROJECT).ended  # type: ignore[arg-type]
    workspaces._running.clear()
    workspaces.close()
