"""Packs: what is landed of images and recordings, whose pixels and samples stay where they are.

A reader that *condenses* writes a pack from a folder or a file: one entry per record, made of a few
words about it and the bytes that its record is read from (a DICOM header, what a recording says). The
pipeline lands and reads the pack, so that replay needs nothing but the landing. A pack holds no absolute
path and no date of its making: the same input makes the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

import orjson

from estran.model.errors import InputRefused
from estran.sources.unnamed import unnamed

_MAGIC = b"ESTRAN-PACK-1\n"
_LENGTHS = struct.Struct("<IQ")
_LONGEST_META = 1 << 20
LONGEST_BODY = 256 << 20  # bytes of one entry


@runtime_checkable
class Condenses(Protocol):
    """A reader whose input is landed as a pack."""

    def condense(self, path: Path, out: IO[bytes]) -> None:
        """Write the pack of the file or folder at `path`; bad records become entries that say why."""
        ...


@dataclass(frozen=True)
class Entry:
    """One record of a pack: `meta` about it (its file's name, at least), `body` to read it from."""

    meta: dict[str, Any]
    body: bytes


class PackWriter:
    """Writes a pack, entry after entry."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        out.write(_MAGIC)

    def add(self, meta: dict[str, Any], body: bytes = b"") -> None:
        words = orjson.dumps(meta, option=orjson.OPT_SORT_KEYS)
        self._out.write(_LENGTHS.pack(len(words), len(body)))
        self._out.write(words)
        self._out.write(body)


def is_pack(path: Path) -> bool:
    """Whether the file at `path` is a pack."""
    if not path.is_file() and not path.is_symlink():  # a nameless copy is a link under /proc
        return False
    with path.open("rb") as source:
        return source.read(len(_MAGIC)) == _MAGIC


def entries(path: Path) -> Iterator[Entry]:
    """The entries of a pack, one at a time; InputRefused when it is damaged."""
    with path.open("rb") as source:
        if source.read(len(_MAGIC)) != _MAGIC:
            raise InputRefused("The file is not a pack of records.")
        while head := source.read(_LENGTHS.size):
            if len(head) < _LENGTHS.size:
                raise InputRefused("The pack of records is cut short.")
            words, size = _LENGTHS.unpack(head)
            if words > _LONGEST_META or size > LONGEST_BODY:
                raise InputRefused("The pack of records is damaged.")
            meta, body = source.read(words), source.read(size)
            if len(meta) < words or len(body) < size:
                raise InputRefused("The pack of records is cut short.")
            try:
                yield Entry(orjson.loads(meta), body)
            except orjson.JSONDecodeError:
                raise InputRefused("The pack of records is damaged.") from None


def numbered(
    path: Path, condense: Callable[[Path, IO[bytes]], None], wanted: frozenset[int] | None
) -> Iterator[tuple[int, Entry]]:
    """The entries of the pack at `path`, or of what `condense` makes of it, each with its number; those `wanted`."""
    if not is_pack(path):
        with unnamed() as (out, pack):
            condense(path, out)
            out.flush()
            yield from numbered(pack, condense, wanted)
        return
    for number, entry in enumerate(entries(path)):
        if wanted is None or number in wanted:
            yield number, entry
