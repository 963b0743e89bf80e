"""Building a datamart: into a folder nobody looks at, renamed once it is whole.

Parquet files come first, in bounded memory; every other format is made of them, so that all say the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from estran.exchange import fhir, omop
from estran.exchange.holding import Holding, of_datamart
from estran.exchange.tables import write_csv, write_duckdb, write_parquet
from estran.exchange.whole import whole_folder
from estran.projects.datamarts import tables as sql
from estran.projects.datamarts.columns import columns
from estran.projects.datamarts.manifest import FILE, Manifest, dumps, with_files, with_tables
from estran.projects.datamarts.marking import carriers, mark_facts, mark_patients
from estran.projects.datamarts.members import Members
from estran.projects.datamarts.own import OwnTable, join, shown, tables_of
from estran.projects.datamarts.spec import Form, Spec
from estran.release.fingerprint import Marks
from estran.warehouse import Snapshot

_BATCH = 131_072
Tables = dict[str, Path]


@dataclass(frozen=True)
class Work:
    """What is to be built, of what, for whom."""

    spec: Spec
    snapshot: Snapshot
    members: Members
    marks: Marks | None
    recipient: str
    own: tuple[OwnTable, ...] = ()


def build(work: Work, target: Path, manifest: Manifest) -> Manifest:
    """Make the folder `target`, whole or not at all; returns the manifest with its tables and files."""
    with whole_folder(target) as draft:
        tables = _tables(work, draft / "parquet")
        manifest = with_tables(manifest, tables, shown(work.own))
        for form in work.spec.formats:
            _WRITERS[form](tables, draft, manifest)
        if Form.PARQUET not in work.spec.formats:
            shutil.rmtree(draft / "parquet")
        manifest = with_files(manifest, draft)
        (draft / FILE).write_text(dumps(manifest), "utf-8")
    return manifest


def _tables(work: Work, folder: Path) -> Tables:
    folder.mkdir()
    spec, made = work.spec, Tables()
    with sql.opened(work.snapshot, spec, work.members) as connection:
        sql.mixed_units(connection, spec)
        patients = _patients(work, connection)
        made["patients"] = folder / "patients.parquet"
        write_parquet(made["patients"], patients.schema, [patients])
        rest = {"facts": sql.facts_sql(spec)} if spec.every else {}
        rest |= {"stays": sql.stays_sql(spec, spec.stays)} if spec.stays else {}
        rest |= {"documents": sql.documents_sql(spec, spec.documents)} if spec.documents else {}
        with tables_of(work.own, spec) as repeated:
            for name, query in (rest | repeated | {"codes": sql.CODES}).items():
                made[name] = folder / f"{name}.parquet"
                reader = connection.sql(query).to_arrow_reader(_BATCH)
                write_parquet(made[name], reader.schema, _marked(work, reader) if name == "facts" else reader)
    return made


def _patients(work: Work, connection: duckdb.DuckDBPyConnection) -> pa.Table:
    query = sql.patients_sql(work.spec)
    given = {"today": work.snapshot.date} if "$today" in query else {}
    table = connection.sql(query, params=given).to_arrow_table()
    for variable, column in columns(connection, work.spec):
        table = table.append_column(variable.name, column)
    table = join(table, connection, work.own, work.spec)
    if work.marks is None:
        return table
    return mark_patients(table, carriers(work.spec), work.marks, work.recipient)


def _marked(work: Work, reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    for batch in reader:
        table = pa.Table.from_batches([batch])
        yield table if work.marks is None else mark_facts(table, work.marks, work.recipient)


def _parquet(tables: Tables, folder: Path, manifest: Manifest) -> None:
    """They are there already."""


def _duckdb(tables: Tables, folder: Path, manifest: Manifest) -> None:
    write_duckdb(tables, folder / "datamart.duckdb")


def _csv(tables: Tables, folder: Path, manifest: Manifest) -> None:
    (folder / "csv").mkdir()
    for name, path in tables.items():
        write_csv(path, folder / "csv" / f"{name}.csv")


def _omop(tables: Tables, folder: Path, manifest: Manifest) -> None:
    with _holding(tables, manifest) as holding:
        omop.write(holding, folder / "omop")


def _fhir(tables: Tables, folder: Path, manifest: Manifest) -> None:
    with _holding(tables, manifest) as holding:
        fhir.write(holding, folder / "fhir")


def _holding(tables: Tables, manifest: Mapping[str, Any]) -> AbstractContextManager[Holding]:
    return of_datamart(tables, str(manifest["site"]), f"{manifest['project']}/{manifest['name']}", manifest["snapshot"])


_WRITERS: dict[Form, Callable[[Tables, Path, Manifest], None]] = {
    Form.PARQUET: _parquet, Form.DUCKDB: _duckdb, Form.CSV: _csv, Form.OMOP: _omop, Form.FHIR: _fhir,
}  # fmt: skip
