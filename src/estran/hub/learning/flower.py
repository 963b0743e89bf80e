"""Flower's own Python: where it is, and how something is run in it without telling its vendor."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from estran.model.errors import StoreError, UsageError

APPS = Path(__file__).parent / "apps"
# Telemetry and the look for newer releases are on unless these say otherwise; nothing is installed at run time either.
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
}  # fmt: skip
_PASSED = ("LANG", "LC_ALL", "TZ", "TMPDIR")


def python() -> Path:
    """The Python that has Flower; UsageError when there is none."""
    own = Path(sys.prefix)
    named = os.environ.get("ESTRAN_FLOWER_PYTHON")
    folders = (own.parent / ".venv-flower", Path.cwd() / ".venv-flower")
    places = [Path(named)] if named else [folder / "bin" / "python" for folder in folders]
    found = next((place for place in places if (place.parent / "flower-superlink").is_file()), None)
    if found is None:
        raise UsageError(
            "Learning over several sites needs Flower.", hint="make flower, or name its Python in ESTRAN_FLOWER_PYTHON"
        )
    return found.absolute()


def environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a process of Flower's gets to see: nothing of ours but what it needs."""
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    path = f"{python().parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return passed | QUIET | {"PATH": path, "HOME": str(home), "FLWR_HOME": str(home)} | dict(more or {})


def call(script: str, *arguments: str, home: Path) -> str:
    """Run one of the apps' scripts to its end, and what it wrote; StoreError when it went wrong."""
    done = subprocess.run(  # noqa: S603 (our own script)
        [python(), APPS / script, *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode:
        raise StoreError(
            "Flower could not do this.",
            where=script,
            hint=done.stderr.strip().splitlines()[-1][:200] if done.stderr.strip() else "",
        )
    return done.stdout


def start(
    script: str, arguments: Sequence[str], home: Path, log: Path, more: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start one of the apps' scripts in a session of its own; what it says goes to `log`."""
    with log.open("ab") as out:
        return subprocess.Popen(  # noqa: S603 (our own script)
            [python(), APPS / script, *arguments], env=environment(home, more), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip


def stop(process: subprocess.Popen[bytes], patience: float = 10.0) -> None:
    """End a process that was started here, and all that it started."""
    for signal in (15, 9):
        try:
            os.killpg(process.pid, signal)
            process.wait(patience)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()
