"""Cuts a file into messages: bare, in MLLP frames, in batches, in NDJSON, gzipped or not."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson

from estran.sources.hl7v2.refused import Refused

_Stream = gzip.GzipFile | io.BufferedReader
_BLOCK = 4 << 20
_LF, _CR = 10, 13
_START, _END = b"\x0b", b"\x1c"
_LINE_STARTS = frozenset(b"\r\n\x0b\x1c")
_BOM = b"\xef\xbb\xbf"
_BATCH_LINE = re.compile(rb"(?:(?<=[\r\n])|\A)(?:FHS|BHS|BTS|FTS)[^A-Za-z0-9\r\n][^\r\n]*")
_TAIL = 600  # bytes in which to look for them
_BLANK = b" \t\r\n\x0b\x1c\x00"
_CUT_SHORT = Refused("file", "truncated", "The compressed file stops before its end.")
_NO_MSH = Refused("MSH", "malformed", "There is no MSH segment where a message should begin.")


class Frame(NamedTuple):
    """One message as bytes, the line it begins on, and why it cannot be read, if so.

    `utf8` is True when the bytes are UTF-8 whatever the message declares (it came through JSON).
    """

    line: int
    data: bytes
    problem: Refused | None = None
    utf8: bool = False


def open_file(path: Path) -> _Stream:
    """The file's bytes, decompressed when it is gzip."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else path.open("rb")


def frames(path: Path, name: str) -> Iterator[Frame]:
    """The messages of the file at `path`, called `name`; OSError when it cannot be opened."""
    with open_file(path) as stream:
        head = _read(stream)
        if isinstance(head, Refused):
            yield Frame(1, b"", head)
            return
        data = head.removeprefix(_BOM)
        if not data.strip(_BLANK):
            yield Frame(1, b"", Refused("MSH", "malformed", "The file is empty."))
        elif data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            yield Frame(1, data, Refused("MSH-18", "encoding", "The file is UTF-16: convert it to UTF-8 first."))
        elif _is_ndjson(name, data):
            yield from _json_frames(data, stream)
        else:
            yield from _text_frames(data, stream)


def framed(message: bytes) -> Iterator[Frame]:
    """The messages of one MLLP frame, whose content is `message`."""
    return _pieces(b"%b%b%b\r" % (_START, message, _END), 1)


def _is_ndjson(name: str, data: bytes) -> bool:
    plain = name.lower().removesuffix(".gz")
    return plain.endswith((".ndjson", ".jsonl")) or data.lstrip()[:1] == b"{"


def _read(stream: _Stream, size: int = _BLOCK) -> bytes | Refused:
    """The next block, `_CUT_SHORT` when a compressed file breaks off."""
    try:
        return stream.read(size)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return _CUT_SHORT


def _json_frames(data: bytes, stream: _Stream) -> Iterator[Frame]:
    line, held = 1, data
    while True:
        *lines, held = held.split(b"\n")
        for text in lines:
            yield from _json_line(text, line)
            line += 1
        block = _read(stream)
        if isinstance(block, Refused) or not block:
            yield from _json_line(held, line)
            if isinstance(block, Refused):
                yield Frame(line, b"", block)
            return
        held += block


def _json_line(text: bytes, line: int) -> Iterator[Frame]:
    if not text.strip():
        return
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError:
        yield Frame(line, text, Refused("hl7", "malformed", "The line is not valid JSON."))
        return
    message = row.get("hl7") if isinstance(row, dict) else None
    if not isinstance(message, str):
        yield Frame(line, text, Refused("hl7", "malformed", 'The line has no text under "hl7".'))
        return
    found = list(_pieces(message.encode(), 1))
    if not found:
        yield Frame(line, text, Refused("MSH", "malformed", "The message is empty."))
    for frame in found:
        yield frame._replace(line=line, utf8=True)


def _text_frames(data: bytes, stream: _Stream) -> Iterator[Frame]:
    line, held = 1, data
    while True:
        block = _read(stream)
        last = isinstance(block, Refused) or not block
        if isinstance(block, bytes):
            held += block
        cut = len(held) if last else _last_start(held)
        if cut:
            yield from _pieces(held[:cut], line)
            line += _lines_before(held, [cut])[0]
            held = held[cut:]
        if last:
            if isinstance(block, Refused):
                yield Frame(line, b"", block)
            return


def _starts(data: bytes) -> list[int]:
    """Where messages begin: 'MSH' and a separator, first on its line."""
    found, at, size = [], data.find(b"MSH"), len(data)
    while at >= 0:
        if (at == 0 or data[at - 1] in _LINE_STARTS) and at + 3 < size and not data[at + 3 : at + 4].isalnum():
            found.append(at - 1 if at and data[at - 1] == 0x0B else at)
        at = data.find(b"MSH", at + 3)
    return found


def _last_start(data: bytes) -> int:
    """Where the last message begins; 0 when there is none or only one."""
    at = data.rfind(b"MSH")
    while at > 0:
        if data[at - 1] in _LINE_STARTS and at + 3 < len(data) and not data[at + 3 : at + 4].isalnum():
            return at - 1 if data[at - 1] == 0x0B else at
        at = data.rfind(b"MSH", 0, at)
    return 0


def _pieces(data: bytes, line: int) -> Iterator[Frame]:
    starts = _starts(data)
    is_framed = _START in data or _END in data
    yield from _junk(data[: starts[0]] if starts else data, line)
    if not starts:
        return
    for begin, end, before in zip(starts, [*starts[1:], len(data)], _lines_before(data, starts), strict=True):
        piece = data[begin:end]
        if is_framed:
            yield from _message(piece, line + before)
        else:
            yield Frame(line + before, _without_batch(piece).rstrip(b"\r\n"))


def _lines_before(data: bytes, places: list[int]) -> list[int]:
    """How many lines end before each of `places`, whatever the convention: LF, CR or CR LF."""
    values = np.frombuffer(data, dtype=np.uint8)
    feeds, returns = np.flatnonzero(values == _LF), np.flatnonzero(values == _CR)
    if len(feeds) and len(returns):
        lone = returns[~np.isin(returns + 1, feeds, assume_unique=True)]
        return [int(n) for n in np.searchsorted(feeds, places) + np.searchsorted(lone, places)]
    return [int(n) for n in np.searchsorted(feeds if len(feeds) else returns, places)]


def _message(piece: bytes, line: int) -> Iterator[Frame]:
    """The message that `piece` begins with, then whatever else it holds that is not blank."""
    framed = piece.startswith(_START)
    body = piece[1:] if framed else piece
    closed = _END in body
    body, mark, rest = body.partition(_END if closed else _START)
    short = Refused("MLLP", "truncated", "The MLLP frame is not closed.") if framed and not closed else None
    yield Frame(line, _without_batch(body).rstrip(b"\r\n"), short)
    if mark:
        yield from _junk(rest, line)


def _junk(data: bytes, line: int) -> Iterator[Frame]:
    """Text that is neither message nor batch line is refused, frame by frame."""
    for text in re.split(rb"[\x0b\x1c]", data):
        if _without_batch(text).strip(_BLANK):
            yield Frame(line, text, _NO_MSH)


def _without_batch(data: bytes) -> bytes:
    """`data` without the headers and trailers of batches, which come last in what follows a message."""
    tail = data[-_TAIL:]
    if b"TS" in tail or b"HS" in tail:
        return data[:-_TAIL] + _BATCH_LINE.sub(b"", tail)
    return data
