"""Lists of names for a treating team: `estran screening make|list|hand-over`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from estran import app as house
from estran.cli.ask import QuestionArg, question
from estran.cli.recording import recorded
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, table
from estran.keeping import screening as names
from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.policy import Action
from estran.projects.screening import screened

_PURPOSE = "screening"
lists = typer.Typer(help="Lists of names for a treating team: patients of their ward who answer a question.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    lists.command(epilog="Example: estran screening make mysite CIM10:I50 --ward CARD --to anne --because 'head of ward'")(make)
    lists.command("list", epilog="Example: estran screening list mysite")(listed)
    lists.command("hand-over", epilog="Example: estran screening hand-over mysite 3 /media/anne/list.csv")(hand_over)
    app.add_typer(lists, name="screening")


def make(
    site: SiteArg,
    asked: QuestionArg,
    ward: Annotated[str, typer.Option(help="Code of the ward; units below it count.")],
    to: Annotated[str, typer.Option(help="Login of the person of the treating team.")],
    because: Annotated[str, typer.Option(help="How you know that this person treats the patients of the ward.")] = "",
    days: Annotated[int, typer.Option(help="Days after which the list goes.", min=1, max=31)] = 7,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Seal the names of the patients now or soon in a ward who answer a question."""
    opened = house.open_site(site, key)
    account = opened.state.accounts.find(to)
    if account is None or account.disabled:
        raise UsageError("Nobody signs in under this name.", hint="estran user list SITE")
    with opened.vault() as vault:
        found = screened(opened, question(asked), ward, opened.today(), Actor.of(account).bounded(opened.state), because)
        sealed = opened.key.cipher(_PURPOSE)
        number = names.make(opened.state, vault, sealed, found, ward, account, dt.timedelta(days=days))
    if json:
        emit({"screening": number, "patients": len(found)})
        return
    console.print(f"List {number}: {len(found)} patients of {ward}, sealed for {account.login}. It goes in {days} days.", highlight=False)


def listed(site: SiteArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """The lists made: for whom, until when, handed over or not."""
    opened = house.open_site(site, key)
    recorded(opened, Action.SCREEN, "lists made")
    found = opened.state.screenings.all()
    rows = [
        (one.id, one.ward, one.login, f"{one.made:%Y-%m-%d %H:%M}", f"{one.expires:%Y-%m-%d %H:%M}",
         f"{one.handed:%Y-%m-%d %H:%M}" if one.handed else "", "" if one.sealed else "expired")
        for one in found
    ]  # fmt: skip
    columns = ("list", "ward", "for", "made", "expires", "handed over", "state")
    emit({"lists": [dict(zip(columns, row, strict=True)) for row in rows]}) if json else table("Lists", columns, rows, numbers=(0,))


def hand_over(
    site: SiteArg,
    number: Annotated[int, typer.Argument(metavar="LIST", help="Number of the list.")],
    file: Annotated[Path, typer.Argument(help="File to make; its owner alone may read it.")],
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Write a list for the person it is for; each patient is named in the audit trail."""
    opened = house.open_site(site, key)
    one = names.hand_over(opened, opened.key.cipher(_PURPOSE), number, file)
    emit({"file": str(file), "for": one.login}) if json else console.print(f"Written for {one.login}.", highlight=False)
