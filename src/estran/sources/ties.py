"""`patients.csv` beside images or recordings: whose they are.

One line per number: `number,ipp[,ipp_system]` (comma or semicolon, with that heading). It says that the
recording, or slide, of that number belongs to that patient of the hospital.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from estran.sources.packed import PackWriter
from estran.sources.records import BatchBuilder, IdentityStatement, PatientKey, Person, content_hash

FILE_NAME = "patients.csv"
KIND = "tie"  # of a pack's entry
LARGEST = 64 << 20  # bytes of a list


def is_ties(path: Path) -> bool:
    """Whether the file is the list of whose the numbers are."""
    return path.name.lower() == FILE_NAME


def pack_ties(pack: PackWriter, path: Path, own: str) -> None:
    """One entry per line; `own` is the system of the numbers (recording, slide)."""
    base = {"kind": KIND, "name": path.name}
    if path.stat().st_size > LARGEST:
        pack.add({**base, "refused": ("malformed", "The list of patients is larger than 64 MB.")})
        return
    try:
        lines = list(rows_of(path, (";",), ("number", "ipp"), ("ipp_system",)))
    except (csv.Error, ValueError):
        pack.add({**base, "refused": ("header", "The list of patients has no columns `number` and `ipp`.")})
        return
    for line, said in lines:
        add_tie(pack, {**base, "line": line, "own": own}, said, "number")


def rows_of(
    path: Path, delimiters: tuple[str, ...], needed: tuple[str, ...], others: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of a list: number, and what each of these columns says, "" when nothing. The first of `delimiters`
    that stands in the heading parts the columns, else a comma. Raises csv.Error, or ValueError when a column that is
    `needed` is not there."""
    text = path.read_text("utf-8-sig", errors="replace")
    heading = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=next((d for d in delimiters if d in heading), ","))
    if not set(rows.fieldnames or ()) >= set(needed):
        raise ValueError("heading")
    for row in rows:
        yield rows.line_num, {name: (row.get(name) or "").strip() for name in (*needed, *others)}


def add_tie(pack: PackWriter, base: dict[str, Any], said: dict[str, str], own: str) -> None:
    """The entry of a line; the column `own` holds what is tied to a patient."""
    number, ipp = said[own], said["ipp"]
    entry: dict[str, Any] = {**base, "number": number, "ipp": ipp, "system": said["ipp_system"]}
    if not number or not ipp:
        entry["refused"] = ("missing", f"The line names no {own} or no patient.")
    pack.add(entry)


def take_tie(builder: BatchBuilder, number: int, meta: dict[str, Any], author_system: str) -> None:
    """The record of one line: waits for its patient when nobody has introduced them."""
    key = PatientKey(meta["system"] or author_system, meta["ipp"])
    alias = PatientKey(meta["own"], meta["number"])
    record = builder.record(number, meta["line"], 0, content_hash(repr((key, alias)).encode()))
    who = builder.patient(*key)
    builder.batch.identities.append(IdentityStatement(record, who, (alias,), Person(), introduces=False))
