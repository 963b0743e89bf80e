"""Delimited text in blocks of whole records.

A block is parsed by pyarrow, columns that are announced as numbers, dates or times as such, and as text
where one value of the block is not. Its records are found a second time in its bytes, to hash
each one and to tell its line. When both do not agree (unbalanced quotes, stray bytes), that block
alone is read again line by line, so that a bad line costs itself and not its neighbours.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from estran.model.errors import InputRefused
from estran.sources.omop.blocks import Block
from estran.sources.omop.content import hash_slices

Int64s = npt.NDArray[np.int64]

BLOCK_BYTES = 24 << 20
_LOOK_BACK = 1 << 20  # how far before a block's end a quoted line end may move the cut
_MOST_LINES = 200  # of one quoted record, when lines are read one by one
_LONGEST_HEADER = 1 << 20
_NULLS = ("", "\\N", "NULL")
_DELIMITERS = "\t,;|"
_SHORTEST_TIME = len("2024-01-31 08:30")  # pyarrow would take an hour alone for a time of day

Forms = Mapping[str, pa.DataType]


@dataclass(frozen=True)
class Header:
    """The first line: column names in lower case, and how columns are parted.

    Athena writes tabs and never quotes.
    """

    names: list[str]
    delimiter: str
    quoted: bool


def read_header(stream: BinaryIO) -> Header:
    """Read the first line of `stream`; no names when it is empty. Raises InputRefused when it holds no names."""
    first = stream.readline(_LONGEST_HEADER)
    if len(first) == _LONGEST_HEADER or b"\0" in first:
        raise InputRefused("The first line holds no column names.")
    line = _decoded(first).removeprefix("\ufeff").rstrip("\r\n")
    if not first:
        return Header([], ",", True)
    if not line:
        raise InputRefused("The first line holds no column names.")
    delimiter = max(_DELIMITERS, key=line.count)
    quoted = delimiter != "\t" or '"' in line
    try:
        fields = next(csv.reader([line], delimiter=delimiter), []) if quoted else line.split(delimiter)
    except csv.Error:
        raise InputRefused("The first line holds no column names.") from None
    names: list[str] = []
    for name in (f.strip().lower() or "column" for f in fields):
        names.append(name if name not in names else f"{name}_{len(names)}")
    return Header(names, delimiter, quoted)


def read_blocks(
    stream: BinaryIO, header: Header, keep: list[str], base: int, size: int = BLOCK_BYTES, forms: Forms | None = None
) -> Iterator[Block]:
    """Blocks of what follows the header, with the columns `keep`; `base` is the first record number.

    `forms` are the types that columns should have; a block where a value is of another kind has text there.
    """
    parser, number, line = _Parser(header, keep, forms or {}), base, 2
    for data in _pieces(stream, header.quoted, size):
        block, lines = parser.parse(data, number, line)
        line += lines
        number += len(block)
        if len(block):
            yield block


def _pieces(stream: BinaryIO, quoted: bool, size: int) -> Iterator[bytes]:
    """Byte blocks that end where a record ends."""
    carry, fresh = b"", stream.read(size)
    while fresh:
        data, fresh = carry + fresh, stream.read(size)
        cut = _cut(data, quoted) if fresh else len(data)
        carry = data[cut:]
        if cut:
            yield data[:cut] if fresh or data.endswith(b"\n") else data + b"\n"


def _cut(data: bytes, quoted: bool) -> int:
    last = data.rfind(b"\n") + 1
    if not quoted or b'"' not in data or data.count(b'"', 0, last) % 2 == 0:
        return last
    near, end, odd = max(0, last - _LOOK_BACK), last, True
    while odd and (before := data.rfind(b"\n", near, end - 1) + 1) > near:
        odd = (data.count(b'"', before, end) + odd) % 2 == 1
        end = before
    if not odd:
        return end
    return last if last > _LOOK_BACK else 0


class _Parser:
    def __init__(self, header: Header, keep: list[str], forms: Forms) -> None:
        self._header, self._keep = header, keep
        self._forms = {name: form for name, form in forms.items() if name in keep}
        self._parse_options = {
            "delimiter": header.delimiter,
            "quote_char": '"' if header.quoted else False,
            "double_quote": header.quoted,
            "ignore_empty_lines": False,
        }

    def parse(self, data: bytes, number: int, line: int) -> tuple[Block, int]:
        """The block, whose first record and line have these numbers, and how many lines it has."""
        starts, lengths, lines = _records(data, self._header.quoted)
        try:
            parsed = None if b"\0" in data else self._fast(_as_utf8(data), len(starts), len(lines) > len(starts))
        except pa.ArrowInvalid:
            parsed = None
        if parsed is None:
            table, bad, starts, lengths = self._line_by_line(data)
        else:
            table, bad = parsed
        if not lengths.all():  # blank lines are not records
            which = np.flatnonzero(lengths > 0)
            table, bad, starts, lengths = table.take(pa.array(which)), bad[which], starts[which], lengths[which]
        content = hash_slices(np.frombuffer(data, dtype=np.uint8), starts, lengths).view(np.int64)
        plain = len(lines) == len(starts)
        where = line + (np.arange(len(lines)) if plain else np.searchsorted(lines, starts))
        numbers = number + np.arange(len(starts), dtype=np.int64)
        return Block(table, numbers, content, where.astype(np.int64), bad), len(lines)

    def _fast(self, data: bytes, count: int, multiline: bool) -> tuple[pa.Table, npt.NDArray[np.int8]] | None:
        """The whole block at once; None when its records are not those found in the bytes."""
        table, invalid = self._typed(data, multiline)
        if len(table) + len(invalid) != count or (not multiline and any("\n" in row.text for row in invalid)):
            return None
        bad = np.zeros(count, dtype=np.int8)
        if not invalid:
            return table, bad
        if multiline:  # a quote that was never closed may have swallowed good lines
            return None
        for row in invalid:
            bad[row.number - 1] = 1 if row.actual_columns < row.expected_columns else 2
        return _with_gaps(table, bad == 0), bad

    def _typed(self, data: bytes, multiline: bool) -> tuple[pa.Table, list[pa.csv.InvalidRow]]:
        """The rows in the announced types where all values have them, as text elsewhere; and the invalid ones."""
        if self._forms:
            at_once = {n: pa.string() if pa.types.is_timestamp(form) else form for n, form in self._forms.items()}
            try:
                table, invalid = self._read(data, multiline, at_once)
            except pa.ArrowInvalid:
                pass
            else:
                if all(map(_is_plain, table.columns)):
                    return _timed(table, self._forms), invalid
        table, invalid = self._read(data, multiline, {})
        self._forms = {name: form for name, form in self._forms.items() if _holds(table[name], form)}
        return table, invalid

    def _read(self, data: bytes, multiline: bool, forms: Forms) -> tuple[pa.Table, list[pa.csv.InvalidRow]]:
        invalid: list[pa.csv.InvalidRow] = []

        def note(row: pa.csv.InvalidRow) -> str:
            invalid.append(row)
            return "skip"

        table = pa.csv.read_csv(
            pa.BufferReader(data),
            pa.csv.ReadOptions(column_names=self._header.names, use_threads=False, block_size=len(data) + 1),
            pa.csv.ParseOptions(newlines_in_values=multiline, invalid_row_handler=note, **self._parse_options),
            pa.csv.ConvertOptions(
                column_types=dict.fromkeys(self._header.names, pa.string()) | dict(forms), include_columns=self._keep,
                null_values=list(_NULLS), strings_can_be_null=True, quoted_strings_can_be_null=True,
            ),
        )  # fmt: skip
        return table, invalid

    def _line_by_line(self, data: bytes) -> tuple[pa.Table, npt.NDArray[np.int8], Int64s, Int64s]:
        """Records of a damaged block: a quoted record may span lines, a stray quote may not."""
        rows: list[list[str] | None] = []
        bad: list[int] = []
        spans: list[tuple[int, int]] = []
        lines, place, offset = data.split(b"\n")[:-1], 0, 0
        while place < len(lines):
            used, fields, why = self._record(lines, place)
            raw = b"\n".join(lines[place : place + used])
            spans.append((offset, len(raw.removesuffix(b"\r"))))
            rows.append(fields if not why else None)
            bad.append(why)
            offset, place = offset + len(raw) + 1, place + used
        columns = [self._header.names.index(name) for name in self._keep]
        arrays = [pa.array([None if r is None or r[c] in _NULLS else r[c] for r in rows], pa.string()) for c in columns]
        where = np.array(spans, dtype=np.int64).reshape(-1, 2)
        return pa.table(arrays, names=self._keep), np.array(bad, dtype=np.int8), where[:, 0], where[:, 1]

    def _record(self, lines: list[bytes], place: int) -> tuple[int, list[str] | None, int]:
        """Number of lines of the record at `place`, its fields, and what is wrong with it."""
        first = lines[place]
        if b"\0" in first:
            return 1, None, 4
        if not first.strip(b"\r"):
            return 1, [""] * len(self._header.names), 0
        used = 1
        if self._header.quoted and first.count(b'"') % 2:
            odd = (n for n in range(place + 1, min(place + _MOST_LINES, len(lines))) if lines[n].count(b'"') % 2)
            used = next(odd, place) - place + 1
        if used > 1:
            fields = self._fields(b"\n".join(lines[place : place + used]))
            if len(fields) == len(self._header.names):
                return used, fields, 0
        fields = self._fields(first)
        missing = len(self._header.names) - len(fields)
        if not missing:
            return 1, fields, 0
        odd_quotes = self._header.quoted and first.count(b'"') % 2
        return 1, None, 3 if odd_quotes else 1 if missing > 0 else 2

    def _fields(self, raw: bytes) -> list[str]:
        text = _decoded(raw).removesuffix("\r")
        if not self._header.quoted:
            return text.split(self._header.delimiter)
        lines = text.replace("\r", " ").splitlines(keepends=True)
        try:
            found = list(csv.reader(lines, delimiter=self._header.delimiter))
        except csv.Error:
            return []
        return found[0] if len(found) == 1 else []


def _records(data: bytes, quoted: bool) -> tuple[Int64s, Int64s, Int64s]:
    """Starts and lengths of the records, and the places of all line ends.

    A line end inside quotes does not end a record.
    """
    content = np.frombuffer(data, dtype=np.uint8)
    lines = np.flatnonzero(content == ord("\n")).astype(np.int64)
    ends = lines
    if quoted and b'"' in data:
        quotes = np.flatnonzero(content == ord('"'))
        ends = lines[np.searchsorted(quotes, lines) % 2 == 0]
    starts = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1] + 1])[: len(ends)]
    lengths = ends - starts
    lengths = lengths - ((lengths > 0) & (content[np.maximum(ends - 1, 0)] == ord("\r")))
    return starts, lengths, lines


def _is_plain(column: pa.ChunkedArray) -> bool:
    """Whether no number is infinite or NaN: how it was written decides what becomes of it."""
    return not pa.types.is_floating(column.type) or math.isfinite(pc.sum(column).as_py() or 0.0)


def _timed(table: pa.Table, forms: Forms) -> pa.Table:
    """The times announced by `forms` as such, where all of a column are."""
    for name, form in forms.items():
        if not pa.types.is_timestamp(form):
            continue
        if (pc.min(pc.binary_length(table[name])).as_py() or _SHORTEST_TIME) < _SHORTEST_TIME:
            continue
        try:
            table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(form))
        except pa.ArrowInvalid:
            continue
    return table


def _holds(texts: pa.ChunkedArray, form: pa.DataType) -> bool:
    """Whether all values are of a kind, so that the next block may be read as such."""
    try:
        return _is_plain(texts.cast(form))
    except pa.ArrowInvalid:
        return False


def _with_gaps(table: pa.Table, sound: npt.NDArray[np.bool_]) -> pa.Table:
    """The table with a row of nulls wherever a record is not sound."""
    places = np.cumsum(sound) - 1
    return table.take(pa.array(places, mask=~sound))


def _as_utf8(data: bytes) -> bytes:
    """Lines that are not UTF-8 are taken as Latin-1."""
    if data.isascii():
        return data
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return b"\n".join(_decoded(line).encode() for line in data.split(b"\n"))
    return data


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
