"""Projects as the key holder sees them: `estran project list|show|calls|call|notices|machine|policy`."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from estran import app as house
from estran.app import Site
from estran.cli import owndata
from estran.cli.people import policy
from estran.cli.recording import recorded
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, number, table
from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER
from estran.projects.life import ProjectsDesk
from estran.projects.life.desk import Card, Sheet
from estran.projects.life.drawing import drawn, markdown
from estran.projects.life.machine import TABLE, Stage
from estran.projects.life.mail import send_waiting
from estran.projects.life.notices import remind
from estran.projects.policy import Action

projects = typer.Typer(help="Projects: where each stands, calls for projects, notices.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    projects.command("list", epilog="Example: estran project list mysite --stage open")(listing)
    projects.command(epilog="Example: estran project show mysite 2026-001 --json")(show)
    projects.command(epilog="Example: estran project calls mysite")(calls)
    projects.command(
        epilog="Example: estran project call mysite 'Call of 2027' 2027-03-31 --sites 3 --experts 2 --criterion Originality=10"
    )(call)
    projects.command(epilog="Example: estran project notices mysite --send")(notices)
    projects.command(epilog="Example: estran project machine --markdown > docs/reference/projects.md")(machine)
    projects.command(epilog="Example: estran project policy --markdown > docs/reference/policy.md")(policy)
    owndata.register(projects)
    app.add_typer(projects, name="project")


def listing(
    site: SiteArg,
    stage: Annotated[Stage | None, typer.Option(help="Only those at this stage.")] = None,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """List the projects, the newest first."""
    _, desk = _desk(site, key)
    rows = [_row(card, desk) for card in desk.board() if stage in (None, card.project.stage)]
    if json:
        emit({"projects": rows})
        return
    columns = ("number", "stage", "kind", "title", "lead", "formality", "due")
    table("Projects", columns, [[row[name] for name in columns] for row in rows])


def show(
    site: SiteArg,
    project: Annotated[str, typer.Argument(metavar="NUMBER", help="Number of the project, 2026-001.")],
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Show one project: what it asks for, its pieces, its steps."""
    _, desk = _desk(site, key)
    sheet = desk.sheet(project)
    if sheet is None:
        raise UsageError("There is no project of this number.", hint=f"estran project list {site}")
    found = _whole(sheet, desk)
    if json:
        emit(found)
        return
    console.print(
        f"{found['number']} {found['title']}: {found['stage']}, {found['formality']}", highlight=False, markup=False
    )
    table("Variables", ("name", "code", "justification"), [list(row.values()) for row in found["variables"]])
    table("Pieces", ("piece", "reference", "date"), [list(row.values()) for row in found["pieces"]])
    table("Steps", ("date (UTC)", "step", "by", "role"), [list(row.values()) for row in found["steps"]])


