"""A way between one site and the hub on which everything is written down, and which can be cut."""

from __future__ import annotations

import socket
import threading
from pathlib import Path


class Wire:
    """Listens at a port of the loopback and passes everything on to another, unless the file `cut` is there."""

    def __init__(self, to: int, kept: Path, cut: Path) -> None:
        self._to, self._kept, self._cut, self._lock = to, kept, cut, threading.Lock()
        self._door = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
                if self._cut.exists():
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                continue
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                if self._cut.exists():
                    break
                with self._lock, self._kept.open("ab") as out:
                    out.write(data)
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            end.close()
