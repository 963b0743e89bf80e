"""The OMOP reader: one file → batches, table after table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import duckdb
import pyarrow as pa

from estran.sources.omop import persons, stays, vocabularies
from estran.sources.omop.blocks import Block
from estran.sources.omop.containers import Table, open_tables, suffix_of, table_of
from estran.sources.omop.expressions import Query
from estran.sources.omop.facts import fact_batch
from estran.sources.omop.facttables import FACT_TABLES
from estran.sources.omop.interning import Context
from estran.sources.omop.layout import ORDER, PLACE, UNREAD
from estran.sources.omop.units import UNITS
from estran.sources.records import Batch
from estran.sources.schemas import RECORDS
from estran.sources.searching import inside
from estran.terminology.units import ucum
from estran.warehouse.scratch import scratch

_META = ("cdm_source", "vocabulary", "domain", "concept_class", "relationship")
_UNIT_COLUMNS = ("concept_id", "concept_code", "vocabulary_id")


@dataclass
class OmopReader:
    """OMOP CDM 5.3 and 5.4: CSV files, a zip of them, or a DuckDB file.

    `zone` is the site's; `authority` is the system of patient and stay numbers: two OMOP
    databases loaded into one site need two.
    """

    zone: str = "Europe/Paris"
    authority: str = "omop"
    format: str = field(default="omop", init=False)
    _has_ancestors: bool = field(default=False, init=False, repr=False)

    def files(self, paths: list[Path]) -> list[Path]:
        """The files under `paths`: vocabularies first, then persons, then what needs them."""
        found: dict[Path, None] = {}
        for path in paths:
            names = {p: str(p.relative_to(path)) if path.is_dir() else p.name for p in inside(path)}
            found |= dict.fromkeys(p for p, n in names.items() if suffix_of(n) or p == path)
        ordered = sorted(found, key=lambda p: (PLACE.get(table_of(p.name), len(ORDER)), str(p)))
        self._has_ancestors = any(table_of(p.name) == "concept_ancestor" and _file_holds_rows(p) for p in ordered)
        return ordered

    def size(self, path: Path) -> int:
        """Bytes of the file."""
        return path.stat().st_size

    def read(self, path: Path, name: str, wanted: frozenset[int] | None = None) -> Iterator[Batch]:
        """Batches of the file at `path`, called `name`; InputRefused when it cannot be opened.

        Record numbers: the row's place in its file, from 0; in a file of many tables, plus the
        table's place in `layout.ORDER` times 2^40.
        """
        con = scratch()
        try:
            with open_tables(path, PurePosixPath(name.replace("\\", "/")).name) as tables:
                ours = any(table.ours for table in tables)
                context = Context(self.zone, self.authority, self._units(con, tables), ours)
                for table in tables:
                    yield from self._table(con, table, tables, context, wanted)
        finally:
            con.close()

    def _units(self, con: duckdb.DuckDBPyConnection, tables: list[Table]) -> dict[int, str]:
        """Units by concept: the usual ones, and those of the CONCEPT table beside the data."""
        units: dict[int, str] = {}
        for table in tables if len(tables) > 1 else ():
            if table.name == "concept":
                for block in table.blocks([c for c in _UNIT_COLUMNS if c in table.columns()]):
                    units |= vocabularies.unit_concepts(con, block)
        return {concept: ucum(code) for concept, code in units.items()} | UNITS

    def _table(
        self, con: duckdb.DuckDBPyConnection, table: Table, tables: list[Table], context: Context,
        wanted: frozenset[int] | None,
    ) -> Iterator[Batch]:  # fmt: skip
        runner = self._runner(table, tables, context)
        for block in table.blocks(_needed(table), _forms(table)):
            chosen = block.only(wanted)
            if len(chosen):
                yield runner(con, chosen)
        if isinstance(runner, vocabularies.Relationships) and wanted is None and (closure := runner.closure()):
            yield Batch(table.name, RECORDS.empty_table(), vocabulary=closure)

    def _runner(self, table: Table, tables: list[Table], context: Context) -> vocabularies.Runner:
        name = table.name
        if name in FACT_TABLES:
            return partial(fact_batch, table=FACT_TABLES[name], context=context)
        if name in _META:
            return vocabularies.meta_runner(name)
        if name == "concept":
            return partial(vocabularies.concept_batch, names=table.vocabularies)
        if name in _WITH_CONTEXT:
            return partial(_WITH_CONTEXT[name], context=context)
        if name == "concept_relationship":
            beside = any(t.name == "concept_ancestor" and _holds_rows(t) for t in tables)
            return vocabularies.Relationships(hierarchy=not (beside or self._has_ancestors))
        return _VOCABULARY.get(name) or partial(unread_batch, name=name)


_WITH_CONTEXT: dict[str, Callable[..., Batch]] = {
    "person": persons.person_batch,
    "death": persons.death_batch,
    "note": persons.note_batch,
    "care_site": stays.care_site_batch,
    "visit_occurrence": stays.visit_batch,
    "visit_detail": stays.detail_batch,
}
_VOCABULARY: dict[str, vocabularies.Runner] = {
    "concept_ancestor": vocabularies.ancestor_batch,
    "concept_synonym": vocabularies.synonym_batch,
    "source_to_concept_map": vocabularies.source_map_batch,
}


def unread_batch(con: duckdb.DuckDBPyConnection, block: Block, name: str) -> Batch:
    """Every row of a table that has no place here is refused, and says so."""
    reason = UNREAD.get(name)
    told = f"Table {name.upper()} is not part of the OMOP common data model."
    told = f"Table {name.upper()} is not read: {reason}." if reason else told
    query = Query(block.table.schema)
    query.check("TRUE", "table", "unknown-type", told)
    result = query.run(con, block)
    return Batch(name, result.records(), refused=result.refused())


def _needed(table: Table) -> list[str]:
    """The columns to read; the first ones always, since they tell a repeated header."""
    names = table.columns()
    if table.name not in FACT_TABLES:
        return names
    read = FACT_TABLES[table.name].columns()
    return [name for place, name in enumerate(names) if place < 3 or name in read]


def _forms(table: Table) -> dict[str, pa.DataType]:
    """What the columns of a clinical table should hold, under the file's names."""
    return FACT_TABLES[table.name].forms() if table.name in FACT_TABLES else {}


def _holds_rows(table: Table) -> bool:
    """Whether there is more than a header that was taken for a row."""
    block = next(table.blocks(table.columns()), None)
    return block is not None and len(block) > 1


def _file_holds_rows(path: Path) -> bool:
    with open_tables(path, path.name) as tables:
        return any(_holds_rows(table) for table in tables)
