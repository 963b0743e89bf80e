"""The key of a site, and what is derived from it.

One file, `SITE.key`, kept beside the site and never inside it: without it the vault and the landing
are noise. Subkeys come from it by HKDF, one per purpose, so that none of them tells another.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from estran.model.errors import StoreError

_HEADER = "estran-key 1"
_CHANGED = "estran-key 2"  # with sealing keys of its own, since `rotate`
_NONCE = 12
_SEPARATOR = "\x1f"

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]


class Cipher:
    """AES-256-GCM with random nonces. `place` names the table and row, so values cannot be swapped.

    The first of `keys` seals; the others open what was sealed before the key was changed.
    """

    def __init__(self, *keys: bytes) -> None:
        self._ciphers = [AESGCM(key) for key in keys]
        self._aes = self._ciphers[0]

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Nonce, ciphertext and tag of `plain`, bound to `place`."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aes.encrypt(nonce, plain, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """The plain bytes; StoreError when they were altered, moved, or sealed with another key."""
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place)
            except (InvalidTag, ValueError):
                continue
        where = place.split(b"/", 1)[0].decode("ascii", "replace")
        raise StoreError(
            "A sealed value does not open: it was altered, or sealed with another key.",
            where=f"table {where}",
            hint="restore the site from a backup, with the key it was made with",
        )


class KeyedHash:
    """64-bit signed keyed BLAKE2b: the same text gives the same integer at this site only."""

    def __init__(self, key: bytes) -> None:
        self._start = blake2b(digest_size=8, key=key)

    def of(self, part: str, *values: str) -> int:
        """Hash of `values` in the name space `part`."""
        state = self._start.copy()
        state.update(_SEPARATOR.join((part, *values)).encode("utf-8", "surrogatepass"))
        return int.from_bytes(state.digest(), "little", signed=True)

    def of_many(self, part: str, values: Iterable[str]) -> Int64s:
        """`of(part, value)` for each value, as an array."""
        start = self._start.copy()
        start.update((part + _SEPARATOR).encode("utf-8", "surrogatepass"))
        digests = []
        for value in values:
            state = start.copy()
            state.update(value.encode("utf-8", "surrogatepass"))
            digests.append(state.digest())
        return np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64)


@dataclass(frozen=True)
class SiteKey:
    """A 32-byte master key. It is never shown: its `repr` holds the key id only.

    `seals` are the sealing keys of the vault and the landing since they were first changed, the newest
    first: rotation changes them, while `master` goes on finding rows by keyed hash. Without any, `master`
    seals too.
    """

    key_id: str
    master: bytes = field(repr=False)
    seals: tuple[bytes, ...] = field(default=(), repr=False)

    def subkey(self, purpose: str, size: int = 32) -> bytes:
        """Key material for `purpose`, by HKDF-SHA256."""
        return _derive(self.master, purpose, size)

    def cipher(self, purpose: str) -> Cipher:
        """Cipher of one purpose: 'vault' for values; 'backup', which rotation leaves, for lists of files."""
        return Cipher(*self.sealing_keys(f"cipher/{purpose}") if purpose != "backup" else [self.subkey("cipher/backup")])

    def sealing_keys(self, purpose: str) -> list[bytes]:
        """The keys that seal (the first) and open (all) what is kept for `purpose`."""
        return [_derive(key, purpose, 32) for key in (*self.seals, self.master)]

    def hash(self, purpose: str) -> KeyedHash:
        """Keyed hash of one purpose: 'vault' for numbers, 'record' for business ids of records."""
        return KeyedHash(self.subkey(f"hash/{purpose}"))

    @cached_property
    def check_value(self) -> bytes:
        """What a vault keeps to recognise its key; it tells nothing of the key."""
        return self.subkey("check", 16)

    @cached_property
    def _record_hash(self) -> KeyedHash:
        return self.hash("record")

    def record_keys(self, part: str, values: Iterable[str]) -> Int64s:
        """Keys of records named by text in the name space `part` (format, table)."""
        return self._record_hash.of_many(part, values)

    def record_key_ints(self, part: str, values: npt.ArrayLike) -> Int64s:
        """Keys of records named by an integer: a keyed permutation of 64 bits, without collision.

        A number and its decimal text get different keys: a source uses one form, always.
        """
        k = np.frombuffer(blake2b(part.encode(), digest_size=32, key=self.subkey("record-ints")).digest(), dtype="<u8")
        mixed = np.asarray(values, dtype=np.int64).view(np.uint64) ^ k[0]
        mixed = _mix(mixed) * (k[1] | np.uint64(1))
        mixed = _mix(mixed + k[2]) * (k[3] | np.uint64(1))
        return _mix(mixed).view(np.int64)


def _mix(x: UInt64s) -> UInt64s:
    """The finaliser of splitmix64, a bijection."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: UInt64s = x ^ (x >> np.uint64(31))
    return mixed


