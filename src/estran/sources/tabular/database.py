"""Tables of a live database → Parquet files, in one consistent, read-only look at it.

The files have no name in any directory: not even a killed process leaves data in clear behind. What
is loaded from them is landed like any file, so a replay never asks the database again.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from estran.model.errors import InputRefused, UsageError
from estran.sources.tabular.language import Database, Table
from estran.sources.tabular.language import Mapping as TableMapping
from estran.sources.unnamed import unnamed

_ROWS = 50_000  # fetched at a time
Marks = dict[str, Any]  # table name → {"kind", "value"}


@dataclass
class Extract:
    """Files of the tables, and how far they go; `marks` holds the tables that are read incrementally."""

    files: list[Path] = field(default_factory=list)
    marks: Marks = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)


@contextlib.contextmanager
def extracted(mapping: TableMapping, marks: Marks, environment: Mapping[str, str] = os.environ) -> Iterator[Extract]:
    """The tables of the mapping's database, from where `marks` stand on; UsageError when it cannot be reached,
    InputRefused when a table cannot be read."""
    if mapping.database is None:
        raise UsageError("The mapping names no database.", hint="give `database` with url or url_env")
    engine = _engine(mapping.database, environment)
    extract = Extract(marks=dict(marks))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="estran-")))
        stack.callback(engine.dispose)
        connection = stack.enter_context(_reading(engine))
        for table in mapping.tables:
            if table.files is None:
                out, path = stack.enter_context(unnamed())
                _copy(connection, table, marks.get(table.name), out, extract)
                named = folder / f"{table.name}.parquet"
                named.symlink_to(path)
                extract.files.append(named)
        connection.rollback()
        yield extract


# Reaching the database -------------------------------------------------------------------------------


def _engine(database: Database, environment: Mapping[str, str]) -> sa.Engine:
    written = database.url
    if database.url_env:
        written = environment.get(database.url_env)
        if not written:
            raise UsageError(f"The environment variable {database.url_env} is not set.", hint="set it to the address")
    password = None
    if database.password_env:
        password = environment.get(database.password_env)
        if password is None:
            raise UsageError(f"The environment variable {database.password_env} is not set.")
    try:
        url = sa.make_url(written or "")
        url = url if password is None else url.set(password=password)
        if url.get_backend_name() == "sqlite" and url.database:
            url = _sqlite_read_only(url)
        return sa.create_engine(url, poolclass=sa.pool.NullPool, hide_parameters=True)
    except (sa.exc.ArgumentError, ImportError, sa.exc.NoSuchModuleError):
        raise UsageError(
            "The database's address is not one that can be used.", where=database.url_env or "database.url",
            hint="write dialect+driver://user@host/base, and install the driver (for PostgreSQL: psycopg)",
        ) from None  # fmt: skip


def _sqlite_read_only(url: sa.URL) -> sa.URL:
    if not Path(url.database or "").is_file():
        raise UsageError("There is no such SQLite file.", where=str(url.database))
    place = Path(url.database or "").resolve().as_uri()
    return sa.URL.create("sqlite", database=f"{place}", query={"mode": "ro", "uri": "true"})


@contextlib.contextmanager
def _reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection in one transaction that sees one state of the data and may not write."""
    options: dict[str, Any] = {"stream_results": True, "max_row_buffer": _ROWS}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    try:
        connection = engine.connect().execution_options(**options)
    except sa.exc.DBAPIError as error:
        raise UsageError(
            f"The database cannot be reached ({type(error.orig).__name__}).",
            where=engine.url.set(password=None).render_as_string(hide_password=True),
            hint="check the address, the account and the network",
        ) from None
    with connection:
        yield connection


# Copying a table -------------------------------------------------------------------------------------


def _copy(connection: sa.Connection, table: Table, mark: Any, out: Any, extract: Extract) -> None:
    texts: set[str] = set()
    for _ in range(64):  # a column whose values are of several kinds is read again, as text
        out.seek(0)
        out.truncate()
        writer = _Writer(table, out, frozenset(texts))
        try:
            _run(connection, table, mark, writer)
        except _Mixed as mixed:
            texts.add(mixed.column)
            writer.end()  # or it would write its end later, into what comes next
            continue
        except sa.exc.DBAPIError as error:
            raise InputRefused(
                f"The database refuses to read '{table.name}' ({type(error.orig).__name__}).", where=table.name,
                hint="try the query of the mapping on the database itself",
            ) from None  # fmt: skip
        extract.rows[table.name] = writer.rows
        if writer.mark is not None:
            extract.marks[table.name] = _written(writer.mark)
        return
    raise InputRefused("The table's columns hold values of too many kinds.", where=table.name)


def _run(connection: sa.Connection, table: Table, mark: Any, writer: _Writer) -> None:
    statement = _statement(connection, table)
    parameters = {}
    if table.incremental and mark is not None:
        column: sa.ColumnClause[Any] = sa.column(table.incremental.column)
        statement = statement.where(column >= sa.bindparam("since"))
        parameters["since"] = _since(mark, table.incremental.overlap)
    result = connection.execute(statement, parameters)
    names = list(result.keys())
    writer.begin([str(name) for name in names])
    for rows in result.partitions(_ROWS):
        writer.add(rows)
    writer.end()


