"""`estran hub catalogue`: what the sites of a network hold, harvested, searched, written out."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import typer

from estran import app as house
from estran.cli.show import JsonOpt, KeyOpt, console, emit, number, table
from estran.exchange.parcel import whole_file
from estran.hub.catalogues import Cell, Edition, Found, Standing, Thing, shelf_of
from estran.hub.harvest import CatalogueDesk
from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER
from estran.projects.gate import Shown
from estran.projects.holdings_file import Syntax

HubArg = Annotated[Path, typer.Argument(metavar="HUB", help="Directory of the hub.", show_default=False)]


def register(group: typer.Typer) -> None:
    group.command("catalogue", epilog="Example: estran hub catalogue ouest --search créatinine --json")(catalogue)


def catalogue(
    hub: HubArg,
    search: Annotated[str, typer.Option(help="Words of codes, labels or kinds of documents.")] = "",
    site: Annotated[list[str] | None, typer.Option(help="This member only; again for several.")] = None,
    harvest: Annotated[
        bool, typer.Option("--harvest", help="Ask the sites now. On an embedded hub each agent runs once.")
    ] = False,
    every: Annotated[
        float | None, typer.Option(help="Have `estran hub serve` harvest every so many days; 0 for never.")
    ] = None,
    history: Annotated[bool, typer.Option("--history", help="What came of each harvest of --site.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write all catalogues as HealthDCAT-AP: FILE.ttl or FILE.jsonld.")
    ] = None,
    page: Annotated[int, typer.Option(help="Page of what was found, from 0.", min=0)] = 0,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """What each site of the network holds: protected counts, since when, and how old the catalogue is."""
    from estran.cli.hub import opened_house, run_members

    opened = opened_house(hub, key)
    shelf = shelf_of(opened.book)
    try:
        desk = CatalogueDesk(house.open_site(hub, key).state, opened.book, shelf, KEY_HOLDER)
        if every is not None:
            desk.every(every)
        if harvest:
            desk.harvest(site or ())
            run_members(opened, hub)
        if out is not None:
            _write(desk, out)
        found = desk.search(search, member=_one(site), page=page) if search else None
        told: dict[str, Any] = {"sites": [_as_object(one) for one in desk.standing()]}
        if found is not None:
            told |= {"found": [_thing(one) for one in found.things], "total": found.total}
        if history:
            told["history"] = [_edition(one) for one in desk.history(_one(site))]
    finally:
        shelf.close()
    if json:
        emit(told)
    else:
        _show(told, found)


def _one(site: list[str] | None) -> str:
    if len(site or ()) > 1:
        raise UsageError("Search, and history, are of one site or of all.")
    return site[0] if site else ""


def _write(desk: CatalogueDesk, out: Path) -> None:
    if out.exists():
        raise UsageError("There is something of this name already.", where=str(out))
    data = desk.file(str(Syntax.of(out)))
    with whole_file(out) as stream:
        stream.write(data)


# As JSON


def _as_object(one: Standing) -> dict[str, Any]:
    last = None if one.last is None else {"state": one.last.state, "said": one.last.said, "came": _when(one.last.came)}
    return {
        "site": one.member.id, "name": one.member.name, "old": one.old, "waiting": one.waiting, "last": last,
        "catalogue": None if one.edition is None else _edition(one.edition),
    }  # fmt: skip


def _edition(one: Edition) -> dict[str, Any]:
    holders = [
        {"name": s.name, "homepage": s.homepage, "day": s.day, "snapshot": s.snapshot, "first": s.first, "last": s.last,
         "via": s.via, "patients": _count(s.patients), "records": _count(s.records), "kinds": s.kinds, "codes": s.codes,
         "services": s.services} for s in one.sites
    ]  # fmt: skip
    return {"state": one.state, "said": one.said, "asked": _when(one.asked), "came": _when(one.came), "holders": holders,
            "gained": one.gained, "lost": one.lost}  # fmt: skip


def _thing(one: Thing) -> dict[str, Any]:
    return {"kind": one.kind, "key": one.key, "label_fr": one.label_fr, "label_en": one.label_en, "nature": one.nature,
            "sites": [_cell(cell) for cell in one.cells]}  # fmt: skip


def _cell(one: Cell) -> dict[str, Any]:
    return {"site": one.member, "holder": one.site, "patients": _count(one.patients), "rows": _count(one.rows),
            "first": one.first, "last": one.last, "since": one.since}  # fmt: skip


def _count(shown: Shown | None) -> dict[str, int] | None:
    return None if shown is None else {"value": shown.value, "below": shown.below, "margin": shown.margin}


def _when(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


# For people


def _show(told: dict[str, Any], found: Found | None) -> None:
    rows = []
    for one in told["sites"]:
        state = "old" if one["old"] else "asked" if one["waiting"] else (one["last"] or {}).get("state", "never asked")
        held = one["catalogue"]["holders"] if one["catalogue"] else []
        codes = sum(holder["codes"] or 0 for holder in held)
        day = max((holder["day"] for holder in held), default="–")
        rows.append((one["name"], state, day, codes, (one["last"] or {}).get("said", "")[:200]))
    table("", ("site", "catalogue", "data of", "codes", ""), rows, numbers=(3,))
    if found is not None:
        lines = [
            (thing.key, thing.label("en"), cell.site, f"< {cell.patients.below}" if cell.patients.below else number(cell.patients.value),
             cell.first, cell.last) for thing in found.things for cell in thing.cells
        ]  # fmt: skip
        table("", ("code", "label", "site", "patients", "first", "last"), lines, numbers=(3,))
        console.print(f"{number(found.total)} codes and kinds of documents found.", highlight=False)
    for edition in told.get("history", ()):
        console.print(
            f"{edition['came']:%Y-%m-%d %H:%M}  {edition['state']}  {edition['said'][:200]}",
            highlight=False,
            markup=False,
        )
