"""Tables as Parquet, CSV and DuckDB files. The same rows always give the same bytes of Parquet and CSV."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from estran.warehouse.scratch import OFFLINE

ROWS = 65_536  # per row group
_MEMORY = "1200MB"


def write_parquet(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch | pa.Table]) -> int:
    """Write a file in row groups of a fixed size; returns its number of rows."""
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd", write_statistics=True, store_schema=True) as writer:
        for group in _regrouped(schema, batches):
            writer.write_table(group, row_group_size=ROWS)
            rows += group.num_rows
    return rows


def _regrouped(schema: pa.Schema, batches: Iterable[pa.RecordBatch | pa.Table]) -> Iterator[pa.Table]:
    """The same rows in groups of `ROWS`, however they came."""
    waiting, rows = list[pa.Table](), 0
    for batch in batches:
        table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
        waiting.append(table.select(schema.names).cast(schema))
        rows += table.num_rows
        if rows < ROWS:
            continue
        whole = pa.concat_tables(waiting).combine_chunks()
        full = rows - rows % ROWS
        for start in range(0, full, ROWS):
            yield whole.slice(start, ROWS)
        waiting, rows = [whole.slice(full)], rows - full
    if rows:
        yield pa.concat_tables(waiting).combine_chunks()


def write_csv(source: Path, target: Path) -> None:
    """A Parquet file as CSV (RFC 4180, UTF-8, one line of names, nothing for a missing value)."""
    with pq.ParquetFile(source) as file, pacsv.CSVWriter(target, file.schema_arrow) as writer:
        for batch in file.iter_batches(ROWS):
            writer.write_batch(batch)


def csv_of_parquet(folder: Path) -> None:
    """Every Parquet file of a folder as CSV in its place."""
    for path in sorted(folder.glob("*.parquet")):
        write_csv(path, path.with_suffix(".csv"))
        path.unlink()


def write_duckdb(tables: Mapping[str, Path], target: Path) -> None:
    """Parquet files as the tables of one DuckDB database, in the order of their rows."""
    with _connected(target, tables) as connection:
        for name, path in tables.items():
            connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM {_source(path)}')
        connection.execute("CHECKPOINT")


@contextmanager
def files_as_views(tables: Mapping[str, Path], spill: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory with a view per file (or pattern of files), and `numbered_<table>` with the rows' place in it
    (`file_row_number`). `spill` is where what does not fit in memory goes; beside the tables otherwise."""
    with _connected(None, tables, spill) as connection:
        for name, path in tables.items():
            connection.execute(f'CREATE VIEW "{name}" AS SELECT * FROM {_source(path)}')
            connection.execute(
                f'CREATE VIEW "numbered_{name}" AS SELECT * FROM {_source(path, ", file_row_number = true")}'
            )
        yield connection


def _source(path: Path, more: str = "") -> str:
    return f"read_parquet({_quoted(path)}, hive_partitioning = false{more})"


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


@contextmanager
def _connected(
    target: Path | None, tables: Mapping[str, Path], spill: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """What does not fit in memory goes beside the tables, for as long as it takes."""
    beside = (spill or next(iter(tables.values())).parent) / ".spill"
    with duckdb.connect(":memory:" if target is None else str(target), config=dict(OFFLINE)) as connection:
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute(f"SET temp_directory = {_quoted(beside)}")
        yield connection
    shutil.rmtree(beside, ignore_errors=True)
