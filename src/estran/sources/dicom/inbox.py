"""Receiving images: a storage SCP (C-ECHO, C-STORE) in front of an inbox of files.

    receiving/  what is coming in, not yet acknowledged; emptied at every start
    incoming/   whole files, durable: acknowledged
    batches/N/  files of one micro-batch, where they stay; N.loaded beside it once the warehouse holds them

Success is answered only when the file is on the disk under its final name. Whatever moment the process is
killed at, a file is either not acknowledged, and sent again, or found at the next start.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from estran.warehouse.files import flush

_DONE = ".loaded"
_SUCCESS, _NO_SPACE = 0x0000, 0xA700
_LONGEST_PDU = 1 << 17


@dataclass
class Inbox:
    """The folder of received files."""

    directory: Path
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> None:
        """Make the folders; forget what was never acknowledged."""
        shutil.rmtree(self.directory / "receiving", ignore_errors=True)
        for name in ("receiving", "incoming", "batches"):
            (self.directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def scratch(self) -> Path:
        """Where a file is written while it comes in."""
        return self.directory / "receiving"

    def keep(self, arrived: Path, instance: str) -> Path:
        """Make a whole file durable under a name made of its SOP Instance UID; the same again replaces it."""
        with arrived.open("rb") as written:
            os.fsync(written.fileno())
        name = blake2b(instance.encode(), digest_size=16).hexdigest() + ".dcm"
        with self._turn:  # no batch is cut between the rename and its record on the disk
            target = self.directory / "incoming" / name
            arrived.replace(target)
            flush(target.parent)
        return target

    def batch(self) -> list[Path]:
        """Folders that are to be loaded: those left by an earlier run, and a new one of what has come in."""
        with self._turn:
            incoming = self.directory / "incoming"
            if any(incoming.iterdir()):
                incoming.rename(self.directory / "batches" / f"{self._next():09d}")
                incoming.mkdir(mode=0o700)
                flush(self.directory)
                flush(self.directory / "batches")
        return sorted(self._waiting())

    def done(self, batch: Path) -> None:
        """The warehouse holds what is in `batch`."""
        batch.with_name(batch.name + _DONE).touch()
        flush(batch.parent)

    def _waiting(self) -> Iterator[Path]:
        for path in (self.directory / "batches").iterdir():
            if path.is_dir() and not path.with_name(path.name + _DONE).exists():
                yield path

    def _next(self) -> int:
        return 1 + max((int(p.name) for p in (self.directory / "batches").iterdir() if p.name.isdigit()), default=0)


@dataclass
class Receiver:
    """The storage SCP. `title` is the AE title that callers must call; `callers` those who may ("" of them: all)."""

    inbox: Inbox
    title: str = "ESTRAN"
    callers: tuple[str, ...] = ()
    _server: Any = None

    def start(self, host: str, port: int, tls: Any = None) -> int:
        """Listen in the background; returns the port. Raises OSError when it is taken."""
        from pynetdicom import _config

        _config.STORE_RECV_CHUNKED_DATASET = True  # files go to the disk as they come, whatever their size
        _config.UNRESTRICTED_STORAGE_SERVICE = True  # objects of every class, private ones too
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)  # its messages show headers
        self.inbox.open()
        entity = AE(ae_title=self.title)
        entity.maximum_pdu_size = _LONGEST_PDU
        entity.require_called_aet = True
        entity.require_calling_aet = list(self.callers)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax or "", _TRANSFER_SYNTAXES)
        entity.add_supported_context(Verification)
        self._server = entity.start_server(
            (host, port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store), (evt.EVT_C_ECHO, lambda _: _SUCCESS)],
            ssl_context=tls,
        )  # fmt: skip
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop listening; associations under way are closed."""
        if self._server:
            self._server.shutdown()

    def _store(self, event: Any) -> int:
        """Keep one object: success is answered when it is durable, and not before."""
        arrived = self.inbox.scratch() / f"{threading.get_ident()}-{event.message_id}"
        try:
            shutil.copyfile(event.dataset_path, arrived)
            self.inbox.keep(arrived, str(event.request.AffectedSOPInstanceUID))
        except OSError:
            arrived.unlink(missing_ok=True)
            return _NO_SPACE
        return _SUCCESS


_TRANSFER_SYNTAXES = [
    "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203", "1.2.840.10008.1.2.5",
]  # fmt: skip
