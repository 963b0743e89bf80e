"""What a workspace offers inside: Python with the client, R with survival; and who may start it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.projects.spaces import PROJECT, Stage, stage

from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import KEY_HOLDER, Role
from estran.projects.workspaces import bubblewrap
from estran.projects.workspaces.driver import Workspaces, enclosure_of
from estran.projects.workspaces.spaces import mine, provide, space_of
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


def test_only_the_data_centre_provides_one(play: Stage, tmp_path: Path) -> None:
    with pytest.raises(NotAllowed):
        provide(play.site, play.people[Role.RESEARCHER], 4, "x", tmp_path, [])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no folder"):
        provide(play.site, KEY_HOLDER, 4, "x", tmp_path / "absent", [])  # type: ignore[arg-type]
    provide(play.site, play.people[Role.DATA_ENGINEER], 4, "x", tmp_path, [])  # type: ignore[arg-type]
    assert [space.project for space in mine(play.site, play.people[Role.RESEARCHER])] == [PROJECT]  # type: ignore[arg-type]
    assert [space.project for space in mine(play.site, play.people[Role.DATA_ENGINEER])] == [PROJECT, 4]  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no workspace"):
        space_of(play.site, 5)  # type: ignore[arg-type]
