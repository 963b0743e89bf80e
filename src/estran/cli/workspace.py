"""Workspaces and the airlock: `estran workspace provide|start|stop|list`, `estran airlock check`."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Annotated

import typer

from estran import app as house
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, table
from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER
from estran.projects.workspaces.driver import Workspaces, end_other, socket_of
from estran.projects.workspaces.spaces import folders_of, provide, spaces_of
from estran.release.airlock import HandedIn, Verdict, check, profile
from estran.state.spaces import space_key

workspaces = typer.Typer(help="Workspaces of projects: a notebook without network on a datamart.", no_args_is_help=True)
airlock = typer.Typer(help="What may leave a workspace.", no_args_is_help=True)
ProjectArg = Annotated[str, typer.Argument(metavar="PROJECT", help="Number of the project, as 2026-001.")]


def register(app: typer.Typer) -> None:
    workspaces.command("provide", epilog="Example: estran workspace provide mysite 2026-014")(give)
    workspaces.command("start", epilog="Example: estran workspace start mysite 2026-014")(start)
    workspaces.command("stop", epilog="Example: estran workspace stop mysite 2026-014")(stop)
    workspaces.command("list", epilog="Example: estran workspace list mysite --json")(listing)
    airlock.command("check", epilog="Example: estran airlock check table_1.csv figure_2.png --profile opensafely")(
        check_files
    )
    app.add_typer(workspaces, name="workspace")
    app.add_typer(airlock, name="airlock")


def give(
    site: SiteArg,
    project: ProjectArg,
    datamart: Annotated[int | None, typer.Option(help="Number of the datamart (default: the newest of the project).")] = None,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Give an open project its workspace, for its team, on its datamart; again moves it to another datamart."""
    opened = _keyed(site, key)
    made = provide(opened, KEY_HOLDER, project, datamart)
    if json:
        emit({"project": made.number, "name": made.name, "datamart": made.datamart, "team": len(made.team)})
        return
    console.print(f"Project {made.number} has its workspace; {len(made.team)} may enter.")


def start(site: SiteArg, project: ProjectArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Start a workspace and keep it until Ctrl+C or `estran workspace stop`; people reach it through the portal."""
    opened, number = _keyed(site, key), space_key(project)
    running = Workspaces(opened)
    try:
        running.start(KEY_HOLDER, number)
        running.wait(number)
        if json:
            emit({"project": project, "running": True})
        console.print(f"The workspace of project {project} is running (Ctrl+C ends it).")
        with contextlib.suppress(KeyboardInterrupt):
            while running.state(KEY_HOLDER, number).running:
                time.sleep(5)
    finally:
        running.close()


def stop(site: SiteArg, project: ProjectArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """End a workspace and everything in it; its home and out/ stay."""
    opened, number = _keyed(site, key), space_key(project)
    Workspaces(opened).stop(KEY_HOLDER, number)
    end_other(folders_of(opened, number))
    if json:
        emit({"project": project, "running": False})
        return
    console.print(f"The workspace of project {project} is stopped.")


def listing(site: SiteArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """List the workspaces: team, state, disk."""
    opened = _keyed(site, key)
    watched = Workspaces(opened)
    states = [watched.state(KEY_HOLDER, space.project) for space in spaces_of(opened)]
    rows = [
        {
            "project": one.space.number, "name": one.space.name, "team": len(one.space.team),
            "state": "running" if socket_of(opened, one.space.project) and one.running else "stopped", "disk_mb": one.disk // 1_000_000,
        }
        for one in states
    ]  # fmt: skip
    if json:
        emit({"workspaces": rows})
        return
    columns = ("project", "name", "team", "state", "disk_mb")
    table("Workspaces", columns, [[row[name] for name in columns] for row in rows], numbers=(2, 4))


def check_files(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files that would leave together.")],
    profile_: Annotated[str, typer.Option("--profile", help="Thresholds: estran, opensafely or acro.")] = "estran",
    language: Annotated[str, typer.Option(help="Language of the sentences: fr or en.")] = "en",
    json: JsonOpt = False,
) -> None:
    """Check files as the airlock does. Exit code 1 when one is refused; nothing is sent or kept."""
    rules = profile(profile_)
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise UsageError("There is no such file.", where=str(missing))
    checked = check([HandedIn(file.name, file.read_bytes()) for file in files], rules)
    found = [
        {
            "file": one.name, "rule": f.rule, "refuses": f.refuses, "row": f.row, "column": f.column, "part": f.part,
            "what": f.what(language), "next": f.next(language), "source": f.about.source,
        }
        for one in checked for f in one.findings
    ]  # fmt: skip
    if json:
        emit({"files": [{"file": one.name, "verdict": one.verdict} for one in checked], "findings": found})
    else:
        table("Files", ("file", "verdict"), [(one.name, one.verdict) for one in checked])
        columns = ("file", "row", "column", "what", "next")
        table("Findings", columns, [[row[name] for name in columns] for row in found], numbers=(1, 2))
    if any(one.verdict is Verdict.REFUSE for one in checked):
        raise typer.Exit(1)


def _keyed(site: Path, key: Path | None) -> house.Site:
    """The site, its key at hand: only its holder works on workspaces from here."""
    opened = house.open_site(site, key)
    with opened.vault():
        return opened
