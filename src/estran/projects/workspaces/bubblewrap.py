"""The command that starts JupyterLab in a closed space: bubblewrap, limits, and systemd's where it runs.

The process sees the system's programs and the datamart, read-only; its home, `out/` and a folder for one socket. It has
no network but its own loopback, no other process, no capability, and cannot make further namespaces.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from estran.model.errors import UsageError
from estran.projects.workspaces.spaces import Folders
from estran.settings import Settings

INSIDE = Path(__file__).parent / "inside"
_SYSTEM = ("/etc/alternatives", "/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/etc/R", "/etc/jupyter")
# The kernel asks no capability for some of these: to write there it is enough to be the user that owns them, as a
# portal that runs as root would be. The containers' own lists are the same.
_KERNEL = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_KERNEL_HIDDEN = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/kmsg")
_MOST_FILE = 2  # GiB that one file may have
_SCRATCH = 1 << 30  # bytes of /tmp


@dataclass(frozen=True)
class Enclosure:
    """What a workspace is closed around. `runtime` is the folder of its socket, in a neutral place with a short name."""

    project: int
    folders: Folders
    datamart: Path
    runtime: Path
    python: Path

    @property
    def socket(self) -> Path:
        return self.runtime / "lab.sock"


def python_of(settings: Settings) -> Path:
    """The Python that has JupyterLab; UsageError when there is none."""
    own = Path(sys.prefix)
    places = [Path(settings.workspace_python)] if settings.workspace_python else [
        folder / "bin" / "python" for folder in (own.parent / ".venv-workspace", Path.cwd() / ".venv-workspace", own)
    ]  # fmt: skip
    found = next((place for place in places if (place.parent / "jupyter-lab").is_file()), None)
    if found is None:
        raise UsageError("Workspaces need JupyterLab.", hint="make workspace, or name its Python in workspace_python")
    return found.absolute()


def missing() -> str:
    """What the machine lacks to close a workspace, in a sentence; "" when it lacks nothing."""
    program = shutil.which("bwrap")
    if program is None:
        return "Workspaces need bubblewrap: apt-get install bubblewrap"
    return (
        ""
        if _works(program)
        else "bubblewrap cannot make user namespaces here: ask for kernel.unprivileged_userns_clone=1 or its AppArmor profile"
    )


@cache
def _works(program: str) -> bool:
    trial = [program, "--unshare-all", "--unshare-user", "--ro-bind", "/", "/", "true"]
    return subprocess.run(trial, capture_output=True, timeout=30, check=False).returncode == 0  # noqa: S603 (our own words)


def lab(enclosure: Enclosure, settings: Settings) -> list[str]:
    """The whole command that runs JupyterLab."""
    inside = [str(enclosure.python), "-m", "jupyterlab", "--no-browser"]
    return [*_service(settings), *_limits(settings), *closed(enclosure), *inside]


def closed(enclosure: Enclosure) -> list[str]:
    """The part that closes the space, to be followed by the command to run in it."""
    bind = [
        "--ro-bind", str(enclosure.datamart), "/work/datamart", "--bind", str(enclosure.folders.home), "/work/home",
        "--bind", str(enclosure.folders.out), "/work/out", "--bind", str(enclosure.runtime), "/work/run",
        "--ro-bind", str(INSIDE), "/opt/estran", "--ro-bind", str(INSIDE / "passwd"), "/etc/passwd",
        "--ro-bind", str(INSIDE / "group"), "/etc/group", "--ro-bind", str(INSIDE / "hosts"), "/etc/hosts", "--ro-bind", str(INSIDE / "nsswitch.conf"), "/etc/nsswitch.conf",
    ]  # fmt: skip
    return [
        shutil.which("bwrap") or "bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--clearenv", "--new-session",
        "--die-with-parent", "--cap-drop", "ALL", "--uid", "1000", "--gid", "1000", "--hostname", "workspace",
        "--size", str(_SCRATCH), "--tmpfs", "/tmp", *_system(enclosure.python), "--proc", "/proc", *_kernel(), "--dev", "/dev", *bind,  # noqa: S108
        "--remount-ro", "/", *_environment(enclosure), "--chdir", "/work/home", "--",
    ]  # fmt: skip


def _kernel() -> list[str]:
    """What of the kernel's settings is seen read-only, and what is not seen."""
    words = [word for place in _KERNEL for word in ("--ro-bind-try", place, place)]
    return words + [
        word for place in _KERNEL_HIDDEN if Path(place).exists() for word in ("--ro-bind", "/dev/null", place)
    ]


def _system(python: Path) -> list[str]:
    words = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib64"):
        if Path("/", name).is_symlink():
            words += ["--symlink", str(Path("/", name).readlink()), f"/{name}"]
        elif Path("/", name).is_dir():
            words += ["--ro-bind", f"/{name}", f"/{name}"]
    for place in _SYSTEM:
        words += ["--ro-bind-try", place, place]
    home = python.parent.parent
    for folder in {home, Path(os.path.realpath(python)).parent.parent}:
        if not folder.is_relative_to("/usr"):
            words += ["--ro-bind", str(folder), str(folder)]
    return words


def _environment(enclosure: Enclosure) -> list[str]:
    given = {
        "HOME": "/work/home", "PATH": f"{enclosure.python.parent}:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "USER": "researcher",
        "SHELL": "/bin/sh", "PYTHONPATH": "/opt/estran/client", "PYTHONDONTWRITEBYTECODE": "1", "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108
        "JUPYTER_CONFIG_PATH": "/opt/estran/jupyter", "JUPYTER_PATH": "/opt/estran/share", "JUPYTER_RUNTIME_DIR": "/tmp/jupyter",  # noqa: S108
        "JUPYTER_CONFIG_DIR": "/tmp/jupyter-config", "JUPYTER_DATA_DIR": "/tmp/jupyter-data", "ESTRAN_BASE": f"/{enclosure.project}/",  # noqa: S108
        "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2",
    }  # fmt: skip
    return [word for name, value in given.items() for word in ("--setenv", name, value)]


def _limits(settings: Settings) -> list[str]:
    """Of each process: memory, processor time, size of a file, no core dump. The watch counts processes and disk."""
    program = shutil.which("prlimit")
    if program is None:
        return []
    return [
        program, f"--as={settings.workspace_memory_mb << 20}", f"--cpu={settings.workspace_cpu_minutes * 60}",
        f"--fsize={_MOST_FILE << 30}", f"--nproc={settings.workspace_processes}", "--nofile=4096", "--core=0", "--",
    ]  # fmt: skip


def _service(settings: Settings) -> list[str]:
    """systemd's own limits, on the workspace as a whole, where it is running."""
    program = shutil.which("systemd-run")
    if program is None or not Path("/run/systemd/system").is_dir():
        return []
    whose = [] if os.geteuid() == 0 else ["--user"]
    properties = (
        f"MemoryMax={2 * settings.workspace_memory_mb}M",
        "CPUQuota=200%",
        f"TasksMax={settings.workspace_processes}",
    )
    return [program, *whose, "--scope", "--quiet", "--collect", *(word for one in properties for word in ("-p", one))]
