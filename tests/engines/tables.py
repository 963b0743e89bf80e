"""Datasets for tests of questions, written as readable tables, stored in a real warehouse.

Columns are separated by `|`; the first line names them. Moments: `2020-01-05` (day), `2020-01-05 14h`,
`2020-01-05 14:30`, `2020-01` (month), nothing (unknown). Codes: `VOCABULARY:code`; what is not in the
`concepts` table is added. A fact without `doc` gets a document of its own.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from tests import fresh

from estran.model.codes import Comparator, Context, FactStatus, Origin, Precision
from estran.model.moments import EPOCH, of_parts
from estran.model.tables import TABLES
from estran.settings import Settings
from estran.warehouse import Changes, Snapshot

ZONE = "Europe/Paris"
DEFAULTS: dict[str, dict[str, Any]] = {
    "patient": {"sex": "unknown", "staff": False, "confidential": False},
    "relation": {"source": "test"},
    "permission": {"from_date": dt.date(2000, 1, 1)},
    "stay": {"precision": 2, "confidential": False, "status": "finished", "source": "test"},
    "movement": {"precision": 2, "status": "active", "event_time": 0, "content": 0, "source": "test", "load_id": 0},
    "unit": {"level": "UF"},
    "document": {
        "kind": "other", "precision": 2, "source": "test", "event_time": 0, "content": 0, "load_id": 0, "status": 0,
        "confidential": False,
    },
    "text": {"deid_version": 1},
    "fact": {"precision": 2, "status": 0, "context": 0, "origin": 0},
    "concept": {"standard": True},
    "concept_ancestor": {"distance": 1},
    "concept_map": {"relation": "equivalent", "method": "test"},
    "media": {"uri": "file"},
    "variant": {"ref": "A", "alt": "G", "zygosity": "heterozygous"},
}  # fmt: skip
UPSERT = ("patient", "stay", "movement", "unit", "concept")
COMPARATORS = {"<": Comparator.LT, "<=": Comparator.LE, ">": Comparator.GT, ">=": Comparator.GE}


@dataclass
class Dataset:
    """Rows per table, as dictionaries; what is not given takes the default, or null."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    codes: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, table: str, **values: Any) -> None:
        self.rows[table].append(DEFAULTS.get(table, {}) | values)

    def concept(self, text: str) -> int:
        vocabulary, code = text.split(":", 1)
        if (vocabulary, code) not in self.codes:
            self.codes[vocabulary, code] = len(self.codes)
            self.add("concept", concept_id=len(self.codes) - 1, vocabulary=vocabulary, code=code)
        return self.codes[vocabulary, code]

    def tables(self) -> dict[str, pa.Table]:
        """The rows as Arrow tables."""
        return {name: _table(name, rows) for name, rows in self.rows.items() if rows}

    def write(self, directory: Path, bucket_patients: int = 3) -> Snapshot:
        """A snapshot of a new warehouse that holds the rows."""
        warehouse = fresh.warehouse(directory, Settings(bucket_patients=bucket_patients, zone=ZONE))
        tables = self.tables()
        changes = Changes(
            append={n: t for n, t in tables.items() if n not in UPSERT},
            upsert={n: t for n, t in tables.items() if n in UPSERT},
        )
        with warehouse.writer() as writer:
            return writer.commit(changes)


def _table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    schema = TABLES[name]
    return pa.table({f.name: pa.array([row.get(f.name) for row in rows], f.type) for f in schema}, schema=schema)


def moment(text: str | None) -> tuple[dt.date | None, int | None, int]:
    """Date, minute and precision of a moment as written in the tables."""
    if not text:
        return None, None, Precision.UNKNOWN
    if len(text) == 7:
        return dt.date.fromisoformat(text + "-01"), None, Precision.MONTH
    date = dt.date.fromisoformat(text[:10])
    if len(text) == 10:
        return date, None, Precision.DAY
    hour, _, minute = text[11:].rstrip("h").partition(":")
    found = of_parts(date.year, date.month, date.day, int(hour), int(minute) if minute else None, ZONE)
    return EPOCH + dt.timedelta(found.date), found.minute, found.precision


def lines(table: str) -> list[dict[str, str]]:
    """The rows of a table, without their empty cells."""
    cells = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    return [{k: v for k, v in zip(cells[0], row, strict=True) if v} for row in cells[1:]]


def dataset(**tables: str) -> Dataset:
    """Rows of readable tables: patients, stays, movements, units, documents, facts, concepts, relations..."""
    data = Dataset()
    for name in ("concepts", "units", "patients", "stays", "movements", "documents", "facts", "media", "variants", "relations",
                 "permissions"):  # fmt: skip
        for row in lines(tables.pop(name, "_")):
            _READ[name](data, row)
    assert not tables, f"unknown tables {list(tables)}"
    known = {row["patient_id"] for row in data.rows["patient"]}
    for number in sorted({row["patient_id"] for rows in data.rows.values() for row in rows if "patient_id" in row} - known):
        data.add("patient", patient_id=number)
    return data


def _concepts(data: Dataset, row: dict[str, str]) -> None:
    own = data.concept(row["code"])
    for above in row.get("under", "").split():
        data.add("concept_ancestor", ancestor_id=data.concept(above), descendant_id=own)
    if "maps_to" in row:
        data.add("concept_map", source_id=own, target_id=data.concept(row["maps_to"]))


