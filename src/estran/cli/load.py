"""Loading: `estran ingest`, `estran quarantine`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from estran import app as house
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, errors, number, table
from estran.model.errors import UsageError
from estran.sources.pipeline.run import Progress as Step
from estran.sources.pipeline.run import Report
from estran.sources.pipeline.run import ingest as run


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: estran ingest mysite fhir export/*.ndjson --source dpi")(ingest)
    app.command(epilog="Example: estran quarantine mysite --json")(quarantine)


def ingest(
    site: SiteArg,
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help="fhir, hl7v2, omop or report.")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files or folders to load.")],
    source: Annotated[str, typer.Option(help="Name of the feed, when several have one format.")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Load files; ends with read = loaded + superseded + quarantined."""
    for path in paths:
        if not path.exists():
            raise UsageError("There is no such file or folder.", where=str(path))
    opened = house.open_site(site, key)
    known = house.readers(opened.settings)
    if format_name not in known:
        raise UsageError(f"Format '{format_name}' is not known.", hint=f"use one of {', '.join(sorted(known))}")
    with opened.loading() as parts, progress_bar(quiet=json) as bar:
        report = run(parts, format_name, paths, name=source, progress=bar)
    if json:
        emit(_as_json(report))
    else:
        _show(report)
    if report.total("quarantined") or report.refused_files:
        raise typer.Exit(4)


class ProgressBar:
    """A progress bar over files, with the records read so far; silent when `quiet`."""

    def __init__(self, *, quiet: bool) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("files · {task.fields[read]} records"),
            TimeElapsedColumn(),
            console=errors,
            disable=quiet or not errors.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("loading", total=None, read="0")

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, step: Step) -> None:
        self._progress.update(
            self._task,
            description=f"file {step.number}",
            completed=step.number,
            total=step.files,
            read=number(step.read),
        )


def progress_bar(*, quiet: bool) -> ProgressBar:
    return ProgressBar(quiet=quiet)


def _as_json(report: Report) -> dict[str, object]:
    sums = {name: report.total(name) for name in ("read", "loaded", "superseded", "quarantined")}
    return {
        **sums,
        "source": report.source,
        "replayed": report.replayed,
        "unknown_stays": report.unknown_stays,
        "reasons": report.reasons,
        "refused_files": report.refused_files,
        "files": [dataclasses.asdict(item) for item in report.files],
        "snapshot": report.snapshot,
        "seconds": round(report.seconds, 3),
    }


def _show(report: Report) -> None:
    several = len(report.files) > 1
    rows: list[tuple[object, ...]] = [
        (i.file, i.part, i.read, i.loaded, i.superseded, i.quarantined) for i in report.files[:60]
    ]
    if several:
        total = tuple(report.total(n) for n in ("read", "loaded", "superseded", "quarantined"))
        rows.append(("total", "", *total))
    headings = ("file", "part", "read", "loaded", "superseded", "quarantined")
    table(f"Source {report.source}", headings, rows, numbers=(2, 3, 4, 5))
    if report.reasons:
        console.print()
        reasons = [(count, reason) for reason, count in list(report.reasons.items())[:20]]
        table("Quarantine", ("records", "reason"), reasons, numbers=(0,))
    for file, why in report.refused_files.items():
        console.print(f"Refused as a whole: {file}: {why}", highlight=False, markup=False)
    if report.replayed:
        console.print(f"{number(report.replayed)} records came back from quarantine: their patient is now known.")
    if report.unknown_stays:
        console.print(
            f"{number(report.unknown_stays)} facts name a stay that nobody has introduced: loaded without stay."
        )
    rate = report.total("read") / max(report.seconds, 1e-9)
    console.print(f"Snapshot {report.snapshot} in {report.seconds:.1f} s ({number(round(rate))} records/s)")


def quarantine(
    site: SiteArg,
    limit: Annotated[int, typer.Option(help="Entries shown.")] = 50,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """List what is in quarantine: source, file, line, field and reason."""
    opened = house.open_site(site, key)
    rows = (
        opened.warehouse.snapshot()
        .connect()
        .execute(
            "select source, part, file_no, record_no, line, field, code, reason, waits_for is not null as waits "
            "from raw_quarantine order by source, file_no, record_no limit ?",
            [limit],
        )
        .fetchall()
    )
    with opened.vault() as vault:
        names = {no: vault.file(no).name for no in {row[2] for row in rows}}
    columns = ("source", "part", "file", "record", "line", "field", "code", "reason", "waits for its patient")
    shown = [(r[0], r[1], names[r[2]], *r[3:]) for r in rows]
    if json:
        emit({"quarantine": [dict(zip(columns, row, strict=True)) for row in shown]})
        return
    for source_name, part, file, record, line, field, code, reason, waits in shown:
        place = f"{file}, line {line}" if line is not None else f"{file}, record {record}"
        console.print(f"{source_name} {part}".strip(), f"· {place} · {field} · {code}", markup=False, highlight=False, soft_wrap=True)
        console.print(f"    {reason}", markup=False, highlight=False, soft_wrap=True)
        if waits:
            console.print("    It comes back by itself when its patient arrives.")
    console.print(f"{number(len(shown))} records shown.")
