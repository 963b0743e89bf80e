"""Delimited and Parquet files as blocks of whole records, in bounded memory."""

from __future__ import annotations

import codecs
import csv as csv_errors
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from estran.model.errors import InputRefused
from estran.sources.omop.blocks import Block
from estran.sources.omop.content import hash_columns
from estran.sources.omop.delimited import Header, read_blocks, read_header
from estran.sources.tabular.language import Csv

LONGEST_LINE = 32 << 20
_ROWS = 131_072  # of a Parquet block
_LARGEST_CHUNK = 4 << 30  # bytes of one column of one row group, unpacked
_FEW_ROWS, _ROWS_PER_BYTE = 10_000_000, 1_000  # repeated values take next to no room, keys do
_TEXT = (".csv", ".tsv", ".txt")
_UNPACKING = (OSError, EOFError, zlib.error)


class Input(Protocol):
    """An open file: its columns, and its records as often as asked."""

    schema: pa.Schema  # names in lower case, types as blocks have them
    instants: frozenset[str]  # columns that are instants in UTC

    def blocks(self, keep: list[str]) -> Iterator[Block]:
        """All records from the first, with the columns `keep`."""
        ...


def is_tabular(name: str) -> bool:
    """Whether a file's name looks like one that is read here."""
    plain = PurePosixPath(name.lower())
    if plain.name.startswith("."):
        return False
    return plain.suffix == ".parquet" or PurePosixPath(plain.name.removesuffix(".gz")).suffix in _TEXT


@contextmanager
def open_input(path: Path, name: str, csv: Csv, *, ignore_offsets: bool) -> Iterator[Input]:
    """The file at `path`, called `name`; InputRefused when it cannot be read at all."""
    plain = PurePosixPath(name.replace("\\", "/")).name
    try:
        if plain.lower().endswith(".parquet"):
            with path.open("rb") as stream:
                yield ParquetInput(stream, plain, ignore_offsets=ignore_offsets)
        else:
            yield TextInput(path, plain, csv)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InputRefused("The Parquet file is damaged.", where=plain) from error
    except csv_errors.Error as error:
        raise InputRefused("The first line of the file does not name its columns.", where=plain) from error
    except _UNPACKING as error:
        raise InputRefused("The file cannot be unpacked to its end.", where=plain) from error


# Delimited text --------------------------------------------------------------------------------------


class TextInput:
    """A delimited file, plain or gzipped; every column is text."""

    instants: frozenset[str] = frozenset()

    def __init__(self, path: Path, name: str, csv: Csv) -> None:
        self._path, self._name, self._csv = path, name, csv
        with self._open() as stream:
            self._header = self._read_header(stream)
        if not self._header.names:
            raise InputRefused("The first line of the file does not name its columns.", where=name)
        self.schema = pa.schema([(name, pa.string()) for name in self._header.names])

    def blocks(self, keep: list[str]) -> Iterator[Block]:
        with self._open() as stream:
            headless = self._csv.columns is not None
            if not headless:
                read_header(stream)
            for block in read_blocks(stream, self._header, keep or self._header.names[:1], 0):
                shifted = block.lines - 1 if headless and block.lines is not None else block.lines
                yield replace(block, lines=shifted)

    def _read_header(self, stream: BinaryIO) -> Header:
        csv = self._csv
        found = read_header(stream)
        names = [n.strip().lower() for n in csv.columns] if csv.columns else found.names
        header = Header(names, csv.delimiter or found.delimiter, found.quoted if csv.quoted is None else csv.quoted)
        if csv.columns or header == found:
            return header
        with self._open() as again:
            return _split(again, header)

    def _open(self) -> BinaryIO:
        raw: BinaryIO = self._path.open("rb")
        if self._name.lower().endswith(".gz"):
            raw = cast(BinaryIO, gzip.GzipFile(fileobj=raw))
        if self._csv.encoding and self._csv.encoding != "utf-8":
            raw = cast(BinaryIO, _Recoded(raw, self._csv.encoding, self._name))
        return cast(BinaryIO, _Guarded(raw, self._name))


def _split(stream: BinaryIO, header: Header) -> Header:
    """The header read anew with the delimiter and the quoting that the mapping names."""
    line = stream.readline().decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r\n")
    fields = [f.strip().lower().strip('"' if header.quoted else "") for f in line.split(header.delimiter)]
    return replace(header, names=[n if n not in fields[:i] else f"{n}_{i}" for i, n in enumerate(fields)])


