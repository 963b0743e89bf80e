"""`samples.tsv` or `samples.csv`: whose the samples are.

One line per sample: `sample`, `ipp`, and, when known, `ipp_system`, `date` (YYYY-MM-DD, of the sample) and `panel`.
"""

from __future__ import annotations

import csv
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from estran.sources import ties
from estran.sources.packed import PackWriter

NUMBER = "sample"  # system of the samples' numbers
FILE_NAMES = ("samples.tsv", "samples.csv")
_LONGEST_PANEL = 100


@dataclass(frozen=True)
class Sample:
    """What a line says of its sample; "" where it says nothing."""

    date: str
    panel: str


def is_samples(path: Path) -> bool:
    """Whether the file says whose the samples are."""
    return path.name.lower() in FILE_NAMES


def pack_samples(pack: PackWriter, path: Path) -> None:
    """One entry per line."""
    base = {"kind": ties.KIND, "name": path.name}
    try:
        lines = _lines(path)
    except (csv.Error, ValueError, OSError):
        pack.add({**base, "refused": ("header", "The list of samples has no columns `sample` and `ipp`, or is too large.")})
        return
    for line, said in lines:
        ties.add_tie(pack, {**base, "line": line, "own": NUMBER}, said, "sample")


def described(path: Path) -> dict[str, Sample]:
    """What the list beside a file of variants says of each sample; nothing when there is none."""
    found: dict[str, Sample] = {}
    for place in sorted(p for p in path.parent.iterdir() if is_samples(p) and p.is_file()):
        try:
            for _, said in _lines(place):
                sample = Sample(_date(said["date"]), said["panel"][:_LONGEST_PANEL])
                if sample.date or sample.panel:
                    found[said["sample"]] = sample
        except (csv.Error, ValueError, OSError):
            continue  # the list itself is an input, and is refused as one
    return found


def _lines(path: Path) -> list[tuple[int, dict[str, str]]]:
    if path.stat().st_size > ties.LARGEST:
        raise ValueError("size")
    return list(ties.rows_of(path, ("\t", ";"), ("sample", "ipp"), ("ipp_system", "date", "panel")))


def _date(text: str) -> str:
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError:
        return ""
