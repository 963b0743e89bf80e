"""Where tables come from: a delimited file, a zip of them, a Parquet file, or a DuckDB file, plain or gzipped."""

from __future__ import annotations

import gzip
import io
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Protocol, cast

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from estran.model.errors import InputRefused
from estran.sources.omop.blocks import TABLE_SHIFT, Block, in_order
from estran.sources.omop.content import hash_columns
from estran.sources.omop.delimited import Forms, read_blocks, read_header
from estran.sources.omop.layout import KEYS, ORDER, PLACE
from estran.sources.unnamed import unnamed
from estran.terminology.systems import LOCAL, local_vocabulary

_TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
_DUCKDB_SUFFIXES = (".duckdb", ".ddb", ".db")
_ROWS = 200_000
# Keys in the metadata of the Parquet files that our own exports write: that they are ours; the house's own names of
# vocabularies whose name is too long for OMOP.
MARK, NAMES = b"estran", b"estran.vocabularies"
_PLAIN_TYPES = {
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "FLOAT", "DOUBLE", "DATE",
    "TIMESTAMP", "VARCHAR",
}  # fmt: skip


class Table(Protocol):
    """A table somewhere in a file."""

    name: str  # lower case, as the model names it
    ours: bool  # an export of Estran wrote it
    vocabularies: dict[str, str]  # long names of vocabularies, by what the file calls them

    def columns(self) -> list[str]:
        """Column names in lower case."""
        ...

    def blocks(self, keep: list[str], forms: Forms | None = None) -> Iterator[Block]:
        """Its records, with the columns `keep` (those it has); `forms` are types that texts are tried as."""
        ...


def suffix_of(name: str) -> str:
    """csv, parquet, zip, duckdb, or '' when the name does not look like a source; `.gz` aside."""
    lower = PurePosixPath(name.lower().removesuffix(".gz"))
    if lower.name.startswith(".") or "__macosx" in lower.parts:
        return ""
    if lower.suffix in _TEXT_SUFFIXES:
        return "csv"
    if lower.suffix == ".parquet":
        return "" if name.lower().endswith(".gz") else "parquet"
    return "duckdb" if lower.suffix in _DUCKDB_SUFFIXES else "zip" if lower.suffix == ".zip" else ""


def table_of(name: str) -> str:
    """The table that a file's name announces."""
    stem = PurePosixPath(name.replace("\\", "/").lower().removesuffix(".gz")).stem
    return stem.split(".")[-1]


@contextmanager
def open_tables(path: Path, name: str) -> Iterator[list[Table]]:
    """The tables of the file at `path`, in reading order; InputRefused when it cannot be read."""
    kind = suffix_of(name)
    opener = {"csv": _open_text, "parquet": _open_parquet, "zip": _open_zip, "duckdb": _open_duckdb}.get(kind)
    if opener is None:
        raise InputRefused(
            "This file is neither delimited text, nor a zip of it, nor Parquet, nor a DuckDB file.",
            where=PurePosixPath(name).name, hint="give a folder of CSV files, a .zip or a .duckdb file",
        )  # fmt: skip
    with opener(path, name) as tables:
        yield sorted(tables, key=lambda t: (PLACE.get(t.name, len(ORDER)), t.name))


class TextTable:
    """A delimited file; `base` is the number of its first record."""

    ours = False
    vocabularies: dict[str, str] = {}  # noqa: RUF012 (nobody writes it)

    def __init__(self, name: str, opened: Callable[[], BinaryIO], base: int) -> None:
        self._open, self._base = opened, base
        with opened() as stream:
            self._header = read_header(stream)
        self.name = _recognised(name, self._header.names)

    def columns(self) -> list[str]:
        return self._header.names

    def blocks(self, keep: list[str], forms: Forms | None = None) -> Iterator[Block]:
        with self._open() as stream:
            header = read_header(stream)
            yield from read_blocks(stream, header, keep or header.names[:1], self._base, forms=forms)


