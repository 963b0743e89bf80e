"""The parcel of tokens that a site hands to the linkage unit by way of the hub.

It is sealed to the unit, so that the hub cannot read it, and signed with a key that follows from the linkage key,
which the sites share and the hub does not have: the hub can make no site up. Otherwise it could add sites of its own to
one that answered, with other noise each time, and take the mean.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from estran.hub.keys import Identity, Public
from estran.model.errors import NotAllowed

_KEY, _SIGNATURE = 32, 64


def sealed_place(network: str, question: str) -> str:
    """What tokens are sealed for: of another question they do not open."""
    return f"{network}/{question}/tokens"


def make(plain: bytes, unit: Public, linkage_key: bytes, place: str, site: str) -> bytes:
    """`plain` for the unit's eyes only, from `site`, one of those that share the linkage key."""
    sealed = unit.seal(plain, place)
    key = Ed25519PrivateKey.from_private_bytes(
        HKDF(SHA256(), _KEY, salt=None, info=b"estran-hub-1/parcel").derive(linkage_key)
    )
    return key.public_key().public_bytes_raw() + key.sign(_signed(sealed, place, site)) + sealed


def open_all(parcels: Mapping[str, bytes], unit: Identity, place: str) -> list[bytes]:
    """What the sites sealed, by site. NotAllowed unless all were made with one linkage key, each by the site it is said
    to be of; UsageError when one does not open."""
    keys = {parcel[:_KEY] for parcel in parcels.values()}
    if len(keys) != 1:
        raise NotAllowed("Not all of these tokens come from sites that share the linkage key.")
    (key,) = keys
    return [unit.unseal(_checked(key, parcel, place, site), place) for site, parcel in parcels.items()]


def _checked(key: bytes, parcel: bytes, place: str, site: str) -> bytes:
    """The sealed part of a parcel."""
    signature, sealed = parcel[_KEY : _KEY + _SIGNATURE], parcel[_KEY + _SIGNATURE :]
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _signed(sealed, place, site))
    except (InvalidSignature, ValueError):
        raise NotAllowed("These tokens are not of the site that they are said to be of.") from None
    return sealed


def _signed(sealed: bytes, place: str, site: str) -> bytes:
    return b"\n".join((b"estran-hub-1/parcel", place.encode(), site.encode(), sealed))
