"""The head of a DICOM file (PS3.10): everything before its pixels, read within bounds."""

from __future__ import annotations

import io
import logging
import mmap
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from pydicom import config
from pydicom.dataset import FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import dcmread, read_partial
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from estran.sources import refusing

LONGEST_HEAD = 64 << 20  # bytes before the pixels
_LONGEST_INFLATED = 64 << 20
_BULK, _LONGEST_STRUCTURE, _MOST_ELEMENTS = 1 << 20, 16 << 20, 20_000
_WAVEFORMS, _UNDEFINED = 0x54000100, 0xFFFFFFFF
_LONG_VRS = frozenset((b"OB", b"OW", b"OF", b"SQ", b"UN", b"UT", b"UC", b"UR", b"OD", b"OL", b"OV"))
_NAMING: list[BaseTag | int] = [BaseTag(0x00080016), BaseTag(0x0020000E)]
_FIRST_PIXELS = 0x7FE00001  # no element of a header comes after this tag
# What pydicom raises on bytes that are not what they claim to be.
UNREADABLE = (
    InvalidDicomError, BytesLengthException, ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError,
    OSError, struct.error, zlib.error, NotImplementedError, RecursionError, OverflowError, MemoryError, AssertionError,
)  # fmt: skip

config.settings.reading_validation_mode = config.IGNORE  # what is wrong with one value is found where it is used
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)  # its messages show values


class NotRead(refusing.Unread):
    """Why a file gives no header: a refusal code and a sentence without any value."""


class _Watch:
    """Stops before the pixels, and when a header has more elements or more structure than any has.

    What is parsed into objects takes far more memory than its bytes: bulk (a document, a waveform) may be
    large, everything else may not.
    """

    def __init__(self) -> None:
        self.elements, self.bulk = 0, 0

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        self.elements += 1
        if self.elements > _MOST_ELEMENTS:
            raise NotRead("malformed", "The DICOM header has more than 20,000 elements.")
        if length != _UNDEFINED and length > _BULK and (vr != "SQ" or tag == _WAVEFORMS):
            self.bulk += length
        return int.__ge__(tag, _FIRST_PIXELS)  # a tag compares itself ten times slower

    def check(self, size: int) -> None:
        if size > LONGEST_HEAD or size - self.bulk > _LONGEST_STRUCTURE:
            raise NotRead("malformed", "The DICOM header is too long.")


def cut_head(path: Path) -> tuple[bytes, FileDataset]:
    """The bytes of the file at `path` that come before its pixels, and its class and series; raises NotRead.

    The file is mapped, never read whole: what lies behind the pixels' tag is not touched. A deflated file
    is given inflated.
    """
    if not path.stat().st_size:
        raise NotRead("unknown-type", "The file is empty.")
    with path.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        start, syntax = _meta(mapped)
        if syntax == DeflatedExplicitVRLittleEndian:
            return _cut(io.BytesIO(_inflated(mapped, start)))
        return _cut(mapped)


def _cut(source: mmap.mmap | io.BytesIO) -> tuple[bytes, FileDataset]:
    watch = _Watch()
    marked = _is_marked(source)
    try:
        named = read_partial(cast(BinaryIO, source), watch, force=True, specific_tags=_NAMING)
    except UNREADABLE:
        if marked:
            raise NotRead("malformed", "The DICOM header cannot be read.") from None
        raise NotRead("unknown-type", "The file is not DICOM.") from None
    size = source.tell()
    watch.check(size)
    source.seek(0)
    head = source.read(size)
    if not marked:
        _check_bare(head)
    return head, named


def parse_head(head: bytes) -> FileDataset:
    """The header in `head`, as `cut_head` gave it; raises NotRead."""
    try:
        return read_partial(io.BytesIO(head), _Watch(), force=True)
    except UNREADABLE:
        raise NotRead("malformed", "The DICOM header cannot be read.") from None


def _is_marked(source: mmap.mmap | io.BytesIO) -> bool:
    """Whether the file has the preamble and mark of DICOM."""
    source.seek(128)
    found = source.read(4) == b"DICM"
    source.seek(0)
    return found


def _check_bare(head: bytes) -> None:
    """A file without the preamble is DICOM when it names an object and its class."""
    try:
        found = dcmread(io.BytesIO(head), force=True, specific_tags=["SOPClassUID", "SOPInstanceUID"])
        named = bool(found.get("SOPClassUID")) and bool(found.get("SOPInstanceUID"))
    except UNREADABLE:
        named = False
    if not named:
        raise NotRead("unknown-type", "The file is not DICOM.")


def _meta(source: mmap.mmap) -> tuple[int, str]:
    """Where the file meta information ends, and the transfer syntax it names (PS3.10 7.1: always explicit
    little endian, never deflated)."""
    at, syntax = 132, ""
    if not _is_marked(source):
        return 0, ""
    while at + 12 <= len(source):
        group, element, vr, length = struct.unpack_from("<HH2sH", source, at)
        if group != 0x0002:
            break
        at += 8
        if vr in _LONG_VRS:
            (length,) = struct.unpack_from("<I", source, at)
            at += 4
        if element == 0x0010:
            syntax = source[at : at + length].rstrip(b"\0 ").decode("ascii", "replace")
        at += length
    return at, syntax


def _inflated(source: mmap.mmap, start: int) -> bytes:
    """The same file, not deflated; what would fill the memory is refused."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = inflater.decompress(source[start:], _LONGEST_INFLATED)
    except zlib.error:
        raise NotRead("malformed", "The DICOM header cannot be read.") from None
    if inflater.unconsumed_tail:
        raise NotRead("malformed", "The deflated file is longer than 64 MB.")
    name = DeflatedExplicitVRLittleEndian.encode()
    return source[:start].replace(name, b"1.2.840.10008.1.2.1".ljust(len(name), b"\0"), 1) + body
