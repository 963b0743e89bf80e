"""Who is not let in at the SuperLink: a node without TLS, one whose key nobody registered, an operator without the secret."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Mapping
from pathlib import Path

from estran.hub.learning.node import Node
from estran.hub.learning.run import Run

_REFUSED = "Failed to initialize the connection"
_PATIENCE = 150.0  # seconds


def refused(run: Run, port: int, folder: Path, table: Mapping) -> dict[str, bool]:
    """Whether each was refused."""
    return {
        "without TLS": _without_tls(port),
        "operator without the secret": _operator(run, port),
        "node of no site": _stranger(run, folder, table),
    }


def _without_tls(port: int) -> bool:
    way = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        way.request("POST", "/v1/fleet/register-node", b"")
        way.getresponse()
    except (OSError, http.client.HTTPException):
        return True
    return False


def _operator(run: Run, port: int) -> bool:
    trust = ssl.create_default_context(cafile=str(run.folder / "door.pem"))
    way = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=trust)
    way.request("POST", "/v1/control/start-run", b"", {"content-type": "application/x-protobuf"})
    return way.getresponse().status == 403


def _stranger(run: Run, folder: Path, table: Mapping) -> bool:
    """A node starts in seconds, or in a minute where the machine is busy: what counts is what it is told then."""
    node = Node.prepare(folder, run.job(), table, time.time() + 2 * _PATIENCE)
    process, end, said = node.start(), time.monotonic() + _PATIENCE, ""
    while _REFUSED not in said and time.monotonic() < end:
        time.sleep(0.5)
        said = (folder / "node.log").read_text("utf-8", "replace")
    node.end()
    process.wait(_PATIENCE)
    return _REFUSED in said and "Receiving" not in (folder / "node.log").read_text("utf-8", "replace")