def _date(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text) if text else None


def _patients(data: Dataset, row: dict[str, str]) -> None:
    data.add(
        "patient", patient_id=int(row["patient"]), sex={"F": "female", "M": "male"}.get(row.get("sex", ""), "unknown"),
        birth_month=_date(row["born"] + "-01") if "born" in row else None, death_date=_date(row.get("died")),
        death_source=row.get("death_source"), last_news=_date(row.get("news")), residence_area=row.get("area"),
    )  # fmt: skip


def _span(row: dict[str, str]) -> dict[str, Any]:
    start, end = moment(row.get("start")), moment(row.get("end"))
    return {
        "start_date": start[0], "start_minute": start[1], "end_date": end[0], "end_minute": end[1],
        "precision": min(start[2], end[2]) if end[0] else start[2],
    }  # fmt: skip


def _integer(row: dict[str, str], name: str) -> int | None:
    return int(row[name]) if name in row else None


def _stays(data: Dataset, row: dict[str, str]) -> None:
    data.add(
        "stay", stay_id=int(row["stay"]), patient_id=int(row["patient"]), kind=row.get("kind"), **_span(row),
        entry_mode=row.get("entry"), exit_mode=row.get("exit"), unit_id=_integer(row, "unit"),
        status=row.get("status", "finished"),
    )  # fmt: skip


def _movements(data: Dataset, row: dict[str, str]) -> None:
    data.add(
        "movement", movement_id=int(row["movement"]), stay_id=int(row["stay"]), patient_id=int(row["patient"]),
        identity_id=int(row["patient"]), unit_id=_integer(row, "unit"), responsibility=row.get("responsibility"),
        status=row.get("status", "active"), **_span(row),
    )  # fmt: skip


def _units(data: Dataset, row: dict[str, str]) -> None:
    data.add("unit", unit_id=int(row["unit"]), code=row["code"], parent=_integer(row, "parent"))


def _documents(data: Dataset, row: dict[str, str]) -> None:
    start, patient, number = moment(row.get("start")), int(row["patient"]), int(row["doc"])
    data.add(
        "document", document_id=number, patient_id=patient, identity_id=patient, stay_id=_integer(row, "stay"),
        kind=row.get("kind", "other"), title=row.get("title"), start_date=start[0], start_minute=start[1],
        precision=start[2], unit_id=_integer(row, "unit"), record_key=number,
    )  # fmt: skip
    if "text" in row:
        data.add("text", document_id=number, patient_id=patient, text=row["text"])


def _facts(data: Dataset, row: dict[str, str]) -> None:
    start, patient = moment(row.get("start")), int(row["patient"])
    number = len(data.rows["fact"])
    document = _integer(row, "doc")
    if document is None:
        document = 1000 + number
        data.add("document", document_id=document, patient_id=patient, identity_id=patient, record_key=document,
                 stay_id=_integer(row, "stay"), start_date=start[0], start_minute=start[1], precision=start[2])  # fmt: skip
    local = data.concept(row["code"])
    targets = [m["target_id"] for m in data.rows["concept_map"] if m["source_id"] == local]
    sign = row.get("value", "").rstrip("0123456789.")
    data.add(
        "fact", patient_id=patient, document_id=document, fact_no=int(row.get("no", number)),
        parent_fact_no=_integer(row, "parent"), stay_id=_integer(row, "stay"),
        concept_id=targets[0] if targets else local, local_concept_id=local if targets else None,
        start_date=start[0], start_minute=start[1], precision=start[2],
        value=float(row["value"].removeprefix(sign)) if "value" in row else None,
        comparator=int(COMPARATORS[sign]) if sign else None, unit=row.get("unit"),
        value_concept=data.concept(row["result"]) if "result" in row else None,
        status=int(FactStatus[row.get("status", "final").upper()]), role=row.get("role"),
        context=int(Context[row.get("context", "affirmed").upper()]),
        origin=int(Origin[row.get("origin", "coded").upper()]),
    )  # fmt: skip


def _media(data: Dataset, row: dict[str, str]) -> None:
    data.add("media", document_id=int(row["doc"]), patient_id=int(row["patient"]), modality=row.get("modality"))


def _variants(data: Dataset, row: dict[str, str]) -> None:
    data.add("variant", document_id=int(row["doc"]), patient_id=int(row["patient"]), chrom=row["chrom"], pos=int(row["pos"]),
             gene=row.get("gene"), impact=row.get("impact"))  # fmt: skip


def _relations(data: Dataset, row: dict[str, str]) -> None:
    data.add("relation", patient_id=int(row["patient"]), other_id=int(row["other"]), kind=row["kind"])


def _permissions(data: Dataset, row: dict[str, str]) -> None:
    data.add(
        "permission", patient_id=int(row["patient"]), kind=row["kind"], scope=row["scope"],
        from_date=_date(row.get("from", "2000-01-01")), to_date=_date(row.get("to")),
    )  # fmt: skip


_READ = {
    "concepts": _concepts, "units": _units, "patients": _patients, "stays": _stays, "movements": _movements,
    "documents": _documents, "facts": _facts, "media": _media, "variants": _variants, "relations": _relations, "permissions": _permissions,
}  # fmt: skip
