"""Records of several sites linked: `estran hub link|linkages`."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from estran import app as house
from estran.cli.ask import QuestionArg, question
from estran.cli.hub import HubArg, embedded, group, opened_house, run_once
from estran.cli.recording import recorded
from estran.cli.show import JsonOpt, KeyOpt, console, emit, table
from estran.hub.house import HubHouse
from estran.hub.matching import Linkage, Linkages
from estran.projects.actions import Action
from estran.projects.actors import KEY_HOLDER
from estran.release.matching.linking import SURE


def register() -> None:
    """Into the group of `estran hub`."""
    group.command("link", epilog="Example: estran hub link ouest 'CIM10:I50' --project INSUF --json")(link)
    group.command("linkages", epilog="Example: estran hub linkages ouest --json")(linkages)


def link(
    hub: HubArg,
    asked: QuestionArg,
    project: Annotated[str, typer.Option(help="The project for which records are linked.")],
    site: Annotated[list[str] | None, typer.Option(help="Ask this member only; again for several.")] = None,
    sure: Annotated[float, typer.Option(help="Chance from which on two records are one person.")] = SURE,
    ins_authorisation: Annotated[
        str, typer.Option(help="The project's authorisation to use the INS (reference, date); traits alone without.")
    ] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Have the records of a project's patients linked by the linkage unit; each site says yes first, unless its rules
    say so already. On an embedded hub each member's agent runs once per step."""
    opened, state = opened_house(hub, key), house.open_site(hub, key).state
    with closing(Linkages(opened.book, opened.folder)) as made:
        run = made.start(state, KEY_HOLDER, project, question(asked), site or (), sure, ins_authorisation)
        _run_embedded(opened, hub, made, run)
        _told(made.look(state, KEY_HOLDER, run), json=json)


def linkages(hub: HubArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """The linkages of a hub, the newest first: who took part, where each stands, protected counts."""
    opened, site = opened_house(hub, key), house.open_site(hub, key)
    recorded(site, Action.RUN_HUB, "linkages of the network")
    state = site.state
    with closing(Linkages(opened.book, opened.folder)) as made:
        found = [made.look(state, KEY_HOLDER, run) for run in made.runs()]
    if json:
        emit({"linkages": [_object(one) for one in found]})
        return
    rows = [
        (one.id, one.project, f"{dt.datetime.fromtimestamp(one.asked, dt.UTC):%Y-%m-%d}", one.state, len(one.sites))
        for one in found
    ]
    table("", ("linkage", "project", "asked", "state", "sites"), rows, numbers=(4,))


def _run_embedded(opened: HubHouse, hub: Path, made: Linkages, run: str) -> None:
    """Sites, unit, sites: each once, those on this machine."""
    folders = embedded(opened, hub)
    units = [path for path in folders if not (path / "estran.toml").is_file()]
    for step in ([path for path in folders if path not in units], units, folders):
        for path in step:
            run_once(opened.office, path)
        made.advance(run)


def _object(one: Linkage) -> dict[str, Any]:
    return {"linkage": one.id, "project": one.project, "state": one.state, "sites": one.sites, "result": one.result}


def _told(found: Linkage, *, json: bool) -> None:
    if json:
        emit(_object(found))
        return
    table(f"{found.project} ({found.id}): {found.state}", ("site", ""), list(found.sites.items()))
    if found.result is None:
        return
    for pair in found.result["shared"]:
        console.print(f"{' and '.join(pair['sites'])} share {_said(pair)} patients", highlight=False, markup=False)
    console.print(
        f"Persons: {_said(found.result['distinct'])}. Pairs in doubt: {_said(found.result['review'])}.", highlight=False
    )


def _said(shown: dict[str, Any]) -> str:
    return f"< {shown['below']}" if shown["below"] else f"{shown['value']} ± {shown['margin']}"
