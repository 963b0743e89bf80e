"""The files FHIR comes in: NDJSON, Bundles, single resources, JSON or XML, compressed or zipped."""

from __future__ import annotations

import gzip
import io
import itertools
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import orjson

from estran.model.errors import InputRefused
from estran.sources.fhir import bundles, markup
from estran.sources.fhir.elements import Node, Unreadable
from estran.sources.fhir.references import Shelf
from estran.sources.records import content_hash

_BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_CUT = (EOFError, zlib.error, gzip.BadGzipFile)
_BAD_ZIP = (zipfile.BadZipFile, RuntimeError, *_CUT)  # RuntimeError: encrypted, or packed in an unknown way
_LINES = (".ndjson", ".jsonl")
SUFFIXES = (".ndjson", ".jsonl", ".json", ".xml", ".ndjson.gz", ".jsonl.gz", ".json.gz", ".xml.gz", ".zip")
_NO_ENTRIES = Shelf()


# One record as it lies in the file: number, line, resource, content, what is wrong with it, the
# Bundle it stands in, its JSON, and when the Bundle says it was changed. A plain tuple, for there are
# millions; lines are handed on as they are (no resource yet), for most are read without `decoded`.
Raw = tuple[int, int | None, Node | None, int, Unreadable | None, Shelf, bytes, object]


def records(path: Path, name: str) -> Iterator[Raw]:
    """Every record of a file; InputRefused when it cannot be opened at all."""
    with path.open("rb") as plain:
        magic = plain.read(4)
        plain.seek(0)
        if magic[:2] == b"\x1f\x8b":
            with gzip.open(plain) as stream:
                yield from _stream(cast(BinaryIO, stream), name.removesuffix(".gz"))
        elif magic == b"PK\x03\x04":
            yield from _zipped(plain)
        else:
            yield from _stream(plain, name)


def _stream(stream: BinaryIO, name: str) -> Iterator[Raw]:
    try:
        first = stream.readline()
        while first and not first.removeprefix(_BOM).strip() and (more := stream.readline()):
            first += more
    except _CUT:
        raise _cut_short() from None
    yield from _rest(first, stream, name)


def _rest(first: bytes, stream: BinaryIO, name: str) -> Iterator[Raw]:
    start = first.removeprefix(_BOM).strip()
    if first.startswith(_WIDE):
        raise InputRefused("The file is not UTF-8.", hint="FHIR files are UTF-8: convert or export it again")
    if name.lower().endswith(_LINES) and start[:1] != b"<" and start not in (b"{", b"["):
        yield from _lines(first, stream)
        return
    if not start:
        raise InputRefused("The file is empty.", hint="export the file again")
    try:
        data = first + stream.read()
    except _CUT:
        raise _cut_short() from None
    yield from _xml(data.removeprefix(_BOM)) if start[:1] == b"<" else _json(data.removeprefix(_BOM), start)


def _cut_short() -> InputRefused:
    return InputRefused("The compressed file is damaged or ends too early.", hint="copy the file again")


def _json(data: bytes, start: bytes) -> Iterator[Raw]:
    try:
        node = orjson.loads(data)
    except orjson.JSONDecodeError:
        if not _is_resource(start):
            raise InputRefused("The file is not JSON.", hint="export the file again") from None
        yield from _lines(b"", io.BytesIO(data))
        return
    if not isinstance(node, dict):
        raise InputRefused("The file is JSON, but no FHIR resource.", hint="expected an object with a resourceType")
    if node.get("resourceType") == "Bundle":
        yield from _entries(bundles.from_json(node))
    else:
        told = _canonical(node)
        yield 0, 1, node, content_hash(told), None, _NO_ENTRIES, told, None


def _is_resource(line: bytes) -> bool:
    try:
        node = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(node, dict) and "resourceType" in node


def _xml(data: bytes) -> Iterator[Raw]:
    root = markup.parse(data)
    if root.tag.endswith("}Bundle"):
        yield from _entries(bundles.from_xml(root))
        return
    try:
        node, fault = markup.resource(root), None
    except Unreadable as error:
        node, fault = {"resourceType": error.field.partition(".")[0]}, error
    told = _canonical(node) if fault is None else data
    yield 0, root.sourceline, node, content_hash(told), fault, _NO_ENTRIES, told, None


def _canonical(node: Node) -> bytes:
    """The resource in bytes that neither spacing nor the order of members changes."""
    try:
        return orjson.dumps(node, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, RecursionError):
        return repr(node).encode("utf-8", "replace")


