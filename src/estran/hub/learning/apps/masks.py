"""What Flower 1.41 leaves to be desired in SecAgg+, put right on both sides.

Its masks come from a generator with a state of 32 bits (the 256 bits of a shared key folded into one word), which a hub could try out one
by one. Here the whole key seeds ChaCha20.

Its sites answer the last stage for any two lists: a hub that says of one site that it is both there and lost is handed the shares of both its
secrets, and reads its update. Here a site looks at what it is asked before it answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

WORD = 2**32  # masked numbers are taken modulo this
TARGET = 2**22  # steps into which the range of a number is cut
FEWEST_SITES = 3


def mask(seed: bytes, modulus: int, shapes: Sequence[tuple[int, ...]]) -> list[npt.NDArray[np.int64]]:
    """Numbers below 2^32 out of a secret, the same for whoever knows it: ChaCha20 keyed by its SHA-256."""
    if modulus != WORD:
        raise ValueError("Masks are taken modulo 2^32.")
    sizes = [int(np.prod(shape, dtype=np.int64)) for shape in shapes]
    stream = Cipher(algorithms.ChaCha20(hashlib.sha256(b"estran-mask" + seed).digest(), bytes(16)), None).encryptor()
    words = np.frombuffer(stream.update(bytes(4 * sum(sizes))), "<u4").astype(np.int64)
    return [part.reshape(shape) for part, shape in zip(np.split(words, np.cumsum(sizes)[:-1]), shapes, strict=True)]


def threshold(sites: int) -> int:
    """Shares that it takes to open a mask: more than two thirds, so that no two answers of the hub's making reach it (Bonawitz et al., 2017)."""
    return max(FEWEST_SITES, 2 * sites // 3 + 1)


def refuse_setup(told: Mapping[str, Any], bound: float) -> None:
    """ValueError when the settings of a round are not those that a site agreed to."""
    sites = int(told.get("sample_num", 0))
    wanted: dict[str, Any] = {
        "share_num": sites, "threshold": threshold(sites), "clipping_range": bound, "target_range": TARGET, "mod_range": WORD, "max_weight": 1.0,
    }  # fmt: skip
    if sites < FEWEST_SITES or any(told.get(name) != value for name, value in wanted.items()):
        raise ValueError("The settings of the secure sum are not those of the plan.")


def refuse_keys(nodes: Sequence[str], sites: int) -> None:
    """ValueError when too few, or more than were told of, take part."""
    if not threshold(sites) <= len(nodes) <= sites:
        raise ValueError("The sites of the secure sum are not as many as was said.")


def refuse_opening(active: Sequence[int], lost: Sequence[int], sharing: Sequence[int], own: int, sites: int) -> None:
    """ValueError when a site is said to be both there and lost, when somebody is left out, or when too few are there."""
    everybody = [*active, *lost]
    if len(set(everybody)) != len(everybody) or set(everybody) != set(sharing) or own not in active:
        raise ValueError("The sites that are there and those that are lost do not fit those that took part.")
    if len(active) < threshold(sites):
        raise ValueError("Too few sites are there for a sum to hide one.")
