"""Inputs written as tables, read through the documented contract of readers (`sources.records`).

What no reader of this release reads yet (chemotherapy, prescriptions with their administrations,
PMSI) can so be shown going through the real pipeline: vault, masks, versions, commit, presence.

    [patient]
    number | born       | sex | name
    P1     | 1990-05-01 | F   | ESNAULT Maud
    [document]
    key | patient | stay | kind       | start
    D1  | P1      | S1   | laboratory | 2024-03-01 10:00
    [fact]
    doc | no | parent | code         | start            | value | unit
    D1  | 0  |        | LOINC:2160-0 | 2024-03-01 10:00 | 71    | umol/L

Moments: `2024-03` (month), `2024-03-01` (day), `2024-03-01 10h` (hour), `2024-03-01 10:00` (minute),
with `+02:00` behind when the wall clock does not say enough. Columns left out or empty say nothing.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.spec import site_kit as kit

from estran.app import Site
from estran.model.codes import Context, DocumentStatus, FactStatus
from estran.model.moments import Moment, instant, of_parts, parse_iso
from estran.sources.pipeline.run import Report, ingest
from estran.sources.records import (
    Batch,
    BatchBuilder,
    Code,
    IdentityStatement,
    MergeStatement,
    PermissionStatement,
    Person,
    RelationStatement,
    content_hash,
)

Row = dict[str, str]
_ZONE, _SYSTEM = "Europe/Paris", "CHU"


def tables_of(text: str) -> dict[str, list[Row]]:
    """Rows per table, as words."""
    tables: dict[str, list[Row]] = {}
    name, columns = "", list[str]()
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("["):
            name, columns = line.strip("[]"), []
            tables.setdefault(name, [])
            continue
        cells = [cell.strip() for cell in line.split("|")]
        if not columns:
            columns = cells
            continue
        tables[name].append({k: v for k, v in zip(columns, cells, strict=True) if v})
    return tables


def load(site: Site, path: Path, text: str) -> Report:
    """Load tables through the pipeline; the file is landed like any other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    with site.loading() as parts:
        return ingest(dataclasses.replace(parts, readers={**parts.readers, "written": _reader}), "written", [path])


def moment(text: str) -> Moment:
    """A moment as the tables write it."""
    if text.endswith("h"):
        day, hour = text[:-1].split()
        return of_parts(*map(int, day.split("-")), int(hour), None, _ZONE)
    return parse_iso(text.replace(" ", "T", 1), _ZONE)


class WrittenReader:
    """A `records.Reader`; one record per row, the facts of a document being part of it."""

    format = "written"

    def files(self, paths: list[Path]) -> list[Path]:
        return paths

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def read(self, path: Path, name: str, wanted: frozenset[int] | None = None) -> Iterator[Batch]:
        tables, number = tables_of(path.read_text("utf-8")), -1
        builder = BatchBuilder()
        for table, add in _ADDERS.items():
            for row in tables.get(table, []):
                number += 1
                if wanted is not None and number not in wanted:
                    continue
                facts = [f for f in tables.get("fact", []) if table == "document" and f["doc"] == row["key"]]
                said = f"{table}{sorted(row.items())}{[sorted(f.items()) for f in facts]}"
                at = instant(moment(row["at"]), _ZONE) if "at" in row else 0
                record = builder.record(number, number + 1, at, content_hash(said.encode()))
                add(builder, record, row, facts, tables)
        if len(builder):
            yield builder.build()


def _reader(*_: object) -> Any:
    return WrittenReader()


def _patient(builder: BatchBuilder, record: int, row: Row, *_: object) -> None:
    born = moment(row["born"]) if "born" in row else None
    family, _, given = row.get("name", "").partition(" ")
    precise = {"birth_date": kit.day(born.date), "birth_precision": born.precision} if born else {}
    person = Person(
        family_names=(family,) if family else (), given_names=(given,) if given else (),
        sex={"F": "female", "M": "male"}.get(row.get("sex", "")), **precise,
    )  # fmt: skip
    who = builder.patient(_SYSTEM, row["number"])
    builder.batch.identities.append(IdentityStatement(record, who, (), person))