@contextmanager
def _open_text(path: Path, name: str) -> Iterator[list[Table]]:
    try:
        yield [TextTable(table_of(name), lambda: _stream(path, name), 0)]
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        raise InputRefused("The file cannot be unpacked to its end.", where=PurePosixPath(name).name) from error


def _stream(path: Path, name: str) -> BinaryIO:
    raw = path.open("rb")
    return cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if name.lower().endswith(".gz") else raw


@contextmanager
def _open_zip(path: Path, name: str) -> Iterator[list[Table]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(m for m in archive.namelist() if suffix_of(m) == "csv")
            if not members:
                raise InputRefused("The archive holds no CSV file.", where=PurePosixPath(name).name)
            places = _places([table_of(m) for m in members])
            yield [
                TextTable(table_of(m), _member(archive, m), place << TABLE_SHIFT)
                for m, place in zip(members, places, strict=True)
            ]
    except (zipfile.BadZipFile, EOFError) as error:
        raise InputRefused("The archive is damaged.", where=PurePosixPath(name).name) from error


def _member(archive: zipfile.ZipFile, member: str) -> Callable[[], BinaryIO]:
    def opened() -> BinaryIO:
        raw = archive.open(member)
        if member.lower().endswith(".gz"):
            return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
        return cast(BinaryIO, io.BufferedReader(raw, 1 << 20))

    return opened


def _places(names: list[str]) -> list[int]:
    """A number per table: its place in the model, or after the model's for others and repeats."""
    places, after = [], len(ORDER)
    for position, name in enumerate(names):
        known = name in PLACE and name not in names[:position]
        places.append(PLACE[name] if known else after)
        after += not known
    return places


def _recognised(name: str, columns: list[str]) -> str:
    """The table's name; its columns tell it when the file name does not (`measurement_01.csv`)."""
    if name in PLACE:
        return name
    found = [table for table, key in KEYS.items() if key in columns]
    return found[0] if len(found) == 1 else name


class ParquetTable:
    """A Parquet file, typed as it is there; its records are numbered from 0."""

    def __init__(self, name: str, file: pq.ParquetFile) -> None:
        self._file = file
        self._names = [one.lower() for one in file.schema_arrow.names]
        self.name = _recognised(name, self._names)
        told = file.schema_arrow.metadata or {}
        self.ours, self.vocabularies = MARK in told, _names(told.get(NAMES, b"{}"))

    def columns(self) -> list[str]:
        return self._names

    def blocks(self, keep: list[str], forms: Forms | None = None) -> Iterator[Block]:
        first = 0
        for batch in self._file.iter_batches(_ROWS):
            columns = [_plain(column) for column in batch.columns]
            table = pa.Table.from_arrays(columns, self._names)
            numbers = np.arange(first, first + len(table), dtype=np.int64)
            first += len(table)
            yield Block(table.select(keep), numbers, hash_columns(table), None, np.zeros(len(table), dtype=np.int8))


def _names(told: bytes) -> dict[str, str]:
    """Names of local vocabularies by what the file calls them; none when they are not written as the house writes them."""
    try:
        found = orjson.loads(told)
    except orjson.JSONDecodeError:
        return {}
    pairs = found.items() if isinstance(found, dict) else ()
    return {
        short: name
        for short, name in pairs
        if isinstance(name, str) and local_vocabulary(name.removeprefix(LOCAL)) == name
    }


def _plain(column: pa.Array) -> pa.Array:
    """The column in one of the types that the queries know."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us"), safe=False) if kind.tz is None else column.cast(pa.string())
    simple = (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_date32(kind) or pa.types.is_string(kind)
    )
    return column if simple else column.cast(pa.string())


@contextmanager
def _open_parquet(path: Path, name: str) -> Iterator[list[Table]]:
    try:
        with pq.ParquetFile(path) as file:
            yield [ParquetTable(table_of(name), file)]
    except (pa.ArrowException, OSError) as error:
        raise InputRefused("The file is not Parquet that can be read.", where=PurePosixPath(name).name) from error


class DuckTable:
    """A table of a DuckDB file, typed as it is there."""

    ours = False
    vocabularies: dict[str, str] = {}  # noqa: RUF012 (nobody writes it)

    def __init__(self, con: duckdb.DuckDBPyConnection, source: str, name: str, place: int, view: bool) -> None:
        self._con, self._base = con, place << TABLE_SHIFT
        if view:  # a view has no row numbers: give it some, the same at every reading
            con.execute(f"CREATE TEMP TABLE view_{place} AS SELECT * FROM {source} ORDER BY ALL")
            source = f"view_{place}"
        self._source = source
        described = con.sql(f"DESCRIBE {source}").fetchall()
        self._names = [str(row[0]) for row in described]
        self._types = [str(row[1]) for row in described]
        self._renamed = self._first_row_names() or [n.lower() for n in self._names]
        self.name = name

    def _first_row_names(self) -> list[str] | None:
        """Names given by the first row, when the columns are called column0, column1, …"""
        if not all(n.lower().rstrip("0123456789") == "column" for n in self._names):
            return None
        rows = self._con.execute(f"SELECT * FROM {self._source} ORDER BY rowid LIMIT 1").fetchall()
        names = [str(value).strip().lower() for value in (rows or [()])[0]]
        return names if names and len(set(names)) == len(names) else None

    def columns(self) -> list[str]:
        return self._renamed

    def blocks(self, keep: list[str], forms: Forms | None = None) -> Iterator[Block]:
        rows = self._con.execute(f"SELECT max(rowid) FROM {self._source}").fetchall()
        last = -1 if rows[0][0] is None else int(rows[0][0])
        columns = ", ".join(
            f"{_quoted(n) if t in _PLAIN_TYPES else f'CAST({_quoted(n)} AS VARCHAR)'} AS {_quoted(r)}"
            for n, t, r in zip(self._names, self._types, self._renamed, strict=True)
        )
        for first in range(0, last + 1, _ROWS):
            where = f"rowid >= {first} AND rowid < {first + _ROWS}"
            table = self._con.sql(
                f"SELECT {columns}, rowid AS _place FROM {self._source} WHERE {where}"
            ).to_arrow_table()
            if len(table):
                table = in_order(table, "_place")
                numbers = self._base + table["_place"].to_numpy().astype(np.int64)
                content = hash_columns(table.drop_columns(["_place"]))
                yield Block(table.select(keep), numbers, content, None, np.zeros(len(table), dtype=np.int8))


@contextmanager
def _open_duckdb(path: Path, name: str) -> Iterator[list[Table]]:
    with unnamed() as (scratch, clear):
        if name.lower().endswith(".gz"):
            _unpack(path, scratch, name)
            path = clear
        con = duckdb.connect(config={"autoinstall_known_extensions": "false"})
        try:
            with _attached(con, path, name) as found:
                places = _places([str(table).lower() for _, table, _ in found])
                tables = [
                    DuckTable(con, f"source.{_quoted(s)}.{_quoted(t)}", str(t).lower(), place, k == "VIEW")
                    for (s, t, k), place in zip(found, places, strict=True)
                ]
                yield list(tables)
        finally:
            con.close()


@contextmanager
def _attached(con: duckdb.DuckDBPyConnection, path: Path, name: str) -> Iterator[list[tuple[str, str, str]]]:
    file = str(path).replace("'", "''")
    try:
        con.execute(f"ATTACH '{file}' AS source (READ_ONLY)")
    except duckdb.Error as error:
        raise InputRefused(
            "The file is not a DuckDB database that can be opened.", where=PurePosixPath(name).name
        ) from error
    yield con.sql(
        "SELECT table_schema, table_name, table_type FROM information_schema.tables "
        "WHERE table_catalog = 'source' ORDER BY lower(table_name), table_schema"
    ).fetchall()


def _unpack(path: Path, plain: IO[bytes], name: str) -> None:
    try:
        with gzip.open(path, "rb") as packed:
            shutil.copyfileobj(packed, plain, 1 << 20)
        plain.flush()
    except (OSError, EOFError) as error:
        raise InputRefused("The file cannot be unpacked to its end.", where=PurePosixPath(name).name) from error


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


__all__ = ["Table", "open_tables", "suffix_of", "table_of"]
