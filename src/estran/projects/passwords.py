"""Hashing what people know: passwords and recovery codes, with argon2id."""

from __future__ import annotations

from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from estran.model.errors import UsageError

SHORTEST_PASSWORD = 12
_hasher = PasswordHasher()
# For random codes of fifty bits, eight at a time: the least that OWASP's password storage sheet names.
_light = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def hash_of(secret: str) -> str:
    """The hash to keep, parameters included."""
    return _hasher.hash(secret)


def hash_of_code(code: str) -> str:
    """The hash of a random code to keep."""
    return _light.hash(code)


def hash_of_password(password: str) -> str:
    """The hash of a new password; UsageError when it is too short."""
    if len(password) < SHORTEST_PASSWORD:
        raise UsageError(f"The password must have at least {SHORTEST_PASSWORD} characters.")
    return hash_of(password)


@lru_cache(maxsize=1)
def hash_of_nobody() -> str:
    """Verified against when a login or a code is unknown, so that the answer takes as long as for a known one."""
    return hash_of("the password of nobody at all")


def fits(kept: str | None, given: str) -> bool:
    """Whether `given` is what was hashed; None is nobody's, and never fits."""
    try:
        return _hasher.verify(kept or hash_of_nobody(), given) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


def is_old(kept: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(kept)
