"""The partitions of a pool as one datamart of a project: Parquet by site, and a DuckDB file whose views read them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from estran.exchange.tables import files_as_views
from estran.hub.pooling.agreement import schema_of
from estran.hub.pooling.rekeying import write_sorted
from estran.projects.datamarts.spec import Spec

Manifest = dict[str, Any]
VIEWS = "datamart.duckdb"


def assemble(folders: Mapping[str, Path], links: Path | None, spec: Spec, target: Path) -> Manifest:
    """Write the partitions of each site into `target`; the tables and vocabularies as a manifest has them.

    `links` is a Parquet file (record, person): whoever a linkage found at several sites has one id in all of them.
    """
    tables = tuple(schema_of(spec))
    for site, folder in folders.items():
        sources = {path.stem: path for path in sorted(folder.glob("*.parquet")) if path.stem in tables}
        with files_as_views(sources | ({"link": links} if links else {}), target) as connection:
            for name in sources:
                write_sorted(
                    connection,
                    _linked(name, links is not None),
                    target / "parquet" / name / f"site={site}" / f"{name}.parquet",
                )
    _views(tables, target)
    return {
        "tables": [_table(name, target) for name in tables if _files(name, target)],
        "vocabularies": _vocabularies(target),
    }


def _linked(table: str, linked: bool) -> str:
    if not linked or table == "codes":
        return f'SELECT * FROM "{table}"'
    return f'SELECT t.* REPLACE (coalesce(l.person, t.patient) AS patient) FROM "{table}" t LEFT JOIN link l ON l.record = t.patient'


def _files(table: str, target: Path) -> list[Path]:
    return sorted((target / "parquet" / table).glob("*/*.parquet"))


def _views(tables: Sequence[str], target: Path) -> None:
    """Views with paths from the folder itself: whoever opens the file works in it, or says so by `file_search_path`."""
    with duckdb.connect(str(target / VIEWS)) as connection:
        connection.execute("SET file_search_path = '{}'".format(str(target).replace("'", "''")))
        for name in tables:
            if _files(name, target):
                connection.execute(
                    f"CREATE VIEW \"{name}\" AS SELECT * FROM read_parquet('parquet/{name}/*/*.parquet', hive_partitioning = true)"
                )
        connection.execute("CHECKPOINT")


def _table(name: str, target: Path) -> Manifest:
    rows, columns = 0, list[dict[str, str]]()
    for path in _files(name, target):
        with pq.ParquetFile(path) as file:
            rows += file.metadata.num_rows
            columns = [{"name": field.name, "type": str(field.type)} for field in file.schema_arrow]
    return {"name": name, "rows": rows, "columns": [{"name": "site", "type": "string"}, *columns]}


def _vocabularies(target: Path) -> dict[str, int]:
    codes = {
        str(code)
        for path in _files("codes", target)
        for code in pq.read_table(path, columns=["code"]).column(0).to_pylist()
    }
    found: dict[str, int] = {}
    for code in sorted(codes):
        vocabulary = code.partition(":")[0]
        found[vocabulary] = found.get(vocabulary, 0) + 1
    return found
