"""`samples.tsv` or `samples.csv`: whose the samples are.

One line per sample: `sample`, `ipp`, and, when known, `ipp_system`, `date` (YYYY-MM-DD, of the sample) and `panel`.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from estran.sources import ties
from estran.sources.packed import PackWriter

NUMBER = "sample"  # system of the samples' numbers
FILE_NAMES = ("samples.tsv", "samples.csv")
_LARGEST = 64 << 20
_HEADING = {"sample", "ipp"}
_LONGEST_PANEL = 100


@dataclass(frozen=True)
class Sample:
    """One line; "" where it says nothing."""

    line: int
    sample: str
    ipp: str
    system: str
    date: str
    panel: str


def is_samples(path: Path) -> bool:
    """Whether the file says whose the samples are."""
    return path.name.lower() in FILE_NAMES


def pack_samples(pack: PackWriter, path: Path) -> None:
    """One entry per line."""
    base = {"kind": ties.KIND, "name": path.name}
    try:
        lines = list(_lines(path))
    except (csv.Error, ValueError, OSError):
        pack.add({**base, "refused": ("header", "The list of samples has no columns `sample` and `ipp`, or is too large.")})
        return
    for one in lines:
        entry: dict[str, Any] = {**base, "line": one.line, "own": NUMBER, "number": one.sample, "ipp": one.ipp, "system": one.system}
        if not one.sample or not one.ipp:
            entry["refused"] = ("missing", "The line names no sample or no patient.")
        pack.add(entry)


def described(path: Path) -> dict[str, Sample]:
    """What the list beside a file of variants says of each sample; nothing when there is none."""
    found: dict[str, Sample] = {}
    for place in sorted(p for p in path.parent.iterdir() if is_samples(p) and p.is_file()):
        try:
            found |= {one.sample: one for one in _lines(place) if one.date or one.panel}
        except (csv.Error, ValueError, OSError):
            continue  # the list itself is an input, and is refused as one
    return found


def _lines(path: Path) -> Iterator[Sample]:
    if path.stat().st_size > _LARGEST:
        raise ValueError("size")
    text = path.read_text("utf-8-sig", errors="replace")
    heading = text.partition("\n")[0]
    delimiter = next((d for d in ("\t", ";") if d in heading), ",")
    rows = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    if not rows.fieldnames or not set(rows.fieldnames) >= _HEADING:
        raise ValueError("heading")
    for row in rows:
        said = {name: (row.get(name) or "").strip() for name in ("sample", "ipp", "ipp_system", "date", "panel")}
        yield Sample(
            rows.line_num, said["sample"], said["ipp"], said["ipp_system"], _date(said["date"]), said["panel"][:_LONGEST_PANEL]
        )


def _date(text: str) -> str:
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError:
        return ""
