"""The lines of a PMSI file: plain, gzip, or each member of a zip (what GENRSA and its kin make).

Nothing is unpacked on disk, so no name of a member can lead anywhere. What unpacks to far more than it
weighs is refused, and so is what is encrypted.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np

from estran.model.errors import InputRefused
from estran.sources.pmsi.cutting import Ints, Lines

LONGEST_LINE = 200_000  # characters; the longest RSS has 99 diagnoses and 999 acts: 30,000
_BLOCK, _MOST_BYTES = 1 << 22, 1 << 25
_MOST_MEMBERS, _RATIO, _FREE = 2_000, 300, 1 << 26
_DAMAGED = "The file cannot be unpacked to its end."
_ERRORS = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True)
class Member:
    """A file to read, or one inside an archive. `name` is "" for a file that is no archive."""

    path: Path
    archive: str
    name: str
    compressed: int
    kind: str  # plain, gzip, zip

    @property
    def names(self) -> tuple[str, ...]:
        """Its own name, then that of its archive."""
        return (self.name, self.archive) if self.name else (self.archive,)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The bytes of the member; reading raises InputRefused when it cannot be unpacked."""
        with ExitStack() as stack:
            if self.kind == "plain":
                yield stack.enter_context(self.path.open("rb"))
                return
            try:
                stream = stack.enter_context(self._packed(stack))
            except _ERRORS as error:
                raise InputRefused(_DAMAGED, where=self.archive) from error
            yield cast(IO[bytes], _Watched(stream, self))

    def _packed(self, stack: ExitStack) -> IO[bytes]:
        if self.kind == "zip":
            return stack.enter_context(zipfile.ZipFile(self.path)).open(self.name)
        return cast(IO[bytes], gzip.open(self.path, "rb"))


class _Watched:
    """A stream that stops what unpacks without end."""

    def __init__(self, stream: IO[bytes], member: Member) -> None:
        self._stream, self._member, self._left = stream, member, member.compressed * _RATIO + _FREE

    def read(self, size: int = -1) -> bytes:
        try:
            block = self._stream.read(size)
        except _ERRORS as error:
            raise InputRefused(_DAMAGED, where=self._member.archive) from error
        self._left -= len(block)
        if self._left < 0:
            raise InputRefused("The file unpacks to far more than it weighs.", where=self._member.archive)
        return block


def members(path: Path, name: str) -> list[Member]:
    """What there is to read in the file at `path`, called `name`; InputRefused when nothing can be."""
    with path.open("rb") as source:
        start = source.read(4)
    size = path.stat().st_size
    if start[:2] == b"\x1f\x8b":
        return [Member(path, name, "", size, "gzip")]
    if start not in (b"PK\x03\x04", b"PK\x05\x06"):
        return [Member(path, name, "", size, "plain")]
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except _ERRORS as error:
        raise InputRefused("The archive is damaged.", where=name) from error
    if len(listed) > _MOST_MEMBERS:
        raise InputRefused("The archive has too many members.", where=name)
    if any(item.flag_bits & 1 for item in listed):
        raise InputRefused("The archive is encrypted.", where=name, hint="unpack it with its password first")
    if not all(item.filename for item in listed):  # of which Python cannot say whether it is a folder
        raise InputRefused("The archive has a member without a name.", where=name)
    kept = [item for item in listed if not item.is_dir() and item.file_size]
    return [Member(path, name, item.filename, item.compress_size, "zip") for item in kept]


def chunks(stream: IO[bytes], size: int, first: int) -> Iterator[Lines]:
    """The lines of a stream that are not blank, `size` at a time (fewer when they are very long), always
    cut the same way. Their numbers start at `first`. A line beyond LONGEST_LINE is cut after it."""
    carry, place, number = b"", 1, first
    for block in _blocks(stream):
        carry += block
        while True:
            end = _nth_newline(carry, size)
            if end < 0 and len(carry) < _MOST_BYTES:
                break
            end = end if end >= 0 else carry.rfind(b"\n")
            if end < 0:
                break
            lines = _split(carry[: end + 1], number, place)
            place += carry.count(b"\n", 0, end + 1)
            number += len(lines)
            carry = carry[end + 1 :]
            yield lines
    if carry:
        yield _split(carry, number, place)


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """Blocks of a stream, of which the rest of a line beyond LONGEST_LINE is dropped."""
    open_line = 0  # bytes of the line that the last block left open
    while block := stream.read(_BLOCK):
        newline = block.find(b"\n")
        head = len(block) if newline < 0 else newline
        if open_line + head > LONGEST_LINE:
            keep = max(LONGEST_LINE + 1 - open_line, 0)
            yield block[: min(keep, head)]
            open_line = open_line + head
            if newline < 0:
                continue
            block = block[newline:]
        last = block.rfind(b"\n")
        open_line = open_line + len(block) if last < 0 else len(block) - last - 1
        yield block


def _nth_newline(data: bytes, count: int) -> int:
    """Place of the newline that ends `count` lines; -1 when there are fewer."""
    if data.count(b"\n") < count:
        return -1
    return int(np.flatnonzero(np.frombuffer(data, np.uint8) == 10)[count - 1])


def _split(data: bytes, number: int, place: int) -> Lines:
    buffer = np.frombuffer(data, np.uint8)
    newlines = np.flatnonzero(buffer == 10).astype(np.int64)
    starts = np.concatenate([[0], newlines + 1]).astype(np.int64)
    ends = np.concatenate([newlines, [len(buffer)]]).astype(np.int64)
    places = place + np.arange(len(starts), dtype=np.int64)
    returned = (ends > starts) & (buffer[np.maximum(ends - 1, 0)] == 13)
    ends = ends - returned
    kept = _written(buffer, starts, ends)
    starts, ends, places = starts[kept], ends[kept], places[kept]
    return Lines(buffer, starts, ends, number + np.arange(len(starts), dtype=np.int64), places)


def _written(buffer: np.ndarray[tuple[int], np.dtype[np.uint8]], starts: Ints, ends: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Lines that hold something else than blanks."""
    ink = np.concatenate([[0], np.cumsum((buffer != 32) & (buffer != 9) & (buffer != 26))])
    return np.asarray(ink[ends] > ink[starts])
