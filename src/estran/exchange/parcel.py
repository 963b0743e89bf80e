"""A folder sealed for one recipient: X25519 for the key, AES-256-GCM for the content (docs/reference/exports.md).

The file is `ESTRAN-PARCEL-1`, a line feed, the sender's one-time public key (32 bytes), then chunks. The key is
HKDF-SHA256 of the shared secret (RFC 7748, RFC 5869), salted with both public keys. Each chunk is 64 KiB of a gzipped tar
archive under a nonce of eleven bytes of counter and one that is 1 for the last chunk (the STREAM construction, Hoang et al.,
doi 10.1007/978-3-662-47989-6_12): chunks can be neither cut off, left out, nor put in another order.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from estran.exchange.whole import flush
from estran.model.errors import InputRefused, StoreError, UsageError

MAGIC = b"ESTRAN-PARCEL-1\n"
CHUNK = 65_536
_TAG, _KEY = 16, 32
_INFO = b"estran parcel 1"
_PIECE = 1 << 20
_OURS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def read_public_key(path: Path) -> X25519PublicKey:
    """A recipient's key (PEM, as `openssl pkey -pubout` writes it); UsageError when it is none."""
    try:
        key = serialization.load_pem_public_key(_bytes(path))
    except ValueError:
        key = None
    if not isinstance(key, X25519PublicKey):
        raise UsageError("This is no X25519 public key.", where=str(path), hint=_HOW)
    return key


def read_private_key(path: Path) -> X25519PrivateKey:
    """The recipient's own key (PEM, without a passphrase); UsageError when it is none."""
    try:
        key = serialization.load_pem_private_key(_bytes(path), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, X25519PrivateKey):
        raise UsageError("This is no X25519 private key without a passphrase.", where=str(path), hint=_HOW)
    return key


_HOW = "openssl genpkey -algorithm x25519 -out mine.key; openssl pkey -in mine.key -pubout -out mine.pub"


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise UsageError("The key cannot be read.", where=str(path)) from None


def seal(folder: Path, target: IO[bytes], recipient: X25519PublicKey) -> None:
    """Write everything below a folder, sealed; the same content never gives the same bytes twice."""
    once = X25519PrivateKey.generate()
    public = once.public_key().public_bytes_raw()
    target.write(MAGIC + public)
    cipher = _cipher(once.exchange(recipient), public, recipient)
    with (
        _Sealing(target, cipher) as stream,
        tarfile.open(fileobj=stream, mode="w|gz", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(folder.rglob("*")):
            archive.add(path, path.relative_to(folder).as_posix(), recursive=False, filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without owner, rights or times of this machine."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o700 if member.isdir() else 0o600
    return member


def open_parcel(path: Path, key: X25519PrivateKey, folder: Path, most: int = 0) -> None:
    """Unpack into an existing folder; InputRefused when the parcel is not for this key, was altered or holds more than `most`
    bytes (0: as much as there is), StoreError when this machine cannot write it (a full disk says nothing of the parcel)."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise InputRefused("This is no sealed package.", where=path.name)
        public = file.read(_KEY)
        try:
            secret = key.exchange(X25519PublicKey.from_public_bytes(public))
            stream = io.BufferedReader(_Opening(file, _cipher(secret, public, key.public_key())), CHUNK)
            plain = _Bounded(gzip.GzipFile(fileobj=stream), most)
            with tarfile.open(fileobj=plain, mode="r|") as archive:  # type: ignore[call-overload]  # it only reads
                for member in archive:
                    if not (member.isfile() or member.isdir()):
                        raise InputRefused("The package holds something other than files.", where=path.name)
                    archive.extract(member, folder, filter="data")
            while stream.read(_PIECE):  # to the chunk that says it is the last one
                pass
        except (InvalidTag, ValueError, tarfile.TarError, EOFError, OSError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno in _OURS:
                raise StoreError("The package cannot be unpacked: the disk is full, or fails.", where=str(folder)) from error
            raise InputRefused("The package is not for this key, or was altered.", where=path.name) from error


def prove(folder: Path, manifest: dict[str, Any]) -> None:
    """InputRefused unless the files are those of the manifest, byte by byte."""
    said = {one["path"]: one["sha256"] for one in manifest.get("files", ())}
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    there.pop("manifest.json", None)
    wrong = sorted(said.keys() ^ there.keys()) + [
        name for name in said.keys() & there.keys() if _sha256(there[name]) != said[name]
    ]
    if wrong:
        raise InputRefused("A file of the package is not as its manifest says.", where=wrong[0])


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _cipher(secret: bytes, public: bytes, recipient: X25519PublicKey) -> AESGCM:
    salt = public + recipient.public_bytes_raw()
    return AESGCM(HKDF(hashes.SHA256(), _KEY, salt, _INFO).derive(secret))


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


class _Sealing(io.RawIOBase):
    """Whole chunks are written as they fill; the last one when it closes without an error."""

    def __init__(self, target: IO[bytes], cipher: AESGCM) -> None:
        self._target, self._cipher, self._waiting, self._number = target, cipher, bytearray(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting += data
        while len(self._waiting) > CHUNK:
            self._put(bytes(self._waiting[:CHUNK]), False)
            del self._waiting[:CHUNK]
        return len(data)

    def _put(self, chunk: bytes, last: bool) -> None:
        self._target.write(self._cipher.encrypt(_nonce(self._number, last), chunk, MAGIC))
        self._number += 1

    def __exit__(self, *failed: Any) -> None:
        if failed[0] is None:
            self._put(bytes(self._waiting), True)
        super().__exit__(*failed)


class _Opening(io.RawIOBase):
    """The content of the chunks, each believed on its seal."""

    def __init__(self, source: IO[bytes], cipher: AESGCM) -> None:
        self._source, self._cipher, self._number = source, cipher, 0
        self._ahead, self._clear = source.read(CHUNK + _TAG), memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._clear and self._ahead:
            chunk, self._ahead = self._ahead, self._source.read(CHUNK + _TAG)
            self._clear = memoryview(self._cipher.decrypt(_nonce(self._number, not self._ahead), chunk, MAGIC))
            self._number += 1
        count = min(len(buffer), len(self._clear))
        buffer[:count], self._clear = self._clear[:count], self._clear[count:]
        return count


class _Bounded:
    """A stream that is read to so many bytes and no further: little that is sealed may be much once it is unpacked."""

    def __init__(self, source: gzip.GzipFile, most: int) -> None:
        self._source, self._most, self._read = source, most, 0

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._read += len(data)
        if self._most and self._read > self._most:
            raise InputRefused("The package holds more than it may.")
        return data


@contextmanager
def whole_file(target: Path) -> Iterator[IO[bytes]]:
    """A file that is there whole or not at all."""
    draft = target.with_name(f".{target.name}.part")
    try:
        with draft.open("xb") as stream:
            draft.chmod(0o600)
            yield stream
        flush(draft)
        draft.rename(target)
        flush(target.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
