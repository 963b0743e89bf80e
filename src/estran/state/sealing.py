"""Sealing what the portal must be able to read back: AES-256-GCM under a key of the portal, in a file of its own.

It defends against a copy of the database alone: a dump, a replica, a PostgreSQL operator, a query that reads
too much. It does not defend against somebody who reads the portal's disk or memory: the portal must check a
code without anybody's help, so the key lies where it runs. The key of the site, which opens the vault, is
another one and never comes to the portal.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from estran.model.errors import StoreError

_NONCE = 12


class Seal:
    """Seals and opens; the key is made when something is first sealed."""

    def __init__(self, key_file: Path) -> None:
        self._file = key_file

    def seal(self, value: bytes, owner: str) -> bytes:
        """`value` sealed for `owner`: it opens for no other."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + AESGCM(self._key(make=True)).encrypt(nonce, value, owner.encode())

    def open(self, sealed: bytes, owner: str) -> bytes:
        """What was sealed; StoreError when the key is missing or another one, or the bytes were changed."""
        try:
            return AESGCM(self._key()).decrypt(sealed[:_NONCE], sealed[_NONCE:], owner.encode())
        except InvalidTag:
            raise StoreError(
                "A secret of the portal does not open with its key.", where=str(self._file),
                hint="restore the key file that belongs to this database, or reset the second factor",
            ) from None

    def _key(self, make: bool = False) -> bytes:
        try:
            key = self._file.read_bytes()
        except FileNotFoundError:
            key = self._make() if make else b""
        if len(key) != 32:
            raise StoreError("The portal's key is missing or damaged.", where=str(self._file), hint="restore it")
        return key

    def _make(self) -> bytes:
        """Written whole under another name, then linked: of two processes that start at once, one wins."""
        draft = self._file.with_name(f"{self._file.name}.{os.getpid()}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(secrets.token_bytes(32))
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            self._file.hardlink_to(draft)
        draft.unlink()
        return self._file.read_bytes()