def _stay(builder: BatchBuilder, record: int, row: Row, *_: object) -> None:
    seat = builder.stay(builder.patient(_SYSTEM, row["patient"]), _SYSTEM, row["number"])
    columns = _bounds(row) | {"kind": row.get("kind"), "status": row.get("status"), "exit_mode": row.get("exit")}
    if row.get("confidential") == "yes":
        columns["confidential"] = True
    builder.stay_event(record, seat, unit=_unit(builder, row), **columns)


def _movement(builder: BatchBuilder, record: int, row: Row, *_: object) -> None:
    seat = builder.stay(builder.patient(_SYSTEM, row["patient"]), _SYSTEM, row["stay"])
    said = row.get("responsibility", "medical")
    columns = {"precision": 0} | _bounds(row) | {"status": "active"}
    builder.movement(record, row["number"], seat, unit=_unit(builder, row), responsibility=said, **columns)


def _relation(builder: BatchBuilder, record: int, row: Row, *_: object) -> None:
    who, other = (builder.patient(_SYSTEM, row[n]) for n in ("patient", "other"))
    rank = int(row["rank"]) if "rank" in row else None
    builder.batch.relations.append(RelationStatement(record, who, other, row["kind"], rank))


def _permission(builder: BatchBuilder, record: int, row: Row, *_: object) -> None:
    who, since = builder.patient(_SYSTEM, row["patient"]), dt.date.fromisoformat(row["from"])
    builder.batch.permissions.append(PermissionStatement(record, who, row["scope"], row["kind"], since))


def _merge(builder: BatchBuilder, record: int, row: Row, *_: object) -> None:
    kept, gone = (builder.patient(_SYSTEM, row[n]) for n in ("kept", "gone"))
    builder.batch.merges.append(MergeStatement(record, kept, gone, row.get("undo") == "yes"))


def _document(builder: BatchBuilder, record: int, row: Row, facts: list[Row], tables: dict[str, list[Row]]) -> None:
    who = builder.patient(_SYSTEM, row["patient"])
    seat = builder.stay(who, _SYSTEM, row["stay"]) if "stay" in row else None
    start = moment(row["start"]) if "start" in row else None
    number = builder.document(
        record, row["key"], who, seat, row.get("kind", "other"), row.get("title", ""), start, row.get("text"),
        DocumentStatus[row.get("status", "current").upper()], unit=_unit(builder, row),
        confidential=row.get("confidential") == "yes",
    )  # fmt: skip
    for fact in facts:
        made = _fact(builder, number, fact, start)
        assert made == int(fact.get("no", made)), "facts are numbered in order, from 0"
    for item in (a for a in tables.get("attribute", []) if a["doc"] == row["key"]):
        name = builder.code(_code(item["name"]))
        builder.attribute(number, int(item["no"]), name, value_text=item.get("text"))


def _fact(builder: BatchBuilder, document: int, row: Row, start: Moment | None) -> int:
    when = moment(row["start"]) if "start" in row else start
    rare: dict[str, Any] = {"role": row.get("role"), "value_text": row.get("text")}
    if "parent" in row:
        rare["parent_fact_no"] = int(row["parent"])
    if "result" in row:
        rare["value_code"] = builder.code(_code(row["result"]))
    if "context" in row:
        rare["context"] = int(Context[row["context"].upper()])
    return builder.fact(
        document, builder.code(_code(row["code"])), when, float(row["value"]) if "value" in row else None,
        row.get("unit"), FactStatus[row.get("status", "final").upper()],
        moment(row["end"]) if "end" in row else None, **{k: v for k, v in rare.items() if v is not None},
    )  # fmt: skip


def _code(text: str) -> Code:
    vocabulary, _, code = text.partition(":")
    return Code(vocabulary, code)


def _unit(builder: BatchBuilder, row: Row) -> int | None:
    return builder.unit(row["unit"]) if "unit" in row else None


def _bounds(row: Row) -> dict[str, Any]:
    start, end = (moment(row[n]) if n in row else None for n in ("start", "end"))
    known = [m.precision for m in (start, end) if m]
    columns: dict[str, Any] = {"precision": int(min(known))} if known else {}
    for name, one in (("start", start), ("end", end)):
        if one:
            columns |= {f"{name}_date": one.date, f"{name}_minute": one.minute}
    return columns


_ADDERS = {
    "patient": _patient, "stay": _stay, "movement": _movement, "relation": _relation, "permission": _permission,
    "merge": _merge, "document": _document,
}  # fmt: skip
