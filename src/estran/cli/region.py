"""The synthetic region: `estran region`."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from estran import app as house
from estran.cli.load import load_feed, progress_bar
from estran.cli.show import JsonOpt, console, emit, errors, number, table
from estran.model.feeds import read_feeds
from estran.model.site_file import FILE_NAME
from estran.region.plan import DAYS, FIRST_DAY, Plan
from estran.region.run import Summary, make


class Sites(StrEnum):
    """How many hospitals."""

    SIX = "six"
    NINE = "nine"


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: estran region ouest --patients 10000 --seed 7")(region)


def region(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New directory: one folder per hospital, and the truth.")],
    patients: Annotated[int, typer.Option(help="People in the region.", min=1)] = 1_000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same bytes.")] = 1,
    sites: Annotated[Sites, typer.Option(help="Six hospitals, or nine.")] = Sites.SIX,
    from_day: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="First day of the period.")] = FIRST_DAY.isoformat(),
    days: Annotated[int, typer.Option(help="Length of the period in days.")] = DAYS,
    texts: Annotated[int, typer.Option(help="Most free-text reports per patient.", min=0)] = 1_000,
    processes: Annotated[int, typer.Option(help="Processes at once (default: one per core).", min=0)] = 0,
    json: JsonOpt = False,
) -> None:
    """Invent hospitals and their raw feeds, with the truth apart. `estran ingest OUT/angers --all` loads one."""
    try:
        first = dt.date.fromisoformat(from_day)
    except ValueError:
        raise typer.BadParameter("write YYYY-MM-DD", param_hint="--from-day") from None
    plan = Plan(patients, seed, 6 if sites is Sites.SIX else 9, first, days, texts)
    summary = build(plan, out, processes=processes, quiet=json)
    if json:
        emit(dataclasses.asdict(summary))
    else:
        _show(summary, plan, out)


def build(plan: Plan, out: Path, *, processes: int = 0, quiet: bool = False) -> Summary:
    """Make a region with a progress bar; one process per core when `processes` is 0."""
    bar = Progress(
        SpinnerColumn(), TextColumn("region"), BarColumn(), TextColumn("{task.fields[documents]} documents"), TimeElapsedColumn(),
        console=errors, disable=quiet or not errors.is_terminal, transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("region", total=plan.shards, documents="0")

        def step(done: int, _total: int, documents: int) -> None:
            bar.update(task, completed=done, documents=number(documents))

        return make(plan, out, processes=processes or os.cpu_count() or 1, progress=step)


def demo_region(folder: Path, patients: int, sites: int, *, quiet: bool = False) -> Path:
    """A region under `folder` with its first hospitals loaded; the folder of the first. One that is there is opened again."""
    plan = Plan(patients)
    loaded = [folder / hospital.key for hospital in plan.hospitals[:sites]]
    if not (folder / "truth" / "planted.json").is_file():
        build(plan, folder, quiet=quiet)
    rows = []
    for site in loaded:
        if not (site / "warehouse").is_dir():
            rows += [(site.name, *row) for row in _loaded(house.set_up(site), quiet=quiet)]
    if rows and not quiet:
        table("Loaded", ("hospital", "feed", "read", "loaded", "superseded", "quarantined", "time"), rows, numbers=range(2, 7))
    return loaded[0]


def _loaded(site: house.Site, *, quiet: bool = False) -> Iterator[tuple[str, int, int, int, int, str]]:
    """Load every feed that the site describes: its name, records read, loaded, superseded, quarantined, and the time."""
    for feed in read_feeds(site.directory / FILE_NAME):
        with site.loading() as parts, progress_bar(quiet=quiet) as bar:
            report = load_feed(site, parts, feed, [site.directory / feed.path], bar)
        read, loaded, superseded, quarantined = (report.total(n) for n in ("read", "loaded", "superseded", "quarantined"))
        yield feed.name, read, loaded, superseded, quarantined, f"{report.seconds:.1f} s"


def _show(summary: Summary, plan: Plan, out: Path) -> None:
    columns = ("patients", "stays", "documents", "texts", "MB")
    row = [summary.patients, summary.stays, summary.documents, summary.texts, summary.bytes // 1_000_000]
    table("Region", columns, [row], numbers=range(5))
    rate = summary.documents / max(summary.seconds, 1e-9)
    console.print(f"{summary.seconds:.1f} s ({number(round(rate))} documents/s). The truth is in {out / 'truth'}.", highlight=False)
    for hospital in plan.hospitals:
        console.print(f"  estran ingest {out / hospital.key} --all", highlight=False)
