"""Boxes that anybody can close and only the holder of the site's key opens: X25519, HKDF-SHA256, AES-256-GCM.

The portal closes, the process with the key opens: what a person hands in cannot be read back by the portal, nor from
a copy of its database. Each box has a key pair of its own (RFC 7748; the shape is that of RFC 9180, base mode).
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from estran.model.errors import UsageError

_PUBLIC = 32
_NONCE = bytes(12)  # a key is used once


def close(public: bytes, plain: bytes) -> bytes:
    """`plain` in a box for the holder of the private half of `public`."""
    own = X25519PrivateKey.generate()
    mine = own.public_key().public_bytes_raw()
    shared = own.exchange(X25519PublicKey.from_public_bytes(public))
    return mine + AESGCM(_key(shared, mine, public)).encrypt(_NONCE, plain, None)


class Opener:
    """The private half, made of 32 secret bytes."""

    def __init__(self, seed: bytes) -> None:
        self._key = X25519PrivateKey.from_private_bytes(seed)

    @property
    def public(self) -> bytes:
        """The half to close boxes with."""
        return self._key.public_key().public_bytes_raw()

    def open(self, box: bytes) -> bytes:
        """What is in a box; UsageError when it was altered, or closed for somebody else."""
        theirs = box[:_PUBLIC]
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(theirs))
            return AESGCM(_key(shared, theirs, self.public)).decrypt(_NONCE, box[_PUBLIC:], None)
        except (InvalidTag, ValueError):
            raise UsageError("A list does not open: it was altered, or closed for another key.", hint="hand it in again") from None


def _key(shared: bytes, theirs: bytes, ours: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, b"estran/box" + theirs + ours).derive(shared)
