"""`estran hub oppositions|sent`: what patients refused after their data had come to the hub, and whether it was obeyed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import typer

from estran import app as house
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, table
from estran.hub.agent.opposing import hand_over, taken_back
from estran.hub.book import HubBook
from estran.hub.house import open_book
from estran.hub.oppositions import Notice, Oppositions, beside
from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER

HubArg = Annotated[Path, typer.Argument(metavar="HUB", help="Directory of the hub.", show_default=False)]


def register(group: typer.Typer) -> None:
    group.command(epilog="Example: estran hub oppositions ouest --done angers:12 --outcome '3 rows removed'")(
        oppositions
    )
    group.command(epilog="Example: estran hub sent mysite 3")(sent)


def oppositions(
    hub: HubArg,
    done: Annotated[str, typer.Option(help="MEMBER:NUMBER of one that was obeyed.")] = "",
    outcome: Annotated[str, typer.Option(help="With --done: what was done.")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """What patients refused, those that wait first. Exit code 1 when one is past its day."""
    desk = Oppositions(house.open_site(hub, key).state, open_book(hub), KEY_HOLDER)
    if done:
        member, _, number = done.rpartition(":")
        if not number.isdecimal():
            raise UsageError("An opposition is named MEMBER:NUMBER.", hint="estran hub oppositions HUB")
        desk.done(member, int(number), outcome)
    found, now = desk.recent(), dt.datetime.now(dt.UTC)
    if json:
        emit({"oppositions": [_as_object(one, now) for one in found]})
    else:
        rows = [(f"{one.member}:{one.number}", one.what, _state(one, now), f"{one.due:%Y-%m-%d %H:%M}", len(one.subjects), one.outcome)
                for one in found]  # fmt: skip
        table("", ("opposition", "what", "state", "due", "numbers", "outcome"), rows, numbers=(4,))
    if any(one.late(now) for one in found):
        raise typer.Exit(1)


def sent(
    site: SiteArg,
    datamart: Annotated[
        int | None, typer.Argument(metavar="[DATAMART]", help="Number of the datamart that goes to the hub.")
    ] = None,
    destroyed: Annotated[
        str, typer.Option(help="Project of which the hub has destroyed all that it was given; it owes nothing more.")
    ] = "",
    network: Annotated[str, typer.Option(help="Of which network, when the site is in several.")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Note that a datamart is given to the hub, before it goes: what patients refuse later is told to the hub, which has a
    day to obey. Pools need it not."""
    from estran.cli.hub import place_of  # that module takes its commands from here

    if (datamart is None) == (not destroyed):
        raise UsageError("Say which datamart goes, or of which project everything was destroyed.")
    place = place_of(site, network, key)
    if datamart is None:
        taken_back(place, destroyed)
        told: dict[str, Any] = {"project": destroyed, "destroyed": True}
    else:
        project, patients = hand_over(place, datamart)
        told = {"project": project, "datamart": datamart, "patients": patients}
    if json:
        emit(told)
    else:
        console.print(", ".join(f"{name}: {value}" for name, value in told.items()), highlight=False, markup=False)


def _as_object(one: Notice, now: dt.datetime) -> dict[str, Any]:
    return {
        "site": one.member, "number": one.number, "what": one.what, "state": _state(one, now), "due": one.due, "came": one.came,
        "done": one.done, "outcome": one.outcome, "subjects": [vars(subject) for subject in one.subjects],
    }  # fmt: skip


def _state(one: Notice, now: dt.datetime) -> str:
    return "done" if one.done else "late" if one.late(now) else "waiting"


def owed(book: HubBook) -> dict[str, int]:
    """How many wait, and how many of them are past their day."""
    found, now = beside(book).waiting(), dt.datetime.now(dt.UTC)
    return {"waiting": len(found), "late": sum(one.late(now) for one in found)}


def say_owed(told: dict[str, int]) -> None:
    """The same in words, when there is something to say."""
    if told["waiting"]:
        said = f"{told['waiting']} oppositions wait to be obeyed, {told['late']} of them past their day: estran hub oppositions HUB"
        console.print(said, style="bold red" if told["late"] else "", highlight=False)
