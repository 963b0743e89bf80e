"""Loading: `estran ingest`, `estran quarantine`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from estran import app as house
from estran.cli.recording import recorded
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, errors, number, table
from estran.model.errors import InputRefused, UsageError
from estran.model.feeds import Feed, read_feeds
from estran.model.site_file import FILE_NAME
from estran.projects.policy import Action
from estran.sources.pipeline.run import Parts, Report
from estran.sources.pipeline.run import Progress as Step
from estran.sources.pipeline.run import ingest as run

MAPPED = ("csv", "sql")  # formats that are read by a mapping


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: estran ingest mysite fhir export/*.ndjson --source dpi")(ingest)
    app.command(epilog="Example: estran quarantine mysite --json")(quarantine)


def ingest(
    site: SiteArg,
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help="fhir, hl7v2, pmsi, csv…: an unknown one lists all.")] = "",
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH...", help="Files or folders to load.")] = None,
    source: Annotated[str, typer.Option(help="Name of the feed, when several have one format.")] = "",
    mapping: Annotated[Path | None, typer.Option(help="Mapping of a csv or sql feed, named after its file.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Load every feed that estran.toml describes.")] = False,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Load files; ends with read = loaded + superseded + quarantined."""
    if every:
        _load_all(house.set_up(site, key), json)
        return
    if not format_name or not (paths or format_name == "sql"):
        raise UsageError("Name a format and what to load.", hint="estran ingest SITE FORMAT PATH..., or --all")
    for path in paths or ():
        if not path.exists():
            raise UsageError("There is no such file or folder.", where=str(path))
    opened = house.open_site(site, key)
    known = house.readers(opened.settings)
    if format_name not in known:
        raise UsageError(f"Format '{format_name}' is not known.", hint=f"use one of {', '.join(sorted(known))}")
    source = _mapped(opened, format_name, mapping, source) if mapping or format_name in MAPPED else source
    with opened.loading() as parts, progress_bar(quiet=json) as bar:
        if format_name in MAPPED:
            from estran.sources.tabular.loading import ingest_mapped  # here, for it brings libraries of databases

            report = ingest_mapped(parts, opened.shelf, format_name, source, paths or [], progress=bar)
        else:
            report = run(parts, format_name, paths or [], name=source, progress=bar)
    if json:
        emit(_as_json(report))
    else:
        _show(report)
    if report.total("quarantined") or report.refused_files:
        raise typer.Exit(4)


def load_feed(
    site: house.Site, parts: Parts, feed: Feed, paths: list[Path], progress: Callable[[Step], None] = lambda _: None
) -> Report:
    """Load some files of a feed; its mapping is kept first, when it has one."""
    if feed.format not in parts.readers:
        hint = f"use one of {', '.join(sorted(parts.readers))}"
        raise UsageError(f"Feed '{feed.name}' has an unknown format '{feed.format}'.", where=FILE_NAME, hint=hint)
    if feed.format not in MAPPED:
        return run(parts, feed.format, paths, name=feed.name, progress=progress)
    from estran.sources.tabular.loading import ingest_mapped

    name = site.shelf.keep(site.directory / feed.mapping) if feed.mapping else feed.name
    return ingest_mapped(parts, site.shelf, feed.format, name, paths, progress=progress)


def _load_all(site: house.Site, json: bool) -> None:
    """The feeds of estran.toml, in its order; makes the site first when there is only its description."""
    wanted = read_feeds(site.directory / FILE_NAME)
    if not wanted:
        raise UsageError("The site describes no feed.", where=str(site.directory / FILE_NAME), hint="add [[feed]] tables")
    names = ("read", "loaded", "superseded", "quarantined")
    sums: dict[str, dict[str, int]] = {}
    refused: dict[str, str] = {}  # files, and feeds of which nothing could be read: the others load all the same
    for feed in wanted:
        path = site.directory / feed.path
        try:
            with site.loading() as parts, progress_bar(quiet=json) as bar:
                report = load_feed(site, parts, feed, [path] if feed.path else [], bar)
        except InputRefused as error:
            refused[feed.name] = " ".join(filter(None, (error.what, error.where)))
            continue
        refused |= {f"{feed.name}: {name}": why for name, why in report.refused_files.items()}
        line = sums.setdefault(feed.source, dict.fromkeys(names, 0))
        for name in names:
            line[name] += report.total(name)
    whole = {name: sum(line[name] for line in sums.values()) for name in names}
    if json:
        emit(whole | {"feeds": sums, "refused": refused})
    else:
        table("Feeds", ("source", *names), [(s, *(line[n] for n in names)) for s, line in sums.items()], numbers=(1, 2, 3, 4))
        for name, why in refused.items():
            console.print(f"{name} is refused as a whole. {why}", markup=False, highlight=False)
    if whole["quarantined"] or refused:
        raise typer.Exit(4)


def _mapped(site: house.Site, format_name: str, mapping: Path | None, source: str) -> str:
    """Keep the mapping given; the name of the feed is its name, or --source for one kept before."""
    if format_name not in MAPPED:
        raise UsageError(f"Format '{format_name}' takes no mapping.", hint=f"a mapping is for {' and '.join(MAPPED)}")
    if mapping is not None and source:
        raise UsageError("The mapping's file names the feed: give --mapping or --source, not both.")
    if mapping is None and not source:
        raise UsageError(f"Format '{format_name}' needs a mapping.", hint="--mapping FILE, or --source NAME of one kept before")
    return site.shelf.keep(mapping) if mapping is not None else source


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
    recorded(opened, Action.FEEDS, "quarantine")
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
