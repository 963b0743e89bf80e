"""Each way out of a workspace is tried: it fails inside, is stopped at the airlock or at the door, or is named."""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import shared_memory
from pathlib import Path

import pytest
from tests import fresh
from tests.spec.ways_inside import WAYS
from tests.spec.ways_out import DOOR, FILES, FOLDER, UNDEFENDED, WATCH, markdown
from tests.unit.projects.spaces import PROJECT, Stage, stage

from estran.projects.workspaces import bubblewrap
from estran.projects.workspaces.bubblewrap import Enclosure, closed
from estran.projects.workspaces.driver import Workspaces, _Running, runtime_of, socket_of, tasks_within
from estran.projects.workspaces.spaces import folders_of, handed_out
from estran.release.airlock import HandedIn, Verdict, check, profile
from estran.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "workspace.md"
pytestmark = pytest.mark.skipif(bool(bubblewrap.missing()), reason="bubblewrap is not here, or may make no user namespace")


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("site")
    state = fresh.state(folder / "state.sqlite")
    yield stage(folder, state, Settings(workspace_processes=60))
    state.close()


def enclosure(play: Stage) -> Enclosure:
    folders = folders_of(play.site, PROJECT)  # type: ignore[arg-type]
    return Enclosure(PROJECT, folders, play.site.folder / "datamart", runtime_of(play.site, PROJECT), Path(sys.executable))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tried(play: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What each way of the list came to, the outside having prepared something to be reached."""
    word, libc = secrets.token_hex(4), ctypes.CDLL(None)
    listening = socket.create_server(("127.0.0.1", 0))
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0estran-{word}")
    abstract.listen()
    mounted = socket.socket(socket.AF_UNIX)
    where = tmp_path_factory.mktemp("host") / "host.sock"
    mounted.bind(str(where))
    mounted.listen()
    key = int(word[:7], 16)
    segment = libc.shmget(key, 4096, 0o1666)
    named = shared_memory.SharedMemory(create=True, size=16)
    assert segment >= 0
    at = {
        "port": listening.getsockname()[1], "abstract": f"estran-{word}", "socket": str(where), "pid": os.getpid(), "shared": key,
        "named": named.name, "secret": str(play.site.folder / "state.sqlite"),
    }  # fmt: skip
    shutil.copy(Path(__file__).with_name("ways_inside.py"), folders_of(play.site, PROJECT).home)  # type: ignore[arg-type]
    command = [*bubblewrap._limits(play.site.settings), *closed(enclosure(play)), sys.executable, "/work/home/ways_inside.py", json.dumps(at)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "PORTAL_SECRET": "x"}, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    yield json.loads(done.stdout.strip().splitlines()[-1])
    libc.shmctl(segment, 0, None)
    named.close()
    named.unlink()
    for one in (listening, abstract, mounted):
        one.close()


@pytest.mark.parametrize("way", WAYS)
def test_it_fails_inside(tried: dict[str, str], way: str) -> None:
    assert tried[way] == "closed"


@pytest.mark.parametrize("way", FILES)
def test_it_is_refused_at_the_airlock(way: str) -> None:
    name, make, rule = FILES[way]
    (found,) = check([HandedIn(name, make())], profile("estran"))
    assert found.verdict is Verdict.REFUSE
    assert rule in {one.rule for one in found.findings}


def test_what_is_no_plain_file_of_out_is_not_read(play: Stage, tmp_path: Path) -> None:
    out = play.out
    (out / "link.csv").symlink_to(play.site.folder / "state.sqlite")
    (tmp_path / "other.csv").write_text("x")
    os.link(tmp_path / "other.csv", out / "hard.csv")
    os.mkfifo(out / "pipe.csv")
    opened = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(out)  # the address of a socket is short
    opened.bind("socket.csv")
    os.chdir(here)
    assert [name for name, _ in handed_out(folders_of(play.site, PROJECT)) if name != "huge.csv"] == []  # type: ignore[arg-type]
    opened.close()
    place = runtime_of(play.site, PROJECT) / "lab.sock"  # type: ignore[arg-type]
    place.symlink_to("/run/other.sock")
    assert socket_of(play.site, PROJECT) is None  # type: ignore[arg-type]
    place.unlink()
    assert len(FOLDER) == 5, "each is tried above"


def launched(play: Stage, code: str) -> tuple[Workspaces, subprocess.Popen[bytes]]:
    command = [*closed(enclosure(play)), sys.executable, "-c", code]
    process = subprocess.Popen(command, start_new_session=True)
    workspaces = Workspaces(play.site)  # type: ignore[arg-type]
    workspaces._running[PROJECT] = _Running(process, enclosure(play))
    return workspaces, process


def test_the_watch_stops_a_fork_bomb_a_full_disk_and_an_idle_workspace(play: Stage) -> None:
    many = "import threading,time\nfor _ in range(90): threading.Thread(target=time.sleep,args=(600,)).start()"
    workspaces, process = launched(play, many)
    until = time.monotonic() + 60
    while tasks_within(process.pid) < 90 and time.monotonic() < until:
        time.sleep(0.1)
    assert workspaces.over(PROJECT) == "processes"
    settings = play.site.settings
    play.site.settings = Settings(workspace_processes=500, workspace_disk_mb=1)
    assert workspaces.over(PROJECT) == ""
    (folders_of(play.site, PROJECT).home / "big").write_bytes(bytes(2 << 20))  # type: ignore[arg-type]
    assert workspaces.over(PROJECT) == "disk"
    play.site.settings = Settings(workspace_idle_minutes=0)
    assert workspaces.over(PROJECT) == "idle"
    play.site.settings = settings
    workspaces.close()
    assert process.poll() is not None, "ended, and everything in it with it"
    assert len(WATCH) == 3, "each is tried above"


def test_at_least_thirty_ways_are_tried() -> None:
    assert len(WAYS) + len(FILES) + len(FOLDER) + len(DOOR) + len(WATCH) >= 30


def test_the_page_tells_what_was_tried_and_what_is_not_defended() -> None:
    """The ways of the door are tried in tests/unit/portal/test_workspace_door.py, one test of that name each."""
    tests = (ROOT / "tests" / "unit" / "portal" / "test_workspace_door.py").read_text("utf-8")
    assert [way for way in DOOR if f'"{way}"' not in tests] == []
    assert all(name and why for name, why in UNDEFENDED)
    page = PAGE.read_text("utf-8")
    assert markdown() in page
