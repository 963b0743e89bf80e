"""Lists of patient numbers: `estran import-list`."""

from __future__ import annotations

import json as text_json
from pathlib import Path
from typing import Annotated

import typer

from estran import app as house
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, number
from estran.keeping.lists import look_up
from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER, Actor
from estran.projects.audit import permit
from estran.projects.lists import NumberKind, named, numbers_in, settle
from estran.projects.policy import Action, Target


def register(app: typer.Typer) -> None:
    app.command("import-list", epilog="Example: estran import-list mysite numbers.csv --name 'Trial A' --for anne")(import_list)


def import_list(
    site: SiteArg,
    file: Annotated[Path, typer.Argument(help="CSV file, one number per line, first.")],
    name: Annotated[str, typer.Option(help="Name of the cohort to make.")],
    owner: Annotated[str, typer.Option("--for", help="Login of the person whose cohort it will be.")],
    ins: Annotated[bool, typer.Option("--ins", help="The numbers are INS.")] = False,
    authority: Annotated[str, typer.Option(help="Assigning authority of the numbers (default: the site's).")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Look patient numbers up in the vault and save whom they are of as somebody's cohort."""
    opened = house.open_site(site, key)
    account = opened.state.accounts.find(owner)
    if account is None or account.disabled:
        raise UsageError("Nobody signs in under this name.", hint="estran user list SITE")
    name = named(name)
    permit(opened.state, KEY_HOLDER, Action.IMPORT, Target(f"list for:{account.login}"))
    actor = Actor.of(account).bounded(opened.state)
    permit(opened.state, actor, Action.IMPORT, Target("list from the key holder"))
    with opened.vault() as vault:
        kind, read = NumberKind.INS if ins else NumberKind.NUMBER, numbers_in(file.read_bytes())
        looked = look_up(opened, vault, read, kind, authority, actor.perimeter)
    counts, cohort = settle(opened, KEY_HOLDER, account.id, name, looked, protect=False)
    opened.state.patient_lists.note(account.id, name, counts, cohort)
    if json:
        emit({what: n if isinstance(n, int) else n[0] for what, n in text_json.loads(counts).items()} | {"cohort": cohort})
        return
    console.print(
        f"{number(looked.read)} numbers read: {number(looked.found)} found, {number(looked.missing)} not found, "
        f"{number(looked.ambiguous)} ambiguous. Cohort '{name}' of {account.login}.", highlight=False, markup=False,
    )  # fmt: skip
