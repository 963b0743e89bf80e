"""The reader: which files are reports, and the records that they hold."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, NamedTuple, cast

import orjson

from estran.model.errors import InputRefused
from estran.sources import packed
from estran.sources.extraction import ENDINGS, LARGEST, LONGEST
from estran.sources.extraction.plain import decoded
from estran.sources.records import Batch, BatchBuilder, content_hash
from estran.sources.report import index, naming
from estran.sources.report.form import Attached, Bad, Form, embedded, read_attached, renamed
from estran.sources.searching import files_under

_LINES = (".jsonl", ".ndjson")
_DOCUMENTS = tuple(ending for ending in ENDINGS if ending != ".txt")
_SUFFIXES = (*_LINES, ".txt", *_DOCUMENTS)
_BATCH_RECORDS = 5_000
_BATCH_CHARACTERS = 50_000_000  # a batch of long reports ends earlier
_LONGEST_LINE = 64 << 20
_HEADER_LINE = re.compile(r"\s*([A-Za-z_]+)\s*:\s*(.*?)\s*$")
_UNPACKING = (OSError, EOFError, zlib.error)
_NAMELESS = "The file's name does not follow the pattern of report names, and no index names the file."


class _Record(NamedTuple):
    """One record before it is read: number in the file, line, bytes; a document comes with what names it."""

    number: int
    line: int
    raw: bytes | None  # None: longer than a record may be
    meta: dict[str, Any] | None = None


@dataclass
class ReportReader:
    """Reads reports; `zone` is the site's, `author_system` names numbers that come without one,
    `names` is the pattern of the names of documents (setting `report_name`)."""

    zone: str = "Europe/Paris"
    author_system: str = ""
    batch_records: int = _BATCH_RECORDS
    names: str = naming.DEFAULT
    format: str = field(default="report", init=False)

    def files(self, paths: list[Path]) -> list[Path]:
        """Reports among `paths` and in those of them that are folders, by name; documents that an index
        names come with it."""
        found = files_under(paths, _is_report)
        named = frozenset[Path]().union(*(_listed(path) for path in found if index.is_index(path)))
        return [path for path in found if path.resolve() not in named] if named else found

    def size(self, path: Path) -> int:
        """Bytes of the file as it lies on the disk."""
        return path.stat().st_size

    def condenses(self, path: Path) -> bool:
        """Indexes are landed with their documents, and documents with their names."""
        return index.is_index(path) or _is_document(path.name)

    def condense(self, path: Path, out: IO[bytes]) -> None:
        """Write the pack of an index or of a document. Raises InputRefused when the index is none."""
        index.pack_index(path, out) if index.is_index(path) else index.pack_document(path, out)

    def read(self, path: Path, name: str, wanted: frozenset[int] | None = None) -> Iterator[Batch]:
        """Batches of the file at `path`, called `name`; a document is one record.

        Raises InputRefused when the file cannot be unpacked or is no report.
        """
        plain = PurePosixPath(name.replace("\\", "/")).name
        builder, characters = BatchBuilder(), 0
        for record in _records(path, plain):
            if wanted is not None and record.number not in wanted:
                continue
            characters += self._take(builder, record, plain)
            if len(builder) >= self.batch_records or characters >= _BATCH_CHARACTERS:
                yield builder.build()
                builder, characters = BatchBuilder(), 0
        if len(builder):
            yield builder.build()

    def _take(self, builder: BatchBuilder, record: _Record, name: str) -> int:
        """Add a record; returns the characters of its text."""
        raw = record.raw or b""
        words = orjson.dumps(record.meta, option=orjson.OPT_SORT_KEYS) if record.meta else b""
        at = builder.record(record.number, record.line, 0, content_hash(words + raw))
        mark = builder.mark()
        try:
            row, attached = self._row(record, name)
            Form(self.zone, self.author_system, row, attached).build(builder, at, record.number)
            return len(row.get("text") or "")
        except Bad as bad:
            builder.undo(mark)
            builder.refuse(at, bad.field, bad.code, bad.reason)
            return 0

    def _row(self, record: _Record, name: str) -> tuple[dict[str, Any], Attached | None]:
        raw = record.raw
        if raw is None:
            raise Bad("record", "malformed", "The record is longer than a record may be.")
        if record.meta is not None:
            return self._document(raw, record.meta)
        if b"\0" in raw:
            raise Bad("record", "encoding", "The record holds a null byte.")
        if _bare(name).endswith(".txt"):
            return self._text_row(raw, name), None
        row = _json_row(raw)
        return embedded(row) if row.get("data") else (row, None)

    def _document(self, raw: bytes, meta: dict[str, Any]) -> tuple[dict[str, Any], Attached]:
        """A document with the fields that its index or its name gives."""
        name = str(meta.get("name") or "")
        if meta.get("refused"):
            raise Bad(*meta["refused"])
        said = meta.get("row")
        row = renamed(said) if said else naming.named(name, self.names)
        if row is None:
            raise Bad("file name", "no-patient", _NAMELESS)
        row.setdefault("id", naming.stem_of(name))
        media_type = str(row.get("media_type") or ENDINGS.get(PurePosixPath(name.lower()).suffix, ""))
        return read_attached(row, raw, media_type)

    def _text_row(self, raw: bytes, name: str) -> dict[str, Any]:
        """A text file: with a header, else named after its report."""
        text = decoded(raw).replace("\r\n", "\n")
        row = naming.named(name, self.names)
        if row is not None and not _HEADER_LINE.match(text.partition("\n")[0]):
            return row | {"text": text.strip("\n")}
        return _headed(text, name)


def _listed(path: Path) -> frozenset[Path]:
    try:
        return index.listed(path)
    except InputRefused:  # said again, and reported, when the index is read
        return frozenset()


def _bare(name: str) -> str:
    return name.lower().removesuffix(".gz")


def _is_document(name: str) -> bool:
    return name.lower().endswith(_DOCUMENTS)


def _is_report(path: Path) -> bool:
    if path.name.startswith((".", "~$")):  # hidden, or the lock of an open word processor
        return False
    return _bare(path.name).endswith((*_LINES, ".txt")) or _is_document(path.name) or index.is_index(path)


def _records(path: Path, name: str) -> Iterator[_Record]:
    """The entries of a pack, the lines that are not blank, or the whole of a text or document."""
    if packed.is_pack(path):
        for number, entry in enumerate(packed.entries(path)):
            yield _Record(number, int(entry.meta.get("line") or 1), entry.body, entry.meta)
    elif _is_document(name):
        with path.open("rb") as source:
            raw = source.read(LARGEST + 1)
        yield _Record(0, 1, raw if len(raw) <= LARGEST else None, {"name": name})
    elif _bare(name).endswith((*_LINES, ".txt")):
        yield from _written(path, name)
    else:
        raise InputRefused(
            "A report is a PDF, DOCX, ODT, RTF, HTML, .txt or .jsonl file, or an index of such files.", where=name
        )


def _written(path: Path, name: str) -> Iterator[_Record]:
    try:
        with path.open("rb") as raw:
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if name.lower().endswith(".gz") else raw
            if _bare(name).endswith(".txt"):
                text = stream.read(4 * LONGEST + 1)
                yield _Record(0, 1, text if len(text) <= 4 * LONGEST else None)
                return
            yield from _filled(stream)
    except _UNPACKING as error:
        raise InputRefused("The file cannot be unpacked to its end.", where=name) from error


def _filled(stream: BinaryIO) -> Iterator[_Record]:
    """Lines that are not blank; of one that is too long, nothing is kept in memory."""
    number = 0
    for line in count(1):
        raw = stream.readline(_LONGEST_LINE)
        if not raw:
            return
        fits = raw.endswith(b"\n") or len(raw) < _LONGEST_LINE
        while not raw.endswith(b"\n") and len(raw) == _LONGEST_LINE:
            raw = stream.readline(_LONGEST_LINE)
        if not fits or raw.strip():
            yield _Record(number, line, raw.rstrip(b"\r\n") if fits else None)
            number += 1


def _json_row(raw: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(decoded(raw))
    except orjson.JSONDecodeError:
        raise Bad("record", "malformed", "The line is not a JSON object.") from None
    if not isinstance(row, dict):
        raise Bad("record", "malformed", "The line is not a JSON object.")
    return renamed(row)


def _headed(text: str, name: str) -> dict[str, Any]:
    """Header lines `name: value` up to the first blank line, then the text."""
    lines = text.split("\n")
    row: dict[str, Any] = {}
    for place, line in enumerate(lines):
        if not line.strip():
            row["text"] = "\n".join(lines[place + 1 :]).strip("\n")
            break
        found = _HEADER_LINE.match(line)
        if not found:
            raise Bad("header", "malformed", "A header line is not `name: value`; a blank line ends the header.")
        row[found.group(1).lower()] = found.group(2)
    row = renamed(row)
    row.setdefault("id", naming.stem_of(name))
    if not row.get("ipp"):
        raise Bad("ipp", "no-patient", "The header names no patient (ipp).")
    return row
