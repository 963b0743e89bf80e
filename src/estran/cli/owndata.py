"""Data that projects bring: `estran project data declare|accept|refuse|list|import|lines|review|refresh|end`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import typer

from estran import app as house
from estran.app import Site
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, number, table
from estran.keeping.owndata.keeper import OwnDataKeeper
from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER, Actor
from estran.projects.datamarts.reading import read_file
from estran.projects.owndata import OwnData
from estran.projects.owndata.desk import Ground, Listed
from estran.projects.owndata.outcome import WHY
from estran.projects.owndata.recipe import Form, read_recipe
from estran.state import OwnDeclaration

own = typer.Typer(
    help="Data that projects bring: declared, accepted, linked in the vault, kept beside the warehouse.",
    no_args_is_help=True,
)
DataArg = Annotated[int, typer.Argument(metavar="DATA", help="Number of the data set, as listed.")]
ProjectArg = Annotated[str, typer.Argument(metavar="PROJECT", help="Number of the project, 2026-001.")]


def register(projects: typer.Typer) -> None:
    own.command(
        epilog="Example: estran project data declare mysite 2026-001 'Echo registry' --for lea --origin 'Cardiology, 2019-2024' "
        "--formality MR-003 --reference 2026-17 --information 'Letter of 3 March' --until 2030-01-31"
    )(declare)
    own.command(epilog="Example: estran project data accept mysite 3")(accept)
    own.command(epilog="Example: estran project data refuse mysite 3 --because 'No proof that patients were told'")(
        refuse
    )
    own.command("list", epilog="Example: estran project data list mysite 2026-001")(listing)
    own.command("import", epilog="Example: estran project data import mysite 3 echo.csv --recipe echo.toml")(bring)
    own.command(epilog="Example: estran project data lines mysite 7 > set-aside.csv")(lines)
    own.command(epilog="Example: estran project data review mysite 3 --accept 12")(review)
    own.command(epilog="Example: estran project data refresh mysite 3")(refresh)
    own.command(epilog="Example: estran project data end mysite 3 --because 'the study is published'")(end)
    projects.add_typer(own, name="data")


def declare(
    site: SiteArg,
    project: ProjectArg,
    title: Annotated[str, typer.Argument(help="Title of the data set.")],
    lead: Annotated[str, typer.Option("--for", help="Login of the responsible of the project, who declares.")],
    origin: Annotated[str, typer.Option(help="Where the data come from.")],
    formality: Annotated[Ground, typer.Option(help="Legal ground.")],
    information: Annotated[str, typer.Option(help="How the patients were told.")],
    until: Annotated[str, typer.Option(help="Last day on which they are kept, YYYY-MM-DD.")],
    reference: Annotated[str, typer.Option(help="Number of the authorisation or of the commitment.")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Declare data that a project brings, in the name of its responsible."""
    opened = _open(site, key)
    account = opened.state.accounts.find(lead)
    if account is None or account.disabled:
        raise UsageError("Nobody signs in under this name.", hint="estran user list SITE")
    said = OwnDeclaration(title, origin, str(formality), reference, information, _day(until))
    made = OwnData(opened, Actor.of(account)).declare(project, said)
    _say({"data": made}, f"Data set {made} is declared; it waits to be accepted.", json)


