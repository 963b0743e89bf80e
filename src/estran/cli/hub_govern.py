"""`estran hub govern|audit`: a network's own rules, and every question that went over it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from estran import app as house
from estran.cli.show import JsonOpt, KeyOpt, console, emit, table
from estran.hub.governance import Governance, beside
from estran.hub.house import FOLDER, open_book
from estran.hub.oversight import Oversight
from estran.hub.studies import Studies
from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER
from estran.projects.review import as_row, prove_all

HubArg = Annotated[Path, typer.Argument(metavar="HUB", help="Directory of the hub.", show_default=False)]


def register(group: typer.Typer) -> None:
    group.command(epilog="Example: estran hub govern ouest --sight researcher=total --seat marie=chu-d-angers")(govern)
    group.command(epilog="Example: estran hub audit ouest --json")(audit)


def govern(
    hub: HubArg,
    sight: Annotated[
        list[str] | None, typer.Option(help="ROLE=sites, total or own: what a role sees of answers; again for several.")
    ] = None,
    seat: Annotated[
        list[str] | None, typer.Option(help="LOGIN=MEMBER: of which site somebody is; MEMBER empty for none.")
    ] = None,
    charter: Annotated[
        list[str] | None, typer.Option(help="user, producer or citizen=FILE: a new version of a charter.")
    ] = None,
    silence: Annotated[
        float | None,
        typer.Option(
            help="Hours for which a site of a pool may not say whom it takes back, as the charter of producers has it."
        ),
    ] = None,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Who sees which site's numbers, of which site each person is, charters and who signed them."""
    book = open_book(hub)
    desk = Governance(house.open_site(hub, key).state, book, beside(book), KEY_HOLDER)
    for role, value in _pairs(sight):
        desk.set_sight(role, value)
    for login, member in _pairs(seat):
        desk.seat(login, member)
    for kind, path in _pairs(charter):
        desk.publish(kind, _text(Path(path)))
    if silence is not None:
        desk.set_silence(silence)
    told: dict[str, Any] = {
        "sights": {str(role): str(value) for role, value in desk.sights().items()}, "seats": desk.seats(),
        "silence_hours": desk.silence(),
        "charters": [{"kind": one.kind, "version": one.version, "by": one.login, "at": one.at} for one in desk.charters()],
        "signatures": [{"kind": one.kind, "version": one.version, "login": one.login, "site": one.site, "at": one.at}
                       for one in desk.signatures()],
    }  # fmt: skip
    if json:
        emit(told)
        return
    table("", ("role", "sees"), told["sights"].items())
    table("", ("person", "site"), told["seats"].items())
    console.print(f"A site of a pool may be silent for {told['silence_hours']:g} hours.", highlight=False)
    table("", ("charter", "version", "by"), [(one["kind"], one["version"], one["by"]) for one in told["charters"]])
    table(
        "",
        ("signed", "version", "person", "site"),
        [(s["kind"], s["version"], s["login"], s["site"]) for s in told["signatures"]],
    )


def _pairs(given: list[str] | None) -> list[tuple[str, str]]:
    found = [one.partition("=") for one in given or ()]
    if any(not middle for _, middle, _ in found):
        raise UsageError("Say it as NAME=VALUE.")
    return [(name, value) for name, _, value in found]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise UsageError("The charter cannot be read.", where=str(path), hint="a text file in UTF-8") from None


def audit(
    hub: HubArg,
    page: Annotated[int, typer.Option(help="Page of questions, from 0, the newest first.", min=0)] = 0,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Every question, who put it, what each site did with it, and the line of the audit trail that let it pass. Exit
    code 1 when the trail is not whole, or a question has no line."""
    site, book = house.open_site(hub, key), open_book(hub)
    found, verdict = Oversight(site.state, book, Studies(hub / FOLDER), KEY_HOLDER).questions(page), prove_all(site)
    lost = [one for one in found if one.line is None]
    if json:
        rows = [
            {"question": one.question.id, "title": one.question.title, "asked": one.question.moment, "login": one.question.login,
             "method": one.method, "line": one.line, "sites": [vars(done) for done in one.done]} for one in found
        ]  # fmt: skip
        emit({"trail": as_row(verdict), "questions": rows, "without_line": len(lost)})
    else:
        lines = [
            (f"{one.question.moment:%Y-%m-%d %H:%M}", one.question.login, one.question.title or one.question.id[:8], one.method or "count",
             one.count("ok"), one.count("refused"), "–" if one.line is None else one.line) for one in found
        ]  # fmt: skip
        table("", ("asked", "by", "question", "what", "answered", "refused", "line"), lines, numbers=(4, 5, 6))
        whole = "The trail is whole." if verdict.whole else "The trail is NOT whole: estran audit verify"
        console.print(f"{whole} {len(lost)} questions without a line in it.", highlight=False)
    if lost or not verdict.whole:
        raise typer.Exit(1)
