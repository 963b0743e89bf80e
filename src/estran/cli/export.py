"""Exports: `estran export SITE --as omop|fhir|meds|national OUT`, `estran unpack`, `estran catalogue SITE --dcat`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from estran import app as house
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, table
from estran.projects.actors import KEY_HOLDER
from estran.projects.datamarts.shelf import Datamarts
from estran.projects.exporting import Exporter, Format, Wish
from estran.projects.exporting import unpack as open_package
from estran.projects.holdings_file import Syntax, write_holdings


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: estran export mysite --as omop /data/omop")(export)
    app.command(epilog="Example: estran unpack package.estran --key mine.key /data/received")(unpack)
    app.command(epilog="Example: estran catalogue mysite --dcat catalogue.ttl")(catalogue)


def export(
    site: SiteArg,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="New folder; a new file when it is sealed for a recipient.")
    ],
    form: Annotated[Format, typer.Option("--as", help="What it is written as.")],
    project: Annotated[
        str, typer.Option(metavar="ID", help="The newest datamart of this open project, not the whole site.")
    ] = "",
    recipient: Annotated[
        Path | None, typer.Option("--for", metavar="RECIPIENT.pub", help="Seal it for this X25519 key (PEM).")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="OMOP tables as CSV, not Parquet.")] = False,
    claims_match: Annotated[
        bool,
        typer.Option(
            "--claims-match", help="It will be matched to the national claims base: outside the reference framework."
        ),
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, kept in the audit trail and the manifest.")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Write the site, or the datamart of a project, in a foreign format: whole or not at all."""
    opened = house.open_site(site, key)
    with opened.vault():  # opening it proves that the key is the site's
        shop = opened.workshop
        exporter = Exporter(opened, KEY_HOLDER, Datamarts(opened, KEY_HOLDER, shop), shop.folder)
        manifest = exporter.export(Wish(form, project, csv, recipient, claims_match, reason), out)
    emit(manifest) if json else _tell(out, manifest)


def unpack(
    package: Annotated[Path, typer.Argument(metavar="PACKAGE", help="A sealed export.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder.")],
    key: Annotated[
        Path, typer.Option("--key", metavar="MINE.key", help="The private key of the recipient (X25519, PEM).")
    ],
    json: JsonOpt = False,
) -> None:
    """Open a sealed export, and prove every file by its manifest."""
    manifest = open_package(package, key, out)
    emit(manifest) if json else _tell(out, manifest)


def catalogue(
    site: SiteArg,
    dcat: Annotated[Path, typer.Option("--dcat", metavar="FILE", help="New file: .ttl (Turtle) or .jsonld.")],
    json: JsonOpt = False,
) -> None:
    """Write what the site holds as a HealthDCAT-AP catalogue; every count is protected."""
    opened = house.open_site(site)
    told = write_holdings(opened, KEY_HOLDER, dcat, Syntax.of(dcat))
    if json:
        emit(told)
    else:
        console.print(f"{told['datasets']} data sets described in {dcat}", markup=False, soft_wrap=True)


def _tell(out: Path, manifest: dict[str, Any]) -> None:
    rows = []
    for form, account in manifest["account"].items():
        for relation, read in account["read"].items():
            left = sum(one["rows"] for one in account["not_expressed"] if one["what"] == relation)
            rows.append((form, relation, read, read - left, left))
    table("Rows", ("format", "of", "read", "written", "not expressed"), rows, numbers=(2, 3, 4))
    if manifest["national_claims_match"]:
        console.print("Matched to the national claims base: outside the reference framework.")
    console.print(str(out), markup=False, soft_wrap=True)
