"""Pools of a network: `estran hub pool ask|gather|status|differences|link|drop|close`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import duckdb
import orjson
import typer

from estran import app as house
from estran.cli.show import JsonOpt, KeyOpt, console, emit, errors, number, table
from estran.hub import house as hubs
from estran.hub.pooling.book import Drop, PoolBook
from estran.hub.pooling.desk import PoolDesk, PoolSheet
from estran.hub.pooling.differences import Cell
from estran.hub.pooling.keeper import Gathered, PoolKeeper
from estran.hub.pooling.keys import PURPOSE
from estran.model.errors import EstranError, UsageError, told
from estran.projects.actors import KEY_HOLDER
from estran.projects.datamarts.reading import read_file

pools = typer.Typer(help="Pools: the datamarts of several sites put together for one project.", no_args_is_help=True)
HubArg = Annotated[Path, typer.Argument(metavar="HUB", help="Directory of the hub.", show_default=False)]
CertificateOpt = Annotated[Path | None, typer.Option(help="File to write the certificate into.")]
PoolArg = Annotated[str, typer.Argument(metavar="POOL", help="Id of the pool, or its beginning.")]


def register(group: typer.Typer) -> None:
    pools.command(
        epilog="Example: estran hub pool ask ouest kidney.toml --for jdoe --site angers=2026-004 --site brest=2026-011"
    )(ask)
    pools.command(epilog="Example: estran hub pool gather ouest")(gather)
    pools.command(epilog="Example: estran hub pool status ouest 3f0c --json")(status)
    pools.command(epilog="Example: estran hub pool differences ouest 3f0c")(differences)
    pools.command(epilog="Example: estran hub pool link ouest 3f0c links.parquet")(link)
    pools.command(
        epilog="Example: estran hub pool drop ouest 3f0c --site west.angers --reason 'it joined west anew, with new keys'"
    )(drop)
    pools.command(
        epilog="Example: estran hub pool close ouest 3f0c --reason 'end of the project' --certificate end.json"
    )(close)
    group.add_typer(pools, name="pool")


def ask(
    hub: HubArg,
    agreed: Annotated[
        Path,
        typer.Argument(
            metavar="SPEC|POOL", help="Specification agreed on (as for datamarts); or a pool, to be sent anew."
        ),
    ],
    recipient: Annotated[str, typer.Option("--for", help="Login at the hub that it is made for.")] = "",
    site: Annotated[
        list[str] | None, typer.Option(help="MEMBER=PROJECT, or HUB.SITE=PROJECT through a hub: number of the project there; again for several.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, when it is not what a project of the hub was granted.")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Ask sites for the datamart of their project; with the id of a pool, ask them again (one that was dropped: by name)."""
    keeper = _keeper(hub, key)
    if agreed.is_file():
        pool = keeper.ask(read_file(agreed), recipient, dict(_pair(one) for one in site or ()), reason)
        asked = sorted(keeper.book.sites(pool))
    else:
        pool = keeper.find(str(agreed)).id
        asked = keeper.ask_again(pool, tuple(site or ()))
    if json:
        emit({"pool": pool, "asked": asked})
        return
    console.print(f"Pool {pool}: asked {', '.join(asked) or 'nobody anew'}.", highlight=False, markup=False)


def _pair(text: str) -> tuple[str, str]:
    member, sign, project = text.partition("=")
    if not (member and sign and project):
        raise UsageError("A site is named with the number of its project.", where=text, hint="--site angers=2026-004")
    return member, project


