"""Ports for servers that are told theirs: the choice of 0 is better wherever a test may ask what was chosen."""

from __future__ import annotations

import random
import socket

_OURS = range(12_000, 32_000)  # below what the system gives to connections that go out: none can take it meanwhile


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    while True:
        port = random.SystemRandom().choice(_OURS)
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
