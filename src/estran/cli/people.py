"""Accounts and rights: `estran user add|list|disable|perimeter|reset-second-factor`, `estran policy`."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer

from estran import app as house
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, table
from estran.model.codes import DocumentKind
from estran.model.errors import UsageError
from estran.model.perimeter import Perimeter
from estran.projects.actors import KEY_HOLDER, Role
from estran.projects.audit import permit
from estran.projects.bounding import bound, listed, unit_codes
from estran.projects.people import disable as shut
from estran.projects.people import reset_second_factor
from estran.projects.policy import Action, Target
from estran.projects.policy_table import cell, markdown
from estran.projects.sign_in import create_account
from estran.state import Account, StateDatabase

users = typer.Typer(help="Accounts of the portal.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    users.command("add", epilog="Example: ESTRAN_PASSWORD=... estran user add mysite jdoe --role researcher")(add)
    users.command("list", epilog="Example: estran user list mysite")(listing)
    users.command("disable", epilog="Example: estran user disable mysite jdoe")(disable)
    users.command("reset-second-factor", epilog="Example: estran user reset-second-factor mysite jdoe")(reset)
    users.command("perimeter", epilog="Example: estran user perimeter mysite jdoe --ward CARD --since 2020-01-01")(perimeter)
    app.add_typer(users, name="user")
    app.command("policy", epilog="Example: estran policy --markdown > docs/reference/policy.md")(policy)


def add(
    site: SiteArg,
    login: Annotated[str, typer.Argument(help="Login name.")],
    role: Annotated[Role, typer.Option(help="What the person may do.")] = Role.VIEWER,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Make an account; the password is asked for, or taken from ESTRAN_PASSWORD."""
    opened = house.open_site(site, key)
    with opened.vault():
        pass  # only the key's holder makes accounts
    password = os.environ.get("ESTRAN_PASSWORD") or typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    made = create_account(opened.state, KEY_HOLDER, login, password, role)
    if json:
        emit({"login": made.login, "role": made.role})
        return
    console.print(f"{made.login} may sign in as {made.role}.")


def listing(site: SiteArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """List the accounts."""
    opened = house.open_site(site, key)
    with opened.vault():
        permit(opened.state, KEY_HOLDER, Action.ACCOUNTS, Target("list"))
        rows = [
            (a.login, a.role, opened.settings.day(a.created), "disabled" if a.disabled else "") for a in opened.state.accounts.all()
        ]
    if json:
        emit({"accounts": [dict(zip(("login", "role", "created", "state"), row, strict=True)) for row in rows]})
        return
    table("Accounts", ("login", "role", "created", "state"), rows)


def disable(site: SiteArg, login: str, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Shut an account, and end its sessions and API tokens."""
    opened = house.open_site(site, key)
    with opened.vault():
        shut(opened.state, KEY_HOLDER, _found(opened.state, login, site))
    if json:
        emit({"login": login, "disabled": True})
        return
    console.print(f"{login} may no longer sign in.")


def reset(site: SiteArg, login: str, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Forget the one-time codes and passkeys of somebody who lost their device."""
    opened = house.open_site(site, key)
    with opened.vault():
        reset_second_factor(opened.state, KEY_HOLDER, _found(opened.state, login, site))
    if json:
        emit({"login": login, "second_factor": False})
        return
    console.print(f"{login} signs in with the password alone, and may set up a second factor again.")


def perimeter(
    site: SiteArg,
    login: str,
    facility: Annotated[list[str] | None, typer.Option(help="Code of a facility, with all below it; may be repeated.")] = None,
    ward: Annotated[list[str] | None, typer.Option(help="Code of a ward, with all below it; may be repeated.")] = None,
    kind: Annotated[list[DocumentKind] | None, typer.Option(help="Kind of document; may be repeated.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day of the period.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day of the period.")] = None,
    patients: Annotated[Path | None, typer.Option(help="File of pseudonymous patient numbers, one a line.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Take the perimeter away: all that the role allows.")] = False,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Bound what an account may see; every bound that is given must hold."""
    wanted = Perimeter(
        tuple(facility or ()), tuple(ward or ()), tuple(kind or ()), since.date() if since else None,
        until.date() if until else None, None if patients is None else listed(patients.read_text("utf-8")),
    )  # fmt: skip
    if wanted.whole is not none:
        raise UsageError("Give at least one bound, or --none alone.", hint="for example --ward CARD")
    opened = house.open_site(site, key)
    with opened.vault():
        bound(opened.state, KEY_HOLDER, _found(opened.state, login, site), wanted, unit_codes(opened.snapshot()))
    if json:
        emit({"login": login, "perimeter": None if none else orjson.loads(wanted.to_json())})
        return
    console.print(f"{login} sees {'all that the role allows' if none else 'what lies in the perimeter only'}.", highlight=False)


def policy(
    as_markdown: Annotated[bool, typer.Option("--markdown", help="The page of the reference, to be kept in docs.")] = False,
    json: JsonOpt = False,
) -> None:
    """Show who may do what: on one's own, on others', for listed patients, for key holders' accounts; inside and
    outside a perimeter."""
    if json:
        emit({"roles": {str(role): {str(action): cell(role, action) for action in Action} for role in Role}})
    elif as_markdown:
        typer.echo(markdown(), nl=False)
    else:
        table("Policy", ("action", *Role), [(action, *(cell(role, action) for role in Role)) for action in Action])


def _found(state: StateDatabase, login: str, site: object) -> Account:
    found = state.accounts.find(login)
    if found is None:
        raise UsageError("There is no such account.", hint=f"estran user list {site}")
    return found
