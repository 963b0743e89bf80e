"""Documents that reads must not see: per bucket, the retired ones and the cancelled ones.

Retired: a newer version (another id) took its place. Cancelled: the row stays, its content hides.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

from pyroaring import BitMap

from estran.model.errors import StoreError
from estran.warehouse.files import write_durable

_HEADER = struct.Struct("<8sQ")
_MAGIC = b"ESTRHID1"


@dataclass(frozen=True)
class Hidden:
    """Hidden documents of a bucket; do not change the bitmaps."""

    retired: BitMap = field(default_factory=BitMap)
    cancelled: BitMap = field(default_factory=BitMap)

    def any(self) -> BitMap:
        """Documents hidden for one reason or the other."""
        return self.retired | self.cancelled


def write_hidden(path: Path, hidden: Hidden) -> tuple[int, int]:
    """Write a new file; returns its size and the number of hidden documents."""
    retired = bytes(hidden.retired.serialize())
    size = write_durable(path, [_HEADER.pack(_MAGIC, len(retired)), retired, bytes(hidden.cancelled.serialize())])
    return size, len(hidden.any())


def read_hidden(path: Path) -> Hidden:
    """The content of a file; StoreError when it is damaged."""
    data = path.read_bytes()
    magic, length = _HEADER.unpack_from(data) if len(data) >= _HEADER.size else (b"", 0)
    if magic != _MAGIC:
        raise StoreError("A file of hidden documents is damaged.", where=str(path))
    middle = _HEADER.size + length
    return Hidden(BitMap.deserialize(data[_HEADER.size : middle]), BitMap.deserialize(data[middle:]))
