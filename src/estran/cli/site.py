"""A site as a whole: `init`, `status`, `check`, `compact`, `oppose`, `erase`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from estran import app as house
from estran.cli.recording import recorded
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, number, table
from estran.projects import operations
from estran.projects.policy import Action
from estran.settings import Settings


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: estran init mysite --name 'CHU de Brest'")(init)
    app.command(epilog="Example: estran status mysite --json")(status)
    app.command(epilog="Example: estran check mysite --digest")(check)
    app.command(epilog="Example: estran compact mysite")(compact)


def init(
    site: Annotated[Path, typer.Argument(metavar="SITE", help="Directory to create.")],
    name: Annotated[str, typer.Option(help="Name shown on every page.")] = "Estran",
    zone: Annotated[str, typer.Option(help="Time zone of the hospital's clocks.")] = "Europe/Paris",
    bucket_patients: Annotated[int, typer.Option(help="Patients per bucket; fixed for ever.", min=1)] = 400_000,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Make an empty site and its key file. Keep the key apart: without it nothing can be read back."""
    made = house.create_site(site, Settings(name=name, zone=zone, bucket_patients=bucket_patients), key)
    if json:
        emit({"site": str(site), "key": str(made.key_file)})
        return
    console.print(f"Site {site} is ready. Its key is {made.key_file}: keep a copy in a safe, never inside the site.")


def status(site: SiteArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """What the site holds, and what became of every record of every source."""
    opened = house.open_site(site, key)
    recorded(opened, Action.HOLDINGS, "status")
    held = operations.status(opened.warehouse.snapshot())
    if json:
        emit(held)
        return
    labels = ("patients", "stays", "documents", "facts", "snapshot")
    table(opened.settings.name, labels, [[held[name] for name in labels]], numbers=range(5))
    console.print()
    names = ("read", "loaded", "superseded", "quarantined")
    rows = [(source, *(counts[n] for n in names)) for source, counts in held["sources"].items()]
    table("Sources", ("source", *names), rows, numbers=(1, 2, 3, 4))


def check(
    site: SiteArg,
    digest: Annotated[bool, typer.Option("--digest", help="End with one hash of the logical content.")] = False,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Prove the invariants: bitmaps equal SQL, index equals documents, counts add up."""
    opened = house.open_site(site, key)
    recorded(opened, Action.HOLDINGS, "check" + (" digest" if digest else ""))
    findings = opened.warehouse.check()
    value = None
    if digest:
        with opened.vault() as vault:
            keys = vault.natural_keys()
            value = opened.warehouse.digest(keys.patients, keys.stays)
    if json:
        emit({"findings": [dataclasses.asdict(f) for f in findings], "digest": value})
    else:
        for finding in findings:
            console.print(f"{finding}", highlight=False, markup=False)
        console.print("Every invariant holds." if not findings else f"{len(findings)} findings.")
        if value:
            console.print(value, highlight=False)
    if findings:
        raise typer.Exit(1)


def compact(site: SiteArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Merge small files, drop superseded rows, remove litter."""
    opened = house.open_site(site, key)
    recorded(opened, Action.OPERATE, "compact")
    before = _size(site)
    done = operations.compact(opened.warehouse)
    with opened.vault() as vault:
        for patient in done.erased:  # an erasure asked for and now carried out
            vault.erase(patient)
            opened.state.charts.forget(patient)
    snapshot = done.version
    body = {"snapshot": snapshot, "bytes_before": before, "bytes_after": _size(site)}
    if json:
        emit(body)
        return
    console.print(f"Snapshot {snapshot}: {number(before)} bytes before, {number(body['bytes_after'])} after.")


def _size(site: Path) -> int:
    return sum(f.stat().st_size for f in site.rglob("*") if f.is_file())
