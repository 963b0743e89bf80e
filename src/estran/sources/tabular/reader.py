"""The reader of any extract: files by the patterns of a mapping → batches, table after table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import duckdb

from estran.model.errors import InputRefused
from estran.sources.omop.blocks import TABLE_SHIFT
from estran.sources.records import Batch
from estran.sources.searching import inside
from estran.sources.tabular.batches import Context, groups_of, make_batch
from estran.sources.tabular.codes import vocabulary_batch
from estran.sources.tabular.inputs import Input, is_tabular, open_input
from estran.sources.tabular.language import Mapping, Table
from estran.sources.tabular.lookups import read_lookups
from estran.sources.tabular.plan import Plan, compile_table
from estran.sources.tabular.segments import cuts, segments
from estran.sources.tabular.shelf import Shelf, matches


@dataclass
class TabularReader:
    """Reads the files of source `csv/NAME` or `sql/NAME` by the mapping NAME that `shelf` keeps.

    `zone` is the site's, `author_system` names patient numbers for which the mapping names no system.
    """

    shelf: Shelf
    source: str
    zone: str = "Europe/Paris"
    author_system: str = ""
    format: str = field(default="csv", init=False)

    def __post_init__(self) -> None:
        self.format, _, self._name = self.source.partition("/")

    def files(self, paths: list[Path]) -> list[Path]:
        """The files under `paths` that the mapping names: codes first, then who introduces patients, stays, the
        rest. Lookup tables among them are kept. A file given by name is always read."""
        mapping, found, beside = self.shelf.get(self._name), dict[Path, None](), list[Path]()
        for path in paths:
            tabular = [p for p in inside(path) if is_tabular(p.name)]
            beside += tabular
            found |= dict.fromkeys(p for p in tabular if _tables(mapping, p.name))
            if not path.is_dir():
                beside += sorted(p for p in path.parent.iterdir() if p.is_file() and is_tabular(p.name))
                found |= {} if _is_lookup(mapping, path.name) else {path: None}
        self.shelf.keep_lookups(self._name, list(dict.fromkeys(beside)))
        return sorted(found, key=lambda p: (_rank(mapping, p.name), str(p)))

    def size(self, path: Path) -> int:
        """Bytes of the file."""
        return path.stat().st_size

    def read(self, path: Path, name: str, wanted: frozenset[int] | None = None) -> Iterator[Batch]:
        """Batches of the file at `path`, called `name`; InputRefused when it cannot be read, when no table of the
        mapping names it, or when a column is missing. Record numbers: the place of the row (of a group, of its
        first row), from 0; for a second table of one file, plus 2^40."""
        mapping = self.shelf.get(self._name)
        plain = PurePosixPath(name.replace("\\", "/")).name
        tables = _tables(mapping, plain)
        if not tables:
            raise InputRefused("No table of the mapping has a pattern for this file's name.", where=plain)
        con = locked_connection()
        try:
            lookups = read_lookups(con, mapping, self.shelf, self._name)
            for place, table in enumerate(tables):
                csv = table.csv or mapping.csv
                with open_input(path, plain, csv, ignore_offsets=mapping.ignore_offsets) as opened:
                    plan = compile_table(mapping, table, opened.schema, opened.instants, lookups, plain)
                    yield from self._batches(con, opened, plan, place << TABLE_SHIFT, wanted, plain)
        finally:
            con.close()

    def _batches(
        self, con: duckdb.DuckDBPyConnection, opened: Input, plan: Plan, base: int, wanted: frozenset[int] | None,
        file: str,
    ) -> Iterator[Batch]:  # fmt: skip
        context = Context(self.zone, self.author_system or self.format)
        blocks = opened.blocks(plan.columns)
        if plan.group:
            blocks = segments(blocks, cuts(con, opened, plan, file))
        here = None if wanted is None else frozenset(n - base for n in wanted)
        for block in blocks:
            chosen = block if plan.group else block.only(here)
            if not len(chosen):
                continue
            rows = plan.run(con, chosen)
            if plan.table.vocabulary:
                yield vocabulary_batch(plan, plan.table.vocabulary, chosen, rows, base)
                continue
            if plan.group and here is not None:
                chosen, rows = groups_of(plan, chosen, rows, here)
                if not len(chosen):
                    continue
            batch = make_batch(plan, chosen, rows, plan.table.name, context, base)
            if batch.records.num_rows:
                yield batch


def locked_connection() -> duckdb.DuckDBPyConnection:
    """A DuckDB that opens no file, fetches nothing and whose settings can no longer be changed."""
    con = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    return con


def _tables(mapping: Mapping, name: str) -> list[Table]:
    """The tables that a file of this name holds. An extract of a database is named `<table>.parquet`."""
    found = [t for t in mapping.tables if t.files and matches(name, t.files)]
    stem = name.lower().removesuffix(".parquet")
    return found or [t for t in mapping.tables if not t.files and t.name.lower() == stem]


def _is_lookup(mapping: Mapping, name: str) -> bool:
    return not _tables(mapping, name) and any(matches(name, spec.files) for spec in mapping.lookups.values())


def _rank(mapping: Mapping, name: str) -> tuple[int, int]:
    """Codes, then patients, then stays, then the rest; inside, the order of the mapping."""
    tables = _tables(mapping, name)
    if not tables:
        return 9, 0
    first = tables[0]
    kind = 0 if first.vocabulary else 1 if first.patient and first.patient.introduces else 2
    if kind == 2 and not (first.stay and first.stay.states):
        kind = 3
    return kind, mapping.tables.index(first)


__all__ = ["TabularReader", "locked_connection"]
