"""A site's node: `python node.py SETTINGS`, in Flower's Python. Flower's own SuperNode, with four differences.

Only one bundle runs: the one whose digest the site was given, signed, in the job it said yes to (Flower's own check needs the vendor's
service). It looks for messages more often than every three seconds. And a message is handled by a fork of a process that has its libraries
loaded and is told at once, instead of one that looks for work and loads them each time. And a node that was killed, or lost the hub for a
minute, is started again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flwr.client.mod
import flwr.clientapp
import flwr.compat.common.recorddict_compat  # noqa: F401
import numpy as np  # noqa: F401
from flwr.supercore import heartbeat
from flwr.supercore.constant import ExecutorType, TaskType
from flwr.supercore.exit import exit_handler
from flwr.supercore.superexec import run_superexec as superexec
from flwr.supercore.superexec.executor.types import LaunchResult
from flwr.supernode import fleet_http_connection as connection
from flwr.supernode import start_client_internal as internal
from flwr.supernode.cli.flower_supernode import flower_supernode
from flwr.supernode.runtime.run_clientapp import run_clientapp

_LOOK = 0.5  # seconds between two looks for a message
_IDLE = 5.0  # seconds after which the executor looks for work unasked
_BEAT = 10.0  # seconds; the hub takes a node for lost, and lets it in anew, after two
_GRACE = 5.0  # seconds that a node has to end in good order
_REST = 3.0  # seconds between two lives
_USEFUL = 60.0  # seconds: a node that lived as long had reached the hub
_GONE = 3600.0  # seconds without such a life after which the hub is taken to be gone
_OTHER_BUNDLE = 3  # exit code


class Forks:
    """Flower's executor: one fork for each message."""

    def get_eligible_capacity(self, *_: Any, **__: Any) -> tuple[set[Any], set[str]]:
        """Nothing but the app of a site is run here."""
        return {TaskType.CLIENT_APP}, set()

    def launch(self, spec: Any) -> Any:
        """Handle a message in a process of its own."""
        if spec.task_type != TaskType.CLIENT_APP:
            return LaunchResult.failed("Only apps of a site run here.")
        if os.fork() == 0:
            _handle(spec)
        return LaunchResult.accepted()

    def reconcile(self) -> None:
        """Let go of the processes that are over."""
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

    def wait_for_capacity(self, *_: Any, **__: Any) -> None:
        """There is always room."""

    def close(self) -> None:
        """Nothing is kept."""


def _handle(spec: Any) -> None:
    exit_handler.registered_exit_handlers.clear()
    code = 1
    try:
        run_clientapp(spec.runtime_api_address, spec.token, insecure=True, parent_pid=os.getppid())
        code = 0
    except SystemExit:
        code = 0
    finally:
        os._exit(code)


def _only(digest: str) -> None:
    """Have the node end before it keeps, or runs, another bundle than the one of this digest."""
    read = internal.get_fused_config_from_fab

    def checked(content: Any, run: Any) -> Any:
        if hashlib.sha256(content).hexdigest() != digest:
            sys.stderr.write("The hub sent another bundle than the one this site agreed to: the node ends.\n")
            sys.stderr.flush()
            os._exit(_OTHER_BUNDLE)
        return read(content, run)

    internal.get_fused_config_from_fab = checked


def _execute(told: dict[str, Any], bell: int, parent: int) -> None:
    """Be the executor: look for work when the bell is rung."""
    superexec.get_executor = lambda *_, **__: Forks()
    superexec.time = SimpleNamespace(sleep=lambda _: _wait(bell))
    secret = Path(told["secret"]).read_bytes()
    _wait(bell)
    where = f"127.0.0.1:{told['port']}"
    superexec.run_superexec(
        where, insecure=True, superexec_auth_secret=secret, parent_pid=parent, executor_type=ExecutorType.SUBPROCESS
    )
    os._exit(0)


def _wait(bell: int) -> None:
    if select.select([bell], [], [], _IDLE)[0]:
        os.read(bell, 1)


def _ring(rung: int) -> None:
    """Tell the executor of each message that came."""
    pull = internal._pull_and_store_message

    def pulled(*given: Any, **named: Any) -> Any:
        run = pull(*given, **named)
        if run is not None:
            os.write(rung, b".")
        return run

    internal._pull_and_store_message = pulled


def _watched(told: dict[str, Any]) -> None:
    """Go on as the node in a child; see to it here that it is started again, that it ends in time and that the table goes with it."""
    asked: list[float] = []
    useful = time.monotonic()
    while time.monotonic() - useful < _GONE:
        began, child = time.monotonic(), os.fork()
        if not child:
            os.setpgid(0, 0)
            return
        signal.signal(signal.SIGTERM, lambda *_: asked.append(time.monotonic()))
        if _outlived(child, told["until"], Path(told["end"]), asked):
            break
        useful = time.monotonic() if time.monotonic() - began > _USEFUL else useful
        time.sleep(_REST)
    for name in (told["table"], told["key"]):
        Path(name).unlink(missing_ok=True)
    os._exit(0)


def _outlived(child: int, until: float, end: Path, asked: list[float]) -> bool:
    """Wait for the end of a node, and have it end when it must (`asked`: when somebody said so); whether it is not to be started
    again."""
    while not (found := os.waitpid(child, os.WNOHANG))[0]:
        if not asked and (time.time() > until or end.exists()):
            asked.append(time.monotonic())
        if asked:
            _kill(child, signal.SIGTERM if time.monotonic() - asked[0] < _GRACE else signal.SIGKILL)
        time.sleep(_LOOK)
    _kill(child, signal.SIGKILL)  # what it left behind: its executor, and a step under way
    return bool(asked) or os.waitstatus_to_exitcode(found[1]) == _OTHER_BUNDLE


def _kill(group: int, how: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, how)


def main() -> None:
    """Be the node until the run is over, or somebody ends it."""
    told = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    _watched(told)
    _only(told["bundle"])
    parent = os.getpid()
    bell, rung = os.pipe()
    if os.fork() == 0:
        _execute(told, bell, parent)
    _ring(rung)
    connection.HEARTBEAT_DEFAULT_INTERVAL = heartbeat.HEARTBEAT_DEFAULT_INTERVAL = _BEAT
    internal.time = SimpleNamespace(sleep=lambda wanted: time.sleep(min(wanted, _LOOK)), time=time.time)
    sys.argv = [
        "flower-supernode", "--superlink", told["hub"], "--root-certificates", told["certificate"], "--auth-supernode-private-key", told["key"],
        "--isolation", "process", "--superexec-auth-secret-file", told["secret"], "--host", "127.0.0.1", "--port", str(told["port"]),
        "--max-wait-time", "60",
    ]  # fmt: skip
    try:
        flower_supernode()
    finally:
        os._exit(
            1
        )  # it comes back when the hub is out of reach, and a thread of its server would keep the process for ever


if __name__ == "__main__":
    main()
