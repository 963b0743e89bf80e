"""The next state of the warehouse while it is being written: new files, not yet named by anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from estran.model.tables import TABLES
from estran.settings import Settings
from estran.warehouse import delta
from estran.warehouse.changes import KEYS
from estran.warehouse.encoding import by_concept, ordered, read_files, write_file
from estran.warehouse.files import FileRef, flush, fresh_name
from estran.warehouse.record import Record, TableFiles
from estran.warehouse.scratch import scratch

PIECE_ROWS = 262_144  # rows per file of the tables whose rows are replaced: what one change rewrites
_TIER = 8  # so many files of about the same size become one
_SETTLED_ROWS = 500_000  # files this large wait for `compact`


class Draft:
    """Files of every table as the next snapshot will name them. Used by one writer, one thread."""

    def __init__(self, directory: Path, settings: Settings, record: Record) -> None:
        self.directory = directory
        self.settings = settings
        self.version = record.version + 1
        self.tables = {name: {b: list(refs) for b, refs in t.files.items()} for name, t in record.tables.items()}
        self.presence = dict(record.presence)
        self.hidden = dict(record.hidden)
        self.text = {b: list(refs) for b, refs in record.text.items()}
        self._record = record
        self._touched: set[str] = set()

    def files(self, table: str, bucket: int) -> list[FileRef]:
        """Files of one bucket of a table, as they stand."""
        return self.tables[table].setdefault(bucket, [])

    def buckets(self, table: str) -> list[int]:
        return sorted(b for b, refs in self.tables[table].items() if refs)

    def paths(self, table: str, bucket: int | None = None) -> list[str]:
        """Absolute paths of a table's files, of one bucket or all."""
        chosen = self.buckets(table) if bucket is None else [bucket]
        return [str(self.directory / ref.path) for b in chosen for ref in self.files(table, b)]

    def read(self, table: str, bucket: int | None = None, columns: list[str] | None = None) -> pa.Table:
        """Rows of a table as it stands."""
        return read_files(table, self.paths(table, bucket), columns)

    def place(self, folder: str, suffix: str) -> Path:
        """An unused path in a folder of the warehouse."""
        return self.directory / folder / fresh_name(self.version, suffix)

    def relative(self, path: Path) -> str:
        return path.relative_to(self.directory).as_posix()

    def touch(self, table: str) -> None:
        """Remember that a table's file list changed."""
        self._touched.add(table)

    def _write_sorted(self, table: str, bucket: int, rows: pa.Table) -> FileRef:
        return self.write_pieces(table, bucket, [rows], fresh=True)

    def write_pieces(self, table: str, bucket: int, pieces: Iterable[pa.Table], *, fresh: bool = False) -> FileRef:
        """Write sorted pieces as one file that nothing names yet; `fresh` when a compaction will replace it."""
        path = self.place(delta.bucket_folder(table, bucket), ".parquet")
        size, rows = write_file(path, table, pieces, self.settings.row_group_rows, fresh=fresh)
        return FileRef(self.relative(path), size, rows)

    def replace(self, table: str, bucket: int, refs: Sequence[FileRef]) -> None:
        """Name `refs`, and only them, as the bucket's files of a table."""
        self.tables[table][bucket] = list(refs)
        self.touch(table)

    def add(self, table: str, bucket: int, rows: pa.Table) -> None:
        """Write rows as one more file of the bucket."""
        if len(rows):
            self.files(table, bucket).append(self._write_sorted(table, bucket, ordered(table, rows)))
            self.touch(table)

    def add_facts(self, bucket: int, rows: pa.Table) -> pa.Table:
        """Write facts in both orders; returns them in concept order, for the presence bitmaps."""
        by_patient = ordered("fact", rows)
        sorted_by_concept = by_concept(by_patient)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(self._write_sorted, "fact", bucket, by_patient)
            second = pool.submit(self._write_sorted, "fact_by_concept", bucket, sorted_by_concept)
            self.files("fact", bucket).append(first.result())
            self.files("fact_by_concept", bucket).append(second.result())
        self.touch("fact")
        self.touch("fact_by_concept")
        return sorted_by_concept

    def settle(self, table: str, bucket: int) -> None:
        """Merge files of about the same size once there are many, so that their number stays small."""
        tiers: dict[int, list[FileRef]] = {}
        for ref in self.files(table, bucket):
            if ref.rows < _SETTLED_ROWS:
                tiers.setdefault(int(math.log(max(ref.rows, 512), _TIER)), []).append(ref)
        for refs in tiers.values():
            if len(refs) >= _TIER:
                rows = read_files(table, [str(self.directory / ref.path) for ref in refs])
                self.drop(table, bucket, refs)
                self.add(table, bucket, rows)

    def drop(self, table: str, bucket: int, refs: Iterable[FileRef]) -> None:
        """Stop naming some files of a bucket."""
        gone = set(refs)
        self.tables[table][bucket] = [ref for ref in self.files(table, bucket) if ref not in gone]
        self.touch(table)

    def take_out(self, table: str, keys: pa.Table) -> dict[int, pa.Table]:
        """Drop every file that holds a row of the given keys; returns its other rows, by bucket.

        Looks in every bucket: after a merge of patients the new row lives in another one.
        """
        rest: dict[int, list[pa.Table]] = {}
        for bucket in self.buckets(table):
            for ref in list(self.files(table, bucket)):
                kept = without(self.directory / ref.path, table, keys)
                if kept is not None:
                    self.drop(table, bucket, [ref])
                    rest.setdefault(bucket, []).append(kept)
        return {bucket: pa.concat_tables(parts) for bucket, parts in rest.items()}

    def put(self, table: str, rest: dict[int, pa.Table], rows: dict[int, pa.Table]) -> None:
        """Write back what `take_out` returned together with new rows, in files of bounded size."""
        for bucket in sorted({*rest, *rows}):
            parts = [t[bucket] for t in (rest, rows) if bucket in t]
            small = [ref for ref in self.files(table, bucket) if ref.rows < PIECE_ROWS // 2]
            if len(small) >= _TIER:
                self.drop(table, bucket, small)
                parts.append(read_files(table, [str(self.directory / ref.path) for ref in small]))
            merged = ordered(table, pa.concat_tables(parts))
            for start in range(0, len(merged), PIECE_ROWS):
                self.files(table, bucket).append(self._write_sorted(table, bucket, merged.slice(start, PIECE_ROWS)))
            self.touch(table)

    def table_files(self) -> dict[str, TableFiles]:
        """Bring the Delta logs to this state and return what the record will say of each table."""
        with ThreadPoolExecutor(4) as pool:  # a small commit mostly waits for the disk here
            return dict(pool.map(self._table_files, self._record.tables.items()))

    def _table_files(self, table: tuple[str, TableFiles]) -> tuple[str, TableFiles]:
        name, old = table
        files = {b: tuple(refs) for b, refs in self.tables[name].items() if refs}
        version = old.delta
        if name in self._touched or delta.strays(self.directory, name, old.delta):
            self._flush_folders(name, files)
            version = delta.mirror(self.directory, name, old, files)
        return name, TableFiles(version, files)

    def _flush_folders(self, table: str, files: dict[int, tuple[FileRef, ...]]) -> None:
        for bucket in files:
            flush(self.directory / delta.bucket_folder(table, bucket))
        flush(self.directory / delta.folder_of(table))

    def record(self, base: Record) -> Record:
        """`base` with this draft's files; `table_files` is called on the way."""
        return replace(
            base,
            version=self.version,
            tables=self.table_files(),
            presence=self.presence,
            hidden=self.hidden,
            text={b: tuple(refs) for b, refs in self.text.items() if refs},
        )


@lru_cache(maxsize=128)
def _key_values(path: Path, column: str) -> npt.NDArray[np.int64]:
    """One key column of a file (files never change)."""
    values: npt.NDArray[np.int64] = pq.ParquetFile(path, memory_map=True).read([column]).column(0).to_numpy()
    return values


def without(path: Path, table: str, keys: pa.Table) -> pa.Table | None:
    """Rows of a file that equal none of `keys`; None when the file holds none of them."""
    names = keys.column_names
    if pa.types.is_integer(keys.schema.types[0]) and names[0] in KEYS.get(table, ()):
        hit = np.isin(_key_values(path, names[0]), keys.column(0).to_numpy())
        if not hit.any():
            return None
        if len(names) == len(KEYS[table]) == 1:
            return read_files(table, [str(path)]).filter(pa.array(~hit))
    rows = read_files(table, [str(path)])
    kept = anti_join(rows, keys)
    return kept if len(kept) < len(rows) else None


def anti_join(rows: pa.Table, keys: pa.Table) -> pa.Table:
    """Rows that agree with no row of `keys` on all of its columns; nulls agree with nulls."""
    conditions = " AND ".join(f'r."{n}" IS NOT DISTINCT FROM k."{n}"' for n in keys.column_names)
    with scratch() as connection:
        connection.register("r", rows)
        connection.register("k", keys)
        kept = connection.sql(f"SELECT r.* FROM r ANTI JOIN k ON {conditions}").to_arrow_table()
    return kept.cast(rows.schema)


def empty_tables() -> dict[str, TableFiles]:
    return {name: TableFiles() for name in TABLES}
