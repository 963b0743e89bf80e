"""What a site may get wrong in a package before it signs it. Nobody in it exists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Change = Callable[[Path, dict[str, Any]], None]


def column(folder: Path, manifest: dict[str, Any]) -> None:
    table = pq.read_table(folder / "patients.parquet")
    pq.write_table(table.append_column("weight", pa.array([70.0] * table.num_rows)), folder / "patients.parquet")


def numbers(folder: Path, manifest: dict[str, Any]) -> None:
    table = pq.read_table(folder / "patients.parquet")
    place = table.column_names.index("creatinine")
    values = pa.array([1540399999123.0] * table.num_rows)
    pq.write_table(table.set_column(place, "creatinine", values), folder / "patients.parquet")


def names(folder: Path, manifest: dict[str, Any]) -> None:
    table = pq.read_table(folder / "stays.parquet")
    values = pa.array(["M. Jean TREGARANTEC"] * table.num_rows)
    pq.write_table(table.set_column(table.column_names.index("kind"), "kind", values), folder / "stays.parquet")


def raw(folder: Path, manifest: dict[str, Any]) -> None:
    """The site's own numbers of its patients, in a column that was agreed on."""
    table = pq.read_table(folder / "patients.parquet")
    values = pa.array(range(5000, 5000 + table.num_rows), pa.float64())
    pq.write_table(
        table.set_column(table.column_names.index("creatinine"), "creatinine", values), folder / "patients.parquet"
    )


def plain(folder: Path, manifest: dict[str, Any]) -> None:
    """Patients under the numbers of the site."""
    table = pq.read_table(folder / "patients.parquet")
    values = pa.array([str(one) for one in range(table.num_rows)])
    pq.write_table(
        table.set_column(table.column_names.index("patient"), "patient", values), folder / "patients.parquet"
    )


def codes(name: str, value: str) -> Change:
    def change(folder: Path, manifest: dict[str, Any]) -> None:
        table = pq.read_table(folder / "codes.parquet")
        values = pa.array([value, *table.column(name).to_pylist()[1:]], table.schema.field(name).type)
        pq.write_table(table.set_column(table.column_names.index(name), name, values), folder / "codes.parquet")

    return change


def rows(folder: Path, manifest: dict[str, Any]) -> None:
    manifest["rows"]["patients"] += 1


def unit(folder: Path, manifest: dict[str, Any]) -> None:
    manifest["units"]["creatinine"] = "mg/dL"


def fact_unit(folder: Path, manifest: dict[str, Any]) -> None:
    manifest["units"]["potassium"] = "umol/L"


def ids(folder: Path, manifest: dict[str, Any]) -> None:
    table = pq.read_table(folder / "codes.parquet")
    pq.write_table(table, folder / "persons.parquet")
