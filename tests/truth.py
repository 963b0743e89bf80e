"""Six hospitals beside their truth: `python -m tests.truth --patients 1000`.

Makes a region, loads each hospital as it describes itself, and compares stays, movements, diagnoses, laboratory values
with units, antibiograms, drugs, texts and merged identities. Every difference is told by itself: what the truth
holds and the warehouse does not, beside the row of the same stay that comes nearest, and the columns that differ.
Ends with 1 when there is one, or when a load does not add up.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from estran.region.plan import Plan
from estran.region.run import make
from estran.sources.pipeline.run import Report
from tests.spec.region_truth import Beside, Rows, differences, load_all

SUBJECTS = {
    "stays": ("stay", "kind", "start", "end", "status", "way out"),
    "movements": ("stay", "ward", "start", "end", "status"),
    "diagnoses": ("stay", "code", "role"),
    "conditions": ("stay", "code"),
    "labs": ("stay", "local code", "LOINC", "sampled", "value", "unit"),
    "susceptibilities": ("stay", "germ", "antibiotic", "result"),
    "drugs": ("stay", "ATC", "moment", "dose", "what became of it"),
    "texts": ("stay", "kind"),
}


@dataclass(frozen=True)
class Difference:
    """A row of the truth that the warehouse lacks, or one that it holds too much of, or both when they are near."""

    subject: str
    expected: tuple[Any, ...] | None
    found: tuple[Any, ...] | None

    @property
    def sort(self) -> str:
        """In which way they differ."""
        if self.found is None or self.expected is None:
            return "missing from the warehouse" if self.found is None else "not in the truth"
        names = SUBJECTS[self.subject]
        return "differs in " + ", ".join(n for n, a, b in zip(names, self.expected, self.found, strict=True) if a != b)


def paired(subject: str, pair: tuple[Rows, Rows]) -> Iterator[Difference]:
    """Differences of a subject: rows of one stay that have most columns in common go together."""
    missing, extra = (list(rows.elements()) for rows in differences(pair))
    for row in missing:
        near = max((e for e in extra if e[0] == row[0]), key=lambda e: _alike(e, row), default=None)
        if near is not None and _alike(near, row) * 2 >= len(row):
            extra.remove(near)
            yield Difference(subject, row, near)
        else:
            yield Difference(subject, row, None)
    yield from (Difference(subject, None, row) for row in extra)


def _alike(one: tuple[Any, ...], other: tuple[Any, ...]) -> int:
    return sum(a == b for a, b in zip(one, other, strict=True))


def compared(beside: Beside) -> Iterator[tuple[str, int, list[Difference]]]:
    """Per subject: rows of the truth, and the differences."""
    for subject in SUBJECTS:
        pair = getattr(beside, subject)()
        yield subject, sum(pair[0].values()), list(paired(subject, pair))
    expected, found = beside.patients()
    unlike = [*(Difference("patients", (g,), None) for g in expected - found), *(Difference("patients", None, (g,)) for g in found - expected)]
    yield "patients", len(expected), unlike


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.truth", description=__doc__)
    parser.add_argument("--patients", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=50, help="differences to print per hospital and subject")
    asked = parser.parse_args(arguments)
    out = Path(tempfile.mkdtemp(prefix="estran-truth-"))
    plan, failed = Plan(asked.patients, seed=asked.seed), False
    try:
        make(plan, out)
        for hospital in plan.hospitals:
            started = time.perf_counter()
            site, reports = load_all(out / hospital.key)
            unaccounted = _unaccounted(reports)
            print(f"{hospital.key}: {_sum(reports)}, {time.perf_counter() - started:.0f} s {unaccounted}", flush=True)
            unlike = _show(compared(Beside(out, site)), asked.show)
            failed = failed or unlike > 0 or bool(unaccounted)
    finally:
        shutil.rmtree(out)
    return int(failed)


def _sum(reports: dict[str, Report]) -> str:
    names = ("read", "loaded", "superseded", "quarantined")
    return ", ".join(f"{sum(report.total(n) for report in reports.values()):,} {n}" for n in names)


def _unaccounted(reports: dict[str, Report]) -> str:
    """Feeds whose records wait, were refused, or do not add up."""
    names = ("loaded", "superseded", "quarantined")
    wrong = [f for f, r in reports.items() if r.reasons or r.refused_files or r.total("read") != sum(map(r.total, names))]
    return f"NOT WHOLE: {', '.join(wrong)}" if wrong else ""


def _show(told: Iterator[tuple[str, int, list[Difference]]], most: int) -> int:
    """Print every subject and its differences; how many there are."""
    count = 0
    for subject, rows, unlike in told:
        print(f"  {subject}: {rows:,} in the truth, {len(unlike):,} differences", flush=True)
        for sort, times in Counter(one.sort for one in unlike).most_common():
            print(f"    {times:,} × {sort}")
        for one in unlike[:most]:
            print(f"      {one.sort}: {one.expected} / {one.found}")
        count += len(unlike)
    return count


if __name__ == "__main__":
    sys.exit(main())
