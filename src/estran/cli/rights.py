"""Rights of patients: `estran rights status|catch-up|request|open|read|close|holder|acknowledge|letters|sent`,
`estran transparency`, `estran registry`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from estran import app as house
from estran.app import Site
from estran.cli.recording import recorded
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, number, table
from estran.cli.wishes import AskerOpt, ChannelOpt, DayOpt, ProofOpt, day
from estran.keeping.work import work
from estran.model.errors import UsageError
from estran.projects import letters_of_care, registry, rights
from estran.projects import transparency as public
from estran.projects.actors import KEY_HOLDER
from estran.projects.policy import Action
from estran.projects.rights_desk import Asked, RightsDesk
from estran.state import PublicProject

group = typer.Typer(help="Rights of patients: requests, letters, who must still obey.", no_args_is_help=True)
RequestArg = Annotated[int, typer.Argument(metavar="REQUEST", help="Number of the request.")]
NameArg = Annotated[str, typer.Argument(metavar="NAME", help="Name of the recipient.")]


def register(app: typer.Typer) -> None:
    group.command(epilog="Example: estran rights status mysite")(status)
    group.command(epilog="Example: estran rights request mysite opposition --scope industry --ipp 8001234")(request)
    group.command(epilog="Example: estran rights read mysite 12")(read)
    group.command(epilog="Example: estran rights carry-out mysite 12")(carry_out)
    group.command(epilog="Example: estran rights close mysite 12 --outcome 'copy sent on 3 March'")(close)
    group.command(epilog="Example: estran rights holder mysite hub-ouest --kind hub --purpose research")(holder)
    group.command(epilog="Example: estran rights due mysite hub-ouest --json")(due)
    group.command(epilog="Example: estran rights acknowledge mysite hub-ouest 3 4 --outcome 'rows removed'")(acknowledge)
    group.command(epilog="Example: estran rights letters mysite --majority --out /media/care/majority.csv")(letters)
    group.command(epilog="Example: estran rights sent mysite 3 --on 2026-03-05")(sent)
    app.add_typer(group, name="rights")
    app.command(epilog="Example: estran transparency mysite --put P12 --title '…' --purpose '…' --basis 'MR-004'")(transparency)
    app.command("registry", epilog="Example: estran registry mysite --markdown > registre.md")(registry_sheet)


def _opened(site: Path, key: Path | None) -> Site:
    opened = house.open_site(site, key)
    with opened.vault():
        pass  # only the key's holder
    return opened


def _desk(opened: Site) -> RightsDesk:
    return RightsDesk(opened.state, KEY_HOLDER)


def status(site: SiteArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Who still has to obey what, and which requests wait; exit code 1 when something is late."""
    opened = _opened(site, key)
    rights.catch_up(opened.state, opened.snapshot())
    now = rights.standing(opened.state)
    rows = [
        {"recipient": one.recipient.name, "kind": one.recipient.kind, "waiting": one.waiting, "late": one.late,
         "next": one.next, "last": one.last} for one in now.holders
    ]  # fmt: skip
    if json:
        emit({"recipients": rows, "unapplied": [act.number for act in now.unapplied],
              "open_requests": now.open_requests, "late_requests": now.late_requests, "alarms": now.alarms})  # fmt: skip
    else:
        columns = ("recipient", "kind", "waiting", "late", "next", "last")
        table("Recipients", columns, [[row[name] or "–" if name in ("next", "last") else row[name] for name in columns] for row in rows], numbers=(2, 3))
        console.print(f"{number(now.open_requests)} requests open, {number(now.late_requests)} past their legal month.")
        console.print("Nothing is late." if not now.alarms else f"{number(now.alarms)} things are late.")
    if now.alarms:
        raise typer.Exit(1)