def calls(site: SiteArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """List the calls for projects."""
    _, desk = _desk(site, key)
    found = [asdict(one) for one in desk.calls()]
    if json:
        emit({"calls": found})
        return
    columns = ("id", "title", "deadline", "sites", "experts")
    table("Calls for projects", columns, [[row[name] for name in columns] for row in found], numbers=(0, 3, 4))


def call(
    site: SiteArg,
    title: Annotated[str, typer.Argument(help="Title of the call.")],
    deadline: Annotated[str, typer.Argument(help="Last day for letters of intent, YYYY-MM-DD.")],
    sites: Annotated[int, typer.Option(help="Fewest sites of a project.")] = 3,
    experts: Annotated[int, typer.Option(help="Fewest opinions of experts.")] = 2,
    criterion: Annotated[
        list[str] | None, typer.Option(help="What experts score, and its most points: NAME=POINTS.")
    ] = None,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Publish a call for projects."""
    _, desk = _desk(site, key)
    made = desk.publish(title, _day(deadline), sites, experts, tuple(_criterion(text) for text in criterion or ()))
    if json:
        emit({"call": made})
        return
    console.print(f"Call {made} is published.")


def notices(
    site: SiteArg,
    send: Annotated[
        bool, typer.Option("--send", help="Send what is due now, reminders of the coming week included.")
    ] = False,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """List the notices that wait to be sent, and why; a person who gave no address waits for ever."""
    opened, desk = _desk(site, key)
    recorded(opened, Action.RUN_PROJECTS, "notices" + (" send" if send else ""))
    sent = failed = 0
    if send:
        if not opened.settings.smtp_host:
            raise UsageError("The site names no mail server.", hint="set smtp_host in estran.toml")
        remind(opened.state, opened.settings, desk.today)
        sent, failed = send_waiting(opened.state, opened.settings)
    rows = [
        {"id": one.id, "to": desk.people[one.account_id].login, "address": bool(one.address), "subject": one.subject,
         "tries": one.tries, "problem": one.problem}
        for one in opened.state.notices.waiting()
    ]  # fmt: skip
    if json:
        emit({"sent": sent, "failed": failed, "waiting": rows})
        return
    if send:
        console.print(f"{number(sent)} notices were sent, {number(failed)} could not be.")
    columns = ("id", "to", "address", "subject", "tries", "problem")
    table("Notices that wait", columns, [[row[name] for name in columns] for row in rows], numbers=(0, 4))


def machine(
    as_markdown: Annotated[bool, typer.Option("--markdown", help="The page of the reference.")] = False,
    as_svg: Annotated[bool, typer.Option("--svg", help="The picture of the reference.")] = False,
    json: JsonOpt = False,
) -> None:
    """Show which step of a project may follow which, by whose hand, and what it needs."""
    rows = [
        {"step": str(move.step), "from": sorted(move.sources), "to": str(move.to or ""), "by": list(move.hands),
         "needs": list(move.needs)}
        for move in TABLE
    ]  # fmt: skip
    if json:
        emit({"steps": rows})
    elif as_markdown or as_svg:
        typer.echo(markdown() if as_markdown else drawn(), nl=False)
    else:
        said = [[" ".join(cell) if isinstance(cell, list) else cell for cell in row.values()] for row in rows]
        table("Steps", tuple(rows[0]), said)


def _desk(site: Path, key: Path | None) -> tuple[Site, ProjectsDesk]:
    """The key holder's desk: opening the vault proves that the key is the site's."""
    opened = house.open_site(site, key)
    with opened.vault():
        return opened, ProjectsDesk(opened.state, opened.settings, KEY_HOLDER)


def _row(card: Card, desk: ProjectsDesk) -> dict[str, Any]:
    one = card.project
    due = f"{card.deadline.due} {card.deadline.day}" if card.deadline else ""
    return {
        "number": one.number, "stage": one.stage, "kind": one.kind, "title": one.title, "lead": desk.people[one.lead].login,
        "formality": one.route.formality, "due": due,
    }  # fmt: skip


def _whole(sheet: Sheet, desk: ProjectsDesk) -> dict[str, Any]:
    one, filed = sheet.project, {filed.piece: filed for filed in sheet.project.pieces}
    asked = dict.fromkeys((*one.route.pieces, *filed))
    return {
        "number": one.number, "title": one.title, "stage": one.stage, "kind": one.kind, "sites": one.sites,
        "lead": desk.people[one.lead].login, "members": [desk.people[member].login for member in one.members],
        "formality": one.route.formality, "in_framework": one.route.in_framework, "reason": one.route.reason,
        "objectives": one.request.objectives, "legal_basis": one.request.legal_basis, "months": one.months,
        "opened": one.opened, "expires": one.expires, "variables": [asdict(variable) for variable in one.request.variables],
        "pieces": [
            {"piece": piece, "reference": filed[piece].reference if piece in filed else "missing",
             "date": str(filed[piece].day) if piece in filed else ""} for piece in asked
        ],
        "outputs": [asdict(output) for output in one.outputs],
        "steps": [
            {"at": f"{event.at:%Y-%m-%d %H:%M}", "step": event.step, "by": event.login, "role": event.role}
            for event in sheet.history
        ],
    }  # fmt: skip


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError("A day is written YYYY-MM-DD.", where=text) from None


def _criterion(text: str) -> tuple[str, int]:
    name, _, most = text.rpartition("=")
    if not name.strip() or not most.isdecimal():
        raise UsageError("A criterion is written NAME=POINTS.", where=text)
    return name.strip(), int(most)
