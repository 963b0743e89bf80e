"""Have a run led: `python lead.py SETTINGS`, in Flower's Python. Registers the nodes, hands the bundle over, prints the numbers of the nodes."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import serialization
from flwr.common.serde import fab_to_proto
from flwr.proto.control_pb2 import RegisterNodeRequest, StartRunRequest
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

_PATIENCE = 60.0


class Operator:
    """Says the secret of the operator with each request."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def intercept(self, context: Any, go_on: Any) -> Any:
        """One request."""
        context.request.headers["x-estran-operator"] = self._secret
        return go_on(context)


def main() -> None:
    """Register, start, tell."""
    told = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    secret = Path(told["secret"]).read_text("ascii").strip()
    client = ControlHttpClient.from_server_address(
        server_address=told["hub"], insecure=False, root_certificates=Path(told["certificate"]).read_bytes(),
        interceptors=[Operator(secret), RuntimeVersionHttpInterceptor(component_name="flwr CLI")],
    )  # fmt: skip
    nodes = {member: _registered(client, key) for member, key in told["nodes"].items()}
    content = Path(told["bundle"]).read_bytes()
    fab = Fab(hashlib.sha256(content).hexdigest(), content, {})
    run = client.StartRun(StartRunRequest(fab=fab_to_proto(fab)))
    if not run.HasField("run_id"):
        sys.exit("Flower did not start the run.")
    sys.stdout.write(json.dumps({"run": run.run_id, "nodes": nodes}))


def _registered(client: Any, key: str) -> int:
    """The number of a node, by its public key in OpenSSH's form; waits for a SuperLink that is still starting."""
    public = public_key_to_bytes(serialization.load_ssh_public_key(key.encode()))
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return int(client.RegisterNode(RegisterNodeRequest(public_key=public)).node_id)
        except httpx.ConnectError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    main()
