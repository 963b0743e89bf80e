"""Indexes: a file beside documents that says whose they are, one document per line.

`index.jsonl` (or `.ndjson`) has the fields of a report with `file` in the place of `text`; `index.csv`
the same as columns. What is landed is a pack: each line with the bytes of its document, so that a line
that waits for its patient can be read again from the landing alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import orjson

from estran.model.errors import InputRefused
from estran.sources.extraction import LARGEST
from estran.sources.extraction.plain import decoded
from estran.sources.packed import PackWriter

NAMES = frozenset(("index.csv", "index.jsonl", "index.ndjson"))
_FILE = ("file", "fichier", "file_name", "nom_fichier")
_LONGEST_LINE = 256 << 10
_LARGEST_INDEX = 512 << 20
_NOT_THERE = ("file", "missing", "The file that the index names is not there.")
_OUTSIDE = ("file", "malformed", "The index names a file outside its own folder.")
_TOO_LARGE = ("file", "malformed", "The document is larger than 200 MB.")
_NO_OBJECT = ("record", "malformed", "The line of the index is not a JSON object.")
_NO_FILE = ("file", "missing", "The line of the index names no file.")
_TOO_LONG = ("record", "malformed", "The line of the index is too long.")

Reason = tuple[str, str, str]


class Entry(NamedTuple):
    """One line: its number from 1, its fields, or why it has none."""

    line: int
    row: dict[str, Any]
    refused: Reason | None = None

    @property
    def file(self) -> str:
        """The document, as the index writes it."""
        named = next((self.row[name] for name in _FILE if self.row.get(name)), "")
        return named.strip() if isinstance(named, str) else ""


def is_index(path: Path) -> bool:
    """Whether a file is an index, by its name."""
    return path.name.lower() in NAMES


def read_index(path: Path) -> Iterator[Entry]:
    """The lines of an index. Raises InputRefused when it has no column `file`."""
    if path.stat().st_size > _LARGEST_INDEX:
        raise InputRefused("The index is larger than 500 MB.", where=path.name, hint="cut it into several folders")
    return _csv(path) if path.suffix.lower() == ".csv" else _json(path)


def _json(path: Path) -> Iterator[Entry]:
    with path.open("rb") as source:
        for number, line in enumerate(_bounded(source), 1):
            if line is None:
                yield Entry(number, {}, _TOO_LONG)
            elif line.strip():
                yield _json_entry(number, line)


def _json_entry(number: int, line: bytes) -> Entry:
    try:
        row = orjson.loads(decoded(line))
    except orjson.JSONDecodeError:
        return Entry(number, {}, _NO_OBJECT)
    return Entry(number, row) if isinstance(row, dict) else Entry(number, {}, _NO_OBJECT)


def _bounded(source: IO[bytes]) -> Iterator[bytes | None]:
    """Lines, None for one that is too long."""
    while line := source.readline(_LONGEST_LINE):
        whole = line.endswith(b"\n") or len(line) < _LONGEST_LINE
        while not line.endswith(b"\n") and len(line) == _LONGEST_LINE:
            line = source.readline(_LONGEST_LINE)
        yield line if whole else None


def _csv(path: Path) -> Iterator[Entry]:
    text = decoded(path.read_bytes())
    head = text.partition("\n")[0][:_LONGEST_LINE]
    delimiter = max(";,\t", key=head.count)
    rows = csv.reader(io.StringIO(text.replace("\0", ""), newline=""), delimiter=delimiter)
    try:
        columns = [name.strip().lower() for name in next(rows, [])]
        if not set(columns) & set(_FILE):
            raise InputRefused("The index has no column 'file'.", where=path.name, hint="name the column file or fichier")
        for row in rows:
            if any(cell.strip() for cell in row):
                yield Entry(rows.line_num, {n: c.strip() for n, c in zip(columns, row, strict=False) if n and c.strip()})
    except csv.Error:
        raise InputRefused("The index is not a CSV file.", where=path.name) from None


def listed(path: Path) -> frozenset[Path]:
    """Files that the index names, as far as they are there."""
    found = (place(path.parent, entry.file) for entry in read_index(path) if entry.file)
    return frozenset(one for one in found if isinstance(one, Path))


def place(folder: Path, name: str) -> Path | Reason:
    """The file called `name` in `folder`; nothing outside of it is ever opened."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or "\0" in name:
        return _OUTSIDE
    try:
        here, there = folder.resolve(), (folder / parts).resolve()
        if not there.is_relative_to(here):
            return _OUTSIDE
        return there if there.is_file() else _NOT_THERE
    except OSError:
        return _NOT_THERE


def pack_index(path: Path, out: IO[bytes]) -> None:
    """The pack of an index: its lines, each with the bytes of its document."""
    writer = PackWriter(out)
    for entry in read_index(path):
        meta: dict[str, Any] = {"line": entry.line, "row": entry.row, "name": PurePosixPath(entry.file).name}
        body, refused = b"", entry.refused or (None if entry.file else _NO_FILE)
        if refused is None:
            found = place(path.parent, entry.file)
            if isinstance(found, Path):
                body, refused = _body(found)
            else:
                refused = found
        writer.add(meta | ({"refused": refused} if refused else {}), body)


def pack_document(path: Path, out: IO[bytes]) -> None:
    """The pack of one document: its name belongs to it, since the name says whose it is."""
    body, refused = _body(path)
    PackWriter(out).add({"line": 1, "name": path.name} | ({"refused": refused} if refused else {}), body)


def _body(path: Path) -> tuple[bytes, Reason | None]:
    try:
        if path.stat().st_size > LARGEST:
            return b"", _TOO_LARGE
        return path.read_bytes(), None
    except OSError:
        return b"", _NOT_THERE
