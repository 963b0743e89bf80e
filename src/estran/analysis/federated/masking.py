"""Pairwise-masked sums: the hub adds up what the sites send and reads the sum, and nothing of any one of them.

Every two sites agree on a secret (X25519, RFC 7748), derive a key for this very round (HKDF, RFC 5869, salted with
the list of sites, bound to the study and to the round's parameters) and draw a pad from it (ChaCha20, RFC 8439); one
adds the pad to its contribution, the other takes it off, all modulo 2^128 (Bonawitz et al. 2017,
doi:10.1145/3133956.3133982, section 4). The pads vanish in the sum over all sites, and only there.

Refused under three sites: with two, each could take its own part off. When a site is lost, its pads are not
recovered, since a contribution that came late could then be read: the study begins anew without it, with new keys.
The same pads must never hide two different contributions: a site answers a round once, and sends the same bytes when
it is asked for them again. What the sites share among themselves alone (`common`) hides the arrays named `sealed.`
from the hub in the sum as well.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from estran.analysis.federated.fixed_point import MOST_SITES, Words, decode, encode, minus, plus
from estran.analysis.federated.rounds import SEALED, Arrays, Floats, Params, Sums
from estran.model.errors import CheckFailed, NotAllowed, UsageError

FEWEST_SITES = 3
_WITNESS = "witness"  # one in every contribution: the sum is the number of sites, or the masks did not vanish
_BYTES = 16

Roster = Mapping[str, bytes]  # name of each site of a study, its public key of this study
Layout = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Party:
    """One site in one study: its name and a key made for the study. The public key travels signed by the site."""

    name: str
    key: X25519PrivateKey = field(repr=False)

    @classmethod
    def new(cls, name: str) -> Party:
        """A site with a fresh key."""
        return cls(name, X25519PrivateKey.generate())

    @property
    def public(self) -> bytes:
        """What the other sites are told."""
        return self.key.public_key().public_bytes_raw()


class SiteLost(CheckFailed):
    """A site of the round did not answer: its sum can never be read. `sites` names the lost ones."""

    def __init__(self, sites: Sequence[str]) -> None:
        super().__init__(
            "A site of this round is missing, so that its sum cannot be read.", hint="begin the study anew without it"
        )
        self.sites = tuple(sites)


@dataclass(frozen=True)
class Contribution:
    """What a site sends: integers under pads, and the public names and shapes of the arrays in them."""

    site: str
    layout: Layout
    words: bytes = field(repr=False)


def context(study: str, params: Params) -> bytes:
    """What a round's keys are bound to: another question, or other parameters, other keys."""
    return hashlib.sha256(f"{study}\n{params.to_json()}".encode()).digest()


def check_roster(roster: Roster) -> None:
    """NotAllowed when there are too few sites for a sum to hide any of them; UsageError when there are too many."""
    if len(roster) < FEWEST_SITES or len(set(roster.values())) != len(roster):
        raise NotAllowed(
            f"A masked sum needs at least {FEWEST_SITES} sites, each with a key of its own.",
            hint="ask more sites, or fewer things",
        )
    if len(roster) > MOST_SITES:
        raise UsageError(f"A masked sum has at most {MOST_SITES} sites.")


def mask(arrays: Arrays, party: Party, roster: Roster, bound: bytes, common: bytes = b"") -> Contribution:
    """A site's contribution to the round `bound`.

    Raises NotAllowed under three sites, CheckFailed when a number does not fit (`fixed_point`).
    """
    check_roster(roster)
    layout, words = _flat(arrays)
    if party.name == min(roster):
        words = plus(words, _common_pad(arrays, common, bound))
    for peer in sorted(roster):
        if peer != party.name:
            pad = _pad(_pair_key(party, roster, peer, b"sum" + bound), len(words))
            words = plus(words, pad if party.name < peer else minus(pad))
    return Contribution(party.name, layout, words.tobytes())


def unmask(contributions: Sequence[Contribution], roster: Roster, bound: bytes) -> Sums:
    """The sum over all sites of the round `bound`.

    Raises SiteLost when one is missing, CheckFailed when they do not fit together or a mask does not vanish.
    """
    check_roster(roster)
    lost = sorted(set(roster) - {one.site for one in contributions})
    if lost:
        raise SiteLost(lost)
    layouts = {one.layout for one in contributions}
    if len(layouts) != 1 or len(contributions) != len(roster):
        raise CheckFailed("The sites answered with arrays of different shapes.", hint="check that their releases agree")
    (layout,) = layouts
    total = np.zeros((_length(layout), 2), np.uint64)
    for one in contributions:
        if len(one.words) != len(total) * _BYTES:
            raise CheckFailed("A site's contribution is not whole.")
        total = plus(total, np.frombuffer(one.words, np.uint64).reshape(-1, 2))
    return _read(layout, total, len(roster), bound)


