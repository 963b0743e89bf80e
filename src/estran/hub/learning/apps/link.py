"""The hub's SuperLink: `python link.py SECRET [arguments of flower-superlink]`, in Flower's Python.

Flower serves its nodes and its operators at one port, and asks operators for nothing. Here whoever comes from elsewhere finds the door of the
nodes only, and an operator on this machine has to know a secret: to start a run is to run code at the hub.
"""

from __future__ import annotations

import hmac
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from flwr.superlink import main as superlink
from flwr.superlink.cli.flower_superlink import flower_superlink
from starlette.middleware import Middleware

HEADER = b"x-estran-operator"
_HERE = ("127.0.0.1", "::1")
_NODES, _OPERATORS, _APPS = "/v1/fleet/", "/v1/control/", "/v1/runtime/"
_secret = b""


class Door:
    """Lets in by path, by address, and by secret."""

    def __init__(self, inner: Callable[..., Awaitable[None]]) -> None:
        self._inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] == "lifespan" or _admitted(scope):
            await self._inner(scope, receive, send)
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b""})


def _admitted(scope: Any) -> bool:
    path, here = scope.get("path", ""), (scope.get("client") or ("",))[0] in _HERE
    if path.startswith(_OPERATORS):
        return here and hmac.compare_digest(dict(scope["headers"]).get(HEADER, b""), _secret)
    return path.startswith(_NODES) or (here and path.startswith(_APPS))


def main() -> None:
    """Be the SuperLink."""
    global _secret  # noqa: PLW0603 (read once, at the start of the process)
    _secret = Path(sys.argv[1]).read_text("ascii").strip().encode()
    layers = superlink._get_middleware
    superlink._get_middleware = lambda: [Middleware(Door), *layers()]
    sys.argv = ["flower-superlink", *sys.argv[2:]]
    flower_superlink()


if __name__ == "__main__":
    main()
