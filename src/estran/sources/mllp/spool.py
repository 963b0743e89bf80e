"""The spool: messages that were acknowledged and are not loaded yet, sealed one by one on the disk.

Messages are appended to one segment file, and made durable together before any of them is
acknowledged. A closed segment is handed to the load pipeline as one file, and deleted after its
commit: by then the landing keeps its bytes. Killed at any instant, the next run takes up every
segment; what a crash left half written at the end of one was never acknowledged.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import struct
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from estran.model.errors import StoreError
from estran.sources.unnamed import unnamed
from estran.warehouse.files import flush

_MAGIC = b"ESTRANS1"
_SALT = 8
_OPEN, _CLOSED, _TORN, _DAMAGED = ".open", ".closed", ".torn", ".damaged"
_WAITING = (_CLOSED, _TORN)
_NAME = "%Y%m%dT%H%M%S%f"


class Segment(NamedTuple):
    """What one segment holds, and whether it was closed as it should be."""

    messages: list[bytes]
    whole: bool


class Spool:
    """`directory` belongs to this process alone while it is open; `key` is 32 bytes made for this purpose only."""

    def __init__(self, directory: Path, key: bytes) -> None:
        """Raises StoreError when another listener has it."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._cipher = AESGCM(key)
        self._lock = threading.Lock()  # appending and closing come from different threads
        self._out: _Writer | None = None
        self._held = _held(directory)
        for left in directory.glob(f"*{_OPEN}"):  # of a run that was killed: never appended to again
            left.rename(left.with_suffix(_TORN))

    def close(self) -> None:
        """Close the segment being written, and let another process have the spool."""
        self.turn()
        os.close(self._held)

    def keep(self, messages: Sequence[bytes]) -> None:
        """Append messages and make them durable. OSError: none of them may be acknowledged."""
        with self._lock:
            if self._out is None:
                self._out = _Writer(self._directory, self._cipher)
            try:
                self._out.append(messages)
            except OSError:
                self._out.give_up()
                self._out = None
                raise

    def turn(self) -> None:
        """Close the segment being written, if there is one."""
        with self._lock:
            if self._out is not None:
                with contextlib.suppress(OSError):  # its messages are durable already; it is found again as torn
                    self._out.close()
                self._out = None

    def is_receiving(self) -> bool:
        """Whether messages came since the last `turn`."""
        return self._out is not None

    def waiting(self) -> list[Path]:
        """Closed segments, oldest first."""
        return sorted(p for p in self._directory.iterdir() if p.suffix in _WAITING)

    def size(self) -> int:
        """Bytes of everything that is not loaded yet."""
        return sum(p.stat().st_size for p in self._directory.iterdir() if p.suffix in (*_WAITING, _OPEN))

    def read(self, path: Path) -> Segment:
        """The messages of one segment, up to where a crash or damage stopped it."""
        messages: list[bytes] = []
        with path.open("rb") as source:
            head = source.read(len(_MAGIC) + _SALT)
            while (message := _next(source, self._cipher, head[len(_MAGIC) :], len(messages), path.stem)) is not None:
                if not message:
                    return Segment(messages, True)
                messages.append(message)
        return Segment(messages, False)

    @contextlib.contextmanager
    def restored(self, paths: Sequence[Path]) -> Iterator[list[Path]]:
        """The segments in clear, as files of MLLP frames for the reader; those without a message are left out."""
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="estran-")))
            found = []
            for path in paths:
                segment = self.read(path)
                if not segment.messages:
                    continue
                out, place = stack.enter_context(unnamed())
                out.write(b"".join(b"\x0b%b\x1c\r" % message for message in segment.messages))
                out.flush()
                named = folder / f"{path.stem}.hl7"
                named.symlink_to(place)  # the name says when; the bytes have no name on any disk
                found.append(named)
            yield found

    def forget(self, path: Path) -> bool:
        """Delete a segment that is loaded. False when it was closed as whole and is not: it is kept aside
        as damaged, with what can be read of it loaded."""
        if path.suffix == _CLOSED and not self.read(path).whole:
            path.rename(path.with_suffix(_DAMAGED))
            return False
        path.unlink()
        return True


class _Writer:
    """The segment being written."""

    def __init__(self, directory: Path, cipher: AESGCM) -> None:
        self._cipher, self._number, self._salt = cipher, 0, os.urandom(_SALT)
        self._path = _fresh(directory)
        self._file = self._path.open("xb")
        self._path.chmod(0o600)
        self._file.write(_MAGIC + self._salt)
        flush(directory)
        self._durable = len(_MAGIC) + _SALT

    def append(self, messages: Sequence[bytes]) -> None:
        for message in messages:
            self._write(message)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._durable = self._file.tell()

    def close(self) -> None:
        self._write(b"")  # the empty record seals the end
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.rename(self._path.with_suffix(_CLOSED))

    def give_up(self) -> None:
        """After a failed write: keep what was durable before it."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file.fileno(), self._durable)
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._path.rename(self._path.with_suffix(_TORN))

    def _write(self, message: bytes) -> None:
        nonce = self._salt + struct.pack("<I", self._number)
        sealed = self._cipher.encrypt(nonce, message, self._path.stem.encode())
        self._file.write(struct.pack("<I", len(sealed)) + sealed)
        self._number += 1


def _next(source: BinaryIO, cipher: AESGCM, salt: bytes, number: int, name: str) -> bytes | None:
    """The next message, b"" at a proper end, None where the file breaks off."""
    head = source.read(4)
    if len(head) < 4 or len(salt) < _SALT:
        return None
    size = struct.unpack("<I", head)[0]
    if size > os.fstat(source.fileno()).st_size:
        return None
    try:
        return cipher.decrypt(salt + struct.pack("<I", number), source.read(size), name.encode())
    except (InvalidTag, ValueError):
        return None


def _fresh(directory: Path) -> Path:
    """A name later than every other, even when the clock was set back: the instant the segment was begun."""
    now = dt.datetime.now(dt.UTC)
    stems = [p.stem for p in directory.iterdir() if p.suffix in (*_WAITING, _DAMAGED)]
    if stems:
        last = dt.datetime.strptime(max(stems), _NAME).replace(tzinfo=dt.UTC)
        now = max(now, last + dt.timedelta(microseconds=1))
    return directory / f"{now.strftime(_NAME)}{_OPEN}"


def _held(directory: Path) -> int:
    descriptor = os.open(directory / "listener.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreError(
            "Another listener receives for this source.", where=str(directory),
            hint="end it first, or give this one another --source",
        ) from None  # fmt: skip
    return descriptor
