"""`patients.csv` beside images or recordings: whose they are.

One line per number: `number,ipp[,ipp_system]` (comma or semicolon, with that heading). It says that the
recording, or slide, of that number belongs to that patient of the hospital.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from estran.sources.packed import PackWriter
from estran.sources.records import BatchBuilder, IdentityStatement, PatientKey, Person, content_hash

FILE_NAME = "patients.csv"
KIND = "tie"  # of a pack's entry
_LARGEST = 64 << 20
_HEADING = {"number", "ipp"}


@dataclass(frozen=True)
class _Line:
    line: int
    number: str
    ipp: str
    system: str


def is_ties(path: Path) -> bool:
    """Whether the file is the list of whose the numbers are."""
    return path.name.lower() == FILE_NAME


def pack_ties(pack: PackWriter, path: Path, own: str) -> None:
    """One entry per line; `own` is the system of the numbers (recording, slide)."""
    base = {"kind": KIND, "name": path.name}
    if path.stat().st_size > _LARGEST:
        pack.add({**base, "refused": ("malformed", "The list of patients is larger than 64 MB.")})
        return
    try:
        lines = list(_lines(path.read_text("utf-8-sig", errors="replace")))
    except (csv.Error, ValueError):
        pack.add({**base, "refused": ("header", "The list of patients has no columns `number` and `ipp`.")})
        return
    for one in lines:
        entry: dict[str, Any] = {**base, "line": one.line, "own": own, "number": one.number, "ipp": one.ipp, "system": one.system}
        if not one.number or not one.ipp:
            entry["refused"] = ("missing", "The line names no number or no patient.")
        pack.add(entry)


def _lines(text: str) -> Iterator[_Line]:
    heading = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in heading else ",")
    if not rows.fieldnames or not set(rows.fieldnames) >= _HEADING:
        raise ValueError("heading")
    for row in rows:
        yield _Line(rows.line_num, (row["number"] or "").strip(), (row["ipp"] or "").strip(), (row.get("ipp_system") or "").strip())


def take_tie(builder: BatchBuilder, number: int, meta: dict[str, Any], author_system: str) -> None:
    """The record of one line: waits for its patient when nobody has introduced them."""
    key = PatientKey(meta["system"] or author_system, meta["ipp"])
    alias = PatientKey(meta["own"], meta["number"])
    record = builder.record(number, meta["line"], 0, content_hash(repr((key, alias)).encode()))
    who = builder.patient(*key)
    builder.batch.identities.append(IdentityStatement(record, who, (alias,), Person(), introduces=False))