class _Guarded(io.RawIOBase):
    """A stream without lines of gigabytes: what parses it keeps a line in memory."""

    def __init__(self, raw: BinaryIO, name: str) -> None:
        super().__init__()
        self._raw, self._name, self._since = raw, name, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._raw.read(size)
        self._note(data)
        return data

    def readline(self, size: int | None = -1, /) -> bytes:
        data = self._raw.readline(LONGEST_LINE + 1)
        self._note(data)
        return data

    def _note(self, data: bytes) -> None:
        first, last = data.find(b"\n"), data.rfind(b"\n")
        self._since = self._since + len(data) if last < 0 else self._since + first
        if self._since > LONGEST_LINE:
            raise InputRefused("A line of the file is longer than 32 MB.", where=self._name)
        if last >= 0:
            self._since = len(data) - last - 1

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Recoded(io.RawIOBase):
    """A stream in another encoding, as UTF-8."""

    def __init__(self, raw: BinaryIO, encoding: str, name: str) -> None:
        super().__init__()
        self._raw, self._name, self._left = raw, name, b""
        self._decoder = codecs.getincrementaldecoder(encoding)("strict" if encoding.startswith("utf") else "replace")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        while len(self._left) < size and self._more():
            pass
        found, self._left = self._left[:size], self._left[size:]
        return found

    def readline(self, size: int | None = -1, /) -> bytes:
        while (end := self._left.find(b"\n")) < 0 and len(self._left) <= LONGEST_LINE and self._more():
            pass
        cut = end + 1 if end >= 0 else len(self._left)
        found, self._left = self._left[:cut], self._left[cut:]
        return found

    def _more(self) -> bool:
        raw = self._raw.read(1 << 20)
        try:
            self._left += self._decoder.decode(raw, not raw).encode()
        except UnicodeDecodeError:
            raise InputRefused("The file is not in the encoding that the mapping names.", where=self._name) from None
        return bool(raw)

    def close(self) -> None:
        self._raw.close()
        super().close()


# Parquet ---------------------------------------------------------------------------------------------


@dataclass
class ParquetInput:
    """A Parquet file. Times with a zone become UTC, or the digits as they are when offsets are ignored."""

    stream: BinaryIO
    name: str
    ignore_offsets: bool

    def __post_init__(self) -> None:
        self._file = pq.ParquetFile(self.stream)
        self._refuse_bombs()
        fields = [f for f in self._file.schema_arrow if _plain(f.type) is not None]
        self._names = [f.name for f in fields]
        lower = [n.strip().lower() for n in self._names]
        if len(set(lower)) < len(lower):
            raise InputRefused("Two columns of the file have one name.", where=self.name)
        zoned = [f.name for f in fields if getattr(_plain(f.type), "tz", None)]
        self.instants = frozenset() if self.ignore_offsets else frozenset(n.strip().lower() for n in zoned)
        self.schema = pa.schema([(n, _naive(_plain(f.type))) for n, f in zip(lower, fields, strict=True)])

    def blocks(self, keep: list[str]) -> Iterator[Block]:
        first = 0
        for batch in self._file.iter_batches(batch_size=_ROWS, columns=self._names, use_threads=False):
            table = pa.Table.from_batches([batch]).select(self._names)
            table = pa.table([self._normal(c) for c in table.columns], names=self.schema.names)
            count = len(table)
            numbers = np.arange(first, first + count, dtype=np.int64)
            kept = table.select(keep or self.schema.names[:1])
            yield Block(kept, numbers, hash_columns(table), None, np.zeros(count, dtype=np.int8))
            first += count

    def _normal(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        plain = _plain(column.type)
        if column.type != plain:
            column = pc.cast(column, plain, safe=False)
        if getattr(plain, "tz", None):
            column = pc.local_timestamp(column) if self.ignore_offsets else column.cast(pa.timestamp("us"))
        return column

    def _refuse_bombs(self) -> None:
        meta, size = self._file.metadata, self.stream.seek(0, io.SEEK_END)
        if meta.num_rows > max(_FEW_ROWS, _ROWS_PER_BYTE * size):
            raise InputRefused("The file tells of more rows than a file of its size can hold.", where=self.name)
        for group in range(meta.num_row_groups):
            row_group = meta.row_group(group)
            for column in range(meta.num_columns):
                if row_group.column(column).total_uncompressed_size > _LARGEST_CHUNK:
                    raise InputRefused("A column of the file unpacks to more than 4 GB at once.", where=self.name)


def _plain(kind: pa.DataType) -> pa.DataType | None:
    """The type in which a column is read; None for those that hold no single value."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz=kind.tz)
    if pa.types.is_decimal(kind):
        return pa.int64() if kind.scale == 0 and kind.precision <= 18 else pa.float64()
    for test, plain in _PLAIN:
        if test(kind):
            return plain
    return kind if pa.types.is_boolean(kind) or pa.types.is_null(kind) or pa.types.is_date32(kind) else None


_PLAIN: tuple[tuple[Callable[[Any], bool], pa.DataType], ...] = (
    (lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t), pa.string()),
    (pa.types.is_integer, pa.int64()),
    (pa.types.is_floating, pa.float64()),
    (pa.types.is_date64, pa.date32()),
    (pa.types.is_time, pa.string()),
)


def _naive(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp("us") if pa.types.is_timestamp(kind) else kind
