"""`estran fhir-export`: what a running FHIR server holds, into a folder to load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from estran.cli.show import JsonOpt, console, emit, number


def register(app: typer.Typer) -> None:
    app.command(
        "fhir-export", epilog="Example: estran fhir-export 'https://server/fhir/Group/1/$export' folder --type Patient"
    )(fhir_export)


def fhir_export(
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of the server's $export operation.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Empty folder, or that of the same export, to go on.")],
    since: Annotated[str, typer.Option(help="Only what changed since this instant, 2026-03-01T10:00:00Z.")] = "",
    kinds: Annotated[list[str] | None, typer.Option("--type", help="Resource type to export; all without.")] = None,
    hours: Annotated[float, typer.Option(help="How long to wait until the server is ready.", min=0)] = 24.0,
    json: JsonOpt = False,
) -> None:
    """Fetch a Bulk Data export; the header in ESTRAN_FHIR_AUTHORIZATION is sent along. Then: estran ingest SITE fhir FOLDER."""
    from estran.sources.fhir.export import authorization, export

    found = export(
        url, folder, since=since or None, types=tuple(kinds or ()), header=authorization(), patience=hours * 3600
    )
    if json:
        emit({"files": [p.name for p in found.files], "since": found.transaction_time, "errors": found.errors,
              "deleted": found.deleted})  # fmt: skip
    else:
        console.print(f"{number(len(found.files))} files in {folder}, of {found.errors} the server reports errors.")
        console.print(f"Next time: --since {found.transaction_time}")
