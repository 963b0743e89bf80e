"""Ed25519 keys that sign checkpoints of the audit trail."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from estran.state.checkpoints import Checkpoint, Kind


class Signer:
    """A private key, made of 32 secret bytes."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public(self) -> str:
        """The public half, hexadecimal."""
        return self._key.public_key().public_bytes_raw().hex()

    def sign(self, made: Checkpoint) -> Checkpoint:
        """The checkpoint with its signer and signature."""
        named = dataclasses.replace(made, signer=self.public, signature="")
        return dataclasses.replace(named, signature=self._key.sign(named.signed_bytes()).hex())


def is_signed(made: Checkpoint) -> bool:
    """Whether the signature is the signer's."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(made.signer))
        key.verify(bytes.fromhex(made.signature), made.signed_bytes())
    except (InvalidSignature, ValueError):
        return False
    return True


def sift(found: Iterable[Checkpoint], site: str) -> tuple[list[Checkpoint], list[Checkpoint]]:
    """Checkpoints to be believed, and forged ones. The site's key (`site`, public) signs anything; a key
    that it registered signs seals only."""
    known = dict.fromkeys(found)
    signed = [one for one in known if is_signed(one)]
    registered = {one.subject for one in signed if one.signer == site and one.kind is Kind.KEY}
    good = [one for one in signed if one.signer == site or (one.kind is Kind.SEAL and one.signer in registered)]
    believed = set(good)
    return sorted(good, key=lambda one: (one.line, one.at)), [one for one in known if one not in believed]
