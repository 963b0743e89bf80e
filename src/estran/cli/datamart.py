"""Datamarts: `estran datamart build|list|refresh|verify|trace|expire`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from estran import app as house
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, number, table
from estran.projects.actors import KEY_HOLDER
from estran.projects.datamarts.reading import read_file
from estran.projects.datamarts.shelf import Datamarts, Listed

marts = typer.Typer(
    help="Datamarts: minimal, re-keyed extracts for one project and one recipient.", no_args_is_help=True
)
ReasonOpt = Annotated[str, typer.Option("--reason", help="Why it is built from here, kept in the audit trail.")]
NumberArg = Annotated[int, typer.Argument(metavar="NUMBER", help="Number of the datamart, as listed.")]


def register(app: typer.Typer) -> None:
    marts.command(
        epilog="Example: estran datamart build mysite statins.toml --for jdoe --reason 'committee of 3 May, project 2026-014'"
    )(build)
    marts.command("list", epilog="Example: estran datamart list mysite --json")(listing)
    marts.command(epilog="Example: estran datamart refresh mysite 3 --reason 'yearly update, amendment 1'")(refresh)
    marts.command(epilog="Example: estran datamart verify mysite 3 --rebuild")(verify)
    marts.command(epilog="Example: estran datamart trace mysite found.csv")(trace)
    marts.command(epilog="Example: estran datamart expire mysite --certificates certificates/")(expire)
    app.add_typer(marts, name="datamart")


def build(
    site: SiteArg,
    spec: Annotated[
        Path, typer.Argument(metavar="SPEC", help="Specification (TOML, JSON), or a manifest to build again.")
    ],
    recipient: Annotated[str, typer.Option("--for", help="Login or organisation that it is made for.")] = "",
    reason: ReasonOpt = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Build a datamart; a manifest is built again on the snapshot that it names."""
    made = _shelf(site, key).build(read_file(spec), recipient, reason)
    _tell(site, made, json)


def refresh(
    site: SiteArg,
    numbered: Annotated[
        int | None, typer.Argument(metavar="[NUMBER]", help="Number of the datamart, as listed.")
    ] = None,
    due: Annotated[
        bool, typer.Option("--due", help="All in which somebody objected or was erased; they are replaced.")
    ] = False,
    reason: ReasonOpt = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Build a datamart anew on the newest snapshot; with --due, exit code 1 when one could not be, which is then destroyed."""
    shelf = _shelf(site, key)
    if due == (numbered is not None):
        raise typer.BadParameter("name a datamart, or say --due")
    if numbered is not None:
        _tell(site, shelf.refresh(numbered, reason), json)
        return
    done = shelf.refresh_due(reason)
    if json:
        emit({"datamarts": [_row(one) for one in done.made], "destroyed": [one.row.id for one in done.gone], "problems": done.problems})
    else:
        console.print(f"{number(len(done.made))} datamarts were refreshed, {number(len(done.gone))} destroyed.")
        for problem in done.problems:
            console.print(problem, markup=False)
    if done.problems:
        raise typer.Exit(1)


def listing(site: SiteArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """List datamarts: what they hold, for whom, until when, what is due."""
    found = _shelf(site, key).all()
    if json:
        emit({"datamarts": [_row(one) for one in found]})
        return
    columns = ("number", "project", "name", "build", "for", "state", "snapshot", "rows", "expires")
    table("", columns, [[str(row[name]) for name in columns] for row in map(_row, found)], numbers=(0, 3, 6, 7))


def verify(
    site: SiteArg,
    numbered: NumberArg,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Also build it again, aside, and compare byte by byte.")
    ] = False,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Prove that a datamart's files are those of its manifest; exit code 1 when they are not."""
    proof = _shelf(site, key).verify(numbered, rebuild=rebuild)
    if json:
        emit({"whole": proof.whole, "wrong": proof.wrong, "same": proof.same, "withdrawn": proof.withdrawn, "own_changed": proof.own_changed})
    else:
        for path in proof.wrong:
            console.print(f"{path}: not as the manifest says", markup=False)
        again = {None: "", True: " Built again, every byte is the same.", False: " Built again, it differs."}[
            proof.same
        ]
        left = " A patient objected or was erased since: refresh it." if proof.withdrawn else ""
        left += " The project's own data changed since." if proof.own_changed else ""
        console.print(f"{'Whole.' if not proof.wrong else 'Not whole.'}{again}{left}")
    if not proof.whole:
        raise typer.Exit(1)


def trace(
    site: SiteArg,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Parquet or CSV: a table of patients, or of facts.")],
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Find for whom a file was made; exit code 1 when nobody can be named."""
    found = _shelf(site, key).trace(path)
    if json:
        emit({"rows": found.rows, "recipients": found.recipients, "suspects": [vars(one) for one in found.suspects]})
    else:
        rows = [
            (one.project, one.recipient, f"{one.z:.1f}", "named" if one.named else "chance") for one in found.suspects
        ]
        table(
            f"{number(found.rows)} rows, {number(found.recipients)} recipients",
            ("project", "recipient", "z", ""),
            rows,
            numbers=(2,),
        )
    if not any(one.named for one in found.suspects):
        raise typer.Exit(1)


def expire(
    site: SiteArg,
    now: Annotated[int | None, typer.Option("--now", metavar="NUMBER", help="This one, before its time.")] = None,
    certificates: Annotated[
        Path | None, typer.Option(help="Write the certificates of destruction into this folder.")
    ] = None,
    reason: ReasonOpt = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Destroy the files of datamarts whose time is over; each leaves a certificate."""
    shelf = _shelf(site, key)
    gone = shelf.expire() if now is None else [shelf.destroy(now, reason.strip() or "asked for")]
    if certificates is not None:
        certificates.mkdir(parents=True, exist_ok=True)
        for one in gone:
            (certificates / f"datamart-{one.row.id}.json").write_text(one.row.certificate + "\n", "utf-8")
    if json:
        emit({"destroyed": [orjson.loads(one.row.certificate) for one in gone]})
        return
    console.print(f"{number(len(gone))} datamarts were destroyed.")


def _shelf(site: Path, key: Path | None) -> Datamarts:
    """The key holder's: opening the vault proves that the key is the site's."""
    opened = house.open_site(site, key)
    with opened.vault():
        return Datamarts(opened, KEY_HOLDER, opened.workshop)


def _tell(site: Path, made: Listed, json: bool) -> None:
    folder = site / "datamarts" / made.row.folder
    if json:
        emit(_row(made) | {"folder": str(folder), "manifest": made.manifest})
        return
    rows = [(one["name"], one["rows"], len(one["columns"])) for one in made.manifest["tables"]]
    table(f"Datamart {made.row.id} for {made.row.recipient}", ("table", "rows", "columns"), rows, numbers=(1, 2))
    console.print(str(folder), markup=False, soft_wrap=True)


def _row(one: Listed) -> dict[str, Any]:
    row = one.row
    return {
        "number": row.id, "project": row.project, "name": row.name, "build": row.number, "for": row.recipient,
        "state": one.due or row.state, "snapshot": row.snapshot, "rows": one.rows, "expires": row.expires.date().isoformat(),
    }  # fmt: skip