def accept(site: SiteArg, data: DataArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Accept a data set: its files may be read while the project is open."""
    _desk(site, key).answer(data, "", accepted=True)
    _say({"data": data, "state": "accepted"}, f"Data set {data} is accepted.", json)


def refuse(
    site: SiteArg,
    data: DataArg,
    because: Annotated[str, typer.Option(help="Why, for the team.")],
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Refuse a data set."""
    _desk(site, key).answer(data, because, accepted=False)
    _say({"data": data, "state": "refused"}, f"Data set {data} is refused.", json)


def listing(site: SiteArg, project: ProjectArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """List what a project brings, with what became of each file."""
    _, found = _desk(site, key).of(project)
    rows = [_row(one) for one in found]
    if json:
        emit({"data": rows})
        return
    columns = ("data", "title", "formality", "reference", "until", "state", "rows")
    table(f"Data of project {project}", columns, [[str(row[name]) for name in columns] for row in rows], numbers=(0, 6))
    parts = ("file", "form", "read", "linked", "superseded", "aside", "problem")
    files = [[str(file[name]) for name in parts] for row in rows for file in row["files"]]
    table("Files", parts, files, numbers=(0, 2, 3, 4, 5))


def bring(
    site: SiteArg,
    data: DataArg,
    file: Annotated[Path, typer.Argument(help="CSV, eCRF export as CSV, or CDISC ODM-XML.")],
    recipe: Annotated[
        Path | None, typer.Option(help="What each column is (TOML or JSON): docs/reference/own-data.md.")
    ] = None,
    form: Annotated[
        Form | None, typer.Option(help="Form of the file (default: odm for .xml, ecrf with a dictionary, else csv).")
    ] = None,
    dictionary: Annotated[Path | None, typer.Option(help="Data dictionary of an eCRF, CSV.")] = None,
    links: Annotated[Path | None, typer.Option(help="Table of links: subject, then number, CSV.")] = None,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Read a file: find each subject in the vault, keep the rows without what identifies; exit code 4 when lines are set aside."""
    opened = _open(site, key)
    for path in (file, dictionary, links):
        if path is not None and not path.is_file():
            raise UsageError("There is no such file.", where=str(path))
    guessed = Form.ODM if file.suffix.lower() == ".xml" else Form.ECRF if dictionary else Form.CSV
    made, outcome = _keeper(opened).bring(
        data, form or guessed, file, read_recipe(read_file(recipe) if recipe else {}), _bytes(dictionary), _bytes(links)
    )
    if json:
        emit({"file": made, **outcome.counts, "reasons": outcome.aside})
    else:
        told = ", ".join(f"{number(count)} {name}" for name, count in outcome.counts.items())
        console.print(f"File {made}: {told}.", highlight=False)
        table(
            "Set aside",
            ("rows", "reason"),
            [(count, WHY[why]) for why, count in sorted(outcome.aside.items())],
            numbers=(0,),
        )
    if outcome.set_aside:
        raise typer.Exit(4)


def lines(
    site: SiteArg,
    file: Annotated[int, typer.Argument(metavar="FILE", help="Number of the file, as listed.")],
    key: KeyOpt = None,
) -> None:
    """Write the lines of a file that were set aside, with field and reason, as CSV; no value of any row."""
    typer.echo(_desk(site, key).lines(file), nl=False)


def review(
    site: SiteArg,
    data: DataArg,
    accept: Annotated[int | None, typer.Option("--accept", metavar="PAIR", help="They are the same person.")] = None,
    reject: Annotated[int | None, typer.Option("--reject", metavar="PAIR", help="They are not.")] = None,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Show the subjects whom somebody resembles, or decide one; names are shown to the holder of the key alone."""
    keeper = _keeper(_open(site, key))
    pair = accept if accept is not None else reject
    if pair is not None:
        rows = keeper.settle(data, pair, accepted=accept is not None)
        _say({"pair": pair, "rows": rows}, f"Pair {pair} is decided: {number(rows)} rows.", json)
        return
    columns = ("pair", "score", "family", "given", "birth", "patient")
    found = [
        (
            one.number,
            f"{one.score:.3f}",
            one.sought.family,
            " ".join(one.sought.given),
            str(one.sought.birth or ""),
            one.identity,
        )
        for one in keeper.doubts(data)
    ]
    if json:
        emit({"pairs": [dict(zip(columns, row, strict=True)) for row in found]})
        return
    table("Pairs that wait", columns, found, numbers=(0, 1, 5))


def refresh(site: SiteArg, data: DataArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Follow the newest snapshot: rows of patients who objected or were erased go. `estran run` does it by itself."""
    gone = _keeper(_open(site, key)).refresh(data)
    _say({"data": data, "removed": gone}, f"{number(gone)} rows were removed.", json)


def end(
    site: SiteArg,
    data: DataArg,
    because: Annotated[str, typer.Option(help="Why, kept in the certificate.")],
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Destroy a data set; the certificate stays."""
    opened = _open(site, key)
    OwnData(opened, KEY_HOLDER).end(data, because)
    _keeper(opened).look()
    _say({"data": data, "state": "ended"}, f"Data set {data} is destroyed.", json)


def _open(site: Path, key: Path | None) -> Site:
    """The site: opening the vault proves that the key is its own."""
    opened = house.open_site(site, key)
    with opened.vault():
        return opened


def _desk(site: Path, key: Path | None) -> OwnData:
    return OwnData(_open(site, key), KEY_HOLDER)


def _keeper(opened: Site) -> OwnDataKeeper:
    return OwnDataKeeper(opened, opened.key, opened.vault)


def _row(one: Listed) -> dict[str, Any]:
    row = one.row
    return {
        "data": row.id, "title": row.title, "origin": row.origin, "formality": row.formality, "reference": row.reference,
        "until": row.until.isoformat(), "state": row.state, "rows": one.content.rows,
        "tables": {name: {"rows": kept.rows, "columns": kept.names} for name, kept in one.content.tables.items()},
        "files": [
            {"file": line.file.id, "form": line.file.form, "problem": line.file.problem,
             **{name: shown.value if line.counts and (shown := line.counts[name]) else "" for name in ("read", "linked", "superseded", "aside")},
             "reasons": dict(line.reasons)}
            for line in one.files
        ],
        "certificate": one.certificate,
    }  # fmt: skip


def _bytes(path: Path | None) -> bytes:
    return path.read_bytes() if path else b""


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError("A day is written YYYY-MM-DD.", where=text) from None


def _say(body: dict[str, Any], said: str, json: bool) -> None:
    if json:
        emit(body)
    else:
        console.print(said, highlight=False, markup=False)