def _statement(connection: sa.Connection, table: Table) -> sa.Select[Any]:
    """The table, or the mapping's query as one; ordered by group so that documents lie together."""
    source: Any
    if table.table:
        schema, _, bare = table.table.rpartition(".")
        source = sa.table(bare, schema=schema or None)
    else:
        bare_query = (table.query or "").strip().rstrip(";")
        source = sa.text(f"({bare_query}) AS q")
    return sa.select(sa.text("*")).select_from(source)


class _Mixed(Exception):
    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


class _Writer:
    """Rows of Python values → Parquet. The kind of a column is that of its first values."""

    def __init__(self, table: Table, out: Any, texts: frozenset[str]) -> None:
        self._table, self._out, self._texts = table, out, texts
        self._writer: pq.ParquetWriter | None = None
        self._names: list[str] = []
        self._held: list[list[pa.Array]] = []
        self.rows, self.mark = 0, None

    def begin(self, names: list[str]) -> None:
        self._names = names
        column = self._table.incremental.column if self._table.incremental else None
        if column and column not in names:
            raise InputRefused(f"The table has no column '{column}' to be read incrementally by.", where=self._table.name)

    def add(self, rows: Sequence[Any]) -> None:
        """Write some rows. Raises _Mixed when a column does not keep its kind."""
        columns = list(zip(*rows, strict=True))
        self.rows += len(rows)
        if self._table.incremental:
            self._note(columns[self._names.index(self._table.incremental.column)])
        given = [_array(values, name in self._texts) for name, values in zip(self._names, columns, strict=True)]
        writer = self._writer or self._open(pa.schema(list(zip(self._names, (a.type for a in given), strict=True))))
        schema = writer.schema
        writer.write_table(pa.table([self._fit(a, f) for a, f in zip(given, schema, strict=True)], schema=schema))

    def end(self) -> None:
        writer = self._writer or self._open(pa.schema([(name, pa.string()) for name in self._names]))
        writer.close()
        self._out.flush()

    def _open(self, schema: pa.Schema) -> Any:
        kinds = [f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in schema]
        self._writer = pq.ParquetWriter(self._out, pa.schema(kinds), compression="zstd")
        return self._writer

    def _fit(self, array: pa.Array, field_: pa.Field) -> pa.Array:
        if array.type == field_.type:
            return array
        if pa.types.is_null(array.type):
            return pa.nulls(len(array), field_.type)
        if pa.types.is_string(field_.type):  # nothing but nulls so far, or text from now on
            return array.cast(pa.string())
        raise _Mixed(field_.name)

    def _note(self, values: tuple[Any, ...]) -> None:
        known = [v for v in values if v is not None]
        if known:
            highest = max(known)
            self.mark = highest if self.mark is None or highest > self.mark else self.mark


def _array(values: Sequence[Any], as_text: bool) -> pa.Array:
    first = next((v for v in values if v is not None), None)
    if first is None:
        return pa.nulls(len(values))
    kind, convert = (pa.string(), _text) if as_text else _kind(first)
    try:
        return pa.array([None if v is None else convert(v) for v in values] if convert else values, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array([None if v is None else _text(v) for v in values], pa.string())


def _kind(value: Any) -> tuple[pa.DataType, Callable[[Any], Any] | None]:
    if isinstance(value, bool):
        return pa.bool_(), None
    if isinstance(value, int):
        return pa.int64(), _whole
    if isinstance(value, float):
        return pa.float64(), None
    if isinstance(value, dt.datetime):
        return pa.timestamp("us", tz="UTC" if value.tzinfo else None), None
    if isinstance(value, dt.date):
        return pa.date32(), None
    return pa.string(), None if isinstance(value, str) else _text


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError("not a whole number")
    return value


def _text(value: Any) -> str:
    """A value of a kind that Parquet has no plain type for, as text: numbers exactly, bytes decoded."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, decimal.Decimal):
        return format(value.normalize(), "f") if value == value.to_integral() else format(value, "f")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


# Watermarks ------------------------------------------------------------------------------------------


def _written(value: Any) -> dict[str, str]:
    if isinstance(value, dt.datetime):
        return {"kind": "moment", "value": value.isoformat()}
    if isinstance(value, dt.date):
        return {"kind": "date", "value": value.isoformat()}
    if isinstance(value, int | decimal.Decimal) and not isinstance(value, bool):
        return {"kind": "number", "value": str(value)}
    return {"kind": "text", "value": str(value)}


def _since(mark: dict[str, str], overlap: float) -> Any:
    """The stored mark as the database compares it, `overlap` less."""
    kind, value = mark["kind"], mark["value"]
    if kind == "moment":
        return dt.datetime.fromisoformat(value) - dt.timedelta(seconds=overlap)
    if kind == "date":
        return dt.date.fromisoformat(value) - dt.timedelta(seconds=overlap)
    if kind == "number":
        number = decimal.Decimal(value) - decimal.Decimal(str(overlap))
        return int(number) if number == number.to_integral() else number
    if overlap:  # times that the database keeps as text (SQLite)
        with contextlib.suppress(ValueError):
            earlier = dt.datetime.fromisoformat(value) - dt.timedelta(seconds=overlap)
            return earlier.isoformat(sep=" " if " " in value else "T")
    return value
