"""Checksum of a file that stays where it is."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path


def checksum_of(path: Path) -> str:
    """BLAKE2b of the whole file, 128 bits in hexadecimal."""
    return checksum_of_all([path])


def checksum_of_all(paths: Iterable[Path]) -> str:
    """The same of several files, one after the other."""
    digest = blake2b(digest_size=16)
    for path in paths:
        with path.open("rb") as source:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def checksum_or_nothing(path: Path) -> str:
    """The same, "" when the file cannot be read."""
    try:
        return checksum_of(path)
    except OSError:
        return ""
