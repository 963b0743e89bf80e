"""Durable files: everything the warehouse makes permanent passes through these few functions.

A file is written under its final name only when it is complete; names are never used twice, so
a file that a snapshot names never changes.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FileRef:
    """A file named by a snapshot: path relative to the warehouse, bytes, rows (or entries)."""

    path: str
    size: int
    rows: int


def fresh_name(version: int, suffix: str) -> str:
    """A name that no other file of the folder ever had: snapshot version, then chance."""
    return f"{version:09d}-{secrets.token_hex(4)}{suffix}"


def flush(path: Path) -> None:
    """Force the bytes of a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durable(path: Path, parts: list[bytes | memoryview]) -> int:
    """Write a new file from `parts`, forced to the disk; returns its size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as stream:
        for part in parts:
            stream.write(part)
        stream.flush()
        os.fsync(stream.fileno())
        size = stream.tell()
    flush(path.parent)
    return size


def publish(path: Path, content: bytes) -> None:
    """Make `path` appear at one instant, whole or not at all: temporary name, rename, both forced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with temporary.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    rename(temporary, path)


def rename(temporary: Path, path: Path) -> None:
    """Give a finished file its name and force the folder's entry to the disk."""
    temporary.rename(path)
    flush(path.parent)
