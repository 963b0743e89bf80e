"""The landing: the bytes of every input file, kept as they came, compressed and encrypted.

A file is stored once under a keyed hash of its content, so an identical file lands on itself. It
is written to a temporary name and renamed when whole: a half-written file is never seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from estran.identity.keys import SiteKey
from estran.model.errors import StoreError
from estran.sources.unnamed import unnamed
from estran.warehouse.files import flush

_MAGIC = b"ESTRANL1"
_CHUNK = 1 << 20
_CODEC = pa.Codec("zstd", compression_level=1)


class Landing:
    """`directory` holds the encrypted files; `key` is 32 bytes made for this purpose only.

    `seals` are the sealing keys, the one in use first (see `SiteKey.sealing_keys`); `key` seals without any.
    """

    def __init__(self, directory: Path, key: bytes, seals: Sequence[bytes] = ()) -> None:
        self._directory = directory
        self._ciphers = [AESGCM(seal) for seal in seals or [key]]
        self._cipher = self._ciphers[0]
        self._key = key

    def digest(self, path: Path) -> str:
        """Keyed hash of the file's content, in hexadecimal: its name in the landing."""
        digest = hashlib.blake2b(key=self._key, digest_size=20)
        with path.open("rb") as source:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def keep(self, path: Path) -> str:
        """Store the file at `path` durably; returns its digest. Storing it twice changes nothing."""
        name = self.digest(path)
        target = self._place(name)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._temporary(target) as out, path.open("rb") as source:
                self._encrypt(source, out, name)
        return name

    @contextlib.contextmanager
    def restored(self, digest: str) -> Iterator[Path]:
        """The file in clear. It has no name in any directory: not even a killed process leaves it behind."""
        with unnamed() as (out, path):
            for chunk in self._decrypt(digest):
                out.write(chunk)
            out.flush()
            yield path

    def reseal(self) -> Iterator[int]:
        """Seal every file anew with the key in use, each at one instant; tells how many are done. Files
        that this key sealed already are left, so an interrupted run goes on where it was."""
        for done, place in enumerate(sorted(self._directory.rglob("*.land")), start=1):
            if self._sealed_with(place) is not self._cipher:
                with self.restored(place.stem) as copy, copy.open("rb") as source, self._temporary(place) as out:
                    self._encrypt(source, out, place.stem)
            yield done

    def holds(self, digest: str) -> bool:
        """Whether the file is still here: erasing a patient takes whole files away."""
        return self._place(digest).exists()

    def forget(self, digest: str) -> None:
        """Remove one file (erasure)."""
        self._place(digest).unlink(missing_ok=True)

    def _place(self, name: str) -> Path:
        return self._directory / name[:2] / f"{name}.land"

    @contextlib.contextmanager
    def _temporary(self, target: Path) -> Iterator[BinaryIO]:
        scratch = target.with_suffix(f".{os.getpid()}.part")
        try:
            with scratch.open("wb") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            scratch.replace(target)
            flush(target.parent)
        finally:
            scratch.unlink(missing_ok=True)

    def _encrypt(self, source: BinaryIO, out: BinaryIO, name: str) -> None:
        salt = os.urandom(8)
        out.write(_MAGIC + salt)
        number = 0
        while True:
            chunk = source.read(_CHUNK)
            body = struct.pack("<I", len(chunk)) + (_CODEC.compress(chunk, asbytes=True) if chunk else b"")
            sealed = self._cipher.encrypt(salt + struct.pack("<I", number), body, name.encode())
            out.write(struct.pack("<I", len(sealed)) + sealed)
            if not chunk:  # the empty chunk seals the end: a truncated file is noticed
                return
            number += 1

    def _decrypt(self, name: str) -> Iterator[bytes]:
        place = self._place(name)
        damaged = StoreError("A landed file is damaged.", where=str(place), hint="restore it from a backup")
        try:
            source = place.open("rb")
        except FileNotFoundError:
            raise StoreError("A landed file is missing.", where=str(place), hint="restore it from a backup") from None
        cipher = self._sealed_with(place)
        with source:
            source.seek(len(_MAGIC))
            salt, number = source.read(8), 0
            while True:
                body = self._open(cipher, source, salt, number, name)
                if body is None:
                    raise damaged
                size = struct.unpack("<I", body[:4])[0]
                if not size:
                    return
                yield _CODEC.decompress(body[4:], decompressed_size=size, asbytes=True)
                number += 1

    def _sealed_with(self, place: Path) -> AESGCM:
        """The cipher that opens the first chunk; StoreError when none does."""
        with place.open("rb") as source:
            if source.read(len(_MAGIC)) == _MAGIC:
                salt = source.read(8)
                for cipher in self._ciphers:
                    source.seek(len(_MAGIC) + 8)
                    if self._open(cipher, source, salt, 0, place.stem) is not None:
                        return cipher
        raise StoreError("A landed file is damaged.", where=str(place), hint="restore it from a backup")

    @staticmethod
    def _open(cipher: AESGCM, source: BinaryIO, salt: bytes, number: int, name: str) -> bytes | None:
        """The next chunk in clear; None when it is cut or altered."""
        head = source.read(4)
        if len(head) != 4:
            return None
        sealed = source.read(struct.unpack("<I", head)[0])
        try:
            return cipher.decrypt(salt + struct.pack("<I", number), sealed, name.encode())
        except InvalidTag:
            return None


def landing_of(site: Path, key: SiteKey) -> Landing:
    """The landing of the site directory `site`."""
    return Landing(site / "landing", key.subkey("landing"), key.sealing_keys("landing"))