def _entries(entries: list[bundles.Entry]) -> Iterator[Raw]:
    shelf = bundles.shelve(entries)
    for no, entry in enumerate(entries):
        told = _canonical(entry.node)
        yield no, entry.line, entry.node, content_hash(told), entry.fault, shelf, told, entry.modified


_NOT_JSON = Unreadable("", "malformed", "The line is not JSON.")
_CUT_LINE = Unreadable("", "truncated", "The file ends in the middle of this line.")
_NOT_TEXT = Unreadable("", "encoding", "The line is not UTF-8.")
_NOT_OBJECT = Unreadable("", "malformed", "The line is JSON, but no FHIR resource.")
_DAMAGED = Unreadable("", "truncated", "The compressed file is damaged or ends too early; what follows is lost.")


def _lines(first: bytes, stream: BinaryIO) -> Iterator[Raw]:
    """NDJSON: one resource a line. The content is the hash of the line's bytes, for speed."""
    no = line = 0
    try:
        for row in itertools.chain(first.removeprefix(_BOM).splitlines(keepends=True), stream):
            line += 1
            kept = row.rstrip(b"\r\n")
            if kept and not kept.isspace():
                yield no, line, None, content_hash(kept), None, _NO_ENTRIES, row, None
                no += 1
    except _CUT:
        yield no, line + 1, {}, 0, _DAMAGED, _NO_ENTRIES, b"", None


def decoded(row: bytes) -> tuple[Node, Unreadable | None]:
    """The resource of a line, or what is wrong with the line."""
    try:
        node = orjson.loads(row)
    except orjson.JSONDecodeError:
        return {}, _bad_line(row)
    return (node, None) if type(node) is dict else ({}, _NOT_OBJECT)


def _bad_line(row: bytes) -> Unreadable:
    try:
        row.decode("utf-8")
    except UnicodeDecodeError:
        return _NOT_TEXT
    return _NOT_JSON if row.endswith(b"\n") else _CUT_LINE


def _zipped(plain: BinaryIO) -> Iterator[Raw]:
    """Files of a ZIP, those that introduce patients first; records are numbered through."""
    try:
        with zipfile.ZipFile(plain) as archive:
            names = [i.filename for i in archive.infolist() if i.filename.lower().endswith(SUFFIXES[:-1])]
            if not names:
                raise InputRefused("The ZIP holds no FHIR file.", hint=f"expected {', '.join(SUFFIXES[:4])}")
            ranked = sorted((rank(_head(archive, name)), name) for name in names)
            no = 0
            for _, name in ranked:
                for raw in _member(archive, name):
                    yield no, None, *raw[2:]
                    no += 1
    except _BAD_ZIP:
        raise InputRefused("The ZIP is damaged, encrypted or ends too early.", hint="copy the file again") from None


def _member(archive: zipfile.ZipFile, name: str) -> Iterator[Raw]:
    fault = None
    try:
        with archive.open(name) as packed:
            if name.lower().endswith(".gz"):
                with gzip.open(packed) as stream:
                    yield from _stream(cast(BinaryIO, stream), name[:-3])
            else:
                yield from _stream(cast(BinaryIO, packed), name)
    except InputRefused as error:
        fault = Unreadable("", "malformed", f"A file of the ZIP could not be read: {error.what}")
    except _BAD_ZIP:
        fault = Unreadable("", "truncated", "A file of the ZIP is damaged, encrypted or ends too early.")
    if fault is not None:
        yield 0, None, {}, content_hash(name.encode()), fault, _NO_ENTRIES, b"", None


def _head(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as packed:
        return _unpacked(cast(BinaryIO, packed))


def head(path: Path) -> bytes:
    """The first bytes of a file, unpacked; nothing when they cannot be read."""
    try:
        with path.open("rb") as plain:
            return _unpacked(plain)
    except OSError:
        return b""


def _unpacked(stream: BinaryIO) -> bytes:
    start = stream.read(1 << 16)
    if start[:2] != b"\x1f\x8b":
        return start
    try:
        return zlib.decompressobj(31).decompress(start, 1 << 16)
    except zlib.error:
        return b""


def rank(start: bytes) -> int:
    """Files that introduce patients first, then wards, stays, drugs, and the rest."""
    kind = bundles.kind_of(start)
    order = ("Patient", "Bundle", "Organization", "Location", "Medication", "Encounter")
    return order.index(kind) if kind in order else len(order)