def create_key(path: Path) -> SiteKey:
    """Make a new key file, mode 0600; StoreError when something is already there."""
    master = os.urandom(32)
    key = SiteKey(_key_id(master), master)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise StoreError(
            "A key file is already there; it is never overwritten.",
            where=str(path),
            hint="keep it: without it the site cannot be opened",
        ) from None
    _write(handle, key)
    return key


def replace_key(path: Path, key: SiteKey) -> None:
    """Write `key` where its older form is, whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    _write(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), key)
    scratch.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def with_new_seal(key: SiteKey) -> SiteKey:
    """The same key with a new sealing key first; the older ones still open."""
    return SiteKey(key.key_id, key.master, (os.urandom(32), *key.seals))


def with_last_seal(key: SiteKey) -> SiteKey:
    """The same key with its newest sealing key alone."""
    return SiteKey(key.key_id, key.master, key.seals[:1])


def _write(handle: int, key: SiteKey) -> None:
    lines = [_CHANGED if key.seals else _HEADER, f"id {key.key_id}", f"master {_encoded(key.master)}"]
    lines += [f"seal {_encoded(seal)}" for seal in key.seals]
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_key(path: Path) -> SiteKey:
    """The key in the file `path`; StoreError when it is missing or not a key file."""
    try:
        text = path.read_text("ascii")
    except FileNotFoundError:
        raise StoreError(
            "The key of the site is missing.", where=str(path), hint="put the key file back from its safe copy"
        ) from None
    except (OSError, UnicodeDecodeError):
        raise _unreadable(path) from None
    lines = text.rstrip("\n").split("\n")
    if lines[0] not in (_HEADER, _CHANGED) or len(lines) < 3:
        raise _unreadable(path)
    try:
        master = _decoded(lines[2], "master ")
        seals = tuple(_decoded(line, "seal ") for line in lines[3:])
    except (binascii.Error, ValueError):
        raise _unreadable(path) from None
    if lines[1] != f"id {_key_id(master)}":
        raise _unreadable(path)
    return SiteKey(_key_id(master), master, seals)


def _encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _decoded(line: str, name: str) -> bytes:
    """The key on a line; ValueError when it is not one of 32 bytes."""
    if not line.startswith(name):
        raise ValueError
    key = base64.b64decode(line.removeprefix(name), validate=True)
    if len(key) != 32:
        raise ValueError
    return key


def _derive(key: bytes, purpose: str, size: int) -> bytes:
    info = f"estran/1/{purpose}".encode()
    return HKDF(algorithm=SHA256(), length=size, salt=None, info=info).derive(key)


def _key_id(master: bytes) -> str:
    """Derived from the key, so that a damaged file is noticed."""
    return SiteKey("", master).subkey("id", 8).hex()


def _unreadable(path: Path) -> StoreError:
    return StoreError(
        "The key file cannot be read: it is damaged, or not a key of this version.",
        where=str(path),
        hint="put the key file back from its safe copy",
    )
