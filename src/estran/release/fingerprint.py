"""Fingerprints in values: who a file was made for can be read from the file itself, after it leaked.

One value in four carries one bit of its recipient's code: the parity of its place on a scale of steps of 0.5 %. Which
values carry, and which bit, is told by a keyed hash of a *virtual key* (variable, coarse value, two attributes of
the row), never by an identifier, so that new pseudonyms, shuffling and shifted dates do no harm (idea: Agrawal and
Kiernan, VLDB 2002, where the key is the primary key). Codes are Tardos', read with Škorić's symmetric score: who pools
copies is still found. About one value in eight moves, by one step. Values too coarse to move by 0.5 % carry nothing.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from estran.release.rekey import ProjectKey

BITS = 1024  # of a code
STEP = 0.005
CERTAIN = 6.0  # a score from which a recipient is named
_COARSE = 0.08  # width of the coarse value, on a logarithmic scale
_LOG_STEP = math.log1p(STEP)
_DECIMALS = 6
_CUT = 1 / 300  # Tardos' cutoff: positions are never all but sure

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Score:
    """How much a file speaks for (or, marks turned over, against) a recipient, in standard deviations."""

    recipient: str
    z: float

    @property
    def named(self) -> bool:
        """Whether it is beyond chance."""
        return abs(self.z) >= CERTAIN


@dataclass(frozen=True)
class _Carriers:
    """The values that carry a bit: where they are, the place of their bit, what it is turned over with."""

    rows: Ints
    places: Ints
    turned: Ints
    upward: Bools


class Marks:
    """The marks of one project."""

    def __init__(self, key: ProjectKey) -> None:
        secret = hmac.digest(key.secret, b"fingerprint", "sha256")
        self._of_rows, self._of_codes = hmac.digest(secret, b"rows", "sha256"), hmac.digest(secret, b"codes", "sha256")
        self._chances = _chances(self._of_codes)

    def code(self, recipient: str) -> Ints:
        """The bits of a recipient."""
        drawn = _uniform(hmac.digest(self._of_codes, b"of " + recipient.encode(), "sha256"), BITS)
        return (drawn < self._chances).astype(np.int64)

    def name(self, variable: str) -> int:
        """What stands for a variable among rows."""
        return int.from_bytes(hmac.digest(self._of_rows, variable.encode(), "sha256")[:8], "little")

    def put(self, values: Floats, names: Words, first: Ints, second: Ints, recipient: str) -> Floats:
        """The values (NaN: none) with the recipient's marks. `names` stand for each row's variable (see `name`);
        `first` and `second` are its attributes."""
        marked = values.copy()
        found = self._carriers(values, names, first, second)
        chosen = values[found.rows]
        wanted = self.code(recipient)[found.places] ^ found.turned
        wrong = np.flatnonzero(_parity(chosen) != wanted)
        for other in (False, True):  # the other way where one leads out of the coarse value
            moved = _moved(chosen[wrong], found.upward[wrong] ^ other)
            fit = (_parity(moved) == wanted[wrong]) & (_coarse(moved) == _coarse(chosen[wrong])) & _movable(moved)
            marked[found.rows[wrong[fit]]] = moved[fit]
            wrong = wrong[~fit]
        return marked

    def read(self, values: Floats, names: Words, first: Ints, second: Ints) -> Floats:
        """What the values say of each bit: votes for one, less votes for zero."""
        found = self._carriers(values, names, first, second)
        said = 2 * (_parity(values[found.rows]) ^ found.turned) - 1
        return np.bincount(found.places, weights=said, minlength=BITS).astype(np.float64)

    def scores(self, votes: Floats, recipients: Iterable[str]) -> list[Score]:
        """Recipients, the likeliest first."""
        norm = math.sqrt(float(np.square(votes).sum())) or 1.0
        spread = np.sqrt(self._chances * (1 - self._chances))
        found = [
            Score(one, float((votes * (self.code(one) - self._chances) / spread).sum()) / norm) for one in recipients
        ]
        return sorted(found, key=lambda score: -abs(score.z))

    def _carriers(self, values: Floats, names: Words, first: Ints, second: Ints) -> _Carriers:
        rows = np.flatnonzero(_movable(values))
        blocks = np.empty((len(rows), 2), np.uint64)
        blocks[:, 0] = names[rows] ^ _coarse(values[rows]).astype(np.uint64)
        blocks[:, 1] = (first[rows].astype(np.uint64) << np.uint64(32)) ^ (
            second[rows].astype(np.uint64) & np.uint64(0xFFFFFFFF)
        )
        drawn = _scrambled(self._of_rows, blocks)
        carries = (drawn & np.uint64(3)) == 0
        drawn = drawn[carries]
        places = ((drawn >> np.uint64(2)) % np.uint64(BITS)).astype(np.int64)
        turned, upward = ((drawn >> np.uint64(bit)) & np.uint64(1) for bit in (50, 51))
        return _Carriers(rows[carries], places, turned.astype(np.int64), upward.astype(np.bool_))


def _scrambled(key: bytes, blocks: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """64 bits per block of 16 bytes. Each block by itself under AES is the keyed function that is wanted here:
    equal blocks must give equal bits, and nothing is kept secret by it but which values carry."""
    cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    return np.frombuffer(cipher.update(blocks.tobytes()), np.uint64)[::2]


def _uniform(key: bytes, count: int) -> Floats:
    """Numbers between 0 and 1, always the same for a key."""
    blocks = np.zeros((count, 2), np.uint64)
    blocks[:, 0] = np.arange(count)
    return (_scrambled(key, blocks) >> np.uint64(11)).astype(np.float64) / 2.0**53


@lru_cache(maxsize=16)
def _chances(key: bytes) -> Floats:
    """Chance of a one at each place of the codes: Tardos' arcsine law."""
    low = math.asin(math.sqrt(_CUT))
    drawn = low + _uniform(hmac.digest(key, b"chances", "sha256"), BITS) * (math.pi / 2 - 2 * low)
    return np.square(np.sin(drawn))


def _cell(values: Floats) -> Floats:
    return np.floor(np.log(values) / _LOG_STEP)


def _parity(values: Floats) -> Ints:
    return _cell(values).astype(np.int64) & 1


def _coarse(values: Floats) -> Ints:
    return np.floor(np.log(values) / _COARSE).astype(np.int64)


def _moved(values: Floats, upward: Bools) -> Floats:
    """The middle of the next step up or down, written with the decimals of the value."""
    middle = np.exp((_cell(values) + np.where(upward, 1.5, -0.5)) * _LOG_STEP)
    scale = 10.0 ** _decimals(values)
    return np.round(middle * scale) / scale


def _decimals(values: Floats) -> Floats:
    """How many decimals each value is written with, at most six."""
    found = np.full(len(values), float(_DECIMALS))
    for decimals in range(_DECIMALS - 1, -1, -1):
        scaled = values * 10.0**decimals
        found[np.abs(scaled - np.round(scaled)) < 1e-6] = decimals
    return found


def _movable(values: Floats) -> Bools:
    """Whether a step of 0.5 % can be written with the decimals that a value has."""
    positive = np.isfinite(values) & (values > 1e-6) & (values < 1e12)
    known = np.where(positive, values, 1.0)
    return positive & (known * STEP >= 10.0 ** -_decimals(known))
