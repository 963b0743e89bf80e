"""Starting, watching and stopping workspaces."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import stat
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from estran.model.errors import EstranError, StoreError, UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action
from estran.projects.site import SiteServices
from estran.projects.workspaces import bubblewrap
from estran.projects.workspaces.bubblewrap import Enclosure
from estran.projects.workspaces.spaces import (
    Folders,
    disk_used,
    folders_of,
    permit_open,
    site_folder,
    space_of,
    target_of,
    why_closed,
)
from estran.settings import Settings
from estran.state import Space

_LOOK = 5.0  # seconds between two looks of the watch
_STARTS = 60.0  # seconds that JupyterLab may take
_ENDS = 10.0  # seconds between asking a workspace to end and ending it


@dataclass(frozen=True)
class State:
    """A workspace as a page shows it. `ready` when it answers; bytes of disk, and how many are allowed."""

    space: Space
    running: bool
    ready: bool
    disk: int
    most_disk: int
    missing: str = ""


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    enclosure: Enclosure
    used: float = field(default_factory=time.monotonic)


class Workspaces:
    """The workspaces that this process started. One per portal.

    bubblewrap ends with the thread that started it, so one thread of its own starts them all.
    """

    def __init__(self, site: SiteServices) -> None:
        self._site = site
        self._running: dict[int, _Running] = {}
        self._lock = threading.Lock()
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="workspaces")
        self._watch: threading.Thread | None = None
        self._closing = threading.Event()

    def start(self, actor: Actor, project: int) -> Space:
        """Start the workspace of a project when it does not run. UsageError when the machine cannot close one."""
        space = space_of(self._site, project)
        permit_open(self._site, actor, Action.WORKSPACE, target_of(space, actor, "start"), space.number)
        if space.ended:
            raise UsageError("This project has no workspace.", hint="ask the clinical data centre to provide one")
        if lack := bubblewrap.missing():
            raise UsageError("This machine cannot open workspaces.", where=lack)
        with self._lock:
            if not self._alive(project) and other_process(folders_of(self._site, project)) is None:
                self._running[project] = self._starter.submit(self._launch, space).result()
        self._look_after()
        return space

    def stop(self, actor: Actor, project: int) -> None:
        """End it, and everything in it; its home and out/ stay."""
        space = space_of(self._site, project)
        permit(self._site.state, actor, Action.WORKSPACE, target_of(space, actor, "stop"))
        self._end(project)
        end_other(folders_of(self._site, project))

    def state(self, actor: Actor, project: int) -> State:
        """How it is doing."""
        space = space_of(self._site, project)
        permit(self._site.state, actor, Action.WORKSPACE, target_of(space, actor, "state"))
        folders, settings = folders_of(self._site, project), self._site.settings
        running = self._alive(project) or other_process(folders) is not None
        ready = running and socket_of(self._site, project) is not None
        return State(space, running, ready, disk_used(folders), settings.workspace_disk_mb << 20, bubblewrap.missing())

    def used(self, project: int) -> None:
        """Somebody asked something of it: the time of idleness begins again."""
        if found := self._running.get(project):
            found.used = time.monotonic()

    def wait(self, project: int, seconds: float = _STARTS) -> Path:
        """Its socket, once it is there; StoreError when it does not come."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if (found := socket_of(self._site, project)) is not None:
                return found
            if not self._alive(project):
                break
            time.sleep(0.1)
        raise StoreError("The workspace did not start.", hint="see lab.log in its folder")

    def close(self) -> None:
        """End all of them."""
        self._closing.set()
        for project in list(self._running):
            self._end(project)
        self._starter.shutdown()

    def _launch(self, space: Space) -> _Running:
        folders, settings = folders_of(self._site, space.project), self._site.settings
        folders.make()
        enclosure = enclosure_of(self._site, space, settings)
        enclosure.socket.unlink(missing_ok=True)
        log = os.open(folders.root / "lab.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            process = subprocess.Popen(  # noqa: S603 (our own words, no shell)
                bubblewrap.lab(enclosure, settings), stdin=subprocess.DEVNULL, stdout=log, stderr=log, close_fds=True,
                start_new_session=True, env={"PATH": os.environ.get("PATH", "/usr/bin")},
            )  # fmt: skip
        finally:
            os.close(log)
        folders.pid_file.write_text(f"{process.pid}\n")
        return _Running(process, enclosure)

    def _alive(self, project: int) -> bool:
        found = self._running.get(project)
        return found is not None and found.process.poll() is None

    def _end(self, project: int) -> None:
        found = self._running.pop(project, None)
        if found is None:
            return
        _kill(found.process.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            found.process.wait(_ENDS)
        folders_of(self._site, project).pid_file.unlink(missing_ok=True)
        found.enclosure.socket.unlink(missing_ok=True)

    def _look_after(self) -> None:
        with self._lock:
            if self._watch is None:
                self._watch = threading.Thread(target=self._watching, name="workspace watch", daemon=True)
                self._watch.start()

    def _watching(self) -> None:
        while not self._closing.wait(_LOOK):
            self.look()

    def look(self) -> None:
        """End each workspace that is to be stopped."""
        for project in list(self._running):
            if self._over(project):
                self._end(project)

    def _over(self, project: int) -> str:
        """As `over`; a look that fails says nothing, the next one is near."""
        try:
            return self.over(project)
        except EstranError:
            return ""

    def over(self, project: int) -> str:
        """Why a workspace is to be stopped: "ended", "closed" (its project), "moved" (to another build of its datamart),
        "idle", "disk" or "processes"; "" when it is not."""
        settings, found = self._site.settings, self._running.get(project)
        if found is None or found.process.poll() is not None:
            return "ended"
        space = space_of(self._site, project)
        if why_closed(self._site, space):
            return "closed"
        if Path(space.datamart) != found.enclosure.datamart:
            return "moved"
        if time.monotonic() - found.used > settings.workspace_idle_minutes * 60:
            return "idle"
        if disk_used(folders_of(self._site, project)) > settings.workspace_disk_mb << 20:
            return "disk"
        return "processes" if tasks_within(found.process.pid) > settings.workspace_processes else ""


def enclosure_of(site: SiteServices, space: Space, settings: Settings) -> Enclosure:
    """What the workspace of a project is closed around."""
    folders = folders_of(site, space.project)
    return Enclosure(
        space.project, folders, Path(space.datamart), runtime_of(site, space.project), bubblewrap.python_of(settings)
    )


def runtime_of(site: SiteServices, project: int) -> Path:
    """The folder of the socket: of our own user, closed to others, and no link. Its name is short, as sockets need."""
    name = hashlib.sha256(f"{site_folder(site).resolve()}/{project}".encode()).hexdigest()[:16]
    place = Path(tempfile.gettempdir()) / f"estran-{os.geteuid()}-{name}"
    place.mkdir(mode=0o700, exist_ok=True)
    told = place.lstat()
    if not stat.S_ISDIR(told.st_mode) or told.st_uid != os.geteuid() or told.st_mode & 0o077:
        raise StoreError(
            "The folder for a workspace's socket belongs to somebody else.", where=str(place), hint="remove it"
        )
    return place


def socket_of(site: SiteServices, project: int) -> Path | None:
    """The socket of a workspace when it is one, and no link to another place."""
    place = runtime_of(site, project) / "lab.sock"
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(place.lstat().st_mode):
            return place
    return None


def other_process(folders: Folders) -> int | None:
    """The process of a workspace that the command line or another portal started; None when there is none."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(folders.pid_file.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if os.fsencode(str(folders.out)) in words:
            return pid
    return None


def end_other(folders: Folders) -> None:
    """End a workspace that another process started."""
    if (pid := other_process(folders)) is not None:
        _kill(pid)
        folders.pid_file.unlink(missing_ok=True)


def _kill(pid: int) -> None:
    """The first process of the space ends, and the kernel ends the rest with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def tasks_within(pid: int) -> int:
    """Processes and threads of the space that `pid` closed."""
    total = 0
    for child in _children(pid):
        with contextlib.suppress(OSError):
            total += sum(1 for _ in Path(f"/proc/{child}/task").iterdir())
    return total


def _children(pid: int) -> set[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found