def gather(
    hub: HubArg,
    pool: Annotated[str, typer.Argument(metavar="[POOL]", help="This one only; all of them without.")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Take what came, take out who left, put the rest together; run it by the clock. Exit code 1 when a site's package
    was set aside, or a pool could not be worked on. On an embedded hub each site's agent runs once before."""
    from estran.cli.hub import run_sites  # it is the group of this one

    run_sites(hub, key)
    keeper = _keeper(hub, key)
    found = [keeper.find(pool).id] if pool else [one.id for one in keeper.book.pools()]
    done, failed = dict[str, Gathered](), dict[str, str]()
    for one in found:
        try:
            done[one] = keeper.gather(one)
        except (
            EstranError,
            OSError,
            duckdb.Error,
        ) as error:  # patients are to be taken out of the other pools all the same
            failed[one] = told(error)
            errors.print(f"{one}: {told(error)}", highlight=False, markup=False)
    if json:
        emit({"pools": [_gathered(one, what) for one, what in done.items()], "failed": failed})
    else:
        for one, what in done.items():
            _tell(one, what)
    if failed or any(what.quarantined for what in done.values()):
        raise typer.Exit(1)


def _gathered(pool: str, done: Gathered) -> dict[str, Any]:
    return {
        "pool": pool, "taken": done.taken, "quarantined": done.quarantined, "withdrawn": done.withdrawn,
        "dropped": done.dropped, "silent": done.silent, "datamart": done.datamart, "closed": done.closed,
    }  # fmt: skip


def _tell(pool: str, done: Gathered) -> None:
    said = [f"{site} taken" for site in done.taken] + [
        f"{site} set aside: {why}" for site, why in done.quarantined.items()
    ]
    said += [f"{number(count)} patients of {site} taken out" for site, count in done.withdrawn.items()]
    said += [f"{site} dropped" for site in done.dropped]
    said += [f"{site} is SILENT" for site in done.silent]
    said += [f"datamart {done.datamart}"] if done.datamart else []
    said = ["closed"] if done.closed else said or ["nothing new"]
    console.print(f"{pool}: {'; '.join(said)}", highlight=False, markup=False)


def status(
    hub: HubArg,
    pool: Annotated[str, typer.Argument(metavar="[POOL]", help="Id of the pool, or its beginning; all without.")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Where the sites stand, and every copy with its certificate. Exit code 1 when a site has been silent for too long."""
    desk = _desk(hub, key)
    quiet = _all(desk, json=json) if not pool else _one(_sheet(desk, pool), json=json)
    if quiet:
        raise typer.Exit(1)


def _all(desk: PoolDesk, *, json: bool) -> bool:
    """Show every pool; whether a site of one is silent."""
    found = desk.all()
    silent = desk.silent(found)
    rows = [
        {"pool": one.id, "project": one.project, "name": one.name, "state": one.state, "datamart": one.datamart,
         "silent": silent.get(one.id, [])} for one in found
    ]  # fmt: skip
    if json:
        emit({"pools": rows})
    else:
        lines = [[", ".join(v) if isinstance(v, list) else str(v or "–") for v in row.values()] for row in rows]
        table("Pools", ("pool", "project", "name", "state", "datamart", "silent"), lines)
    return bool(silent)


def _one(sheet: PoolSheet, *, json: bool) -> bool:
    """Show one pool; whether a site of it is silent."""
    quiet = any(one.silent for one in sheet.sites)
    if json:
        emit(_whole(sheet))
        return quiet
    sent = [
        (one.name, one.project, one.state, one.part.made[:10] if one.part else "–",
         f"SILENT since {one.silent:%Y-%m-%d %H:%M}" if one.silent else one.said, _out(one.dropped)) for one in sheet.sites
    ]  # fmt: skip
    table(f"Pool {sheet.pool.id}: {sheet.pool.state}", ("site", "project", "state", "sent", "", "last dropped"), sent)
    copies = [(one.what, one.place, str(one.certificate.get("destroyed", "there"))) for one in sheet.copies]
    table("Copies", ("copy", "where", "destroyed"), copies)
    return quiet


def _out(drop: Drop | None) -> str:
    if drop is None:
        return "–"
    return f"{drop.moment:%Y-%m-%d %H:%M}" + ("" if drop.certificate else " (cut short: estran hub pool gather HUB)")


def _dropped(drop: Drop | None) -> dict[str, Any] | None:
    if drop is None:
        return None
    return {"at": drop.moment, "reason": drop.why, "by": drop.login, "certificate": drop.certificate or None, "own": drop.own or None}


def _whole(sheet: PoolSheet) -> dict[str, Any]:
    return {
        "pool": sheet.pool.id, "project": sheet.pool.project, "name": sheet.pool.name, "state": sheet.pool.state,
        "datamart": sheet.pool.datamart, "complete": sheet.complete,
        "sites": [
            {"site": one.member, "project": one.project, "state": one.state, "said": one.said, "withdrawn_lists": one.withdrawn, "silent_since": one.silent, "dropped": _dropped(one.dropped),
             "sent": one.part.made if one.part else None, "snapshot": one.part.manifest["snapshot"] if one.part else None}
            for one in sheet.sites
        ],
        "copies": [{"what": one.what, "place": one.place, "certificate": one.certificate or None} for one in sheet.copies],
        "certificate": sheet.pool.certificate or None,
    }  # fmt: skip


def differences(hub: HubArg, pool: PoolArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Every variable at every site: what is missing, middle and quartiles, how many have it, and what stands out."""
    sheet = _sheet(_desk(hub, key), pool)
    if json:
        emit({"pool": sheet.pool.id, "variables": [
            {"variable": one.variable, "unit": one.unit, "sites": [_cell(cell) for cell in one.cells]} for one in sheet.compared
        ], "codes": sheet.codes})  # fmt: skip
        return
    rows = [
        (one.variable, cell.site, _bounded(cell, "missing"), _quartiles(cell), cell.unit, _bounded(cell, "share"), " ".join((*cell.flags, cell.hint)))
        for one in sheet.compared for cell in one.cells
    ]  # fmt: skip
    table(
        "Differences",
        ("variable", "site", "missing", "middle (quartiles)", "unit", "share", "stands out"),
        rows,
        numbers=(2, 3, 5),
    )
    for code in sheet.codes:
        labels = ", ".join(f"{one['site']}: {one['label']}" for one in code["labels"])
        console.print(f"{code['code']} is not labelled alike: {labels}", highlight=False, markup=False)


def _cell(cell: Cell) -> dict[str, Any]:
    shown = {"value": cell.patients.value, "below": cell.patients.below, "margin": cell.patients.margin}
    return vars(cell) | {"patients": shown}


def _bounded(cell: Cell, name: str) -> str:
    value = getattr(cell, name)
    if value is None:
        return "–"
    sign = ("≤ " if value < 0.5 else "≥ ") if name in cell.bounds else ""
    return f"{sign}{value:.0%}"


def _quartiles(cell: Cell) -> str:
    if cell.middle is None:
        return "–"
    return f"{cell.middle:g}" + (
        f" ({cell.low:g} – {cell.high:g})" if cell.low is not None and cell.high is not None else ""
    )


def link(
    hub: HubArg,
    pool: PoolArg,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet with the columns site, record, person.")],
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Take a linkage of records to persons: whoever two sites know has one id from the next pass on."""
    linked = _keeper(hub, key).link(pool, file)
    if json:
        emit({"pool": pool, "records": linked})
        return
    console.print(f"{number(linked)} records are linked from the next pass on.")


def drop(
    hub: HubArg,
    pool: PoolArg,
    site: Annotated[str, typer.Option("--site", help="The site, as it was asked: MEMBER, or HUB.SITE through a hub.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, kept in the certificate and shown with the pool.")],
    certificate: CertificateOpt = None,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Take one site out of a pool for good: all that it sent is destroyed, the datamart is made anew, the site is told. Run it
    again if it was cut short. What the site sends when it is asked anew, by name, is taken."""
    found = _keeper(hub, key).drop(pool, site, reason)
    _write(certificate, found)
    if json:
        emit({"certificate": found})
        return
    said = f"{site} is out of pool {found['pool']}. Copies destroyed: {number(len(found['copies']))}."
    console.print(said, highlight=False, markup=False)


def _write(path: Path | None, certificate: dict[str, Any]) -> None:
    if path is not None:
        path.write_bytes(orjson.dumps(certificate, option=orjson.OPT_INDENT_2) + b"\n")


def close(
    hub: HubArg,
    pool: PoolArg,
    reason: Annotated[str, typer.Option("--reason", help="Why, kept in the certificate.")] = "",
    certificate: CertificateOpt = None,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Destroy a pool and every copy of it at the hub; its sites are told, and answer with certificates of their own."""
    found = _keeper(hub, key).close(pool, reason)
    _write(certificate, found)
    if json:
        emit({"certificate": found})
        return
    console.print(f"Pool {found['pool']} is destroyed: {number(len(found['copies']))} copies.", highlight=False)


def _keeper(hub: Path, key: Path | None) -> PoolKeeper:
    site, book = house.open_site(hub, key), hubs.open_book(hub)
    with site.vault():  # opening it proves that the key is the hub's
        return PoolKeeper(hub / hubs.FOLDER, book, site.datamarts(KEY_HOLDER), site.secret(PURPOSE))


def _desk(hub: Path, key: Path | None) -> PoolDesk:
    site, book = house.open_site(hub, key), hubs.open_book(hub)
    return PoolDesk(site.state, book, PoolBook(hub / hubs.FOLDER), KEY_HOLDER)


def _sheet(desk: PoolDesk, pool: str) -> PoolSheet:
    found = desk.one(pool)
    if found is None:
        raise UsageError("There is no pool of this id.", hint="estran hub pool status HUB")
    return found