def unmasked(arrays: Arrays) -> Sums:
    """What `unmask` would give for one site alone: for trying a model out where the rows are."""
    layout, words = _flat(arrays)
    return _read(layout, words, 1, bytes(32))


def read_sealed(data: bytes, name: str, common: bytes, length: int) -> Floats:
    """At a site: the sum of the arrays `name` of an earlier round, as `Sums.sealed` carried it through the hub."""
    if len(data) != 32 + length * _BYTES:
        raise CheckFailed("What the sites keep from the hub did not come back whole.")
    words = np.frombuffer(data[32:], np.uint64).reshape(-1, 2)
    return decode(plus(words, minus(_sealed_pad(common, data[:32], name, length))))


def share(party: Party, roster: Roster, secret: bytes, bound: bytes) -> dict[str, bytes]:
    """The common secret, drawn by the first site of the list, sealed to each of the others (RFC 8439 AEAD)."""
    check_roster(roster)
    return {
        peer: ChaCha20Poly1305(_pair_key(party, roster, peer, b"share" + bound)).encrypt(bytes(12), secret, None)
        for peer in roster
        if peer != party.name
    }


def take(party: Party, roster: Roster, sealed: bytes, bound: bytes) -> bytes:
    """The common secret that the first site of the list sealed to this one; CheckFailed when it is not from there."""
    key = _pair_key(party, roster, min(roster), b"share" + bound)
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), sealed, None)
    except InvalidTag:
        raise CheckFailed("The secret of the sites does not come from the site that draws it.") from None


def _pair_key(party: Party, roster: Roster, peer: str, purpose: bytes) -> bytes:
    """The key of two sites for one purpose in one round, the same at both; other lists of sites, other keys."""
    shared = party.key.exchange(X25519PublicKey.from_public_bytes(roster[peer]))
    listed = json.dumps(sorted((name, key.hex()) for name, key in roster.items()))
    two = json.dumps(sorted((party.name, peer)))
    salt = hashlib.sha256(listed.encode()).digest()
    return HKDF(hashes.SHA256(), 32, salt, b"estran/federated/" + two.encode() + purpose).derive(shared)


def stream(key: bytes, size: int) -> bytes:
    """Bytes drawn from a key that is used once: ChaCha20 of zeros."""
    return Cipher(ChaCha20(key, bytes(_BYTES)), None).encryptor().update(bytes(size))


def _pad(key: bytes, length: int) -> Words:
    return np.frombuffer(stream(key, length * _BYTES), np.uint64).reshape(-1, 2)


def _sealed_pad(common: bytes, bound: bytes, name: str, length: int) -> Words:
    if not common:
        return np.zeros((length, 2), np.uint64)
    return _pad(hmac.digest(common, b"sealed" + bound + name.encode(), "sha256"), length)


def _common_pad(arrays: Arrays, common: bytes, bound: bytes) -> Words:
    """The pad that hides sealed arrays in the sum; nothing for the others."""
    pads = [np.zeros((1, 2), np.uint64)]
    for name in sorted(arrays):
        if name.startswith(SEALED) and not common:
            raise CheckFailed("This method needs the secret that the sites share.")
        pads.append(_sealed_pad(common if name.startswith(SEALED) else b"", bound, name, arrays[name].size))
    return np.concatenate(pads)


def _flat(arrays: Arrays) -> tuple[Layout, Words]:
    """The arrays one after the other behind the witness, and how to cut them apart again."""
    names = sorted(arrays)
    layout = ((_WITNESS, (1,)), *((name, arrays[name].shape) for name in names))
    return layout, encode(np.concatenate([np.ones(1), *(np.asarray(arrays[n], float).reshape(-1) for n in names)]))


def _length(layout: Layout) -> int:
    return sum(int(np.prod(shape)) for _, shape in layout)


def _read(layout: Layout, words: Words, sites: int, bound: bytes) -> Sums:
    values: Arrays = {}
    sealed: dict[str, bytes] = {}
    place = 0
    for name, shape in layout:
        part = words[place : place + int(np.prod(shape))]
        place += len(part)
        if name.startswith(SEALED):
            sealed[name] = bound + part.tobytes()
        else:
            values[name] = decode(part).reshape(shape)
    if values.pop(_WITNESS)[0] != sites:
        raise CheckFailed("The masks of the sites do not vanish: not all of them had the same list of sites and round.")
    return Sums(values, sealed)