def request(
    site: SiteArg,
    kind: Annotated[str, typer.Argument(help="opposition, lifting, consent, withdrawal, access, rectification, erasure, question.")],
    scope: Annotated[str, typer.Option(help="What it bears on.")] = "warehouse",
    ipp: Annotated[str, typer.Option(help="The person's number at the hospital, looked for in the vault.")] = "",
    system: Annotated[str, typer.Option(help="Its assigning authority (default: that of the settings).")] = "",
    asked_by: AskerOpt = "person",
    channel: ChannelOpt = "letter",
    proof_date: DayOpt = "",
    proof: ProofOpt = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Enter a request of a person; its number is the acknowledgement, its legal month begins now."""
    opened = _opened(site, key)
    made = _desk(opened).enter(Asked(kind, scope, asked_by, channel, day(proof_date), proof, system, ipp))
    work(opened.state, opened.loading, opened.datamarts)
    found = opened.state.requests.one(made.id)
    patient = found.patient_id if found else None
    if json:
        emit({"request": made.id, "number": made.number, "due": made.due, "patient_id": patient})
        return
    who = "" if not ipp else " The person was found." if patient is not None else " Nobody of this number was found."
    console.print(f"Request {made.id}, acknowledgement {made.number}, due {made.due:%Y-%m-%d}.{who}", highlight=False)


def read(site: SiteArg, asked: RequestArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Show a request with what the person wrote."""
    found = _desk(_opened(site, key)).read(asked)
    if found is None:
        raise UsageError("There is no such request.")
    if json:
        emit({"request": dataclasses.asdict(found.request), "said": dict(found.said), "acts": [dataclasses.asdict(a) for a in found.acts]})
        return
    one = found.request
    console.print(f"{one.number}: {one.kind} ({one.scope}), due {one.due:%Y-%m-%d}. {one.outcome}", markup=False, highlight=False)
    for name, text in found.said.items():
        console.print(f"{name}: {text}", markup=False, highlight=False)


def carry_out(site: SiteArg, asked: RequestArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Carry out the wish of somebody who was found."""
    opened = _opened(site, key)
    _desk(opened).carry_out(asked)
    (done,) = [job for job in work(opened.state, opened.loading, opened.datamarts) if job.argument == str(asked)][-1:]
    ended = next(job for job in opened.state.jobs.recent() if job.id == done.id)
    if json:
        emit({"failed": ended.failed, "outcome": ended.outcome})
    else:
        console.print(ended.outcome, markup=False, highlight=False)
    if ended.failed:
        raise typer.Exit(1)


def close(
    site: SiteArg,
    asked: RequestArg,
    outcome: Annotated[str, typer.Option(help="What was answered.")],
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Close a request; what the person wrote is forgotten."""
    _desk(_opened(site, key)).close(asked, outcome)
    _say({"closed": asked}, f"Request {asked} is closed.", json)


def holder(
    site: SiteArg,
    name: NameArg,
    kind: Annotated[str, typer.Option(help="datamart or hub.")] = "datamart",
    purpose: Annotated[list[str] | None, typer.Option(help="Scope that it serves; may be given again.")] = None,
    snapshot: Annotated[int | None, typer.Option(help="Of which its data are (default: the newest).")] = None,
    gone: Annotated[bool, typer.Option("--end", help="It destroyed what it held.")] = False,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Enter a recipient of data, who must obey oppositions from then on; or end one."""
    opened = _opened(site, key)
    if gone:
        rights.end(opened.state, name)
        _say({"ended": name}, f"{name} holds nothing any more.", json)
        return
    version = opened.snapshot().version if snapshot is None else snapshot
    rights.register(opened.state, name, kind, purpose or ["research"], version)
    waiting = len(rights.due(opened.state, name))
    _say({"recipient": name, "waiting": waiting}, f"{name} is registered; {waiting} wishes wait for it.", json)


def due(site: SiteArg, name: NameArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """List what a recipient has to do."""
    opened = _opened(site, key)
    recorded(opened, Action.RIGHTS, f"due of recipient:{name[:120]}")
    owed = rights.due(opened.state, name)
    if json:
        emit({"due": [dataclasses.asdict(one) for one in owed]})
        return
    columns = ("id", "what", "patient_id", "scope", "number", "deadline")
    table(name, columns, [[str(getattr(one, column)) for column in columns] for one in owed])


def acknowledge(
    site: SiteArg,
    name: NameArg,
    tombstones: Annotated[list[int], typer.Argument(help="Their ids, as `due` lists them.")],
    outcome: Annotated[str, typer.Option(help="What came of it.")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Note that a recipient obeyed."""
    done = rights.acknowledge(_opened(site, key).state, name, tombstones, outcome)
    _say({"acknowledged": done}, f"{done} acknowledged.", json)


def letters(
    site: SiteArg,
    out: Annotated[Path, typer.Option(help="New file for names and addresses, outside the site; its owner alone reads it.")],
    notice: Annotated[str, typer.Option(help="What the letter tells: warehouse, project:CODE …")] = "warehouse",
    majority: Annotated[bool, typer.Option("--majority", help="Those who came of age instead.")] = False,
    within: Annotated[int, typer.Option(help="With --majority: also those who will within so many days.", min=0)] = 0,
    channel: Annotated[str, typer.Option(help="post, mail, in person or portal.")] = "post",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Write the list of those who must be informed, for the care side."""
    opened = house.open_site(site, key)
    with opened.vault() as vault:
        notice = letters_of_care.MAJORITY if majority else notice
        state, snapshot = opened.state, opened.snapshot()
        who = letters_of_care.come_of_age(state, snapshot, vault, opened.today(), within) if majority else letters_of_care.to_inform(state, snapshot, notice)
        done = letters_of_care.write_list(state, KEY_HOLDER, vault, who, notice, channel, out, site)
    body = {"list": done.list_no, "letters": done.letters, "out": str(done.path)}
    _say(body, f"List {done.list_no}: {number(done.letters)} letters in {done.path}. Once sent: estran rights sent {site} {done.list_no}", json)


def sent(
    site: SiteArg,
    list_no: Annotated[int, typer.Argument(metavar="LIST", help="Number of the list.")],
    on: DayOpt = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Note that the letters of a list went out."""
    opened = _opened(site, key)
    done = letters_of_care.sent(opened.state, KEY_HOLDER, list_no, day(on) or opened.today())
    _say({"sent": done}, f"{number(done)} letters of list {list_no} went out.", json)


def transparency(
    site: SiteArg,
    put: Annotated[str, typer.Option(help="Code of a project to write, or to write anew.")] = "",
    drop: Annotated[str, typer.Option(help="Code of a project to take off the page.")] = "",
    title: Annotated[str, typer.Option(help="Title.")] = "",
    purpose: Annotated[str, typer.Option(help="Why, in plain words.")] = "",
    basis: Annotated[str, typer.Option(help="Legal basis.")] = "",
    state: Annotated[str, typer.Option(help="open or closed.")] = "open",
    responsible: Annotated[str, typer.Option(help="Who answers for the project.")] = "",
    begun: DayOpt = "",
    ended: DayOpt = "",
    results: Annotated[str, typer.Option(help="What was found.")] = "",
    outputs: Annotated[str, typer.Option(help="Publications, patents, software.")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """The projects that the public page tells: list, write (--put) or take off (--drop)."""
    opened = _opened(site, key)
    if put:
        project = PublicProject(put, title, purpose, basis, state, responsible, day(begun), day(ended), results, outputs)
        public.put(opened.state, KEY_HOLDER, project)
    if drop:
        public.drop(opened.state, KEY_HOLDER, drop)
    told = public.public_projects(opened)
    if json:
        emit({"projects": [dataclasses.asdict(one) for one in told]})
        return
    columns = ("code", "status", "title", "legal_basis", "begun")
    table("Told to the public", columns, [[str(getattr(one, name) or "–") for name in columns] for one in told])


def registry_sheet(
    site: SiteArg,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="As a page, to be printed or kept.")] = False,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """The registry sheet, and what the running site meets of the reference framework, with evidence."""
    made = registry.sheet(_opened(site, key), KEY_HOLDER)
    if json:
        emit(registry.as_row(made))
    elif as_markdown:
        typer.echo(registry.markdown(made), nl=False)
    else:
        columns = ("requirement", "topic", "verdict", "evidence")
        table("Reference framework", columns, [[str(getattr(one, name)) for name in columns] for one in made.checklist])


def _say(body: dict[str, Any], sentence: str, json: bool) -> None:
    emit(body) if json else console.print(sentence, markup=False, highlight=False)
