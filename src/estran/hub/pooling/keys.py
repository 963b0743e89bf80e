"""The keys of one pool at the hub, in one file that is destroyed with it: without it no package opens, and no id of a site
leads to one of the pool."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from estran.exchange.whole import flush
from estran.identity.keys import Cipher
from estran.release.pooled import PoolKey

PURPOSE = "hub-pools"  # of the hub's own key, with which the file is sealed
_NAME = "key"
_HALF = 32


@dataclass(frozen=True)
class PoolKeys:
    """What opens packages, and what re-keys."""

    box: X25519PrivateKey
    ids: PoolKey = field(repr=False)

    @classmethod
    def create(cls, folder: Path, secret: bytes) -> PoolKeys:
        """New ones, in a new folder."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = X25519PrivateKey.generate().private_bytes_raw() + os.urandom(_HALF)
        draft = folder / f".{_NAME}"
        draft.touch(mode=0o600)
        draft.write_bytes(Cipher(secret).seal(made, folder.name.encode()))
        flush(draft)
        draft.replace(folder / _NAME)
        return cls._of(made)

    @classmethod
    def open(cls, folder: Path, secret: bytes) -> PoolKeys:
        """Those of a pool; StoreError when they are sealed with another key."""
        return cls._of(Cipher(secret).open((folder / _NAME).read_bytes(), folder.name.encode()))

    @classmethod
    def _of(cls, made: bytes) -> PoolKeys:
        return cls(X25519PrivateKey.from_private_bytes(made[:_HALF]), PoolKey(made[_HALF:]))

    @property
    def public(self) -> str:
        """What sites seal to (hexadecimal)."""
        return self.box.public_key().public_bytes_raw().hex()

    def of_site(self, member: str, kind: str, given: list[str]) -> list[str]:
        """The hub's ids for those of one site: the same person at two sites has two, unless a linkage says otherwise."""
        return self.ids.ids(kind, (f"{member}/{one}" for one in given))
