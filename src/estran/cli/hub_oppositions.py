"""`estran hub oppositions`: what patients refused after their data had come to the hub, and whether it was obeyed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import typer

from estran import app as house
from estran.cli.show import JsonOpt, KeyOpt, console, emit, table
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
