"""A network of the test's own: the loopback, and a way to the outside on which every packet is counted and leads nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from estran.hub.learning import flower

_OUTSIDE = "out0"
_MARK = "ESTRAN_APART"


def again_apart() -> int | None:
    """Run this program in a network namespace of its own, and its code; None when this is that run, or there is no leave to make one."""
    if os.geteuid() or os.environ.get(_MARK):
        return None
    command = ["unshare", "-n", sys.executable, "-m", "tests.learning", *sys.argv[1:]]
    return subprocess.run(command, env={**os.environ, _MARK: "1"}, check=False).returncode


def apart() -> bool:
    """Whether this is in a network of its own."""
    return bool(os.environ.get(_MARK))


def lay() -> None:
    """The two ways."""
    for line in ("link set lo up", f"link add {_OUTSIDE} type veth peer name out1"):
        subprocess.run(["ip", *line.split()], check=True)
    for name in (_OUTSIDE, "out1"):  # neighbour discovery would be counted
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    for line in (f"addr add 10.99.0.1/24 dev {_OUTSIDE}", f"link set {_OUTSIDE} up", "link set out1 up", "route add default via 10.99.0.2",
                 f"neigh add 10.99.0.2 lladdr 02:00:00:00:00:02 dev {_OUTSIDE}"):  # fmt: skip
        subprocess.run(["ip", *line.split()], check=True)


def packets() -> int:
    """Sent to the outside so far."""
    lines = Path("/proc/self/net/dev").read_text().splitlines()
    return next(int(line.split(":")[1].split()[9]) for line in lines if line.strip().startswith(f"{_OUTSIDE}:"))


def packets_with_telemetry(folder: Path) -> int:
    """Packets of a start of Flower's own SuperLink with nothing switched off: that they would be seen."""
    before = packets()
    loud = flower.environment(folder) | {"FLWR_TELEMETRY_ENABLED": "1", "FLWR_DISABLE_UPDATE_CHECK": ""}
    program = [flower.python().parent / "flower-superlink", "--insecure", "--port", "19999"]
    with subprocess.Popen(
        program, env=loud, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        end = time.monotonic() + 60
        while packets() == before and time.monotonic() < end:
            time.sleep(0.5)
        flower.stop(process)
    return packets() - before
