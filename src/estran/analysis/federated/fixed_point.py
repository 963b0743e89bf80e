"""Numbers as integers modulo 2^128, which add up exactly whatever the order, and hide perfectly under a random pad.

A number is kept in steps of 2^-56 (1.4e-17); ±2^61 (2.3e18) is the largest magnitude that a site may send, so that
the sum over up to 1,024 sites stays below 2^127 steps and cannot wrap around. An integer is two words of 64 bits,
the lower one first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from estran.analysis.federated.rounds import Floats
from estran.model.errors import CheckFailed

Words = NDArray[np.uint64]  # n × 2: lower word, upper word

FRACTION = 56
LARGEST = 2.0**61
MOST_SITES = 1024
_WORD = 2.0**64


def encode(values: Floats) -> Words:
    """Each number as an integer, rounded to the nearest step; CheckFailed when one does not fit."""
    if not np.all(np.isfinite(values)) or np.any(np.abs(values) >= LARGEST):
        raise CheckFailed(
            "A sum of this site is too large for the masked addition.", hint="bring the variables to a smaller unit"
        )
    steps = np.rint(np.abs(values) * 2.0**FRACTION)
    upper = np.floor(steps / _WORD)
    words = np.stack([steps - upper * _WORD, upper], axis=1).astype(np.uint64)
    words[values < 0] = minus(words[values < 0])
    return words


def decode(words: Words) -> Floats:
    """The numbers that integers stand for, correct to the last bit or so."""
    negative = words[:, 1] >= np.uint64(1 << 63)
    size = words.copy()
    size[negative] = minus(words[negative])
    values = (size[:, 1].astype(np.float64) * _WORD + size[:, 0].astype(np.float64)) * 2.0**-FRACTION
    return np.where(negative, -values, values)


def plus(one: Words, other: Words) -> Words:
    """Sum modulo 2^128."""
    lower = one[:, 0] + other[:, 0]
    carry = (lower < one[:, 0]).astype(np.uint64)
    return np.stack([lower, one[:, 1] + other[:, 1] + carry], axis=1)


def minus(words: Words) -> Words:
    """Negative modulo 2^128."""
    lower = ~words[:, 0] + np.uint64(1)
    return np.stack([lower, ~words[:, 1] + (lower == 0).astype(np.uint64)], axis=1)
