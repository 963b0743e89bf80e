"""`python -m benchmarks [facts|ingest|region|datamart|federated|learning|linkage|network|all|render]`: measure, keep the results, write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks import (
    datamart,
    facts_run,
    federated,
    ingest_run,
    learning,
    linkage,
    machine,
    network,
    region,
    region_run,
    report,
)

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "benchmarks.md"


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for, each scale and each source in a process of its own."""
    asked = _arguments(arguments)
    asked.work.mkdir(parents=True, exist_ok=True)
    if asked.what == "one":  # one measurement, in the process that another run started for it
        if asked.kind == "region":
            region_run.one(asked.work)
        elif asked.kind == "datamart":
            datamart.one(asked.name, asked.work)
        else:
            (facts_run if asked.kind == "facts" else ingest_run).one(asked.name, asked.work, asked)
        return 0
    quiet = partial(machine.settle, asked.wait_load, asked.wait_minutes)
    if asked.what in ("facts", "all"):
        facts_run.run(asked.facts, asked.work, asked.postgres, asked.keep, asked.reuse, quiet)
    if asked.what in ("ingest", "all"):
        ingest_run.run(asked.work, asked.scale, asked.only, quiet)
    if asked.what in ("region", "all"):
        region.run(asked.work, quiet)
        sizes = asked.patients or [10_000, 100_000]
        region_run.run(asked.work, sizes, asked.at_once, keep=asked.keep, reuse=asked.reuse, quiet=quiet)
    if asked.what in ("datamart", "all"):
        datamart.run(max(asked.facts), asked.work, asked.keep, asked.reuse, quiet)
    if asked.what in ("federated", "all"):
        federated.run(asked.work, quiet)
    if asked.what in ("learning", "all"):
        learning.run(asked.work, quiet)
    if asked.what in ("linkage", "all"):
        linkage.run(asked.work, quiet)
    if asked.what in ("network", "all"):
        network.run(asked.work, quiet, tuple(asked.patients or network.SIZES))
    report.write(asked.work, DOCUMENT)
    print(f"written: {DOCUMENT.relative_to(ROOT)}")
    return 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        default="all",
        choices=["all", "facts", "ingest", "region", "datamart", "federated", "learning", "linkage", "network", "render", "one"],
    )
    parser.add_argument("--facts", type=int, nargs="+", default=[1_000_000, 10_000_000, 100_000_000], metavar="N")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "estran-bench", metavar="DIR")
    parser.add_argument("--postgres", type=int, default=10_000_000, help="facts to load there; 0: leave it out")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the feeds, 1 as in the document")
    parser.add_argument("--only", nargs="*", default=[], help="feeds to time; all without")
    parser.add_argument(
        "--patients",
        type=int,
        action="append",
        metavar="N",
        help="size of a region to load, once per size (10000 and 100000)",
    )
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="hospitals of a region loaded side by side")
    parser.add_argument("--keep", action="store_true", help="leave the generated stores and regions in DIR")
    parser.add_argument(
        "--reuse", action="store_true", help="time stores, and go on with regions, that an earlier run left there"
    )
    parser.add_argument(
        "--wait-load", type=float, default=0.0, help="before each measurement, wait until the load is below this"
    )
    parser.add_argument("--wait-minutes", type=float, default=30.0, help="but no longer than this")
    parser.add_argument("--kind", default="", help=argparse.SUPPRESS)
    parser.add_argument("--name", default="", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
