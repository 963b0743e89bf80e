"""Mappings of CSV, Parquet and database extracts: `estran mapping check`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from estran import app as house
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, number, table
from estran.model.errors import CheckFailed, UsageError
from estran.sources.tabular.checking import Preview, preview
from estran.sources.tabular.mapping import Faulty, read_mapping_file

_COUNTS = ("records", "persons", "stays", "movements", "documents", "facts", "codes", "refused")


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Mappings of CSV, Parquet and database extracts.", no_args_is_help=True)
    group.command(epilog="Example: estran mapping check labo.yaml export/")(check)
    group.command(epilog="Example: estran mapping keep mysite labo.yaml")(keep)
    app.add_typer(group, name="mapping")


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The mapping, in YAML.", show_default=False)],
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="Files or folders to try it on.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone of the site's clocks.")] = "Europe/Paris",
    json: JsonOpt = False,
) -> None:
    """List a mapping's faults by line, or show what it would load of PATH, without loading."""
    try:
        mapping, _ = read_mapping_file(file)
    except Faulty as faulty:
        if json:
            emit({"faults": [dataclasses.asdict(fault) for fault in faulty.faults]})
        raise
    for path in paths or ():
        if not path.exists():
            raise UsageError("There is no such file or folder.", where=str(path))
    found = list(preview(mapping, list(paths or ()), zone)) if paths else []
    if json:
        emit({"faults": [], "tables": len(mapping.tables), "preview": [dataclasses.asdict(item) for item in found]})
    else:
        console.print(f"The mapping is sound: {number(len(mapping.tables))} tables.")
        _show(found)
    if any(item.refused or (item.problem and not item.unnamed) for item in found):
        raise CheckFailed("Some rows or files would be refused.", where=str(file))


def keep(
    site: SiteArg,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The mapping, in YAML.", show_default=False)],
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Keep a mapping in the site without loading: the next version of its name, for `retry` and `reload`."""
    shelf = house.open_site(site, key).shelf
    name = shelf.keep(file)
    if json:
        emit({"mapping": name, "version": shelf.version(name)})
    else:
        console.print(f"Mapping {name}, version {shelf.version(name)}, is kept.", highlight=False)


def _show(found: list[Preview]) -> None:
    if not found:
        return
    named = [n for n in _COUNTS if any(getattr(i, n) for i in found)]
    rows = [(i.file, *(getattr(i, n) for n in named)) for i in found if not i.problem]
    table("What would be loaded", ("file", *named), rows, numbers=range(1, 1 + len(named)))
    for item in found:
        if item.problem:
            console.print(f"{item.file}: {item.problem}", highlight=False, markup=False, soft_wrap=True)
        for place, name, reason in item.refusals:
            console.print(f"{item.file}, {place}, {name}: {reason}", highlight=False, markup=False, soft_wrap=True)
