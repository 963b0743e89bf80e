"""Deaths of the civil register: `estran deaths`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from estran import app as house
from estran.cli.recording import recorded
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, number, table
from estran.model.errors import UsageError
from estran.projects.policy import Action
from estran.sources.pipeline.deaths import match_deaths, settle


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: estran deaths mysite deces-2024.txt; then: estran deaths mysite --review")(deaths)


def deaths(
    site: SiteArg,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="INSEE's file of deaths, text or CSV, plain or gzipped.")] = None,
    review: Annotated[bool, typer.Option("--review", help="List the doubtful pairs; they hold names.")] = False,
    accept: Annotated[int | None, typer.Option(help="Number of a doubtful pair that is the same person.")] = None,
    reject: Annotated[int | None, typer.Option(help="Number of a doubtful pair that is not.")] = None,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Match INSEE's file of deaths with the patients, in the vault: sure pairs are taken, doubtful ones reviewed."""
    opened = house.open_site(site, key)
    recorded(opened, Action.IDENTITY, _asked(review, accept, reject))
    if review:
        _review(opened, json)
    elif accept is not None or reject is not None:
        with opened.loading() as parts:
            decided = settle(parts, accept if accept is not None else reject or 0, accepted=accept is not None)
        if json:
            emit({"pair": decided.number, "state": decided.state})
        else:
            console.print(f"Pair {decided.number} is {decided.state}.")
    elif file is None or not file.is_file():
        raise UsageError("Name INSEE's file of deaths.", where=str(file or ""), hint="estran deaths SITE deces-2024.txt")
    else:
        with opened.loading() as parts, console.status("Matching") as status:
            done = match_deaths(parts, file, lambda read: status.update(f"Matching: {number(read)} lines"))
        if json:
            emit(dataclasses.asdict(done))
        else:
            row = dataclasses.asdict(done)
            table("Deaths", tuple(row), [list(row.values())], numbers=range(len(row)))


def _asked(review: bool, accept: int | None, reject: int | None) -> str:
    if review:
        return "deaths: doubtful pairs with their names"
    if accept is not None or reject is not None:
        return f"deaths: pair {accept if accept is not None else reject} {'accepted' if accept is not None else 'rejected'}"
    return "deaths: match the civil register"


def _review(site: house.Site, json: bool) -> None:
    with site.vault() as vault:
        pairs = list(vault.reviews.every())
    columns = ("pair", "patient", "score", "died", "name in the register", "given names")
    rows = [(p.number, p.patient_id, f"{p.score:.2f}", p.died.isoformat(), p.family, p.given) for p in pairs]
    if json:
        emit({"pairs": [dict(zip(columns, row, strict=True)) for row in rows]})
    else:
        table("Doubtful pairs", columns, rows, numbers=(0, 1, 2))
